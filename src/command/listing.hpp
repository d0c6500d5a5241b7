// What a subcommand prints of several arrays, one after the other.
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

// What is printed of one array: as JSON, and as text for people.
struct said {
  nlohmann::ordered_json object;
  std::function<void(output&)> put_text;
};

// Opens each file and prints what `tell` returns for the file. In JSON, bytes that are not UTF-8
// become U+FFFD. If a file can't be opened or described, tell_of_each says so on standard error,
// goes on with the others, and returns `failed`. `verb` is for those messages.
status tell_of_each(const listing& asked, const std::string& verb,
                    const std::function<said(const array_file&)>& tell);

// [[0, 3], [5, 9]].
nlohmann::ordered_json ranges_as_json(const std::vector<range>& all);

// Prints an array of JSON objects.
void put_json(output& to, const nlohmann::ordered_json& all);

}  // namespace shard::command
