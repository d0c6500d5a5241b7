// Rows of an array as CSV, JSON, or text for people.
#pragma once

#include "command/array_file.hpp"
#include "command/command.hpp"
#include "command/output.hpp"
#include "command/values.hpp"

namespace shard::command {

// Prints rows of the array, in memory that does not depend on how many there are. If a writer died
// half-way in any of them, they are printed as they are, standard error says which elements those
// may be, and the result is `failed`. Throws shard::error. Requires: the array has these rows.
status print(const array_file& array, range rows, format as);

}  // namespace shard::command
