#include "mapping/rebinned.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace shard::mapping {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

std::string text_of(const std::string& name) { return name; }
template <class T>
std::string text_of(T name) {
  return std::to_string(name);
}

std::vector<std::string> joined_names(const bin_axis& along, std::size_t group) {
  return std::visit(
      [&](const auto& names) {
        std::vector<std::string> made;
        for (std::size_t k = 0; k < names.size(); k += group) {
          const std::size_t last = std::min(k + group, names.size()) - 1;
          made.push_back(text_of(names[k]));
          if (last > k) made.back() += " .. " + text_of(names[last]);
        }
        return made;
      },
      along.categories);
}

bin_axis rebinned(const bin_axis& along, std::size_t group) {
  if (group == 1) return along;
  bin_axis made = along;
  if (along.type == bin_axis::kind::category) {
    made.categories = joined_names(along, group);
    return made;
  }
  made.edges.clear();
  for (std::size_t k = 0; k < along.size(); k += group) made.edges.push_back(along.edges[k]);
  made.edges.push_back(along.edges.back());
  if (along.type != bin_axis::kind::integer) made.type = bin_axis::kind::variable;
  return made;
}

// What a mean takes from n numbers: deviations are divided by it.
double divisor(double weight, double square, bool weighted) {
  if (!weighted) return weight - 1;
  return weight != 0 ? weight - square / weight : 0;
}

// Adds bin `from` of one table to bin `to` of another. Means and variances as of all numbers
// together (Chan, Golub and LeVeque, 1979).
void add(const bin_table& table, std::size_t from, bin_table& made, std::size_t to) {
  using kind = bin_table::kind;
  switch (table.type) {
    case kind::count:  // as bins do: they wrap around
      made.counts[to] = static_cast<std::int64_t>(static_cast<std::uint64_t>(made.counts[to]) +
                                                  static_cast<std::uint64_t>(table.counts[from]));
      return;
    case kind::weighted: made.variances[to] += table.variances[from]; [[fallthrough]];
    case kind::sum: made.values[to] += table.values[from]; return;
    case kind::mean:
    case kind::weighted_mean: break;
  }
  const bool weighted = table.type == kind::weighted_mean;
  const double n = table.weights[from];
  if (n == 0) return;
  const auto deviations = [&](const bin_table& of, std::size_t bin) {
    const double by = divisor(of.weights[bin], weighted ? of.squares[bin] : 0, weighted);
    return by > 0 ? of.variances[bin] * by : 0;
  };
  const double before = made.weights[to];
  const double difference = before == 0 ? 0 : table.values[from] - made.values[to];
  const double sum = deviations(made, to) + deviations(table, from) +
                     difference * difference * before * n / (before + n);
  made.values[to] =
      before == 0 ? table.values[from] : made.values[to] + difference * n / (before + n);
  made.weights[to] += n;
  if (weighted) made.squares[to] += table.squares[from];
  const double by = divisor(made.weights[to], weighted ? made.squares[to] : 0, weighted);
  made.variances[to] = by > 0 ? sum / by : unknown;
}

}  // namespace

std::size_t bins_together(std::size_t bins, std::size_t most) {
  const std::size_t least = bins / most + (bins % most != 0 ? 1 : 0);
  for (std::size_t group = least; group < 2 * least; ++group)
    if (bins % group == 0) return group;
  return least;
}

bin_table rebinned(const bin_table& from, std::span<const std::size_t> groups) {
  if (std::ranges::count(groups, std::size_t{1}) == std::ssize(groups)) return from;
  bin_table made;
  made.type = from.type;
  // For each axis, where the bins of `from` go.
  std::vector<std::vector<std::size_t>> moves;
  for (std::size_t i = 0; i < from.axes.size(); ++i) {
    const bin_axis& along = from.axes[i];
    made.axes.push_back(rebinned(along, groups[i]));
    std::vector<std::size_t> to;
    const std::size_t first = along.underflow ? 1 : 0;
    if (along.underflow) to.push_back(0);
    for (std::size_t k = 0; k < along.size(); ++k) to.push_back(first + k / groups[i]);
    if (along.overflow) to.push_back(first + made.axes[i].size());
    moves.push_back(std::move(to));
  }
  const std::size_t bins = made.size();
  const auto like = [&](auto& vector, const auto& old) { vector.resize(old.empty() ? 0 : bins); };
  like(made.counts, from.counts);
  like(made.values, from.values);
  like(made.variances, from.variances);
  like(made.weights, from.weights);
  like(made.squares, from.squares);

  for (std::size_t bin = 0; bin < from.size(); ++bin) {
    std::size_t left = bin;
    std::size_t to = 0;
    std::size_t stride = 1;
    for (std::size_t i = from.axes.size(); i-- > 0;) {
      to += stride * moves[i][left % moves[i].size()];
      left /= moves[i].size();
      stride *= made.axes[i].extent();
    }
    add(from, bin, made, to);
  }
  return made;
}

}  // namespace shard::mapping
