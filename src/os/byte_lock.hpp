// Locks on single bytes of a file, wherever its end is. They belong to the open file description
// (fcntl(2), F_OFD_SETLK): forked children share them, and the kernel drops them with the last
// descriptor, so that no dead process holds one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/descriptor.hpp"

namespace shard::os {

enum class hold { shared, exclusive };

// Takes the lock, or turns the one held into this kind; what a failure leaves of the one held is
// unspecified. exclusive needs a descriptor open for writing. Both throw call_failed.
bool try_lock_byte(const descriptor& file, std::uint64_t byte, hold how);
void lock_byte(const descriptor& file, std::uint64_t byte, hold how);  // waits

void unlock_byte(const descriptor& file, std::uint64_t byte);

// Unlocks a byte at the end of a scope, whether it is locked then or not. Closing would not do: a
// child that was forked meanwhile shares the description, and keeps the lock as long as it lives.
class byte_release {
 public:
  byte_release(const descriptor& file, std::uint64_t byte) noexcept : file_(&file), byte_(byte) {}
  byte_release(const byte_release&) = delete;
  byte_release& operator=(const byte_release&) = delete;
  ~byte_release();

  // Leaves it as it is.
  void cancel() noexcept { file_ = nullptr; }

 private:
  const descriptor* file_;
  std::uint64_t byte_;
};

// Whether any other open file description holds it, either way.
bool byte_is_locked(const descriptor& file, std::uint64_t byte);

// How many others do, of all processes. The kernel lists its locks in /proc/locks; where that can't
// be read, 1 stands for any number. Requires: this description holds no lock.
std::size_t holders_of_byte(const descriptor& file, std::uint64_t byte);

}  // namespace shard::os
