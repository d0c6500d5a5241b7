#include "shard/detail/tally.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "mapping/count_each.hpp"

namespace shard::detail {

namespace {

// A table of this size and more is in no near cache: bins are asked for so many values ahead.
constexpr std::size_t far_bytes = std::size_t{4} << 20;
constexpr std::size_t ahead = 48;

using mapping::count_each;

}  // namespace

tally::tally(std::span<std::int64_t> bins, std::size_t values) noexcept
    : bins_(bins),
      // Copies are cleared and merged for each call.
      copied_(bins.size() <= most_copied && values / 4 >= bins.size() &&
              values <= std::numeric_limits<std::uint32_t>::max()) {
  if (!copied_) return;
  for (auto& copy : copies_) std::fill_n(copy, bins_.size(), 0u);
}

tally::~tally() {
  if (!copied_) return;
  for (std::size_t k = 0; k < bins_.size(); ++k) {
    std::uint64_t all = static_cast<std::uint64_t>(bins_[k]);
    for (const auto& copy : copies_) all += copy[k];
    bins_[k] = static_cast<std::int64_t>(all);
  }
}

void tally::add(std::span<const std::uint32_t> places) noexcept {
  if (copied_) {
    count_each(places, [this](std::uint32_t place, std::size_t copy, std::uint32_t times) {
      copies_[copy][place] += times;
    });
    return;
  }
  // Without signs: counts wrap around.
  auto* const bins = reinterpret_cast<std::uint64_t*>(bins_.data());
  const auto add_to_bins = [bins](std::uint32_t place, std::size_t, std::uint32_t times) {
    bins[place] += times;
  };
  std::size_t i = 0;
  if (bins_.size_bytes() >= far_bytes) {
    constexpr std::size_t step = 16;
    for (; i + ahead + step <= places.size(); i += step) {
      for (std::size_t k = 0; k < step; ++k) __builtin_prefetch(bins + places[i + ahead + k], 1);
      count_each(places.subspan(i, step), add_to_bins);
    }
  }
  count_each(places.subspan(i), add_to_bins);
}

}  // namespace shard::detail
