#include "mapping/nesting.hpp"

#include <algorithm>
#include <atomic>

#include "family/share.hpp"

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

std::optional<unsigned> threads_in_this_kernel() noexcept {
  if (inside_in_this_thread != 0) return 1;
  if (inside_in_this_process != 0) return std::max(family::share_of_this_process(), 1u);
  return std::nullopt;
}

settings where_it_runs(settings how) noexcept {
  const std::optional<unsigned> most = threads_in_this_kernel();
  if (!most) return how;
  const bool alone = *most == 1 || how.run_on == executor::serial;
  how.run_on = alone ? executor::serial : executor::threads;
  how.pin = false;  // they run where their worker does
  how.workers = how.workers == 0 ? *most : std::min(how.workers, *most);
  return how;
}

}  // namespace shard::mapping
