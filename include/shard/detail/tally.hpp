// Counts of many values at once. Not for users.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace shard::detail {

// Adds 1 to bins. As long as it lives, part of what it has counted may not be in the bins yet.
class tally {
 public:
  // values: how many will be counted at most.
  tally(std::span<std::int64_t> bins, std::size_t values) noexcept;
  tally(const tally&) = delete;
  tally& operator=(const tally&) = delete;
  ~tally();

  // Requires: each place is one of the bins.
  void add(std::span<const std::uint32_t> places) noexcept;

 private:
  // Where many values fall into few bins, a processor waits for each count to be written before it
  // can add to it again. So neighbours go to different copies.
  static constexpr std::size_t copies = 4;
  static constexpr std::size_t most_copied = 1024;  // so that the copies stay in the nearest cache

  std::span<std::int64_t> bins_;
  bool copied_;
  std::uint32_t copies_[copies][most_copied];  // zeros if copied_, for as many as there are bins
};

}  // namespace shard::detail
