#include "mapping/svg_writer.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "mapping/shown_text.hpp"

namespace shard::mapping {

std::string pixels(double x) {
  if (!std::isfinite(x)) x = 0;
  std::array<char, 400> text;
  const double rounded = std::round(x * 100) / 100 + 0.0;
  const auto end = std::to_chars(text.begin(), text.end(), rounded, std::chars_format::fixed, 2);
  std::string made(text.begin(), end.ptr);
  made.erase(made.find_last_not_of('0') + 1);
  if (made.ends_with('.')) made.pop_back();
  return made;
}

namespace {

std::string attribute(std::string_view name, double value) {
  return " " + std::string(name) + "=\"" + pixels(value) + "\"";
}

}  // namespace

svg_writer::svg_writer(double width, double height, std::string_view title) {
  text_ = "<svg xmlns=\"http://www.w3.org/2000/svg\"" + attribute("width", width) +
          attribute("height", height) + " viewBox=\"0 0 " + pixels(width) + " " + pixels(height) +
          "\" role=\"img\" font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\" "
          "font-size=\"12\" fill=\"#333\">\n";
  if (!title.empty()) text_ += "<title>" + xml(title) + "</title>\n";
  rectangle(0, 0, width, height, "fill=\"#fff\"");
}

void svg_writer::open_group(std::string_view attributes) {
  text_ += "<g " + std::string(attributes) + ">\n";
}

void svg_writer::rectangle(double x, double y, double width, double height,
                           std::string_view attributes) {
  text_ += "<rect" + attribute("x", x) + attribute("y", y) + attribute("width", width) +
           attribute("height", height) + " " + std::string(attributes) + "/>\n";
}

void svg_writer::path(std::string_view data, std::string_view attributes) {
  if (data.empty()) return;
  text_ += "<path d=\"" + std::string(data) + "\" " + std::string(attributes) + "/>\n";
}

void svg_writer::circle(double x, double y, double radius, std::string_view attributes) {
  text_ += "<circle" + attribute("cx", x) + attribute("cy", y) + attribute("r", radius) + " " +
           std::string(attributes) + "/>\n";
}

void svg_writer::text(double x, double y, std::string_view shown, anchor at,
                      std::string_view attributes, double turned) {
  constexpr const char* anchors[] = {"start", "middle", "end"};
  text_ += "<text" + attribute("x", x) + attribute("y", y) + " text-anchor=\"" +
           anchors[static_cast<int>(at)] + "\"";
  if (turned != 0) {
    text_ += " transform=\"rotate(" + pixels(-turned) + " " + pixels(x) + " " + pixels(y) + ")\"";
  }
  if (!attributes.empty()) text_ += " " + std::string(attributes);
  text_ += ">" + xml(shown) + "</text>\n";
}

}  // namespace shard::mapping
