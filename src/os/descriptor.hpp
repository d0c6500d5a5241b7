// A file descriptor that is closed with its owner.
#pragma once

#include <utility>

namespace shard::os {

// Always close-on-exec, by the way each is opened. A forked child owns a copy of its own.
class descriptor {
 public:
  descriptor() noexcept = default;
  explicit descriptor(int open) noexcept : number_(open) {}
  descriptor(descriptor&& from) noexcept : number_(std::exchange(from.number_, -1)) {}
  descriptor& operator=(descriptor&& from) noexcept {
    std::swap(number_, from.number_);
    return *this;
  }
  ~descriptor();

  int get() const noexcept { return number_; }
  // From now on somebody else closes it.
  int release() noexcept { return std::exchange(number_, -1); }
  explicit operator bool() const noexcept { return number_ >= 0; }

 private:
  int number_ = -1;
};

// The same open file under a number above 2, `opened` closed; -1 and errno if there is none left.
// For whatever is opened: a program may run without standard streams, and what takes their numbers
// would be read and printed to.
int above_standard_streams(int opened) noexcept;

// One more descriptor of the same open file. Throws call_failed.
descriptor duplicate(int open);

}  // namespace shard::os
