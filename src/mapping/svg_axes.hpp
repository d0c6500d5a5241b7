// The axes of a picture: where bins are, ticks, names and labels.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "mapping/svg_writer.hpp"
#include "shard/bin_table.hpp"
#include "shard/drawing.hpp"

namespace shard::mapping {

// "1.5e9" as "1.5×10⁹".
std::string with_power(const std::string& label);

struct placed {
  double at = 0;  // pixels
  std::string label{};
};
// About how wide the widest label is, in pixels: fonts differ.
double widest(const std::vector<placed>& ticks);

// Where the bins of an axis are. Logarithmic where their edges are a geometric progression over a
// decade or more. Requires: the axis outlives it.
class axis_scale {
 public:
  // Of the first edge, and of the last edge, in pixels.
  axis_scale(const bin_axis& along, double from, double to);

  bool is_category() const { return along_.type == bin_axis::kind::category; }

  // Requires: k <= size of the axis.
  double edge(std::size_t k) const;
  double middle(std::size_t k) const { return (edge(k) + edge(k + 1)) / 2; }

  // About one for each so many pixels. None of categories.
  std::vector<placed> ticks(double distance) const;
  // Of categories, in the middle of the bins.
  std::vector<placed> names() const;

 private:
  double place(double part) const;
  double of(double x) const;
  bool is_geometric() const;

  const bin_axis& along_;
  double from_;
  double to_;
  double low_ = 0;
  double high_ = 0;
  bool logarithmic_ = false;
};

// Where the bins are in the picture.
struct frame {
  double left, top, right, bottom;
  double width() const { return right - left; }
  double height() const { return bottom - top; }
};

// How names of categories stand under an axis: side by side, or turned, and each or every so many.
struct name_layout {
  bool turned = false;
  std::size_t step = 1;
  double height = 0;
  double left = 0;  // how far the first name reaches to the left of the frame
};
// Before it is known where the axis will be.
name_layout layout_under(const bin_axis& along, double width);

// What is left for the bins beside title, labels and `beside` pixels at the right.
frame frame_for(const svg_options& options, double label_width, const name_layout& under,
                double beside, bool has_note);

inline constexpr std::string_view axis_line = R"(stroke="#333" stroke-width="1" fill="none")";

void draw_x_axis(svg_writer& to, const frame& in, const axis_scale& along,
                 const std::string& label);
void draw_y_axis(svg_writer& to, const frame& in, const std::vector<placed>& ticks,
                 const std::string& label);
// note: what is in underflow and overflow bins.
void draw_title(svg_writer& to, const frame& in, const std::string& title, const std::string& note);

}  // namespace shard::mapping
