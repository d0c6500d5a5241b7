#include "journal/map_note.hpp"

#include <nlohmann/json.hpp>

#include "shard/error.hpp"

namespace shard::journal {

using nlohmann::ordered_json;

std::string map_note::json() const {
  ordered_json all{{"version", 1},
                   {"number", number},
                   {"boot", boot},
                   {"in_place", in_place},
                   {"identity", ordered_json::parse(what.json())}};
  all["outputs"] = ordered_json::array();
  for (const auto& [file, file_number] : outputs) {
    all["outputs"].push_back({{"name", file}, {"number", file_number}});
  }
  return all.dump(1);
}

map_note map_note::from(const std::string& text, const std::string& note) try {
  const ordered_json all = ordered_json::parse(text);
  map_note made;
  made.number = all.at("number");
  made.boot = all.at("boot");
  made.in_place = all.at("in_place");
  made.what = identity::from_json(all.at("identity").dump());
  for (const auto& one : all.at("outputs")) {
    made.outputs.emplace_back(one.at("name"), one.at("number"));
  }
  return made;
} catch (const ordered_json::exception& e) {
  throw error(std::errc::bad_message, "cannot read the note " + note + ": found '" + e.what() +
                                          "', expected what an earlier start has noted there");
}

std::string name_of_note(std::size_t map) { return std::to_string(map) + ".map.json"; }

std::optional<map_note> note_of(const notes& in, std::size_t map) {
  const std::string name = name_of_note(map);
  const std::optional<std::string> text = in.read_text(name);
  if (!text) return std::nullopt;
  return map_note::from(*text, name);
}

}  // namespace shard::journal
