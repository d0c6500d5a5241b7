// Reductions that find where something is: argmin, argmax, top_k.
//
//   shard::top_k<float> best(20);
//   shard::map(shard::range{0, n}, shard::in(x), shard::reduce(best),
//              [](shard::range all, auto x, auto& best) { best.add(x.span(all), all.first); });
//   for (auto [value, index] : best.entries()) …
//
// All are commutative: each worker has one state. No order of merging can change a bit, since the
// order of what is offered is total: by value, then by index. NaNs are ignored. -0.0 counts as
// smaller than +0.0. For a program that is compiled with -ffast-math, all zeros and subnormal
// numbers are equal.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/detail/fetch.hpp"
#include "shard/detail/packing.hpp"
#include "shard/reduce.hpp"

namespace shard {

// A value, and the index that it was offered with.
template <class T>
struct ranked {
  T value;
  std::size_t index;
  friend bool operator==(const ranked& a, const ranked& b) noexcept {
    return detail::same_number(a.value, b.value) && a.index == b.index;
  }
};

namespace detail {

// Whether a comes before b: by value; of equal ones, by index.
template <side First, class T>
bool ranks_before(const ranked<T>& a, const ranked<T>& b) noexcept {
  if (before<First>(a.value, b.value)) return true;
  return !before<First>(b.value, a.value) && a.index < b.index;
}

// By the bits: a program that is compiled with -ffast-math knows no NaNs.
template <class T>
bool is_number(T x) noexcept {
  if constexpr (std::is_same_v<T, double>) {
    return (std::bit_cast<std::uint64_t>(x) & ~(std::uint64_t{1} << 63)) <= 0x7ff0'0000'0000'0000;
  } else if constexpr (std::is_same_v<T, float>) {
    return (std::bit_cast<std::uint32_t>(x) & ~(std::uint32_t{1} << 31)) <= 0x7f80'0000;
  } else if constexpr (std::is_floating_point_v<T>) {
    return !std::isnan(x);
  } else {
    return true;
  }
}

// What argmin and argmax have in common.
template <class T, side Which>
class extreme_place : public adds_by_accumulator {
  static_assert(std::is_arithmetic_v<T>, "shard: argmin<T> and argmax<T> compare numbers");

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;
  static constexpr bool in_place = false;

  // Whether nothing was offered, or only NaNs.
  bool empty() const noexcept { return !best_.found; }
  // Both throw shard::error if empty().
  T value() const { return checked().value; }
  std::size_t index() const { return checked().index; }
  friend bool operator==(const extreme_place& a, const extreme_place& b) noexcept {
    return a.best_.found == b.best_.found && a.best_.place == b.best_.place;
  }

  // A state is the value's bytes, then the index's, then one that says whether there is a value.
  std::size_t state_bytes() const noexcept { return sizeof(T) + sizeof(std::size_t) + 1; }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part) noexcept;

 private:
  struct candidate {
    void offer(const ranked<T>& x) noexcept {
      if (!is_number(x.value) || (found && !ranks_before<Which>(x, place))) return;
      place = x;
      found = true;
    }
    ranked<T> place{};
    bool found = false;
  };

  const ranked<T>& checked() const {
    if (empty()) refuse_no_value(Which == side::lowest);
    return best_.place;
  }

  candidate best_;
};

template <class T, side Which>
class extreme_place<T, Which>::accumulator {
 public:
  accumulator(const extreme_place&, const std::byte* state) noexcept {
    std::memcpy(&best_.place.value, state, sizeof(T));
    std::memcpy(&best_.place.index, state + sizeof(T), sizeof(std::size_t));
    best_.found = state[sizeof(T) + sizeof(std::size_t)] != std::byte{0};
  }
  accumulator(const accumulator&) = delete;  // take it by reference: auto& smallest
  accumulator& operator=(const accumulator&) = delete;

  // Doesn't compile if x would be narrowed.
  template <class X>
  void operator()(X x, std::size_t index) noexcept {
    if constexpr (check_offered<X, T>()) best_.offer({static_cast<T>(x), index});
  }
  // values[k] is offered with the index first + k.
  void add(std::span<const T> values, std::size_t first) noexcept {
    for (std::size_t k = 0; k < values.size(); ++k) best_.offer({values[k], first + k});
  }

  void store(std::byte* state) const noexcept {
    std::memcpy(state, &best_.place.value, sizeof(T));
    std::memcpy(state + sizeof(T), &best_.place.index, sizeof(std::size_t));
    state[sizeof(T) + sizeof(std::size_t)] = std::byte{best_.found};
  }

 private:
  friend extreme_place;
  candidate best_;
};

template <class T, side Which>
void extreme_place<T, Which>::merge(const accumulator& part) noexcept {
  if (part.best_.found) best_.offer(part.best_.place);
}

[[noreturn]] void refuse_top_of_none();
[[noreturn]] void refuse_top_of_too_many(std::size_t k, std::size_t most);

}  // namespace detail

// The smallest of the values that a map offers, and where it is: smallest(x, i). Of equal values,
// the one with the lowest index.
template <class T>
class argmin : public detail::extreme_place<T, detail::side::lowest> {};

// The largest one. Of equal values, the one with the lowest index.
template <class T>
class argmax : public detail::extreme_place<T, detail::side::highest> {};

// The k largest of the values that a map offers, best first: best(x, i). Of equal values, the one
// with the lowest index comes first. A worker keeps up to 2 k candidates, and drops half of them
// when it has so many (Floyd and Rivest, "Expected time bounds for selection", 1975, is how the
// standard library selects).
template <class T>
class top_k : public detail::adds_by_accumulator {
  static_assert(std::is_arithmetic_v<T>, "shard: top_k<T> compares numbers");

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;

