#include "plan/partition.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "shard/error.hpp"

namespace shard::plan {
namespace {

constexpr std::size_t target_chunks = 4096;

// Constants, never the machine's own: plans must not differ between machines.
constexpr std::size_t page_bytes = 4096;
constexpr std::array<std::size_t, 6> blocks_bytes{64, 32, 16, 8, 4, 2};  // a cache line, and less
constexpr std::size_t large_output_bytes = std::size_t{64} << 20;

// With fewer chunks than these, a few costly indices side by side could serialise a run. Alignment
// gives way before that: a line that two chunks share costs nanoseconds.
constexpr std::size_t enough_chunks = 1024;

// A constant, too: so many chunks of a space by memory fit into its budget, if single indices do.
constexpr std::size_t enough_at_a_time = 64;

std::string text(range r) {
  return "[" + std::to_string(r.first) + ", " + std::to_string(r.last) + ")";
}

[[noreturn]] void refuse(const std::string& what) {
  throw error(std::errc::invalid_argument, "cannot plan the map: " + what);
}

void check(range all) {
  if (all.last < all.first) refuse("found the range " + text(all) + ", expected first <= last");
}

constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return a / b + (a % b != 0); }

// Indices in the smallest run whose bytes are a multiple of `block` in every output. `block` is a
// power of two, so the largest of the outputs' runs is a multiple of the others.
std::size_t aligned_run(std::span<const std::size_t> row_bytes, std::size_t block) {
  std::size_t run = 1;
  for (const std::size_t bytes : row_bytes) {
    if (bytes != 0) run = std::max(run, block / std::gcd(block, bytes));
  }
  return run;
}

}  // namespace

partition::partition(range all, std::vector<range> parts)
    : all_(all), chunks_(parts.size()), parts_(std::move(parts)) {
  for (const range part : parts_) {
    indices_ += part.size();
    has_empty_ |= part.empty();
  }
}

partition partition::uniform(range all, std::size_t grain) {
  check(all);
  if (grain == 0) refuse("found grain 0, expected a grain of at least 1");
  partition cut(all, {});
  cut.grain_ = grain;
  cut.chunks_ = ceil_div(all.size(), grain);
  cut.indices_ = all.size();
  return cut;
}

partition partition::listed(const chunk_list& list) {
  check(list.all);
  std::size_t border = list.all.first;
  for (std::size_t k = 0; k < list.parts.size(); ++k) {
    const range part = list.parts[k];
    const std::string name =
        "found chunk " + std::to_string(k) + " = " + text(part) + ", expected ";
    if (part.last < part.first) refuse(name + "first <= last");
    if (part.last > list.all.last) refuse(name + "it inside " + text(list.all));
    if (part.first < border)
      refuse(name + "it to begin at " + std::to_string(border) + " or later");
    border = part.last;
  }
  return {list.all, std::vector<range>(list.parts.begin(), list.parts.end())};
}

partition partition::balanced(const weighted& items) {
  check(items.all);
  const std::span<const double> cost = items.cost;
  if (cost.size() != items.all.size()) {
    refuse("found " + std::to_string(cost.size()) + " costs for " +
           std::to_string(items.all.size()) + " indices, expected one for each");
  }
  double total = 0;
  for (std::size_t k = 0; k < cost.size(); ++k) {
    if (!(cost[k] >= 0) || !std::isfinite(cost[k])) {
      refuse("found cost[" + std::to_string(k) + "] = " + std::to_string(cost[k]) +
             ", expected a finite cost that is not negative");
    }
    total += cost[k];
  }
  if (!std::isfinite(total)) refuse("found costs whose total overflows, expected a finite total");
  // A chunk ends with the item that takes the running total to the next multiple of an equal share:
  // no border is further from its ideal place than one item.
  std::vector<range> parts;
  const auto wanted = static_cast<double>(std::min(target_chunks, cost.size()));
  double sum = 0;
  double shares_passed = 0;
  std::size_t begin = 0;
  for (std::size_t k = 0; k < cost.size(); ++k) {
    sum += total == 0 ? 1 : cost[k];
    const double shares =
        std::floor(sum / (total == 0 ? static_cast<double>(cost.size()) : total) * wanted);
    if (shares == shares_passed && k + 1 != cost.size()) continue;
    parts.push_back({items.all.first + begin, items.all.first + k + 1});
    begin = k + 1;
    shares_passed = shares;
  }
  return {items.all, std::move(parts)};
}

partition partition::within(const by_memory& need) {
  check(need.all);
  if (need.index_bytes == 0) refuse("found index_bytes 0, expected at least 1");
  if (need.index_bytes > need.budget_bytes) {
    refuse("found an index that needs " + std::to_string(need.index_bytes) +
           " bytes (index_bytes), expected at most the budget of " +
           std::to_string(need.budget_bytes) + " bytes (budget_bytes)");
  }
  return uniform(need.all, grain_within(need));
}

partition partition::interleaved(const strided& by) {
  check(by.all);
  if (by.stride == 0) refuse("found stride 0, expected a stride of at least 1");
  partition cut(by.all, {});
  cut.stride_ = by.stride;
  cut.chunks_ = cut.order().chunks();
  cut.indices_ = by.all.size();
  return cut;
}

partition::extent partition::extent_of(range places) const noexcept {
  if (stride_ == 0 || places.empty()) return {places};
  const std::size_t first = order().index_at(places.first);
  const std::size_t last = first + (places.size() - 1) * stride_ + 1;
  return {{first, last}, places.size() == 1 ? 1 : stride_};
}

std::size_t grain_within(const by_memory& need) noexcept {
  const std::size_t fitting = need.budget_bytes / need.index_bytes / enough_at_a_time;
  const std::size_t even = ceil_div(need.all.size(), target_chunks);
  return std::max<std::size_t>(1, std::min(fitting, even));
}

std::size_t chunks_at_a_time(const by_memory& need) noexcept {
  return need.budget_bytes / (grain_within(need) * need.index_bytes);
}

std::size_t default_grain(std::size_t indices, std::span<const std::size_t> row_bytes) noexcept {
  if (1 < indices && indices <= enough_chunks) return 1;  // each is a chunk of its own
  const std::size_t even = std::max<std::size_t>(1, ceil_div(indices, target_chunks));
  const bool large = std::ranges::any_of(row_bytes, [&](std::size_t bytes) {
    return bytes != 0 && indices >= large_output_bytes / bytes;
  });
  std::size_t grain = even;
  const auto aligns_to = [&](std::size_t block) {
    const std::size_t run = aligned_run(row_bytes, block);
    grain = ceil_div(even, run) * run;
    return ceil_div(indices, grain) >= std::min(indices, enough_chunks);
  };
  if ((large && aligns_to(page_bytes)) || std::ranges::any_of(blocks_bytes, aligns_to))
    return grain;
  return even;
}

}  // namespace shard::plan
