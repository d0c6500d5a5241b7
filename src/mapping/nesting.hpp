// Which maps of a program are called by the program itself, and which inside the kernel of another.
#pragma once

#include <cstddef>

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

// Whether this thread runs a kernel for a map in this process.
bool is_inside_a_map_of_this_thread() noexcept;

}  // namespace shard::mapping
