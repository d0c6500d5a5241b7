#include "mapping/nesting.hpp"

#include <atomic>

namespace shard::mapping {
namespace {

std::atomic<std::size_t> counted{0};
std::atomic<unsigned> inside_in_this_process{0};
thread_local unsigned inside_in_this_thread = 0;

}  // namespace

inside_a_map::inside_a_map(where found) noexcept : where_(found) {
  if (where_ == where::this_process) {
    ++inside_in_this_process;
  } else {
    ++inside_in_this_thread;
  }
}

inside_a_map::~inside_a_map() {
  if (where_ == where::this_process) {
    --inside_in_this_process;
  } else {
    --inside_in_this_thread;
  }
}

std::size_t number_of_this_map() noexcept {
  if (inside_in_this_thread != 0 || inside_in_this_process != 0) return 0;
  return ++counted;
}

bool is_inside_a_map_of_this_thread() noexcept { return inside_in_this_thread != 0; }

}  // namespace shard::mapping
