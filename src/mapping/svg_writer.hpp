// Elements of SVG, one after the other.
#pragma once

#include <string>
#include <string_view>

namespace shard::mapping {

// A place or a length in pixels, to a hundredth.
std::string pixels(double x);

enum class anchor { start, middle, end };

class svg_writer {
 public:
  svg_writer(double width, double height, std::string_view title);

  // attributes: as they stand in a start tag, as `fill="none"`.
  void open_group(std::string_view attributes);
  void close_group() { text_ += "</g>\n"; }
  void rectangle(double x, double y, double width, double height, std::string_view attributes);
  void path(std::string_view data, std::string_view attributes);
  void circle(double x, double y, double radius, std::string_view attributes);
  // Turned to the left by so many degrees around its anchor. shown: what may be text of XML or not.
  void text(double x, double y, std::string_view shown, anchor at, std::string_view attributes = "",
            double turned = 0);

  std::string finish() { return text_ + "</svg>\n"; }

 private:
  std::string text_;
};

}  // namespace shard::mapping
