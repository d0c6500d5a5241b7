// Rows of an array as CSV, JSON, or text for people.
#pragma once

#include "command/array_file.hpp"
#include "command/output.hpp"
#include "command/values.hpp"

namespace shard::command {

// Prints rows of the array, in memory that does not depend on how many there are. Throws
// shard::error. Requires: the array has these rows.
void print(output& to, const array_file& array, range rows, format as);

// What `--help` says of the formats.
extern const char* const formats_help;

}  // namespace shard::command
