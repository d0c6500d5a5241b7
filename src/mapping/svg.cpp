// Histograms as SVG.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "mapping/inner_bins.hpp"
#include "mapping/rebinned.hpp"
#include "mapping/svg_axes.hpp"
#include "mapping/svg_writer.hpp"
#include "mapping/ticks.hpp"
#include "mapping/value_scale.hpp"
#include "shard/drawing.hpp"
#include "shard/error.hpp"

namespace shard::detail {
namespace {

using mapping::anchor;
using mapping::axis_line;
using mapping::axis_scale;
using mapping::frame;
using mapping::name_layout;
using mapping::pixels;
using mapping::placed;
using mapping::svg_writer;
using mapping::tick;
using mapping::value_scale;

[[noreturn]] void refuse(const std::string& found, const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot draw the histogram as SVG: found " + found + ", expected " + expected);
}

// ---- what is in a bin

bool is_mean(const bin_table& table) { return !table.weights.empty(); }
bool has_value(const bin_table& table, std::size_t bin) {
  return std::isfinite(table.value(bin)) && (!is_mean(table) || table.weights[bin] != 0);
}

std::string amount(const bin_table& table, std::size_t bin) {
  if (table.type == bin_table::kind::count) return std::to_string(table.counts[bin]);
  return mapping::number(is_mean(table) ? table.weights[bin] : table.values[bin], 6);
}
bool is_empty(const bin_table& table, std::size_t bin) {
  return is_mean(table) ? table.weights[bin] == 0 : table.value(bin) == 0;
}

std::string note_of_flow(const bin_table& table) {
  const bin_axis& along = table.axes[0];
  std::string made;
  const auto add = [&](const char* what, std::size_t bin) {
    if (is_empty(table, bin)) return;
    made += (made.empty() ? "" : ", ") + std::string(what) + " " + amount(table, bin);
  };
  if (along.underflow) add("underflow", 0);
  const bool names = along.type == bin_axis::kind::category;
  const bool circle = along.type == bin_axis::kind::circular;
  if (along.overflow)
    add(names ? "others" : circle ? "not finite" : "overflow", along.extent() - 1);
  return made;
}

// ---- one axis

// Of all bins but underflow and overflow, errors included where they are drawn.
value_scale scale_of(const bin_table& table, const std::vector<std::size_t>& bins, bool errors,
                     bool logarithmic) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  double low = infinity;
  double high = -infinity;
  for (const std::size_t bin : bins) {
    if (!has_value(table, bin)) continue;
    const double value = table.value(bin);
    if (logarithmic && !(value > 0)) continue;
    const double error = table.error(bin);
    const double spread = errors && std::isfinite(error) ? error : 0;
    low = std::min(low, logarithmic ? value : value - spread);
    high = std::max(high, value + spread);
  }
  if (logarithmic) {
    if (!(low <= high)) return {0.5, 20, true};
    // A bar of the least value, too, stands above the line.
    const double below = std::pow(10.0, std::floor(std::log10(low)));
    return mapping::logarithmic_scale(below < low / 1.2 ? below : low / 2, high * 1.5);
  }
  if (!(low <= high)) return {0, 1, false};
  const double most = std::numeric_limits<double>::max() / 4;
  low = std::clamp(low, -most, most);
  high = std::clamp(high, -most, most);
  if (!is_mean(table)) {
    // A count has no error below zero.
    low = table.type == bin_table::kind::count && low > -1 ? 0 : std::min(low, 0.0);
    high = std::max(high, 0.0);
  }
  if (low == high) high = low + (low == 0 ? 1 : std::abs(low));
  const double room = 0.05 * (high - low);
  return {low < 0 || is_mean(table) ? low - room : 0, high > 0 || is_mean(table) ? high + room : 0,
          false};
}

std::vector<placed> value_ticks(const bin_table& table, const value_scale& values,
                                const frame& in) {
  const auto most = std::max<std::size_t>(static_cast<std::size_t>(in.height() / 45), 2);
  const auto steps =
      table.type == bin_table::kind::count ? mapping::steps::whole : mapping::steps::any;
  std::vector<placed> made;
  for (const tick& each : values.logarithmic
                              ? mapping::decade_ticks(values.low, values.high, most)
                              : mapping::round_ticks(values.low, values.high, most, steps)) {
    const double part = values.at(each.value);
    if (part > -1e-9 && part < 1 + 1e-9)
      made.push_back({in.bottom - part * in.height(), mapping::with_power(each.label)});
  }
  return made;
}

constexpr double least_for_errors = 4;  // pixels of a bin

// end(bin): where its bar ends, in pixels.
template <class End>
void draw_bars(svg_writer& to, const bin_table& table, const std::vector<std::size_t>& bins,
               const axis_scale& x, End end, double zero) {
  struct bar {
    double left, right, end;
  };
  const bool names = table.axes[0].type == bin_axis::kind::category;
  std::vector<bar> bars;
  std::string outline;
  for (std::size_t k = 0; k < bins.size(); ++k) {
    const double gap = names ? 0.1 * (x.edge(k + 1) - x.edge(k)) : 0;
    const bar one{x.edge(k) + gap, x.edge(k + 1) - gap, end(bins[k])};
    if (names || k == 0) outline += "M" + pixels(one.left) + " " + pixels(zero);
    outline += "V" + pixels(one.end) + "H" + pixels(one.right);
    if (names || k + 1 == bins.size()) outline += "V" + pixels(zero);
    bars.push_back(one);
  }
  // Behind the bars an area: else a seam would show between bars that meet inside of a pixel.
  to.path(outline, R"(class="area" fill="#7ba3cc")");
  to.open_group(R"(class="bars" fill="#7ba3cc")");
  for (const bar& one : bars) {
    to.rectangle(one.left, std::min(one.end, zero), one.right - one.left, std::abs(one.end - zero),
                 R"(class="bar")");
  }
  to.close_group();
  to.path(outline, R"(class="outline" stroke="#2f5f8f" fill="none" stroke-linejoin="round")");
}

std::string bars_svg(const bin_table& whole, const svg_options& options) {
  const std::size_t group[] = {mapping::bins_together(whole.axes[0].size(), 2 * options.width)};
  const bin_table table = mapping::rebinned(whole, group);
  const bin_axis& along = table.axes[0];
  const std::vector<std::size_t> bins = mapping::inner_bins(table);
  const std::string note = note_of_flow(table);
  const name_layout under = mapping::layout_under(along, static_cast<double>(options.width) - 80);

  // The width of the labels decides where the frame is, and the frame how many labels there are.
  frame in = mapping::frame_for(options, 40, under, 20, !note.empty());
  const bool errors =
      options.errors && in.width() / static_cast<double>(along.size()) >= least_for_errors;
  const value_scale values = scale_of(table, bins, errors, options.logarithmic);
  in = mapping::frame_for(options, mapping::widest(value_ticks(table, values, in)), under, 20,
                          !note.empty());
  const std::vector<placed> ticks = value_ticks(table, values, in);
  const axis_scale x(along, in.left, in.right);
  const auto y = [&](double value) {
    const double part = values.at(value);
    return in.bottom - in.height() * std::clamp(std::isnan(part) ? 0.0 : part, 0.0, 1.0);
  };
  const double zero = values.logarithmic ? in.bottom : y(0);

  svg_writer to(static_cast<double>(options.width), static_cast<double>(options.height),
                options.title);
  mapping::draw_title(to, in, options.title, note);
  std::string grid;
  for (const placed& each : ticks)
    grid += "M" + pixels(in.left) + " " + pixels(each.at) + "H" + pixels(in.right);
  to.path(grid, R"(class="grid" stroke="#e4e4e4" fill="none")");

  if (!is_mean(table))
    draw_bars(
        to, table, bins, x,
        [&](std::size_t bin) {
          const double value = table.value(bin);
          return has_value(table, bin) && (!values.logarithmic || value > 0) ? y(value) : zero;
        },
        zero);
  std::string spread;  // error bars
  std::string widths;  // of means: which bin they are of
  for (std::size_t k = 0; k < bins.size(); ++k) {
    if (!has_value(table, bins[k])) continue;
    const double value = table.value(bins[k]);
    const double error = table.error(bins[k]);
    if (values.logarithmic && !(value > 0)) continue;
    if (is_mean(table))
      widths += "M" + pixels(x.edge(k)) + " " + pixels(y(value)) + "H" + pixels(x.edge(k + 1));
    if (errors && error > 0 && std::isfinite(error))
      spread += "M" + pixels(x.middle(k)) + " " + pixels(y(value - error)) + "V" +
                pixels(y(value + error));
  }
  to.path(widths, R"(class="widths" stroke="#2f5f8f" stroke-width="1.5" fill="none")");
  to.path(spread, R"(class="errors" stroke="#333" fill="none")");
  if (is_mean(table) && errors) {
    to.open_group(R"(class="points" fill="#2f5f8f")");
    for (std::size_t k = 0; k < bins.size(); ++k)
      if (has_value(table, bins[k]) && (!values.logarithmic || table.value(bins[k]) > 0))
        to.circle(x.middle(k), y(table.value(bins[k])), 2.5, R"(class="point")");
    to.close_group();
  }
  if (!values.logarithmic && zero < in.bottom - 0.5 && zero > in.top)
    to.path("M" + pixels(in.left) + " " + pixels(zero) + "H" + pixels(in.right),
            R"(class="zero" stroke="#999" fill="none")");
  mapping::draw_x_axis(to, in, x, options.x_label);
  mapping::draw_y_axis(to, in, ticks, options.y_label);
  return to.finish();
}

// ---- two axes

// Matplotlib's viridis at equal steps (van der Walt and Smith, 2015; public domain), which has the
// same steps of brightness in print and to the colour-blind.
std::string colour(double part) {
  constexpr std::array<std::array<double, 3>, 10> steps{{{68, 1, 84},
                                                         {72, 40, 120},
                                                         {62, 73, 137},
                                                         {49, 104, 142},
                                                         {38, 130, 142},
                                                         {31, 158, 137},
                                                         {53, 183, 121},
                                                         {110, 206, 88},
                                                         {181, 222, 43},
                                                         {253, 231, 37}}};
  const double place = std::clamp(std::isnan(part) ? 0.0 : part, 0.0, 1.0) * (steps.size() - 1);
  const auto low = std::min<std::size_t>(static_cast<std::size_t>(place), steps.size() - 2);
  const double rest = place - static_cast<double>(low);
  std::array<char, 8> text;
  const auto channel = [&](std::size_t i) {
    return static_cast<unsigned>(
        std::lround(steps[low][i] * (1 - rest) + steps[low + 1][i] * rest));
  };
  std::snprintf(text.data(), text.size(), "#%02x%02x%02x", channel(0), channel(1), channel(2));
  return text.data();
}

std::string filled(std::string_view name, double part) {
  return R"(class=")" + std::string(name) + R"(" fill=")" + colour(part) + R"(")";
}

void draw_colours(svg_writer& to, const frame& in, const std::vector<placed>& ticks) {
  constexpr double width = 14;
  constexpr int steps = 64;
  const double left = in.right + 18;
  to.open_group(R"(class="scale" shape-rendering="crispEdges")");
  for (int i = 0; i < steps; ++i) {
    const double top = in.top + in.height() * (steps - 1 - i) / steps;
    to.rectangle(left, top, width, in.height() / steps, filled("step", (i + 0.5) / steps));
  }
  to.close_group();
  std::string marks;
  for (const placed& each : ticks) {
    marks += "M" + pixels(left + width) + " " + pixels(each.at) + "h4";
    to.text(left + width + 7, each.at + 4, each.label, anchor::start);
  }
  to.path(marks, axis_line);
}

std::string note_of_outside(const bin_table& table, const std::vector<std::size_t>& inner) {
  std::vector<bool> is_inner(table.size());
  for (const std::size_t bin : inner) is_inner[bin] = true;
  std::int64_t count = 0;
  double sum = 0;
  for (std::size_t bin = 0; bin < table.size(); ++bin) {
    if (is_inner[bin]) continue;
    if (table.type == bin_table::kind::count) {
      count += table.counts[bin];
    } else {
      sum += is_mean(table) ? table.weights[bin] : table.values[bin];
    }
  }
  if (count == 0 && sum == 0) return "";
  return "underflow and overflow " + (count != 0 ? std::to_string(count) : mapping::number(sum, 6));
}

std::string map_svg(const bin_table& whole, const svg_options& options) {
  const std::size_t groups[] = {mapping::bins_together(whole.axes[0].size(), options.width / 2),
                                mapping::bins_together(whole.axes[1].size(), options.height / 2)};
  const bin_table table = mapping::rebinned(whole, groups);
  const std::vector<std::size_t> bins = mapping::inner_bins(table);
  const std::string note = note_of_outside(table, bins);
  const double most_width = static_cast<double>(options.width) - 160;
  const name_layout under = mapping::layout_under(table.axes[0], most_width);

  constexpr double infinity = std::numeric_limits<double>::infinity();
  value_scale values{infinity, -infinity, options.logarithmic};
  for (const std::size_t bin : bins) {
    if (!has_value(table, bin) || (options.logarithmic && !(table.value(bin) > 0))) continue;
    values.low = std::min(values.low, table.value(bin));
    values.high = std::max(values.high, table.value(bin));
  }
  if (!(values.low <= values.high)) values.low = values.high = options.logarithmic ? 1 : 0;
  if (options.logarithmic) values = mapping::logarithmic_scale(values.low, values.high);
  if (!options.logarithmic && !is_mean(table)) values.low = std::min(values.low, 0.0);
  if (values.low == values.high)
    values.high = values.low == 0 ? 1 : values.low + std::abs(values.low);

  frame in = mapping::frame_for(options, 40, under, 90, !note.empty());
  const auto y_labels = [&](const frame& of) {
    const axis_scale along(table.axes[1], of.bottom, of.top);
    std::vector<placed> all = along.is_category() ? along.names() : along.ticks(40);
    if (!along.is_category() || all.empty()) return all;
    const auto step =
        static_cast<std::size_t>(std::ceil(15 * static_cast<double>(all.size()) / of.height()));
    std::vector<placed> some;
    for (std::size_t k = 0; k < all.size(); k += step) some.push_back(all[k]);
    return some;
  };
  const double beside = 18 + 14 + 12 + mapping::widest(value_ticks(table, values, in)) + 8;
  in = mapping::frame_for(options, mapping::widest(y_labels(in)), under, beside, !note.empty());
  const axis_scale x(table.axes[0], in.left, in.right);
  const axis_scale y(table.axes[1], in.bottom, in.top);

  svg_writer to(static_cast<double>(options.width), static_cast<double>(options.height),
                options.title);
  mapping::draw_title(to, in, options.title, note);
  to.rectangle(in.left, in.top, in.width(), in.height(), R"(class="ground" fill="#f4f4f4")");
  to.open_group(R"(class="cells" shape-rendering="crispEdges")");
  const std::size_t high = table.axes[1].size();
  for (std::size_t k = 0; k < bins.size(); ++k) {
    if (!has_value(table, bins[k]) || is_empty(table, bins[k])) continue;
    const double value = table.value(bins[k]);
    if (options.logarithmic && !(value > 0)) continue;
    const double left = x.edge(k / high);
    const double top = y.edge(k % high + 1);
    to.rectangle(left, top, x.edge(k / high + 1) - left, y.edge(k % high) - top,
                 filled("cell", values.at(value)));
  }
  to.close_group();
  mapping::draw_x_axis(to, in, x, options.x_label);
  mapping::draw_y_axis(to, in, y_labels(in), options.y_label);
  draw_colours(to, in, value_ticks(table, values, in));
  return to.finish();
}

}  // namespace

std::string table_svg(const bin_table& table, const svg_options& options) {
  check_table(table);
  constexpr std::size_t most = 100'000;
  if (options.width < 240 || options.height < 160 || options.width > most ||
      options.height > most) {
    refuse(std::to_string(options.width) + " x " + std::to_string(options.height) + " pixels",
           "240 x 160 or more");
  }
  if (table.axes.size() > 2)
    refuse(std::to_string(table.axes.size()) + " axes", "1 or 2; add up the others first");
  return table.axes.size() == 1 ? bars_svg(table, options) : map_svg(table, options);
}

}  // namespace shard::detail
