// A run as who works on it gets it: everything that is needed, in bytes, without an address that
// only the caller knows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "board/board.hpp"
#include "board/owner.hpp"
#include "family/crew.hpp"
#include "family/door.hpp"
#include "os/file.hpp"

namespace shard::family {

// A board that lies in a file of the caller's, and not in the place of its run.
struct kept_board {
  std::uint64_t number = 0;      // never used twice; 0: there is none
  std::int32_t caller = 0;       // the process,
  std::int32_t descriptor = -1;  // and its number there
  std::uint64_t bytes = 0;       // of the file, up to the board's end
  std::uint64_t offset = 0;      // of the board

  explicit operator bool() const noexcept { return number != 0; }
};

// In shared memory, followed by the packed job.
struct assignment {
  board::dimensions size;
  board::policy policy;
  limits worker_limits;
  std::uint32_t place = 0;            // where its board is
  bool has_state = false;             // workers make a worker_state
  bool follows = false;               // if the run before is incomplete, this one isn't begun
  bool awaited = false;               // the caller waits for its end, and for what is printed
  unsigned most_workers = door::all;  // at a time
  std::uint64_t grants = 0;           // how many
  std::uint64_t packed_bytes = 0;
  kept_board kept = {};
};

// A buffer that a worker is to map for itself. The same bytes in each run that grants the same.
struct lent_buffer {
  std::uint64_t number = 0;  // of the buffer in its process; never used twice
  os::file_identity identity{};
  std::uint64_t length_bytes = 0;
  std::uint64_t data_offset = 0;
  std::uint64_t element_bytes = 0;
  std::int32_t descriptor = -1;  // the caller's
  std::uint32_t writable = 0;
  char name[104] = {};  // cut, NUL-terminated
};

}  // namespace shard::family
