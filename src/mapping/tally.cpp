#include "shard/detail/tally.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace shard::detail {

namespace {

// A table of this size and more is in no near cache: bins are asked for so many values ahead.
constexpr std::size_t far_bytes = std::size_t{4} << 20;
constexpr std::size_t ahead = 48;

// Two neighbours as one word.
std::uint64_t pair_at(const std::uint32_t* at) noexcept {
  std::uint64_t both;
  std::memcpy(&both, at, sizeof both);
  return both;
}

// Calls add(place, copy, times), four places at a time. Equal ones are counted before they are
// added: for each addition to a bin, a processor waits until the last one is written.
template <class Add>
void count_each(std::span<const std::uint32_t> places, Add add) noexcept {
  const std::uint32_t* at = places.data();
  const std::uint32_t* const end = at + places.size();
  while (end - at >= 4) {
    const std::uint64_t first = pair_at(at);
    const std::uint64_t second = pair_at(at + 2);
    if (first == second && at[0] == at[1]) {
      const std::uint32_t* const begin = at;
      do {
        at += 4;
      } while (end - at >= 4 && pair_at(at) == first && pair_at(at + 2) == first);
      add(*begin, 0, static_cast<std::uint32_t>(at - begin));
      continue;
    }
    add(at[0], 0, 1);
    add(at[1], 1, 1);
    add(at[2], 2, 1);
    add(at[3], 3, 1);
    at += 4;
  }
  for (; at != end; ++at) add(*at, 0, 1);
}

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
