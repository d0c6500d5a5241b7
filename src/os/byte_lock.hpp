// Locks on single bytes of a file, wherever its end is. They belong to the open file description
// (fcntl(2), F_OFD_SETLK): forked children share them, and the kernel drops them with the last
// descriptor, so that no dead process holds one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <system_error>

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

// Locks a byte shared, and also a place of its own that no other description locks. The places
// serve to count the holders. Throws call_failed. Requires: `byte` is first_lock_byte, or one of
// the seven bytes behind it.
inline constexpr std::uint64_t first_lock_byte = std::uint64_t{1} << 62;
void join_byte(const descriptor& file, std::uint64_t byte);

// How many other descriptions have joined a byte, in all processes. Asks the kernel for their
// places, with about two calls for each holder. (The alternative is to read all locks of the
// machine from /proc/locks.) Throws call_failed.
std::size_t holders_of_byte(const descriptor& file, std::uint64_t byte);

// Whether this error means that the file system has no such locks.
bool without_locks(const std::error_code& why) noexcept;

}  // namespace shard::os
