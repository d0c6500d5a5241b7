// Numbers that people read: ticks of scales, and edges of bins.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shard::mapping {

struct tick {
  double value = 0;
  std::string label{};
};

// Whether ticks may stand between whole numbers: not for counts.
enum class steps { any, whole };

// At most `most` multiples of 1, 2 or 5 times a power of ten, all that lie in [low, high] (after
// Heckbert, "Nice numbers for graph labels", Graphics Gems, 1990). Labels are exact: "0.3",
// "1.5e9". Requires: low <= high, both finite; most >= 2.
std::vector<tick> round_ticks(double low, double high, std::size_t most,
                              steps allowed = steps::any);

// At most `most` powers of ten in [low, high]; where there are fewer than two, 1, 2 and 5 times
// powers of ten; where there are fewer than two of those, round ticks. Requires: 0 < low <= high.
std::vector<tick> decade_ticks(double low, double high, std::size_t most);

// With so many digits, without zeros at the end: "0.3", "1.5e9". Up to seven digits before the
// point are written all the same.
std::string number(double x, int digits);
// Edges, each to about a tenth of the bins beside it or better: 0.083 and 0.167.
std::vector<std::string> edge_labels(std::span<const double> edges);
// A value and its error, if that is known: "3.21 ± 0.04".
std::string with_error(double value, double error, std::string_view plus_minus);

}  // namespace shard::mapping
