// What a board keeps of one chunk for the report, if the run wants that: 24 bytes without pointers.
//
// Notes are outside of the protocol. Nothing that a run does depends on one. A note is written by
// the owner of the chunk's log entry once its kernel has returned, or has thrown; after a death by
// the supervisor, while the slot has no owner. Whether the chunk is committed, the board says.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace shard::board {

// The last attempt at a chunk.
struct chunk_facts {
  std::chrono::nanoseconds start{};  // by the steady clock
  std::chrono::nanoseconds took{};   // at most 2^48 - 1
  unsigned worker = 0;               // its slot, at most 8191
  unsigned attempt = 1;              // at most 65535
  std::size_t memory_bytes = 0;      // the peak of the worker's own memory; kept in pages of 4096
  bool failed = false;

  bool operator==(const chunk_facts&) const = default;
};

// Zeros are its initial state: nothing is written.
class chunk_note {
 public:
  // One writer at a time. It may die between any two stores: what it leaves then reads as nothing.
  void write(const chunk_facts& of) noexcept;

  // Nothing: none is written, or not all of it, or its words don't belong together. Safe while it
  // is written.
  std::optional<chunk_facts> read() const noexcept;

 private:
  static constexpr unsigned took_bits = 48;
  static constexpr unsigned page_bits = 32;
  static constexpr unsigned worker_bits = 13;
  static constexpr unsigned check_bits = 17;
  static constexpr std::size_t page = 4096;

  static constexpr std::uint64_t up_to(std::uint64_t value, unsigned bits) noexcept {
    return std::min(value, (std::uint64_t{1} << bits) - 1);
  }
  static constexpr std::uint64_t below(std::uint64_t word, unsigned bits) noexcept {
    return word & ((std::uint64_t{1} << bits) - 1);
  }
  // The check of three words, of which the last has none yet.
  static constexpr std::uint64_t check(std::uint64_t start, std::uint64_t took,
                                       std::uint64_t rest) noexcept {
    constexpr std::uint64_t odd = 0x9e3779b97f4a7c15;
    std::uint64_t mixed = (start ^ odd) * odd;
    mixed = (mixed ^ mixed >> 29 ^ took) * odd;
    mixed = (mixed ^ mixed >> 31 ^ rest) * odd;
    return mixed >> (64 - check_bits);
  }

  std::atomic<std::uint64_t> start_;
  std::atomic<std::uint64_t> took_;  // from the lowest bit: took, attempt
  // From the lowest bit: pages of memory, worker, failed, 1, check. 0: nothing is written.
  std::atomic<std::uint64_t> rest_;
};
static_assert(sizeof(chunk_note) == 24 && std::atomic<std::uint64_t>::is_always_lock_free);

inline void chunk_note::write(const chunk_facts& of) noexcept {
  const auto start = static_cast<std::uint64_t>(of.start.count());
  const auto length = static_cast<std::uint64_t>(std::max<std::int64_t>(of.took.count(), 0));
  const std::uint64_t took = up_to(length, took_bits) | up_to(of.attempt, 64 - took_bits)
                                                            << took_bits;
  std::uint64_t rest = up_to((of.memory_bytes + page - 1) / page, page_bits);
  rest |= up_to(of.worker, worker_bits) << page_bits;
  rest |= std::uint64_t{of.failed} << (page_bits + worker_bits);
  rest |= std::uint64_t{1} << (page_bits + worker_bits + 1);
  rest |= check(start, took, rest) << (64 - check_bits);
  rest_.store(0, std::memory_order_relaxed);
  // Pairs with the acquire fence in read(): who sees one of the new words sees that the last one
  // is not the old one any more.
  std::atomic_thread_fence(std::memory_order_release);
  start_.store(start, std::memory_order_relaxed);
  took_.store(took, std::memory_order_relaxed);
  // Release: pairs with the acquire in read().
  rest_.store(rest, std::memory_order_release);
}

inline std::optional<chunk_facts> chunk_note::read() const noexcept {
  // Acquire: pairs with the last store of write().
  const std::uint64_t rest = rest_.load(std::memory_order_acquire);
  if (rest == 0) return std::nullopt;
  const std::uint64_t start = start_.load(std::memory_order_relaxed);
  const std::uint64_t took = took_.load(std::memory_order_relaxed);
  // Pairs with the release fence in write().
  std::atomic_thread_fence(std::memory_order_acquire);
  if (rest_.load(std::memory_order_relaxed) != rest) return std::nullopt;
  if (check(start, took, below(rest, 64 - check_bits)) != rest >> (64 - check_bits)) {
    return std::nullopt;
  }
  return chunk_facts{
      .start = std::chrono::nanoseconds(static_cast<std::int64_t>(start)),
      .took = std::chrono::nanoseconds(static_cast<std::int64_t>(below(took, took_bits))),
      .worker = static_cast<unsigned>(below(rest >> page_bits, worker_bits)),
      .attempt = static_cast<unsigned>(took >> took_bits),
      .memory_bytes = below(rest, page_bits) * page,
      .failed = (rest >> (page_bits + worker_bits) & 1) != 0};
}

}  // namespace shard::board
