// The handlers of a worker: what it writes down when it crashes, and when a kernel calls exit();
// and what a child that a kernel forks gives up.
#pragma once

#include <string_view>
#include <vector>

#include "family/mappings.hpp"
#include "family/roster.hpp"

namespace shard::family {

// What the handlers need to know of the worker that they run in.
struct crash_context {
  last_words* words = nullptr;
  const void* stack_base = nullptr;  // below it are frames of kernels, and those that call them
  std::vector<int> signs_of_life;    // closed in children that the kernel forks

  // To name the place of a fault: what it works with now.
  const std::vector<mapped>* mappings = nullptr;
};

// Sets up the handlers of this process. `with` must live until the process ends.
void install_crash_handlers(crash_context& with, const roster& family) noexcept;

// What the worker ends of, where that is no handler's to say.
void speak(last_words& words, std::string_view what) noexcept;

}  // namespace shard::family
