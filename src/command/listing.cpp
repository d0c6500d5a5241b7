#include "command/listing.hpp"

#include "shard/error.hpp"

namespace shard::command {

using json = nlohmann::ordered_json;

status tell_of_each(const listing& asked, const std::string& verb,
                    const std::function<said(const array_file&)>& tell) {
  output to;
  json all = json::array();
  status result = status::ok;
  for (const std::string& file : asked.files) {
    try {
      const array_file found = open_array(file, verb);
      said what = tell(found);
      if (asked.as_json) {
        all.push_back(std::move(what.object));
      } else {
        what.put_text(to);
      }
    } catch (const error& e) {
      to.flush();
      complain(e.what());
      result = status::failed;
    }
  }
  if (asked.as_json) put_json(to, all);
  to.flush();
  return result;
}

json ranges_as_json(const std::vector<range>& all) {
  json list = json::array();
  for (const range& each : all) list.push_back({each.first, each.last});
  return list;
}

void put_json(output& to, const json& all) {
  to.put(all.dump(2, ' ', false, json::error_handler_t::replace));
  to.put('\n');
}

}  // namespace shard::command
