// A thread with a stack of a given size.
#pragma once

#include <csignal>
#include <cstddef>

namespace shard::os {

class thread {
 public:
  // Begins in `body`, with all signals blocked but those that a fault of its own raises: the
  // program's signals are for its own threads. Throws call_failed.
  thread(std::size_t stack_bytes, void (*body)(void* context), void* context);
  thread(const thread&) = delete;
  thread& operator=(const thread&) = delete;
  // Waits for the end of `body`.
  ~thread();

 private:
  unsigned long id_ = 0;
};

// From now on the calling thread blocks these signals, or those that a new thread blocks.
void block_signals(const sigset_t& these) noexcept;
void block_signals_of_others() noexcept;

}  // namespace shard::os
