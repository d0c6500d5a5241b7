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
#include "mapping/shown_text.hpp"
#include "mapping/svg_writer.hpp"
#include "mapping/ticks.hpp"
#include "mapping/value_scale.hpp"
#include "shard/drawing.hpp"
#include "shard/error.hpp"

namespace shard::detail {
namespace {

using mapping::anchor;
using mapping::pixels;
using mapping::svg_writer;
using mapping::tick;
using mapping::value_scale;

[[noreturn]] void refuse(const std::string& found, const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot draw the histogram as SVG: found " + found + ", expected " + expected);
}

// About: fonts differ.
double text_width(std::string_view text, double size = 12) {
  return 0.62 * size * static_cast<double>(mapping::columns(text));
}

// "1.5e9" as "1.5×10⁹".
std::string with_power(const std::string& label) {
  if (label.starts_with('-')) return "−" + with_power(label.substr(1));
  const std::size_t e = label.find('e');
  if (e == std::string::npos) return label;
  constexpr std::string_view digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string made = label.substr(0, e);
  made = (made == "1" ? "" : made + "×") + "10";
  for (const char c : label.substr(e + 1)) made += c == '-' ? "⁻" : std::string(digits[c - '0']);
  return made;
}

struct placed {
  double at = 0;  // pixels
  std::string label{};
};

// ---- where the bins of an axis are

class axis_scale {
 public:
  // Of the first edge, and of the last edge, in pixels.
  axis_scale(const bin_axis& along, double from, double to) : along_(along), from_(from), to_(to) {
    low_ = high_ = 0;
    if (is_category()) return;
    // Boost's axes may end at infinity: such a bin has no width here.
    const auto finite = [](double x) { return std::isfinite(x); };
    const auto first = std::ranges::find_if(along.edges, finite);
    if (first == along.edges.end()) return;
    low_ = *first;
    high_ = *std::find_if(along.edges.rbegin(), along.edges.rend(), finite);
    logarithmic_ = is_geometric();
  }

  bool is_category() const { return along_.type == bin_axis::kind::category; }

  double edge(std::size_t k) const {
    if (is_category()) return place(static_cast<double>(k) / static_cast<double>(along_.size()));
    return of(along_.edges[k]);
  }
  double middle(std::size_t k) const { return (edge(k) + edge(k + 1)) / 2; }

  // At most about one for each so many pixels.
  std::vector<placed> ticks(double distance) const {
    const double length = std::abs(to_ - from_);
    const auto most = std::max<std::size_t>(static_cast<std::size_t>(length / distance), 2);
    std::vector<placed> made;
    if (is_category()) return made;
    if (along_.type == bin_axis::kind::integer) {
      // In the middle of the bin of that integer.
      for (const tick& each :
           mapping::round_ticks(low_, std::max(high_ - 1, low_), most, mapping::steps::whole))
        made.push_back({(of(each.value) + of(each.value + 1)) / 2, with_power(each.label)});
      return made;
    }
    for (const tick& each : logarithmic_ ? mapping::decade_ticks(low_, high_, most)
                                         : mapping::round_ticks(low_, high_, most))
      made.push_back({of(each.value), with_power(each.label)});
    return made;
  }

  // Of a category axis, in the middle of the bins.
  std::vector<placed> names() const {
    std::vector<placed> made;
    if (!is_category()) return made;
    std::visit(
        [&]<class T>(const std::vector<T>& all) {
          for (std::size_t k = 0; k < all.size(); ++k) {
            if constexpr (std::is_same_v<T, std::string>) {
              made.push_back({middle(k), mapping::cut(mapping::shown(all[k]), 24, "…")});
            } else {
              made.push_back({middle(k), std::to_string(all[k])});
            }
          }
        },
        along_.categories);
    return made;
  }

 private:
  double place(double part) const {
    return from_ + (to_ - from_) * std::clamp(std::isnan(part) ? 0.0 : part, 0.0, 1.0);
  }
  double of(double x) const {
    if (x == low_) return from_;
    if (logarithmic_) return place(std::log(x / low_) / std::log(high_ / low_));
    // Halves: the two may be infinitely far apart.
    return place((x / 2 - low_ / 2) / (high_ / 2 - low_ / 2));
  }

