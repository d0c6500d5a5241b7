// The last bytes that one worker wrote to stderr, in shared memory: they outlive the worker, and
// the supervisor that read them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace shard::family {

// One process, the supervisor, writes; others read at any time. Zeros are its initial state.
class tail {
 public:
  static constexpr std::size_t capacity = 2048;

  void clear() noexcept;
  void append(std::string_view text) noexcept;

  // From the start of a line where there was more, and there is one. Returns how much of `out`,
  // which has room for capacity, is filled. While somebody appends, the first lines may be torn.
  std::size_t copy(std::span<char> out) const noexcept;
  // What was appended so far is not copied any more.
  void begin_anew() noexcept { begin_.store(length(), std::memory_order_relaxed); }

  // How many bytes were ever appended.
  std::uint64_t length() const noexcept { return length_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> length_;  // byte k of those appended lies at k % capacity
  std::atomic<std::uint64_t> begin_;   // of what is copied
  std::atomic<char> text_[capacity];
};

}  // namespace shard::family
