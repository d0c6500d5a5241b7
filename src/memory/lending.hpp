// Who keeps what it was granted beyond a run: pools, whose workers have buffers mapped. When a
// buffer is closed, its memory is to be given back at once, so they are told.
#pragma once

#include <cstdint>

namespace shard::memory {

class borrower {
 public:
  borrower() = default;
  borrower(const borrower&) = delete;
  borrower& operator=(const borrower&) = delete;
  virtual ~borrower() = default;

  // That buffer was closed. Any thread may call it.
  virtual void give_back(std::uint64_t buffer) noexcept = 0;
};

// While one is added, it is told. Any thread may call them.
void add_borrower(borrower& one);
void remove_borrower(borrower& one);
void recall(std::uint64_t buffer) noexcept;

}  // namespace shard::memory