  // Throws shard::error if k is 0, or more than fits into memory.
  explicit top_k(std::size_t k) : k_(k) {
    if (k == 0) detail::refuse_top_of_none();
    if (k > most) detail::refuse_top_of_too_many(k, most);
  }

  // The best first. Fewer than k, if fewer were offered that are numbers.
  std::span<const ranked<T>> entries() const noexcept { return best_; }
  std::size_t k() const noexcept { return k_; }
  friend bool operator==(const top_k& a, const top_k& b) noexcept {
    return a.k_ == b.k_ && a.best_ == b.best_;
  }

  std::size_t state_bytes() const noexcept {
    return accumulator::header_bytes + 2 * k_ * sizeof(ranked<T>);
  }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part);

  // How many there are to be: all that an accumulator needs. Not for users.
  void pack(detail::packer& to) const { to.put(k_); }
  static top_k unpack(detail::unpacker& from) { return top_k(from.get<std::size_t>()); }

 private:
  static constexpr std::size_t most = (std::size_t{1} << 40) / sizeof(ranked<T>);

  std::size_t k_;
  std::vector<ranked<T>> best_;  // in their order
};

// A state is how many candidates there are, how often some were dropped, and the candidates. Once
// some were dropped, candidate k - 1 is the last one that can still be among the best.
template <class T>
class top_k<T>::accumulator {
 public:
  static constexpr std::size_t header_bytes = 16;

  accumulator(const top_k& of, std::byte* state) noexcept
      : k_(of.k_),
        header_(reinterpret_cast<header*>(state)),
        candidates_(reinterpret_cast<ranked<T>*>(state + header_bytes)),
        floor_(header_->drops == 0 ? lowest() : candidates_[k_ - 1].value) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& best
  accumulator& operator=(const accumulator&) = delete;

  // Doesn't compile if x would be narrowed.
  template <class X>
  void operator()(X x, std::size_t index) noexcept {
    if constexpr (detail::check_offered<X, T>()) offer({static_cast<T>(x), index});
  }
  // values[k] is offered with the index first + k. Faster than one by one: most blocks of values
  // have none that is good enough.
  void add(std::span<const T> values, std::size_t first) noexcept;

  void store(std::byte*) const noexcept {}  // the candidates are in the state already

 private:
  friend top_k;
  struct header {
    std::uint64_t count;
    std::uint64_t drops;
  };
  static_assert(sizeof(header) == header_bytes);

  static bool better(const ranked<T>& a, const ranked<T>& b) noexcept {
    return detail::ranks_before<detail::side::highest>(a, b);
  }
  static constexpr T lowest() noexcept {
    using limits = std::numeric_limits<T>;
    return limits::has_infinity ? -limits::infinity() : limits::lowest();
  }
  static T largest_of(std::span<const T> values) noexcept;
  void offer(const ranked<T>& x) noexcept {
    if (x.value >= floor_) keep(x);  // a NaN isn't
  }
  void keep(const ranked<T>& x) noexcept;
  std::span<ranked<T>> candidates() const noexcept { return {candidates_, header_->count}; }

  std::size_t k_;
  header* header_;
  ranked<T>* candidates_;
  T floor_;  // what is below it is not among the best
};

template <class T>
void top_k<T>::accumulator::keep(const ranked<T>& x) noexcept {
  if (!detail::is_number(x.value)) return;
  if (header_->drops != 0 && !better(x, candidates_[k_ - 1])) return;
  candidates_[header_->count++] = x;
  if (header_->count < 2 * k_) return;
  std::nth_element(candidates_, candidates_ + (k_ - 1), candidates_ + 2 * k_, better);
  header_->count = k_;
  ++header_->drops;
  floor_ = candidates_[k_ - 1].value;
}

// In lanes, for vector registers. NaNs are left out.
template <class T>
T top_k<T>::accumulator::largest_of(std::span<const T> values) noexcept {
  constexpr std::size_t width = 64 / sizeof(T) > 0 ? 64 / sizeof(T) : 1;
  constexpr std::size_t ahead_bytes = 8192;  // while a block's lanes are joined, nothing is read
  std::array<T, width> lanes;
  lanes.fill(lowest());
  std::size_t i = 0;
  for (; i + width <= values.size(); i += width) {
    detail::fetch_later(values.data() + i, ahead_bytes);
    for (std::size_t k = 0; k < width; ++k) {
      const T x = values[i + k];
      lanes[k] = x > lanes[k] ? x : lanes[k];
    }
  }
  T largest = lowest();
  for (; i < values.size(); ++i) largest = values[i] > largest ? values[i] : largest;
  for (const T each : lanes) largest = each > largest ? each : largest;
  return largest;
}

template <class T>
void top_k<T>::accumulator::add(std::span<const T> values, std::size_t first) noexcept {
  constexpr std::size_t block = 256;
  for (std::size_t begin = 0; begin < values.size(); begin += block) {
    const auto part = values.subspan(begin, std::min(block, values.size() - begin));
    if (header_->drops != 0 && largest_of(part) < floor_) continue;
    for (std::size_t k = 0; k < part.size(); ++k) offer({part[k], first + begin + k});
  }
}

template <class T>
void top_k<T>::merge(const accumulator& part) {
  best_.insert(best_.end(), part.candidates().begin(), part.candidates().end());
  std::sort(best_.begin(), best_.end(), accumulator::better);
  if (best_.size() > k_) best_.resize(k_);
}

}  // namespace shard
