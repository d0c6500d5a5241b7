// shard head: the first rows of an array, for people.

#include <algorithm>
#include <string>

#include "command/command.hpp"
#include "command/print.hpp"

namespace shard::command {

status head(const std::string& file, std::size_t rows) {
  const array_file array = open_array(file, "print");
  return print(array, {0, std::min(rows, array.rows())}, format::text);
}

}  // namespace shard::command
