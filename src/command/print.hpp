// Rows of an array as CSV, JSON, or text for people.
#pragma once

#include "command/array_file.hpp"
#include "command/command.hpp"
#include "command/output.hpp"
#include "command/values.hpp"

namespace shard::command {

// Prints rows of the array, in memory that does not grow with their number. If a writer died in the
// middle of any of these elements, print prints them as they are, says on standard error which
// elements may be half written, and returns `failed`. Throws shard::error. Requires: the array has
// these rows.
status print(const array_file& array, range rows, format as);

}  // namespace shard::command
