// Index ranges. A map runs over a range; each chunk of the map is a range, too.
#pragma once

#include <compare>
#include <cstddef>
#include <iterator>

namespace shard {

// The indices first, first + 1, …, last - 1. Requires: first <= last. map throws shard::error
// otherwise.
struct range {
  class iterator;

  std::size_t first = 0;
  std::size_t last = 0;

  constexpr iterator begin() const noexcept;
  constexpr iterator end() const noexcept;
  constexpr std::size_t size() const noexcept { return last - first; }
  constexpr bool empty() const noexcept { return first == last; }
  constexpr bool contains(std::size_t i) const noexcept { return first <= i && i < last; }
  constexpr std::size_t operator[](std::size_t k) const noexcept { return first + k; }

  friend constexpr bool operator==(const range&, const range&) = default;
};

// A rectangle of a two-dimensional index space.
struct tile {
  range rows;
  range cols;

  friend constexpr bool operator==(const tile&, const tile&) = default;
};

// A random access iterator that counts. *it is a plain value, not a reference.
class range::iterator {
 public:
  using iterator_concept = std::random_access_iterator_tag;
  using iterator_category =
      std::input_iterator_tag;  // by C++17's rules, since *it is not a reference
  using value_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = std::size_t;

  constexpr iterator() noexcept = default;
  explicit constexpr iterator(std::size_t index) noexcept : index_(index) {}

  constexpr std::size_t operator*() const noexcept { return index_; }
  constexpr std::size_t operator[](difference_type k) const noexcept { return *(*this + k); }

  constexpr iterator& operator++() noexcept { return ++index_, *this; }
  constexpr iterator& operator--() noexcept { return --index_, *this; }
  constexpr iterator operator++(int) noexcept { return iterator(index_++); }
  constexpr iterator operator--(int) noexcept { return iterator(index_--); }
  constexpr iterator& operator+=(difference_type k) noexcept {
    return index_ += static_cast<std::size_t>(k), *this;
  }
  constexpr iterator& operator-=(difference_type k) noexcept {
    return index_ -= static_cast<std::size_t>(k), *this;
  }

  friend constexpr iterator operator+(iterator it, difference_type k) noexcept { return it += k; }
  friend constexpr iterator operator+(difference_type k, iterator it) noexcept { return it += k; }
  friend constexpr iterator operator-(iterator it, difference_type k) noexcept { return it -= k; }
  friend constexpr difference_type operator-(iterator a, iterator b) noexcept {
    return static_cast<difference_type>(a.index_ - b.index_);
  }
  // Not defaulted: g++ 12 assumes that a defaulted operator ends a loop every second time, and lays
  // the loop out for that. Loops over data in the first-level cache were up to twice as slow.
  friend constexpr bool operator==(iterator a, iterator b) noexcept { return a.index_ == b.index_; }
  friend constexpr auto operator<=>(iterator a, iterator b) noexcept {
    return a.index_ <=> b.index_;
  }

 private:
  std::size_t index_ = 0;
};

constexpr range::iterator range::begin() const noexcept { return iterator(first); }
constexpr range::iterator range::end() const noexcept { return iterator(last); }

}  // namespace shard
