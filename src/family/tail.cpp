#include "family/tail.hpp"

#include <algorithm>

namespace shard::family {

void tail::clear() noexcept {
  length_.store(0, std::memory_order_relaxed);
  begin_.store(0, std::memory_order_relaxed);
}

void tail::append(std::string_view text) noexcept {
  const std::uint64_t before = length_.load(std::memory_order_relaxed);
  const std::size_t skipped = text.size() > capacity ? text.size() - capacity : 0;
  for (std::size_t k = skipped; k < text.size(); ++k) {
    text_[(before + k) % capacity].store(text[k], std::memory_order_relaxed);
  }
  // Release: pairs with the acquires in copy() and length().
  length_.store(before + text.size(), std::memory_order_release);
}

std::size_t tail::copy(std::span<char> out) const noexcept {
  const std::uint64_t end = length_.load(std::memory_order_acquire);
  const std::uint64_t begin = begin_.load(std::memory_order_relaxed);
  const std::size_t kept = std::min<std::uint64_t>(end - std::min(begin, end), capacity);
  for (std::size_t k = 0; k < kept; ++k) {
    out[k] = text_[(end - kept + k) % capacity].load(std::memory_order_relaxed);
  }
  if (end - std::min(begin, end) <= capacity) return kept;
  const auto all = out.first(kept);
  const auto first_end = std::ranges::find(all, '\n');
  if (first_end == all.end() || first_end + 1 == all.end()) return kept;
  return static_cast<std::size_t>(std::copy(first_end + 1, all.end(), all.begin()) - all.begin());
}

}  // namespace shard::family
