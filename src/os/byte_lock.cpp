#include "os/byte_lock.hpp"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <optional>
#include <vector>

#include "os/calls.hpp"
#include "os/file.hpp"
#include "os/own_pid.hpp"

namespace shard::os {
namespace {

struct flock lock_on(std::uint64_t byte, short kind) {
  struct flock lock {};
  lock.l_type = kind;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

short kind_of(hold how) { return how == hold::exclusive ? F_WRLCK : F_RDLCK; }

// Returns errno, or 0.
int change(const descriptor& file, int command, struct flock lock) {
  while (calls().lock_file(file.get(), command, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// ---- Places. Those of a byte are a region of their own, so large that no two holders meet in it.

constexpr std::uint64_t region_bytes = std::uint64_t{1} << 58;

struct region {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // inclusive
};

region places_of(std::uint64_t byte) {
  const std::uint64_t first = first_lock_byte + (byte - first_lock_byte + 1) * region_bytes;
  return {first, first + region_bytes - 1};
}

// As good as random, without a system call that could fail. (The last steps are those of
// splitmix64, by S. Vigna.) Processes differ by their number, or, in two PID namespaces, by time
// and addresses.
std::uint64_t fresh_number() {
  static std::atomic<std::uint64_t> count = 0;
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::uint64_t mixed = static_cast<std::uint64_t>(now) ^ reinterpret_cast<std::uintptr_t>(&mixed);
  for (const std::uint64_t more : {static_cast<std::uint64_t>(own_pid()), count.fetch_add(1)}) {
    mixed += more + 0x9e37'79b9'7f4a'7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11eb;
    mixed ^= mixed >> 31;
  }
  return mixed;
}

// A lock that another description has in there, or nothing.
std::optional<region> lock_in(const descriptor& file, const region& where) {
  struct flock lock = lock_on(where.first, F_WRLCK);
  lock.l_len = static_cast<off_t>(where.last - where.first + 1);
  if (calls().lock_file(file.get(), F_OFD_GETLK, &lock) != 0) fail("fcntl");
  if (lock.l_type == F_UNLCK) return std::nullopt;
  const auto first = static_cast<std::uint64_t>(lock.l_start);
  const auto last =
      lock.l_len == 0 ? where.last : first + static_cast<std::uint64_t>(lock.l_len) - 1;
  return region{std::max(first, where.first), std::min(last, where.last)};
}

// Each lock that is found leaves two smaller regions to look at.
std::size_t locks_in(const descriptor& file, const region& where) {
  std::size_t count = 0;
  std::vector<region> left{where};
  while (!left.empty()) {
    const region next = left.back();
    left.pop_back();
    const auto found = lock_in(file, next);
    if (!found) continue;
    ++count;
    if (next.first < found->first) left.push_back({next.first, found->first - 1});
    if (found->last < next.last) left.push_back({found->last + 1, next.last});
  }
  return count;
}

}  // namespace

bool try_lock_byte(const descriptor& file, std::uint64_t byte, hold how) {
  const int error = change(file, F_OFD_SETLK, lock_on(byte, kind_of(how)));
  if (error == EAGAIN || error == EACCES) return false;
  if (error != 0) throw call_failed(error, "fcntl");
  return true;
}

void lock_byte(const descriptor& file, std::uint64_t byte, hold how) {
  const int error = change(file, F_OFD_SETLKW, lock_on(byte, kind_of(how)));
  if (error != 0) throw call_failed(error, "fcntl");
}

void unlock_byte(const descriptor& file, std::uint64_t byte) {
  const int error = change(file, F_OFD_SETLK, lock_on(byte, F_UNLCK));
  if (error != 0) throw call_failed(error, "fcntl");
}

byte_release::~byte_release() {
  if (file_ == nullptr) return;
  try {
    unlock_byte(*file_, byte_);
  } catch (const call_failed&) {
    // It goes with the descriptor.
  }
}

bool byte_is_locked(const descriptor& file, std::uint64_t byte) {
  struct flock lock = lock_on(byte, F_WRLCK);
  if (calls().lock_file(file.get(), F_OFD_GETLK, &lock) != 0) fail("fcntl");
  return lock.l_type != F_UNLCK;
}

void join_byte(const descriptor& file, std::uint64_t byte) {
  lock_byte(file, byte, hold::shared);
  const region places = places_of(byte);
  lock_byte(file, places.first + fresh_number() % region_bytes, hold::shared);
}

std::size_t holders_of_byte(const descriptor& file, std::uint64_t byte) {
  if (!byte_is_locked(file, byte)) return 0;
  // One that is between its two locks has no place yet.
  return std::max<std::size_t>(locks_in(file, places_of(byte)), 1);
}

bool without_locks(const std::error_code& why) noexcept {
  return why == std::errc::invalid_argument || why == std::errc::operation_not_supported ||
         why == std::errc::function_not_supported || why == std::errc::no_lock_available;
}

}  // namespace shard::os
