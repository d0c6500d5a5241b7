// Drawings of histograms: as text for a terminal, and as SVG for a page.
//
//   std::cout << shard::draw(hours, {.title = "Departures by hour"});
//   shard::save_svg("hours.svg", hours, {.title = "Departures by hour", .x_label = "hour"});
//
// All functions take any histogram of shard with one or two axes, and a bin_table. They throw
// shard::error for more axes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "shard/backing.hpp"
#include "shard/bin_table.hpp"
#include "shard/histogram_files.hpp"

namespace shard {

// How a drawing for a terminal looks.
struct draw_options {
  std::string title = {};
  std::size_t width = 80;  // columns that the drawing may take, from 32 to 10 000
  // Lines for bins, from 1 on. If there are more bins, each line has several neighbouring bins,
  // added up; the last line may have fewer of them.
  std::size_t rows = 50;
  bool logarithmic = false;  // of the bars, not of the bins
  bool ascii = false;        // or else blocks of UTF-8
};

// With one axis: a line for each bin, with its range, its count and a bar, and lines for underflow
// and overflow. A bar has the length of its count, to an eighth of a column (downwards from zero,
// and in ASCII, to a column). A count that is not 0 has a mark at least. Under the bars is a scale.
// Sums and means that have errors show them: 3.2 ± 0.4. What is not finite has no bar.
//
// With two axes: axis 0 to the right, axis 1 upwards, and a shade for each bin. A legend says what
// shades mean, and how much is outside: in underflow and overflow bins.
//
// Bytes of categories and of the title that a terminal would act on are shown as '.', and what is
// not UTF-8 as '?'. A drawing ends with a newline.
template <tabulable H>
std::string draw(const H& histogram, const draw_options& options = {});

// How an SVG picture looks.
struct svg_options {
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  std::size_t width = 720;   // pixels of the picture, from 240 to 100 000
  std::size_t height = 440;  // from 160 to 100 000
  bool logarithmic = false;  // of the values, not of the bins
  bool errors = true;        // error bars, where bins are at least 4 pixels wide
};

// With one axis: a bar for each bin, with error bars of one standard error (bin_table::error).
// Means are points. With two axes: a map of colours, with a scale; bins of 0 stay empty. If the
// edges of an axis are a geometric progression over a decade or more, the axis is drawn
// logarithmic. If there are more than two bins for each pixel, neighbouring bins are added up. How
// much is in underflow and overflow bins stands under the title.
template <tabulable H>
std::string to_svg(const H& histogram, const svg_options& options = {});
template <tabulable H>
void save_svg(const std::filesystem::path& path, const H& histogram,
              const svg_options& options = {}, durability needed = durability::memory);
template <tabulable H>
void save_svg(const std::filesystem::path& path, std::filesystem::perms permissions,
              const H& histogram, const svg_options& options = {},
              durability needed = durability::memory);

namespace detail {
std::string draw_table(const bin_table& table, const draw_options& options);
std::string table_svg(const bin_table& table, const svg_options& options);

template <class H>
constexpr bool check_axes() {
  if constexpr (requires { H::rank; })
    static_assert(H::rank <= 2, "shard: drawings have one or two axes; add up the others first");
  return true;
}
}  // namespace detail

template <tabulable H>
std::string draw(const H& histogram, const draw_options& options) {
  static_assert(detail::check_axes<H>());
  return detail::draw_table(tabulate(histogram), options);
}

template <tabulable H>
std::string to_svg(const H& histogram, const svg_options& options) {
  static_assert(detail::check_axes<H>());
  return detail::table_svg(tabulate(histogram), options);
}

template <tabulable H>
void save_svg(const std::filesystem::path& path, const H& histogram, const svg_options& options,
              durability needed) {
  detail::save_text(path, to_svg(histogram, options), needed);
}

template <tabulable H>
void save_svg(const std::filesystem::path& path, std::filesystem::perms permissions,
              const H& histogram, const svg_options& options, durability needed) {
  detail::save_text(path, to_svg(histogram, options), needed, permissions);
}

}  // namespace shard
