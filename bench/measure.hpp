// From a budget to a verdict: both sides are checked equal, then timed alternately, in one
// start after another, until the ratio of their times is known well enough.
#pragma once

#include <cstddef>
#include <vector>

#include "budget.hpp"

namespace bench {

// Of fewer than 6, not even the extremes span 95% of where a median may lie.
inline constexpr std::size_t fewest_starts = 7;

// Both sides are started afresh for so many pairs of measurements.
inline constexpr std::size_t pairs_per_start = 5;

struct verdict {
  double ratio = 0;  // median of the starts' ratios, ours over theirs
  double low = 0;    // 95% interval of that median
  double high = 0;
  std::size_t starts = 0;
  double our_seconds = 0;  // medians; nothing for a figure
  double their_seconds = 0;

  bool within(const budget& judged) const { return ratio <= judged.limit; }
};

double median(std::vector<double> values);  // there must be one

// Call once, before the first judge().
void start_measuring(const char* program);

// Throws std::runtime_error if the two sides' results differ, or a side fails.
verdict judge(const budget&, std::size_t budget_number, const settings&);

}  // namespace bench