  bool is_geometric() const {
    const std::vector<double>& edges = along_.edges;
    if (along_.type != bin_axis::kind::variable || along_.size() < 3 || !(edges[0] > 0))
      return false;
    if (!(edges.back() / edges.front() >= 10) || !std::isfinite(edges.back())) return false;
    const double all = std::log(edges.back() / edges.front());
    for (std::size_t k = 1; k < along_.size(); ++k) {
      const double part = static_cast<double>(k) / static_cast<double>(along_.size());
      if (std::abs(std::log(edges[k] / edges.front()) - part * all) >
          0.02 * all / static_cast<double>(along_.size()))
        return false;
    }
    return true;
  }

  const bin_axis& along_;
  double from_;
  double to_;
  double low_;
  double high_;
  bool logarithmic_ = false;
};

// ---- the frame: title, axes, ticks

struct frame {
  double left, top, right, bottom;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};

constexpr std::string_view axis_line = R"(stroke="#333" stroke-width="1" fill="none")";
constexpr double tick_length = 5;

// How names of categories stand under an axis: side by side, or turned, and each or every so many.
struct name_layout {
  bool turned = false;
  std::size_t step = 1;
  double height = 0;
  double left = 0;  // how far the first name reaches to the left of the frame
};
name_layout layout_of(const std::vector<placed>& names, double width) {
  name_layout made;
  double widest = 0;
  for (const placed& each : names) widest = std::max(widest, text_width(each.label));
  const double room = names.empty() ? width : width / static_cast<double>(names.size());
  made.turned = widest + 6 > room;
  made.height = made.turned ? 0.72 * widest + 16 : 18;
  if (made.turned) made.left = 0.72 * widest - room / 2 + 4;
  if (made.turned) made.step = static_cast<std::size_t>(std::ceil(15 / room));
  return made;
}

// Before it is known where the axis will be.
name_layout layout_under(const bin_axis& along, double width) {
  const axis_scale rough(along, 0, width);
  return rough.is_category() ? layout_of(rough.names(), width) : name_layout{false, 1, 22, 0};
}

void draw_x_axis(svg_writer& to, const frame& in, const axis_scale& along,
                 const std::string& label) {
  std::string marks;
  const auto mark = [&](double x) {
    marks += "M" + pixels(x) + " " + pixels(in.bottom) + "v" + pixels(tick_length);
  };
  double below = 18;
  to.open_group(R"(class="x-axis")");
  if (along.is_category()) {
    const std::vector<placed> names = along.names();
    const name_layout layout = layout_of(names, in.width());
    below = layout.height;
    for (std::size_t k = 0; k < names.size(); k += layout.step) {
      mark(names[k].at);
      if (layout.turned) {
        to.text(names[k].at + 4, in.bottom + 15, names[k].label, anchor::end, "", 45);
      } else {
        to.text(names[k].at, in.bottom + 18, names[k].label, anchor::middle);
      }
    }
  } else {
    double distance = 70;
    for (const placed& each : along.ticks(distance))
      distance = std::max(distance, text_width(each.label) + 20);
    for (const placed& each : along.ticks(distance)) {
      mark(each.at);
      to.text(each.at, in.bottom + 18, each.label, anchor::middle);
    }
  }
  to.path(marks, axis_line);
  to.path("M" + pixels(in.left) + " " + pixels(in.bottom) + "H" + pixels(in.right), axis_line);
  if (!label.empty())
    to.text(in.left + in.width() / 2, in.bottom + below + 18, label, anchor::middle,
            R"(font-size="13")");
  to.close_group();
}

void draw_y_axis(svg_writer& to, const frame& in, const std::vector<placed>& ticks,
                 const std::string& label) {
  to.open_group(R"(class="y-axis")");
  std::string marks;
  for (const placed& each : ticks) {
    marks += "M" + pixels(in.left) + " " + pixels(each.at) + "h" + pixels(-tick_length);
    to.text(in.left - 8, each.at + 4, each.label, anchor::end);
  }
  to.path(marks, axis_line);
  to.path("M" + pixels(in.left) + " " + pixels(in.top) + "V" + pixels(in.bottom), axis_line);
  if (!label.empty())
    to.text(16, in.top + in.height() / 2, label, anchor::middle, R"(font-size="13")", 90);
  to.close_group();
}

void draw_title(svg_writer& to, const frame& in, const std::string& title,
                const std::string& note) {
  if (!title.empty())
    to.text(in.left, 24, title, anchor::start, R"(font-size="16" font-weight="bold")");
  if (!note.empty())
    to.text(in.right, in.top - 7, note, anchor::end, R"(font-size="11" fill="#777")");
}

double widest(const std::vector<placed>& ticks) {
  double width = 0;
  for (const placed& each : ticks) width = std::max(width, text_width(each.label));
  return width;
}

// What is left for the bins beside title, labels and `beside` pixels at the right.
frame frame_for(const svg_options& options, double label_width, const name_layout& under,
                double beside, bool has_note) {
  frame in{};
  in.left = std::max(label_width + 14 + (options.y_label.empty() ? 0 : 20), under.left);
  in.top = options.title.empty() ? 14 : 38;
  if (has_note) in.top += options.title.empty() ? 10 : 12;
  in.right = static_cast<double>(options.width) - beside;
  in.bottom =
      static_cast<double>(options.height) - under.height - (options.x_label.empty() ? 8 : 26);
  in.right = std::max(in.right, in.left + 20);
  in.bottom = std::max(in.bottom, in.top + 20);
  return in;
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
      made.push_back({in.bottom - part * in.height(), with_power(each.label)});
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
  const name_layout under = layout_under(along, static_cast<double>(options.width) - 80);

  // The width of the labels decides where the frame is, and the frame how many labels there are.
  frame in = frame_for(options, 40, under, 20, !note.empty());
  const bool errors =
      options.errors && in.width() / static_cast<double>(along.size()) >= least_for_errors;
  const value_scale values = scale_of(table, bins, errors, options.logarithmic);
  in = frame_for(options, widest(value_ticks(table, values, in)), under, 20, !note.empty());
  const std::vector<placed> ticks = value_ticks(table, values, in);
  const axis_scale x(along, in.left, in.right);
  const auto y = [&](double value) {
    const double part = values.at(value);
    return in.bottom - in.height() * std::clamp(std::isnan(part) ? 0.0 : part, 0.0, 1.0);
  };
  const double zero = values.logarithmic ? in.bottom : y(0);

  svg_writer to(static_cast<double>(options.width), static_cast<double>(options.height),
                options.title);
  draw_title(to, in, options.title, note);
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
  draw_x_axis(to, in, x, options.x_label);
  draw_y_axis(to, in, ticks, options.y_label);
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
  const name_layout under = layout_under(table.axes[0], most_width);

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

  frame in = frame_for(options, 40, under, 90, !note.empty());
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
  const double beside = 18 + 14 + 12 + widest(value_ticks(table, values, in)) + 8;
  in = frame_for(options, widest(y_labels(in)), under, beside, !note.empty());
  const axis_scale x(table.axes[0], in.left, in.right);
  const axis_scale y(table.axes[1], in.bottom, in.top);

  svg_writer to(static_cast<double>(options.width), static_cast<double>(options.height),
                options.title);
  draw_title(to, in, options.title, note);
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
  draw_x_axis(to, in, x, options.x_label);
  draw_y_axis(to, in, y_labels(in), options.y_label);
  draw_colours(to, in, value_ticks(table, values, in));
  return to.finish();
}

}  // namespace

std::string table_svg(const bin_table& table, const svg_options& options) {
  check_table(table);
  if (options.width < 240 || options.height < 160) {
    refuse(std::to_string(options.width) + " x " + std::to_string(options.height) + " pixels",
           "240 x 160 or more");
  }
  if (table.axes.size() > 2)
    refuse(std::to_string(table.axes.size()) + " axes", "1 or 2; add up the others first");
  return table.axes.size() == 1 ? bars_svg(table, options) : map_svg(table, options);
}

}  // namespace shard::detail
