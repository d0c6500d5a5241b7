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

  // How many bytes were ever appended.
  std::uint64_t length() const noexcept { return length_.load(std::memory_order_acquire); }

  // Around reading the pipe and appending: a worker that finds its pipe empty, and nobody inside,
  // finds here all that it wrote.
  void enter() noexcept { inside_.store(1, std::memory_order_seq_cst); }
  void leave() noexcept { inside_.store(0, std::memory_order_seq_cst); }
  bool inside() const noexcept { return inside_.load(std::memory_order_seq_cst) != 0; }

 private:
  std::atomic<std::uint64_t> length_;  // byte k of those appended lies at k % capacity
  std::atomic<std::uint32_t> inside_;
  std::atomic<char> text_[capacity];
};

}  // namespace shard::family
