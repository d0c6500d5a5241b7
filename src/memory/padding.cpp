#include "memory/padding.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace shard::memory {
namespace {

using detail::gap;

constexpr std::size_t widest_store = 8;
constexpr std::size_t most_stores = 4;  // for a gap; a longer one is filled by memset

// As few stores as cover a gap. They overlap where its length is no power of two.
void add_stores(std::vector<gap>& to, const gap& of) {
  if (of.kept != std::byte{0} || of.bytes > most_stores * widest_store) {
    to.push_back(of);
    return;
  }
  std::size_t width = widest_store;
  while (width > of.bytes) width /= 2;
  for (std::size_t at = 0; at < of.bytes; at += width) {
    to.push_back({of.offset + std::min(at, of.bytes - width), width, {}});
  }
}

template <class Word>
void store_zeros(std::byte* at, std::size_t count, std::size_t stride) noexcept {
  constexpr Word zero = 0;
  for (; count != 0; --count, at += stride) std::memcpy(at, &zero, sizeof zero);
}

void store(const gap& zeros, std::byte* first, std::size_t count, std::size_t stride) noexcept {
  std::byte* at = first + zeros.offset;
  if (zeros.kept != std::byte{0}) {
    for (; count != 0; --count, at += stride) *at &= zeros.kept;
    return;
  }
  switch (zeros.bytes) {
    case 1: return store_zeros<std::uint8_t>(at, count, stride);
    case 2: return store_zeros<std::uint16_t>(at, count, stride);
    case 4: return store_zeros<std::uint32_t>(at, count, stride);
    case 8: return store_zeros<std::uint64_t>(at, count, stride);
    default:
      for (; count != 0; --count, at += stride) std::memset(at, 0, zeros.bytes);
  }
}

}  // namespace

padding::padding(const detail::element_type& of)
    : element_bytes_(std::max<std::size_t>(of.size_bytes, 1)) {
  for (const gap& each : of.gaps) add_stores(stores_, each);
}

void padding::clear(std::byte* first, std::size_t elements) const noexcept {
  // One store for many elements, then the next: each is a loop of its own without a branch. Not for
  // more at a time than the nearest cache holds.
  constexpr std::size_t near_bytes = std::size_t{16} << 10;
  const std::size_t most = std::max<std::size_t>(near_bytes / element_bytes_, 1);
  while (elements != 0) {
    const std::size_t count = std::min(elements, most);
    for (const gap& each : stores_) store(each, first, count, element_bytes_);
    first += count * element_bytes_;
    elements -= count;
  }
}

clean_copies::clean_copies(const padding& of, std::size_t element_bytes, std::size_t elements,
                           std::size_t block_bytes)
    : padding_(of),
      element_bytes_(element_bytes),
      block_(std::min(elements, std::max<std::size_t>(block_bytes / element_bytes, 1)) *
             element_bytes) {}

std::span<const std::byte> clean_copies::copied(const std::byte* from, std::size_t bytes) {
  std::memcpy(block_.data(), from, bytes);
  padding_.clear({block_.data(), bytes});
  return {block_.data(), bytes};
}

}  // namespace shard::memory
