// Histograms as text.

#include "shard/drawing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "mapping/inner_bins.hpp"
#include "mapping/rebinned.hpp"
#include "mapping/shown_text.hpp"
#include "mapping/ticks.hpp"
#include "mapping/value_scale.hpp"
#include "shard/error.hpp"

namespace shard::detail {
namespace {

using mapping::columns;
using mapping::right;
using mapping::tick;

constexpr std::size_t least_width = 32;
constexpr std::size_t most_width = 10'000;

struct glyphs {
  std::string_view bar;        // a whole cell
  std::string_view parts[7];   // eighths of one; in ASCII the same mark for any of them
  std::string_view shades[9];  // from light to dark
  std::size_t shade_count;
  std::string_view base, line, tick, base_tick, corner;
  std::string_view mark, to, at_most, plus_minus;
};
constexpr glyphs blocks{"█",
                        {"▏", "▎", "▍", "▌", "▋", "▊", "▉"},
                        {"░", "▒", "▓", "█"},
                        4,
                        "│",
                        "─",
                        "┬",
                        "┼",
                        "├",
                        "…",
                        "…",
                        "≤",
                        "±"};
constexpr glyphs plain{"#",
                       {".", ".", ".", ".", ".", ".", "."},
                       {".", ":", "-", "=", "+", "*", "#", "%", "@"},
                       9,
                       "|",
                       "-",
                       "+",
                       "+",
                       "+",
                       "~",
                       "..",
                       "<=",
                       "+-"};

[[noreturn]] void refuse(const std::string& found, const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot draw the histogram: found " + found + ", expected " + expected);
}

std::string repeated(std::string_view what, std::size_t times) {
  std::string made;
  for (; times > 0; --times) made += what;
  return made;
}

std::string trimmed(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

// In ASCII, every other character is one '?'.
std::string text_for(std::string_view text, bool ascii) {
  std::string made = mapping::shown(text);
  if (!ascii) return made;
  std::string plain_text;
  for (const char c : made) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) plain_text += c;
    if (byte >= 0xC0) plain_text += '?';
  }
  return plain_text;
}

// What is written of one bin.
std::string text_of(const bin_table& table, std::size_t bin, const glyphs& use) {
  if (table.type == bin_table::kind::count) return std::to_string(table.counts[bin]);
  if (!table.weights.empty() && table.weights[bin] == 0) return "";
  return mapping::with_error(table.values[bin], table.error(bin), use.plus_minus);
}

// ---- labels of bins

std::vector<std::string> category_labels(const bin_axis& along, bool ascii) {
  return std::visit(
      [&]<class T>(const std::vector<T>& names) {
        std::vector<std::string> made;
        for (const T& name : names) {
          if constexpr (std::is_same_v<T, std::string>) {
            made.push_back(text_for(name, ascii));
          } else {
            made.push_back(std::to_string(name));
          }
        }
        return made;
      },
      along.categories);
}

bool is_one_integer(const bin_axis& along, std::size_t bin) {
  return along.type == bin_axis::kind::integer && along.edges[bin] + 1 == along.edges[bin + 1];
}

// "[-60, -55)", "8", "8…10"
std::vector<std::string> range_labels(const bin_axis& along, const glyphs& use, bool ascii) {
  if (along.type == bin_axis::kind::category) return category_labels(along, ascii);
  const std::vector<std::string> edges = mapping::edge_labels(along.edges);
  std::vector<std::string> made;
  for (std::size_t k = 0; k < along.size(); ++k) {
    if (is_one_integer(along, k)) {
      made.push_back(mapping::number(along.edges[k], 10));
    } else if (along.type == bin_axis::kind::integer) {
      made.push_back(mapping::number(along.edges[k], 10) + std::string(use.to) +
                     mapping::number(along.edges[k + 1] - 1, 10));
    } else {
      made.push_back("[" + edges[k] + ", " + edges[k + 1] + ")");
    }
  }
  return made;
}

std::string name_of_overflow(const bin_axis& along) {
  if (along.type == bin_axis::kind::category) return "others";
  return along.type == bin_axis::kind::circular ? "not finite" : "overflow";
}

std::size_t widest(const std::vector<std::string>& all) {
  std::size_t width = 0;
  for (const std::string& each : all) width = std::max(width, columns(each));
  return width;
}

// ---- one axis: bars

struct row {
  std::string label;
  std::string text;
  double value = 0;
  bool has_bar = true;
};

// Where zero is, and how long bars are, in cells.
struct bar_scale {
  mapping::value_scale values{};
  std::size_t below = 0;  // cells for bars of negative values
  std::size_t above = 0;

