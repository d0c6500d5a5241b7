#include "board/run_memory.hpp"

#include <string>

#include "os/calls.hpp"
#include "shard/error.hpp"

namespace shard::board {

os::anonymous_memory run_memory(std::size_t bytes, os::sharing how) try {
  // Large states are tables: accesses jump around in them, and take less time in huge pages.
  constexpr std::size_t worth_huge_pages = std::size_t{4} << 20;
  os::anonymous_memory made(bytes, how);
  if (how == os::sharing::none && bytes >= worth_huge_pages)
    os::prefer_huge_pages(made.base(), bytes);
  return made;
} catch (const os::call_failed& e) {
  throw error(e.code(), "cannot map " + std::to_string(bytes) +
                            " bytes of memory for the run: found '" + e.code().message() +
                            "', expected more memory, or address space (ulimit -v): use fewer "
                            "workers, or smaller reducers");
}

}  // namespace shard::board
