#include "picture.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "statistics.hpp"

namespace flights {

namespace {

constexpr std::size_t bins_a_column = 2;
constexpr std::size_t columns = delay_bins / bins_a_column;
constexpr std::size_t lines = 8;
constexpr std::size_t margin = 9;  // for the number on the left

// A cell that is filled from below by so many eighths.
constexpr std::array<std::string_view, 9> eighths{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

std::vector<std::int64_t> column_heights(const shard::buffer<const std::int64_t, 2>& table) {
  std::vector<std::int64_t> heights(columns);
  for (std::size_t hour = 0; hour < table.extent(0); ++hour) {
    for (std::size_t bin = 0; bin < table.extent(1); ++bin)
      heights[bin / bins_a_column] += table(hour, bin);
  }
  return heights;
}

// In eighths of a line, where `highest` fills all lines. What isn't zero shows.
std::size_t filled(std::int64_t height, std::int64_t highest) {
  if (height == 0) return 0;
  const double share = static_cast<double>(height) / static_cast<double>(highest);
  return std::max<std::size_t>(1, static_cast<std::size_t>(share * 8 * lines));
}

// One line, counted from the bottom.
std::string cells(const std::vector<std::int64_t>& heights, std::int64_t highest,
                  std::size_t line) {
  std::string drawn;
  for (const std::int64_t height : heights) {
    const std::size_t eighths_up = filled(height, highest);
    drawn += eighths[std::clamp(eighths_up, line * 8, line * 8 + 8) - line * 8];
  }
  return drawn.erase(drawn.find_last_not_of(' ') + 1);
}

// A number each hour, in the middle of its place on the axis.
std::string axis_line() {
  constexpr double minutes_a_column = (longest_delay - shortest_delay) / double{columns};
  std::string line(margin + columns + 4, ' ');
  for (double minutes = shortest_delay; minutes <= longest_delay; minutes += 60) {
    const std::string label = fmt::format("{:.0f}", minutes);
    const auto column = static_cast<std::size_t>((minutes - shortest_delay) / minutes_a_column);
    line.replace(margin + column - label.size() / 2, label.size(), label);
  }
  return line.erase(line.find_last_not_of(' ') + 1);
}

}  // namespace

std::string picture(const shard::buffer<const std::int64_t, 2>& delay_by_hour) {
  const std::vector<std::int64_t> heights = column_heights(delay_by_hour);
  const std::int64_t highest = std::max<std::int64_t>(1, std::ranges::max(heights));
  std::string drawn;
  for (std::size_t line = lines; line-- > 0;) {
    const std::string label = line == lines - 1 ? fmt::to_string(highest) : "";
    drawn += fmt::format("{:>{}} {}\n", label, margin - 1, cells(heights, highest, line));
  }
  return drawn + axis_line() + "\n";
}

}  // namespace flights
