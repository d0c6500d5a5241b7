// What a subcommand says of several arrays, one after the other.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/array_file.hpp"
#include "command/command.hpp"
#include "command/output.hpp"
#include "shard/range.hpp"

namespace shard::command {

// An array's object in the JSON array, and what people read instead.
struct said {
  nlohmann::ordered_json object;
  std::function<void(output&)> put_text;
};

// Opens each file, and prints what `tell` says of it; what is no UTF-8 becomes U+FFFD in JSON. One
// that can't be opened, or told of, does not keep the others from being shown: it is reported on
// standard error, and the result is `failed`. `verb` is for those messages.
status tell_of_each(const listing& asked, const std::string& verb,
                    const std::function<said(const array_file&)>& tell);

// [[0, 3], [5, 9]].
nlohmann::ordered_json ranges_as_json(const std::vector<range>& all);

// Prints an array of JSON objects.
void put_json(output& to, const nlohmann::ordered_json& all);

}  // namespace shard::command