  double cells(double value) const {
    if (values.logarithmic)
      return value > 0 ? std::clamp(values.at(value), 0.0, 1.0) * static_cast<double>(above) : 0;
    return value / (values.high - values.low) * static_cast<double>(used());
  }
  // Cells between the two ends: where there are bars on both sides, one is kept for rounding.
  std::size_t used() const { return below > 0 && above > 0 ? below + above - 1 : below + above; }
};

bar_scale scale_for(const std::vector<row>& rows, std::size_t cells, bool logarithmic) {
  bar_scale made;
  double low = 0;
  double high = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const row& each : rows) {
    if (!each.has_bar || !std::isfinite(each.value)) continue;
    low = std::min(low, each.value);
    high = std::max(high, each.value);
    if (each.value > 0) least = std::min(least, each.value);
  }
  if (logarithmic) {
    if (!(high > 0)) least = high = 1;
    // From the power of ten below: the least value, too, has a bar.
    const double below = std::pow(10.0, std::ceil(std::log10(least)) - 1);
    made.values = mapping::logarithmic_scale(below, high);
    made.above = cells;
    return made;
  }
  if (low == high) high = 1;
  const double part = mapping::part_of_way(0, low, high);
  made.values = {low, high, false};
  if (high <= 0) {
    made.below = cells;
  } else if (low < 0) {
    made.below = std::clamp<std::size_t>(
        static_cast<std::size_t>(std::ceil(part * static_cast<double>(cells - 1))), 1, cells - 1);
  }
  made.above = cells - made.below;
  return made;
}

// To the right of zero.
std::string bar_of(double cells, const glyphs& use, bool ascii) {
  const double units = ascii ? 1 : 8;
  auto parts = static_cast<std::size_t>(std::lround(cells * units));
  if (ascii) return parts == 0 ? std::string(use.parts[0]) : repeated(use.bar, parts);
  parts = std::max<std::size_t>(parts, 1);
  std::string made = repeated(use.bar, parts / 8);
  if (parts % 8 != 0) made += use.parts[parts % 8 - 1];
  return made;
}

// The cells of a row: bars to both sides of the line at zero.
std::string cells_of(const row& each, const bar_scale& scale, const glyphs& use, bool ascii) {
  const std::string base(use.base);
  const bool has_bar = each.has_bar && std::isfinite(each.value);
  if (has_bar && each.value < 0 && !scale.values.logarithmic) {
    const auto whole =
        std::max<std::size_t>(static_cast<std::size_t>(std::lround(-scale.cells(each.value))), 1);
    return std::string(scale.below - std::min(scale.below, whole), ' ') +
           repeated(use.bar, std::min(scale.below, whole)) + base;
  }
  return std::string(scale.below, ' ') + base +
         (has_bar && each.value > 0 ? bar_of(scale.cells(each.value), use, ascii) : "");
}

// Two lines: ticks, and their labels.
std::string scale_text(const bar_scale& scale, std::size_t indent, mapping::steps steps,
                       const glyphs& use) {
  const std::size_t cells = scale.below + scale.above;
  const mapping::value_scale& of = scale.values;
  std::vector<tick> ticks;
  // As many as have room for their labels.
  for (std::size_t most = std::max<std::size_t>(cells / 5, 2); most >= 2; --most) {
    ticks = of.logarithmic ? mapping::decade_ticks(of.low, of.high, most)
                           : mapping::round_ticks(of.low, of.high, most, steps);
    std::size_t wanted = 0;
    for (const tick& each : ticks) wanted = std::max(wanted, each.label.size() + 2);
    if (ticks.size() < 2) break;
    const double distance = scale.cells(ticks[1].value) - scale.cells(ticks[0].value);
    if (distance >= static_cast<double>(wanted)) break;
  }
  std::vector<std::string_view> line(cells + 1, use.line);
  line[scale.below] = scale.below == 0 ? use.corner : use.base_tick;
  std::string labels;
  for (const tick& each : ticks) {
    const long place = static_cast<long>(scale.below) + std::lround(scale.cells(each.value));
    if (place < 0 || place > static_cast<long>(cells)) continue;
    const auto column = static_cast<std::size_t>(place);
    const std::size_t center = indent + column;
    const std::size_t half = (each.label.size() - 1) / 2;
    const std::size_t last_start =
        indent + cells + 1 - std::min(indent + cells + 1, each.label.size());
    const std::size_t start = std::min(center - std::min(center, half), last_start);
    if (!labels.empty() && start < labels.size() + 2) continue;
    if (column != scale.below) line[column] = use.tick;
    labels += std::string(start - labels.size(), ' ') + each.label;
  }
  std::string made(indent, ' ');
  for (const std::string_view each : line) made += each;
  return made + "\n" + labels + "\n";
}

