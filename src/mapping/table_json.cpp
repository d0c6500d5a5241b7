// Tables of bins in the JSON form of UHI: histogram.schema.json of scikit-hep/uhi, version 1.

#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "memory/utf8.hpp"
#include "shard/error.hpp"
#include "shard/histogram_files.hpp"
#include "shard/version.hpp"

namespace shard::detail {
namespace {

using nlohmann::ordered_json;

[[noreturn]] void refuse(const std::string& found, const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot write the histogram as JSON: found " + found + ", expected " + expected);
}

// JSON has no infinities and no NaNs.
void require_finite(std::span<const double> numbers, const std::string& what) {
  for (std::size_t k = 0; k < numbers.size(); ++k) {
    if (std::isfinite(numbers[k])) continue;
    refuse(std::isnan(numbers[k]) ? "a NaN as " + what + " " + std::to_string(k)
                                  : "an infinity as " + what + " " + std::to_string(k),
           "finite numbers");
  }
}

ordered_json from_shard(const std::string& key, const std::string& value) {
  return {{"shard", {{key, value}}}};
}

std::string version() {
  return std::to_string(SHARD_VERSION_MAJOR) + "." + std::to_string(SHARD_VERSION_MINOR) + "." +
         std::to_string(SHARD_VERSION_PATCH);
}

ordered_json categories(const bin_axis& along, std::size_t number) {
  const auto* const texts = std::get_if<std::vector<std::string>>(&along.categories);
  for (std::size_t k = 0; texts != nullptr && k < texts->size(); ++k) {
    if (memory::is_utf8((*texts)[k])) continue;
    refuse("category " + std::to_string(k) + " of axis " + std::to_string(number) +
               " with bytes that are not UTF-8",
           "UTF-8");
  }
  return {{"type", texts != nullptr ? "category_str" : "category_int"},
          {"categories",
           std::visit([](const auto& names) { return ordered_json(names); }, along.categories)},
          {"flow", along.overflow}};
}

ordered_json as_json(const bin_axis& along, std::size_t number) {
  using kind = bin_axis::kind;
  if (along.type == kind::category) return categories(along, number);
  require_finite(along.edges, "edge");
  ordered_json made;
  if (along.type == kind::variable) {
    made = {{"type", "variable"}, {"edges", along.edges}};
  } else {
    made = {{"type", "regular"},
            {"lower", along.edges.front()},
            {"upper", along.edges.back()},
            {"bins", along.size()}};
  }
  made["underflow"] = along.underflow;
  made["overflow"] = along.overflow;
  made["circular"] = along.type == kind::circular;
  if (along.type == kind::integer) made["writer_info"] = from_shard("axis", "integer");
  return made;
}

// Arrays in arrays, one level for each axis.
template <class T>
ordered_json nested(const std::vector<bin_axis>& axes, std::size_t depth, const T*& next) {
  ordered_json all = ordered_json::array();
  for (std::size_t k = 0; k < axes[depth].extent(); ++k) {
    if (depth + 1 == axes.size()) {
      all.push_back(*next++);
    } else {
      all.push_back(nested(axes, depth + 1, next));
    }
  }
  return all;
}

template <class T>
ordered_json nested(const bin_table& table, const std::vector<T>& bins, const char* what) {
  if constexpr (std::is_same_v<T, double>) require_finite(bins, std::string(what) + " of bin");
  const T* next = bins.data();
  return nested(table.axes, 0, next);
}

// The mean of nothing, and the variance of a single number, are no numbers. They are written as 0:
// what stands beside them says that they are unknown. `least`: how many numbers it takes.
std::vector<double> known(const bin_table& table, std::vector<double> all, double least) {
  for (std::size_t k = 0; k < all.size(); ++k) {
    const double weight = table.weights[k];
    const double numbers = table.squares.empty() ? weight : weight * weight / table.squares[k];
    if (std::isnan(all[k]) && !(numbers >= least)) all[k] = 0;
  }
  return all;
}

ordered_json storage(const bin_table& table) {
  using kind = bin_table::kind;
  switch (table.type) {
    case kind::count: return {{"type", "int"}, {"values", nested(table, table.counts, "count")}};
    case kind::sum: return {{"type", "double"}, {"values", nested(table, table.values, "value")}};
    case kind::weighted:
      return {{"type", "weighted"},
              {"values", nested(table, table.values, "value")},
              {"variances", nested(table, table.variances, "variance")}};
    case kind::mean:
      return {{"type", "mean"},
              {"counts", nested(table, table.weights, "weight")},
              {"values", nested(table, known(table, table.values, 0.5), "value")},
              {"variances", nested(table, known(table, table.variances, 1 + 1e-9), "variance")}};
    case kind::weighted_mean:
      return {{"type", "weighted_mean"},
              {"sum_of_weights", nested(table, table.weights, "weight")},
              {"sum_of_weights_squared", nested(table, table.squares, "square")},
              {"values", nested(table, known(table, table.values, 0.5), "value")},
              {"variances", nested(table, known(table, table.variances, 1 + 1e-9), "variance")}};
  }
  return {};
}

}  // namespace

std::string table_json(const bin_table& table) {
  check_table(table);
  ordered_json axes = ordered_json::array();
  for (std::size_t i = 0; i < table.axes.size(); ++i) axes.push_back(as_json(table.axes[i], i));
  const ordered_json whole{{"uhi_schema", 1},
                           {"writer_info", from_shard("version", version())},
                           {"axes", std::move(axes)},
                           {"storage", storage(table)}};
  return whole.dump();
}

}  // namespace shard::detail
