#include "mapping/ticks.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace shard::mapping {
namespace {

// mantissa times a power of ten, without an error: what labels are made of.
struct decimal {
  double mantissa = 0;  // an integer
  int exponent = 0;

  // Rounded once while both powers are exact, up to 10^22.
  double value() const {
    return exponent < 0 ? mantissa / std::pow(10.0, -exponent)
                        : mantissa * std::pow(10.0, exponent);
  }
};

std::string digits_of(double integer) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.begin(), text.end(), integer, std::chars_format::fixed, 0);
  return {text.begin(), end.ptr};
}

// "1.5e9"
std::string scientific(decimal x) {
  if (x.mantissa == 0) return "0";
  std::string digits = digits_of(std::abs(x.mantissa));
  const int exponent = x.exponent + static_cast<int>(digits.size()) - 1;
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.size() > 1) digits.insert(1, ".");
  return (x.mantissa < 0 ? "-" : "") + digits + "e" + std::to_string(exponent);
}

// "0.30"
std::string plain(decimal x) {
  std::string digits = digits_of(std::abs(x.mantissa));
  if (x.exponent >= 0) {
    if (x.mantissa != 0) digits.append(static_cast<std::size_t>(x.exponent), '0');
  } else {
    const auto decimals = static_cast<std::size_t>(-x.exponent);
    if (digits.size() <= decimals) digits.insert(0, decimals + 1 - digits.size(), '0');
    digits.insert(digits.size() - decimals, ".");
  }
  return (x.mantissa < 0 ? "-" : "") + digits;
}

// All in one way, so that their digits can be compared.
std::vector<tick> labelled(const std::vector<decimal>& all) {
  constexpr std::size_t longest = 7;
  std::size_t length = 0;
  for (const decimal& x : all) length = std::max(length, plain(x).size());
  std::vector<tick> made;
  made.reserve(all.size());
  for (const decimal& x : all)
    made.push_back({x.value(), length > longest ? scientific(x) : plain(x)});
  return made;
}

int exponent_of(double x) { return static_cast<int>(std::floor(std::log10(x))); }

}  // namespace

std::vector<tick> round_ticks(double low, double high, std::size_t most, steps allowed) {
  const double length = high - low;
  // Near the largest double a step further is infinite.
  const bool has_room = std::max(std::abs(low), std::abs(high)) < 1e308;
  if (!(length > 0) || !std::isfinite(length) || !has_room) {
    std::vector<tick> made{{low, number(low, 6)}};
    if (low < high) made.push_back({high, number(high, 6)});
    return made;
  }
  const double least =
      std::max(length / static_cast<double>(most), std::numeric_limits<double>::denorm_min());
  const double slack = 1e-9 * length;  // for ends that are round but for their last bits
  for (int exponent = exponent_of(least);; ++exponent) {
    for (const int mantissa : {1, 2, 5}) {
      const double step = decimal{static_cast<double>(mantissa), exponent}.value();
      const double first = std::ceil((low - slack) / step);
      const double last = std::floor((high + slack) / step);
      if (!(last - first < static_cast<double>(most))) continue;
      if (allowed == steps::whole && step < 1) continue;
      std::vector<decimal> all;
      for (double k = first; k <= last; ++k) {
        all.push_back({k * mantissa + 0.0, exponent});
        if (k + 1 == k) break;  // no integer is that exact
      }
      return labelled(all);
    }
  }
}

std::vector<tick> decade_ticks(double low, double high, std::size_t most) {
  const double slack = 1e-9;
  const int first = static_cast<int>(std::ceil(std::log10(low) - slack));
  const int last = static_cast<int>(std::floor(std::log10(high) + slack));
  std::vector<decimal> all;
  if (last - first >= 1) {
    const int step = (last - first) / static_cast<int>(most) + 1;
    for (int exponent = first; exponent <= last; exponent += step) all.push_back({1, exponent});
    return labelled(all);
  }
  for (int exponent = first - 1; exponent <= last; ++exponent) {
    for (const int mantissa : {1, 2, 5}) {
      const decimal x{static_cast<double>(mantissa), exponent};
      if (x.value() >= low * (1 - slack) && x.value() <= high * (1 + slack)) all.push_back(x);
    }
  }
  return all.size() >= 2 ? labelled(all) : round_ticks(low, high, most);
}

std::string number(double x, int digits) {
  std::array<char, 64> text;
  constexpr double most_whole = 1e7;
  if (std::abs(x) >= 1 && std::abs(x) < most_whole)
    digits = std::max(digits, exponent_of(std::abs(x)) + 1);
  const auto end =
      std::to_chars(text.begin(), text.end(), x + 0.0, std::chars_format::general, digits);
  std::string made(text.begin(), end.ptr);
  // "1e+09", "1e-05": fewer signs to read.
  if (const std::size_t e = made.find('e'); e != std::string::npos) {
    const int exponent = std::atoi(made.c_str() + e + 1);
    made = made.substr(0, e + 1) + std::to_string(exponent);
  }
  return made;
}

std::vector<std::string> edge_labels(std::span<const double> edges) {
  std::vector<std::string> made;
  for (std::size_t k = 0; k < edges.size(); ++k) {
    double width = std::numeric_limits<double>::infinity();
    const auto consider = [&](std::size_t left) {
      const double between = edges[left + 1] - edges[left];
      if (between > 0) width = std::min(width, between);
    };
    if (k > 0) consider(k - 1);
    if (k + 1 < edges.size()) consider(k);
    const bool has_width = std::isfinite(width);
    if (edges[k] == 0 || (has_width && std::abs(edges[k]) < 1e-9 * width)) {  // a computed zero
      made.emplace_back("0");
      continue;
    }
    int digits = 6;
    if (std::isfinite(edges[k]) && has_width) {
      const int decimals = static_cast<int>(std::ceil(-std::log10(width))) + 1;
      digits = std::clamp(exponent_of(std::abs(edges[k])) + 1 + decimals, 1, 17);
    }
    made.push_back(number(edges[k], digits));
  }
  return made;
}

std::string with_error(double value, double error, std::string_view plus_minus) {
  if (!std::isfinite(error) || !std::isfinite(value)) return number(value, 4);
  int digits = 4;
  if (error > 0 && value != 0) {
    digits = std::clamp(exponent_of(std::abs(value)) - exponent_of(error) + 2, 2, 12);
  }
  return number(value, digits) + " " + std::string(plus_minus) + " " + number(error, 2);
}

}  // namespace shard::mapping
