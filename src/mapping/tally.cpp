#include "shard/detail/tally.hpp"

#include <algorithm>
#include <limits>

namespace shard::detail {

namespace {

// A table of this size and more is not in the near caches: to wait for a bin takes longer than to
// ask for it ahead.
constexpr std::size_t far_bytes = std::size_t{256} << 10;
constexpr std::size_t ahead = 24;

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
  const std::size_t count = places.size();
  const std::uint32_t* const at = places.data();
  std::size_t i = 0;
  if (copied_) {
    for (; i + copies <= count; i += copies) {
      ++copies_[0][at[i]];
      ++copies_[1][at[i + 1]];
      ++copies_[2][at[i + 2]];
      ++copies_[3][at[i + 3]];
    }
    for (; i < count; ++i) ++copies_[0][at[i]];
    return;
  }
  // Without signs: counts wrap around.
  auto* const bins = reinterpret_cast<std::uint64_t*>(bins_.data());
  if (bins_.size_bytes() >= far_bytes) {
    for (; i + ahead < count; ++i) {
      __builtin_prefetch(bins + at[i + ahead], 1);
      ++bins[at[i]];
    }
  }
  for (; i < count; ++i) ++bins[at[i]];
}

}  // namespace shard::detail
