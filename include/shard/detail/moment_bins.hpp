// Exact sums of numbers and of their squares, in each of many bins. Not for users.
//
// A full state of such sums (exact.hpp) takes 824 bytes, and to add one number to it takes 50 ns.
// But what falls into one bin is mostly of similar size. So each bin has a window of one cache
// line, in which numbers of 64 neighbouring binary orders are added as whole numbers. The first
// number of a bin chooses the window. A number outside is added to a full state, which the bin gets
// when it needs one. Both hold true sums, so windows change no bit of a result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shard/exact.hpp"

namespace shard::detail {

// The bins of a state: of many bytes, which are all zeros at first. It is:
//
//   head                      how many bins there are, and how many full states
//   moment_window             for each bin
//   mean_variance_state       for each bin that needed one, in the order in which they did
class moment_bins {
 public:
  static std::size_t state_bytes(std::size_t bins) noexcept;
  // Of a state that was started.
  static std::size_t live_bytes(const std::byte* state) noexcept;
  static void start(std::byte* state, std::size_t bins) noexcept;

  // Requires: the state was started.
  explicit moment_bins(std::byte* state) noexcept;

  // Adds each number, and its square, to its bin.
  void add(const std::uint32_t* places, const double* x, std::size_t count) noexcept;

 private:
  friend class moment_totals;

  moment_window* windows_;
  exact::mean_variance_state* states_;
  std::uint64_t* states_used_;
};

// The same in a reducer: it has memory of its own.
class moment_totals {
 public:
  moment_totals() = default;
  explicit moment_totals(std::size_t bins) : windows_(bins) {}

  // Requires: as many bins.
  void merge(const moment_bins& part);
  exact::mean_variance_state at(std::size_t bin) const noexcept;
  std::size_t size() const noexcept { return windows_.size(); }

  // Whether the same was added to each bin, as far as any result can tell.
  bool operator==(const moment_totals& other) const noexcept;

 private:
  std::vector<moment_window> windows_;
  std::vector<exact::mean_variance_state> states_;
};

}  // namespace shard::detail
