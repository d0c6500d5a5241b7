// What the UHI schema, version 1, asks of a histogram in JSON, written down anew from
// src/uhi/resources/histogram.schema.json of github.com/scikit-hep/uhi (7406b356e4fa), and of the
// arrays what that schema can't say, but its readers rely on: their shape is that of the axes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace shard_test {

class uhi_check {
 public:
  using json = nlohmann::json;

  // Everything that is wrong, one sentence each.
  static std::vector<std::string> problems(const json& histogram) {
    uhi_check check;
    check.whole(histogram);
    return check.found_;
  }

 private:
  enum class presence { required, optional };
  using keys = std::map<std::string, presence>;

  bool require(bool holds, const std::string& otherwise) {
    if (!holds) found_.push_back(otherwise);
    return holds;
  }

  // An object with these keys, all that are required, and no others.
  bool object(const json& of, const std::string& where, const keys& known) {
    if (!require(of.is_object(), where + " is no object")) return false;
    bool right = true;
    for (const auto& [key, need] : known)
      if (need == presence::required)
        right = require(of.contains(key), where + " has no " + key) && right;
    for (const auto& [key, value] : of.items())
      right = require(known.contains(key), where + " has " + key + ", which nobody knows") && right;
    return right;
  }

  static constexpr presence required = presence::required;
  static constexpr presence optional = presence::optional;

  // Of metadata: text, numbers and booleans under names.
  void simple_values(const json& of, const std::string& where) {
    if (!require(of.is_object(), where + " is no object")) return;
    for (const auto& [key, value] : of.items()) {
      require(!key.empty(), where + " has an empty name");
      require(value.is_string() || value.is_number() || value.is_boolean(),
              where + "." + key + " is neither text nor a number nor a boolean");
    }
  }
  void notes(const json& of, const std::string& where) {
    if (of.contains("metadata")) simple_values(of["metadata"], where + ".metadata");
    if (!of.contains("writer_info")) return;
    if (!require(of["writer_info"].is_object(), where + ".writer_info is no object")) return;
    for (const auto& [library, info] : of["writer_info"].items()) {
      require(!library.empty(), "a library without a name");
      simple_values(info, where + ".writer_info." + library);
    }
  }

  static keys with_notes(keys own) {
    own.insert({{"metadata", presence::optional}, {"writer_info", presence::optional}});
    return own;
  }

  bool boolean(const json& of, const std::string& key, const std::string& where) {
    return require(of.contains(key) && of[key].is_boolean(), where + "." + key + " is no boolean");
  }

  // Returns how many bins the axis has, underflow and overflow included.
  std::size_t axis(const json& of, const std::string& where) {
    if (!require(of.is_object() && of.contains("type"), where + " has no type")) return 0;
    const std::string type = of["type"].is_string() ? of["type"].get<std::string>() : "";
    notes(of, where);
    if (type == "regular" || type == "variable") {
      const bool regular = type == "regular";
      keys own = with_notes({{"type", required},
                             {"underflow", required},
                             {"overflow", required},
                             {"circular", required}});
      if (regular) {
        own.insert({{"lower", required}, {"upper", required}, {"bins", required}});
      } else {
        own.insert({"edges", required});
      }
      if (!object(of, where, own)) return 0;
      for (const char* key : {"underflow", "overflow", "circular"})
        if (!boolean(of, key, where)) return 0;
      const std::size_t flow = of["underflow"].get<bool>() + of["overflow"].get<bool>();
      if (regular) {
        require(of["lower"].is_number() && of["upper"].is_number(),
                where + " has bounds that are no numbers");
        if (!require(of["bins"].is_number_unsigned(), where + ".bins is no count")) return 0;
        return of["bins"].get<std::size_t>() + flow;
      }
      if (!require(of["edges"].is_array() && of["edges"].size() >= 2,
                   where + " has fewer than two edges"))
        return 0;
      std::set<double> different;
      for (const json& edge : of["edges"]) {
        if (require(edge.is_number(), where + " has an edge that is no number"))
          different.insert(edge.get<double>());
      }
      require(different.size() == of["edges"].size(), where + " has an edge twice");
      return of["edges"].size() - 1 + flow;
    }
    if (type == "category_str" || type == "category_int") {
      if (!object(of, where,
                  with_notes({{"type", required}, {"categories", required}, {"flow", required}})))
        return 0;
      if (!boolean(of, "flow", where)) return 0;
      if (!require(of["categories"].is_array(), where + ".categories is no array")) return 0;
      std::set<json> different;
      for (const json& name : of["categories"]) {
        require(type == "category_str" ? name.is_string() : name.is_number_integer(),
                where + " has a category of another type");
        different.insert(name);
      }
      require(different.size() == of["categories"].size(), where + " has a category twice");
      return of["categories"].size() + of["flow"].get<bool>();
    }
    require(type == "boolean", where + " has type '" + type + "'");
    object(of, where, with_notes({{"type", required}}));
    return 2;
  }

  void array(const json& of, const std::string& where, bool integers, std::size_t depth) {
    if (depth == shape_.size()) {
      require(integers ? of.is_number_integer() : of.is_number(), where + " holds another type");
      return;
    }
    if (!require(of.is_array(), where + " has too few dimensions")) return;
    if (!require(of.size() == shape_[depth], where + " has another shape than the axes")) return;
    for (const json& each : of) array(each, where, integers, depth + 1);
  }

  void storage(const json& of) {
    const std::map<std::string, std::vector<std::string>> arrays{
        {"int", {"values"}},
        {"double", {"values"}},
        {"weighted", {"values", "variances"}},
        {"mean", {"counts", "values", "variances"}},
        {"weighted_mean", {"sum_of_weights", "sum_of_weights_squared", "values", "variances"}}};
    if (!require(of.is_object() && of.contains("type") && of["type"].is_string(),
                 "storage has no type"))
      return;
    const auto found = arrays.find(of["type"].get<std::string>());
    if (!require(found != arrays.end(), "storage has an unknown type")) return;
    keys own{{"type", required}};
    for (const std::string& each : found->second) own.insert({each, required});
    if (!object(of, "storage", own)) return;
    for (const std::string& each : found->second)
      array(of[each], "storage." + each, found->first == "int", 0);
  }

  void whole(const json& of) {
    const keys own =
        with_notes({{"uhi_schema", required}, {"axes", required}, {"storage", required}});
    if (!object(of, "the histogram", own)) return;
    require(of["uhi_schema"] == 1, "uhi_schema is not 1");
    notes(of, "the histogram");
    if (!require(of["axes"].is_array(), "axes is no array")) return;
    for (const json& each : of["axes"])
      shape_.push_back(axis(each, "axis " + std::to_string(shape_.size())));
    storage(of["storage"]);
  }

  std::vector<std::string> found_{};
  std::vector<std::size_t> shape_{};
};

}  // namespace shard_test
