#include "airport_index.hpp"

#include <array>
#include <atomic>
#include <string_view>

namespace flights {

namespace {

airport_code code_of(std::uint32_t key) {
  const std::array<char, 3> bytes{static_cast<char>(key >> 16), static_cast<char>(key >> 8),
                                  static_cast<char>(key)};
  return airport_code(std::string_view(bytes.data(), bytes.size()));
}

}  // namespace

airport_index::airport_index(std::span<const std::uint32_t> bitmap) {
  blocks_.reserve(bitmap.size());
  for (const std::uint32_t bits : bitmap) {
    blocks_.push_back({bits, static_cast<std::uint32_t>(size_)});
    size_ += static_cast<std::size_t>(std::popcount(bits));
  }
}

std::vector<airport_code> airport_index::codes() const {
  std::vector<airport_code> found;
  found.reserve(size_);
  for (std::uint32_t word = 0; word < blocks_.size(); ++word) {
    for (std::uint32_t bits = blocks_[word].bits; bits != 0; bits &= bits - 1)
      found.push_back(code_of(word * 32 + static_cast<std::uint32_t>(std::countr_zero(bits))));
  }
  return found;
}

airport_index index_airports(const shard::buffer<const airport_code>& column, journal& log) {
  shard::buffer<std::uint32_t> bitmap(airport_index::words);
  // Every chunk may set any bit. A chunk that is retried sets the same bits again, so that
  // at-least-once, which is what shared() promises, is enough.
  log.add(shard::map(log.stage("finding airports"), shard::range{0, column.size()},
                     shard::in(column), shard::shared(bitmap),
                     [](shard::range chunk, shard::view<airport_code> code,
                        shard::shared_view<std::uint32_t> occurs) {
                       for (const std::size_t i : chunk) {
                         const std::uint32_t key = airport_index::key(code[i]);
                         const std::uint32_t bit = 1u << key % 32;
                         // Relaxed, since the bits are read only when the map is over. Asking first
                         // leaves the line shared by all workers once the bit is there.
                         if ((occurs.load(key / 32, std::memory_order_relaxed) & bit) == 0)
                           occurs.fetch_or(key / 32, bit, std::memory_order_relaxed);
                       }
                     }));
  return airport_index(bitmap.span());
}

}  // namespace flights
