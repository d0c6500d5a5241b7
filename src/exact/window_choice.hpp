// Into how many windows blocks are cut.
#pragma once

#include <algorithm>
#include <cstddef>

#include "exact/block.hpp"

namespace shard::exact {

// Blocks of one call are mostly alike, so what did for one is tried for the next.
class window_choice {
 public:
  explicit window_choice(unsigned most) noexcept : most_(most) {}

  // False: numbers were too far apart of late. The block is to be added without windows.
  bool try_block() noexcept {
    if (pause_ != 0) return --pause_, false;
    // Fewer might do by now.
    if (++tried_ % 64 == 0 && windows_ > fewest_windows) --windows_;
    return true;
  }
  unsigned windows() const noexcept { return windows_; }

  // After a block with too much left over. False: it isn't worth trying again.
  bool widen(const fields& exponents) noexcept {
    const unsigned apart = exponents.highest - std::min(exponents.lowest, exponents.highest);
    // Half of that: a few numbers may be left over.
    const unsigned needed = (apart / 2 + 53) / window_bits + 1;
    if (windows_ == most_ || needed > most_) {
      pause_ = pause_blocks;
      return false;
    }
    windows_ = std::clamp(needed, windows_ + 1, most_);
    return true;
  }
  void note_left_over(std::size_t left, std::size_t of) noexcept {
    if (left > of / 16 && windows_ < most_) ++windows_;
  }

 private:
  static constexpr unsigned pause_blocks = 32;

  unsigned most_;
  unsigned windows_ = fewest_windows;
  unsigned pause_ = 0;
  unsigned tried_ = 0;
};

}  // namespace shard::exact
