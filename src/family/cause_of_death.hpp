// What a worker died of, and whether its chunk is to blame.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "board/board.hpp"
#include "family/crew.hpp"
#include "family/overtime.hpp"
#include "family/roster.hpp"
#include "family/staff.hpp"
#include "os/memory_pressure.hpp"
#include "os/process.hpp"

namespace shard::family {

// What is held against the chunk that a worker died in.
struct cause {
  board::failure_kind kind;
  int signal;
  std::string what;
  bool blames = true;
};

// The kernel's kills for want of memory that this family knows of. It lives as long as the family.
class memory_kills {
 public:
  // What the kernel has killed before this is none of it. Reads files: when workers have begun.
  void begin();
  // Whether the kernel says so of one more process than it did the last time.
  bool one_more();

 private:
  std::optional<std::size_t> known_;
};

// who: what the dead worker has said. late: what it was killed for by us. others: how many work
// now.
cause cause_of(const member& who, const os::ending& how,
               const std::optional<overtime::finding>& late, memory_kills& kills, unsigned others);

// Blames the chunk that the worker of the slot was at. False: no chunk is to blame.
bool judge(const crew& all, unsigned slot, const departure& dead, const cause& why);

}  // namespace shard::family