std::string draw_bars(const bin_table& whole, const draw_options& options, const glyphs& use) {
  const std::size_t group[] = {mapping::bins_together(whole.axes[0].size(), options.rows)};
  const bin_table table = mapping::rebinned(whole, group);
  const bin_axis& along = table.axes[0];
  std::vector<row> rows;
  const auto add = [&](std::string label, std::size_t bin, bool has_bar) {
    const double value = table.value(bin);
    if (!has_bar && (table.weights.empty() ? value == 0 : table.weights[bin] == 0)) return;
    const std::string text = text_of(table, bin, use);
    rows.push_back({std::move(label), text, text.empty() ? 0 : value, has_bar});
  };
  if (along.underflow) add("underflow", 0, false);
  const std::vector<std::string> labels = range_labels(along, use, options.ascii);
  for (std::size_t k = 0; k < along.size(); ++k)
    add(labels[k], k + (along.underflow ? 1 : 0), true);
  if (along.overflow) add(name_of_overflow(along), along.extent() - 1, false);

  std::size_t label_width = 0;
  std::size_t text_width = 0;
  for (const row& each : rows) {
    label_width = std::max(label_width, columns(each.label));
    text_width = std::max(text_width, columns(each.text));
  }
  // Bars have a quarter at least, and labels are cut for that.
  const std::size_t least_bars = options.width / 4;
  const std::size_t taken = text_width + 3 + least_bars;
  label_width = std::min(label_width,
                         std::max<std::size_t>(options.width - std::min(options.width, taken), 4));
  const std::size_t indent = label_width + 1 + text_width + 1;
  const std::size_t cells = options.width > indent + 9 ? options.width - indent - 1 : 8;
  const bar_scale scale = scale_for(rows, cells, options.logarithmic);

  std::string made;
  for (const row& each : rows) {
    made += trimmed(right(mapping::cut(each.label, label_width, use.mark), label_width) + " " +
                    right(each.text, text_width) + " " + cells_of(each, scale, use, options.ascii));
  }
  const bool counts = table.type == bin_table::kind::count;
  return made +
         scale_text(scale, indent, counts ? mapping::steps::whole : mapping::steps::any, use);
}

// ---- two axes: shades

// In which shade a value is; 0: none.
struct shading {
  double low = 0;
  double high = 0;
  std::size_t shades = 0;

  std::size_t of(double value) const {
    if (!std::isfinite(value) || !(low < high)) return 0;
    const double part = mapping::part_of_way(value, low, high);
    const auto shade = static_cast<std::size_t>(std::ceil(part * static_cast<double>(shades)));
    return std::min(shade, shades);
  }
  // The largest value in a shade.
  double upper(std::size_t shade) const {
    const double part = static_cast<double>(shade) / static_cast<double>(shades);
    return shade == shades ? high : low * (1 - part) + high * part;
  }
};

// Of counts, the largest count in each shade. On as many lines as its width takes.
std::string legend(const shading& by, bool counts, std::size_t width, const glyphs& use) {
  if (!(by.low < by.high)) return "all " + mapping::number(by.low, 6);
  std::string made;
  std::string line = "blank " + mapping::number(by.low, 4);
  for (std::size_t shade = 1; shade <= by.shades; ++shade) {
    const double upper = counts ? std::floor(by.upper(shade)) : by.upper(shade);
    const std::string next = std::string(use.shades[shade - 1]) + " " + std::string(use.at_most) +
                             " " + mapping::number(upper, 4);
    if (columns(line) + 2 + columns(next) > width) {
      made += line + "\n";
      line = next;
    } else {
      line += "  " + next;
    }
  }
  return made + line;
}

// What is in underflow and overflow bins, as text; nothing if they are empty.
std::string outside(const bin_table& table, const std::vector<std::size_t>& inner) {
  std::vector<bool> is_inner(table.size());
  for (const std::size_t place : inner) is_inner[place] = true;
  double sum = 0;
  for (std::size_t bin = 0; bin < table.size(); ++bin) {
    if (!is_inner[bin]) sum += table.weights.empty() ? table.value(bin) : table.weights[bin];
  }
  if (sum == 0) return "";
  constexpr double most_exact = 0x1p53;
  const bool whole = table.type == bin_table::kind::count && std::abs(sum) < most_exact;
  return whole ? std::to_string(static_cast<std::int64_t>(sum)) : mapping::number(sum, 6);
}

// Names of bins on an axis of shades: the lower edge where a bin has edges.
std::vector<std::string> short_labels(const bin_axis& along, const glyphs& use, bool ascii) {
  if (along.type == bin_axis::kind::category) return category_labels(along, ascii);
  if (along.type == bin_axis::kind::integer) return range_labels(along, use, ascii);
  std::vector<std::string> edges = mapping::edge_labels(along.edges);
  edges.pop_back();
  return edges;
}

