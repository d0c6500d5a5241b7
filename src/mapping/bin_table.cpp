#include "shard/bin_table.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "shard/error.hpp"

namespace shard {

std::size_t bin_axis::size() const noexcept {
  if (type != kind::category) return edges.empty() ? 0 : edges.size() - 1;
  return std::visit([](const auto& names) { return names.size(); }, categories);
}

std::size_t bin_table::size() const noexcept {
  std::size_t bins = 1;
  for (const bin_axis& along : axes) bins *= along.extent();
  return bins;
}

double bin_table::value(std::size_t bin) const noexcept {
  return type == kind::count ? static_cast<double>(counts[bin]) : values[bin];
}

double bin_table::error(std::size_t bin) const noexcept {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  switch (type) {
    case kind::count:
      return counts[bin] < 0 ? unknown : std::sqrt(static_cast<double>(counts[bin]));
    case kind::weighted: return std::sqrt(variances[bin]);
    case kind::mean: return weights[bin] > 1 ? std::sqrt(variances[bin] / weights[bin]) : unknown;
    case kind::weighted_mean: {
      const double effective = weights[bin] * weights[bin] / squares[bin];
      return effective > 1 ? std::sqrt(variances[bin] / effective) : unknown;
    }
    case kind::sum: break;
  }
  return unknown;
}

namespace detail {
namespace {

void check_size(const char* of, std::size_t found, bool needed, std::size_t bins) {
  if (found == (needed ? bins : 0)) return;
  throw error(std::errc::invalid_argument, "cannot use the table of bins: found " +
                                               std::to_string(found) + " " + of + ", expected " +
                                               std::to_string(needed ? bins : 0));
}

}  // namespace

void check_table(const bin_table& table) {
  using kind = bin_table::kind;
  if (table.axes.empty()) {
    throw error(std::errc::invalid_argument,
                "cannot use the table of bins: found no axis, expected one at least");
  }
  for (std::size_t i = 0; i < table.axes.size(); ++i) {
    const bin_axis& along = table.axes[i];
    bool ascends = along.size() > 0;
    for (std::size_t k = 1; k < along.edges.size(); ++k)
      ascends = ascends && along.edges[k - 1] <= along.edges[k];
    if (ascends) continue;
    throw error(std::errc::invalid_argument,
                "cannot use the table of bins: found axis " + std::to_string(i) +
                    " without bins, or with edges that descend, expected ascending ones");
  }
  const kind type = table.type;
  std::vector<std::size_t> extents;
  for (const bin_axis& along : table.axes) extents.push_back(along.extent());
  const std::size_t bins = count_bins(extents, 1, std::numeric_limits<std::size_t>::max());
  const bool mean = type == kind::mean || type == kind::weighted_mean;
  check_size("counts", table.counts.size(), type == kind::count, bins);
  check_size("values", table.values.size(), type != kind::count, bins);
  check_size("variances", table.variances.size(), mean || type == kind::weighted, bins);
  check_size("weights", table.weights.size(), mean, bins);
  check_size("squares", table.squares.size(), type == kind::weighted_mean, bins);
}

}  // namespace detail

}  // namespace shard
