// Which maps of a program are called by the program itself, and which inside the kernel of another.
#pragma once

#include <cstddef>
#include <optional>

#include "mapping/settings.hpp"

namespace shard::mapping {

// What kernels call while one lives is inside a map: in the thread that has made it, or in all of
// its process.
class inside_a_map {
 public:
  enum class where { this_thread, this_process };

  explicit inside_a_map(where found) noexcept;
  inside_a_map(const inside_a_map&) = delete;
  inside_a_map& operator=(const inside_a_map&) = delete;
  ~inside_a_map();

 private:
  where where_;
};

// Counts the maps of this process from 1, in the order in which they are called; 0 for one inside
// another, which isn't counted: that a program's maps have the same numbers in every run.
std::size_t number_of_this_map() noexcept;

// Where the calling thread runs a kernel: how many threads a map may have that is called there.
// Nothing: it runs none.
std::optional<unsigned> threads_in_this_kernel() noexcept;

// A map inside another runs in that one's worker: inline, or on as many threads as it has.
settings where_it_runs(settings how) noexcept;

}  // namespace shard::mapping