std::string draw_shades(const bin_table& whole, const draw_options& options, const glyphs& use) {
  const std::size_t most_label = options.width / 3;
  std::size_t groups[] = {1, mapping::bins_together(whole.axes[1].size(), options.rows)};
  const std::vector<std::string> upwards =
      short_labels(mapping::rebinned(whole, groups).axes[1], use, options.ascii);
  const std::size_t label_width = std::min(widest(upwards), most_label);
  const std::size_t room = options.width - label_width - 2;
  groups[0] = mapping::bins_together(whole.axes[0].size(), room);
  const bin_table table = mapping::rebinned(whole, groups);
  const std::vector<std::size_t> inner = mapping::inner_bins(table);
  const std::size_t across = table.axes[0].size();
  const std::size_t high = table.axes[1].size();

  const std::vector<std::string> along = short_labels(table.axes[0], use, options.ascii);
  const bool has_edges = table.axes[0].type != bin_axis::kind::category &&
                         table.axes[0].type != bin_axis::kind::integer;
  const std::size_t wanted = has_edges ? 2 : std::clamp<std::size_t>(widest(along) + 1, 2, 12);
  const std::size_t cell = std::clamp<std::size_t>(room / across, 1, wanted);

  shading by{0, 0, use.shade_count};
  for (const std::size_t place : inner) {
    if (!std::isfinite(table.value(place))) continue;
    by.low = std::min(by.low, table.value(place));
    by.high = std::max(by.high, table.value(place));
  }

  std::string made;
  for (std::size_t y = high; y-- > 0;) {
    std::string line = right(mapping::cut(upwards[y], label_width, use.mark), label_width) + " " +
                       std::string(use.base);
    for (std::size_t x = 0; x < across; ++x) {
      const std::size_t shade = by.of(table.value(inner[x * high + y]));
      line += shade == 0 ? std::string(cell, ' ') : repeated(use.shades[shade - 1], cell);
    }
    made += trimmed(line);
  }
  // A label at every bin, or at every 2nd, 5th, 10th, …, so that each has room.
  const std::size_t most = std::max<std::size_t>(cell, 12) - 1;
  std::size_t label_room = 1;
  for (const std::string& each : along)
    label_room = std::max(label_room, std::min(columns(each), most) + 1);
  std::size_t step = 1;
  for (std::size_t next = 2; step * cell < label_room; next = next == 2 ? 5 : next == 5 ? 10 : 2)
    step = next == 2 ? step * 2 : next == 5 ? step / 2 * 5 : step / 5 * 10;
  std::vector<std::string_view> line(across * cell, use.line);
  std::string labels;
  const std::size_t indent = label_width + 2;
  for (std::size_t x = 0; x < across; x += step) {
    const std::string name = mapping::cut(along[x], most, use.mark);
    const std::size_t column = x * cell + (has_edges ? 0 : (cell - 1) / 2);
    const std::size_t half = has_edges ? 0 : columns(name) / 2;
    const std::size_t center = indent + column;
    const std::size_t start = std::max(center - std::min(center, half), columns(labels));
    if (start + columns(name) > options.width) break;
    line[column] = use.tick;
    labels += std::string(start - columns(labels), ' ') + name;
  }
  made += std::string(label_width + 1, ' ') + std::string(use.corner);
  for (const std::string_view each : line) made += each;
  made += "\n" + trimmed(labels) +
          legend(by, table.type == bin_table::kind::count, options.width, use) + "\n";
  const std::string more = outside(table, inner);
  return more.empty() ? made : made + "underflow and overflow: " + more + "\n";
}

}  // namespace

std::string draw_table(const bin_table& table, const draw_options& options) {
  check_table(table);
  if (options.width < least_width || options.width > most_width) {
    refuse("a width of " + std::to_string(options.width),
           std::to_string(least_width) + " to " + std::to_string(most_width) + " columns");
  }
  if (options.rows == 0) refuse("0 rows", "1 or more");
  if (table.axes.size() > 2)
    refuse(std::to_string(table.axes.size()) + " axes", "1 or 2; add up the others first");
  const glyphs& use = options.ascii ? plain : blocks;
  std::string made;
  if (!options.title.empty()) {
    const std::string title = text_for(options.title, options.ascii);
    made = trimmed(mapping::cut(title, options.width, use.mark));
  }
  return made + (table.axes.size() == 1 ? draw_bars(table, options, use)
                                        : draw_shades(table, options, use));
}

}  // namespace shard::detail
