#include "board/run_memory.hpp"

#include <string>

#include "os/calls.hpp"
#include "shard/error.hpp"

namespace shard::board {

os::anonymous_memory run_memory(std::size_t bytes, os::sharing how) try {
  return os::anonymous_memory(bytes, how);
} catch (const os::call_failed& e) {
  throw error(e.code(), "cannot map " + std::to_string(bytes) +
                            " bytes of memory for the run: found '" + e.code().message() +
                            "', expected more memory, or address space (ulimit -v): use fewer "
                            "workers, or smaller reducers");
}

}  // namespace shard::board
