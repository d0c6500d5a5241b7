// A stack of any depth, written down frame by frame in a fixed place.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace shard::os {

// Has the first frames that are added, and the last ones: of a stack that is deeper than its room,
// the middle is left out. One thread adds, perhaps in a signal handler, and may die at any moment.
// Others read after that. Zeros are its initial state.
class stack_record {
 public:
  static constexpr std::size_t room = 64;
  static constexpr std::size_t innermost = 32;  // the first ones; the last ones have the rest

  void clear() noexcept { count_.store(0, std::memory_order_relaxed); }

  void add(std::uint64_t address) noexcept {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    frames_[place_of(count)] = address;
    // Release: pairs with the acquire in copy(), though its reader knows that the writer has died.
    count_.store(count + 1, std::memory_order_release);
  }

  // How many frames were added.
  std::size_t depth() const noexcept { return count_.load(std::memory_order_acquire); }
  // How many of them are left out, behind the innermost.
  std::size_t left_out() const noexcept { return depth() > room ? depth() - room : 0; }

  // Copies the frames that it has into `out`, in the order in which they were added; how many.
  std::size_t copy(std::span<std::uint64_t, room> out) const noexcept {
    const std::size_t count = depth();
    for (std::size_t k = 0; k < std::min(count, room); ++k) {
      out[k] = frames_[place_of(k < innermost ? k : k + left_out())];
    }
    return std::min(count, room);
  }

 private:
  static constexpr std::size_t place_of(std::size_t frame) noexcept {
    return frame < innermost ? frame : innermost + (frame - innermost) % (room - innermost);
  }

  std::atomic<std::uint32_t> count_;
  std::uint64_t frames_[room];
};

}  // namespace shard::os
