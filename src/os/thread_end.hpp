// What a thread does last of all: behind the destructors of its thread_local variables, which may
// still use what it has.
#pragma once

namespace shard::os {

// Calls `act` with what a thread has left, when that thread ends; exit() ends no thread but the one
// that calls it, and for that nothing is called. Any thread may use one, which is never destroyed.
class thread_end {
 public:
  // Throws call_failed.
  explicit thread_end(void (*act)(void* left));

  // Leaves something, of the calling thread, in the place of what it left before; null: nothing.
  // Throws call_failed.
  void leave(void* left) const;

 private:
  unsigned key_ = 0;
};

}  // namespace shard::os
