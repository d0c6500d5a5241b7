#include "mapping/svg_axes.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "mapping/shown_text.hpp"
#include "mapping/ticks.hpp"
#include "mapping/value_scale.hpp"

namespace shard::mapping {
namespace {

// About: fonts differ.
double text_width(std::string_view text, double size = 12) {
  return 0.62 * size * static_cast<double>(columns(text));
}

constexpr double tick_length = 5;

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

}  // namespace

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

double widest(const std::vector<placed>& ticks) {
  double width = 0;
  for (const placed& each : ticks) width = std::max(width, text_width(each.label));
  return width;
}

axis_scale::axis_scale(const bin_axis& along, double from, double to)
    : along_(along), from_(from), to_(to) {
  if (is_category()) return;
  // Boost's axes may end at infinity: such a bin has no width here.
  const auto finite = [](double x) { return std::isfinite(x); };
  const auto first = std::ranges::find_if(along.edges, finite);
  if (first == along.edges.end()) return;
  low_ = *first;
  high_ = *std::find_if(along.edges.rbegin(), along.edges.rend(), finite);
  logarithmic_ = is_geometric();
}

double axis_scale::edge(std::size_t k) const {
  if (is_category()) return place(static_cast<double>(k) / static_cast<double>(along_.size()));
  return of(along_.edges[k]);
}

std::vector<placed> axis_scale::ticks(double distance) const {
  const double length = std::abs(to_ - from_);
  const auto most = std::max<std::size_t>(static_cast<std::size_t>(length / distance), 3);
  std::vector<placed> made;
  if (is_category()) return made;
  if (along_.type == bin_axis::kind::integer) {
    // In the middle of the bin of that integer.
    for (const tick& each : round_ticks(low_, std::max(high_ - 1, low_), most, steps::whole))
      made.push_back({(of(each.value) + of(each.value + 1)) / 2, with_power(each.label)});
    return made;
  }
  for (const tick& each :
       logarithmic_ ? decade_ticks(low_, high_, most) : round_ticks(low_, high_, most))
    made.push_back({of(each.value), with_power(each.label)});
  return made;
}

std::vector<placed> axis_scale::names() const {
  std::vector<placed> made;
  if (!is_category()) return made;
  std::visit(
      [&]<class T>(const std::vector<T>& all) {
        for (std::size_t k = 0; k < all.size(); ++k) {
          if constexpr (std::is_same_v<T, std::string>) {
            made.push_back({middle(k), cut(shown(all[k]), 24, "…")});
          } else {
            made.push_back({middle(k), std::to_string(all[k])});
          }
        }
      },
      along_.categories);
  return made;
}

double axis_scale::place(double part) const {
  return from_ + (to_ - from_) * std::clamp(std::isnan(part) ? 0.0 : part, 0.0, 1.0);
}

double axis_scale::of(double x) const {
  if (x == low_) return from_;
  if (logarithmic_)
    return place((std::log(x) - std::log(low_)) / (std::log(high_) - std::log(low_)));
  return place(part_of_way(x, low_, high_));
}

bool axis_scale::is_geometric() const {
  const std::vector<double>& edges = along_.edges;
  if (along_.type != bin_axis::kind::variable || along_.size() < 3 || !(edges[0] > 0)) return false;
  if (!(edges.back() / edges.front() >= 10) || !std::isfinite(edges.back())) return false;
  const double all = std::log(edges.back()) - std::log(edges.front());
  for (std::size_t k = 1; k < along_.size(); ++k) {
    const double part = static_cast<double>(k) / static_cast<double>(along_.size());
    if (std::abs(std::log(edges[k]) - std::log(edges.front()) - part * all) >
        0.02 * all / static_cast<double>(along_.size()))
      return false;
  }
  return true;
}

name_layout layout_under(const bin_axis& along, double width) {
  const axis_scale rough(along, 0, width);
  return rough.is_category() ? layout_of(rough.names(), width) : name_layout{false, 1, 22, 0};
}

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

}  // namespace shard::mapping
