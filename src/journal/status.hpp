// What the folder of a job tells, to whoever may read it: how far its maps are, and who works on
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "journal/folder.hpp"
#include "shard/range.hpp"

namespace shard::journal {

// A chunk that somebody works on.
struct chunk_under_way {
  unsigned worker = 0;
  std::uint64_t chunk = 0;
  range indices{};     // empty: they are not known
  double seconds = 0;  // so far
};

struct map_status {
  std::size_t number = 0;
  bool complete = false;
  bool known = false;            // how far it is
  bool from_checkpoint = false;  // what counts is the last checkpoint: the machine has been down
  std::uint64_t chunks = 0;
  std::uint64_t committed = 0;     // that the next start would not run again
  std::uint64_t carried_over = 0;  // of these, what was committed when this start began
  std::uint64_t failures = 0;      // so far, in this start
  std::uint64_t given_up = 0;      // indices, likewise
  std::int64_t began = 0;          // seconds since 1970, in this start; 0: it is not known
  std::vector<chunk_under_way> under_way{};
};

struct job_status {
  bool in_use = false;
  holder by;  // who has it, or had it last
  std::size_t starts = 0;
  std::vector<map_status> maps{};
};
// Changes nothing, and waits for nobody. Throws shard::error.
job_status status_of(const std::filesystem::path& folder);

// Why the next start would not go on, as far as that can be known without the program: inputs that
// have changed, or are gone. One line for each.
std::vector<std::string> obstacles_in(const std::filesystem::path& folder);

}  // namespace shard::journal
