// Counts of categories that nobody knows beforehand: found while a map runs, in sorted order at the
// end.
//
//   shard::category_counts<shard::text<3>> flights(1000);  // of at most 1000 airports
//   shard::map(shard::range{0, n}, shard::in(origin), shard::reduce(flights),
//              [](std::size_t i, auto origin, auto& flights) { flights(origin[i]); });
//   for (const auto& [airport, count] : flights.entries()) …
//
// Commutative: each worker has one state, and no order of merging can change the result. For more
// dimensions, make a histogram over axis() in a second map.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/axis.hpp"
#include "shard/detail/columns.hpp"
#include "shard/detail/lookup.hpp"
#include "shard/detail/packing.hpp"
#include "shard/reduce.hpp"

namespace shard {

namespace detail {

[[noreturn]] void refuse_number_of_categories(std::size_t most, std::size_t highest);
[[noreturn]] void refuse_more_categories(std::size_t most);

}  // namespace detail

// T is an integer, an enumerator, or shard::text. Integers of other types count by their value.
// Counts are 64-bit integers and wrap around.
template <class T>
class category_counts : public detail::adds_by_accumulator {
  static_assert((std::is_integral_v<T> || std::is_enum_v<T> ||
                 detail::string_like<T>)&&std::is_trivially_copyable_v<T> &&
                    !detail::refers<T>,
                "shard: category_counts counts integers, enumerators or shard::text");

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;

  struct entry {
    T category;
    std::int64_t count;
    friend bool operator==(const entry&, const entry&) = default;
  };

  // most: how many different categories there may be. A worker has room for so many. If more are
  // found, the map fails, and the error names the number. Throws shard::error if `most` is 0, or
  // more than 2^30.
  explicit category_counts(std::size_t most) : most_(most) {
    constexpr std::size_t highest = std::size_t{1} << 30;
    if (most == 0 || most > highest) detail::refuse_number_of_categories(most, highest);
  }

  // Every category that was found, in ascending order.
  std::span<const entry> entries() const noexcept { return found_; }
  // 0 if it was not found.
  std::int64_t at(const T& category) const noexcept {
    const auto place = std::lower_bound(found_.begin(), found_.end(), category, before_value);
    return place != found_.end() && detail::same_category(place->category, category) ? place->count
                                                                                     : 0;
  }
  // An axis of the categories that were found. Throws shard::error if there are none.
  auto axis() const {
    std::vector<T> values;
    for (const entry& each : found_) values.push_back(each.category);
    return axis::category(values);
  }
  friend bool operator==(const category_counts& a, const category_counts& b) {
    return a.most_ == b.most_ && a.found_ == b.found_;
  }

  std::size_t state_bytes() const noexcept {
    return accumulator::head_bytes + slots() * sizeof(std::uint32_t) + most_ * sizeof(entry);
  }
  static std::size_t live_bytes(const std::byte* state) noexcept {
    return accumulator::live_bytes(state);
  }
  void start(std::byte* state) const noexcept { accumulator::start(state, slots()); }
  // Throws shard::error if there are more than `most` then.
  void merge(const accumulator& part);

  // How many there may be: all that an accumulator needs. Not for users.
  void pack(detail::packer& to) const { to.put(most_); }
  static category_counts unpack(detail::unpacker& from) {
    return category_counts(from.get<std::size_t>());
  }

 private:
  // A power of two, and enough of them that half are empty.
  std::size_t slots() const noexcept { return std::max<std::size_t>(16, std::bit_ceil(2 * most_)); }
  static bool before(const entry& a, const entry& b) noexcept {
    return before_value(a, b.category);
  }
  static bool before_value(const entry& a, const T& b) noexcept {
    if constexpr (detail::string_like<T>) {
      return std::string_view(a.category) < std::string_view(b);
    } else {
      return a.category < b;
    }
  }

  std::size_t most_;
  std::vector<entry> found_;  // ascending
};

// A state is a head, slots of a hash table (which entry, counted from 1; 0: none), and entries in
// the order in which they were found.
template <class T>
class category_counts<T>::accumulator {
 public:
  static constexpr std::size_t head_bytes = 64;

  accumulator(const category_counts& of, std::byte* state) noexcept
      : most_(of.most_),
        mask_(of.slots() - 1),
        head_(reinterpret_cast<head*>(state)),
        slots_(reinterpret_cast<std::uint32_t*>(state + head_bytes)),
        entries_(reinterpret_cast<entry*>(slots_ + of.slots())) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& seen
  accumulator& operator=(const accumulator&) = delete;

  // Counts a category: a T, or what is equal to one. Throws shard::error if there are too many.
  template <class X>
  void operator()(const X& x) {
    add(1, x);
  }
  // Adds count instead. Doesn't compile if count would be narrowed to 64 bits of an integer.
  template <class N, class X>
  void add(const N& count, const X& x) {
    static_assert(
        std::is_integral_v<T> ? std::is_integral_v<X> && detail::widens<X, T>()
                              : std::is_same_v<X, T>,
        "shard: give category_counts values of its own type, or integers that widen to it");
    if constexpr (detail::check_count<N>()) {
      std::int64_t& to = entry_of(static_cast<T>(x)).count;
      to = detail::wrapping_add(to, static_cast<std::int64_t>(count));
    }
  }
  // Counts many: a span, a vector, an array, a view, or a strided part of an array.
  template <class Values>
  void fill(const Values& values) {
    if constexpr (detail::check_values<Values>()) {
      const auto all = detail::column_of(values);
      for (std::size_t i = 0; i < all.size; ++i) add(1, all[i]);
    }
  }

  void store(std::byte*) const noexcept {}  // all is in the state already

 private:
  friend category_counts;
  struct head {
    std::uint64_t slots;
    std::uint64_t found;
  };

  static std::size_t live_bytes(const std::byte* state) noexcept {
    const auto* const its = reinterpret_cast<const head*>(state);
    return head_bytes + its->slots * sizeof(std::uint32_t) + its->found * sizeof(entry);
  }
  static void start(std::byte* state, std::size_t slots) noexcept {
    reinterpret_cast<head*>(state)->slots = slots;
  }
  std::span<const entry> found() const noexcept { return {entries_, head_->found}; }

  entry& entry_of(const T& x) {
    std::size_t slot = detail::hash_of_category(x) & mask_;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask_) {
      entry& known = entries_[slots_[slot] - 1];
      if (detail::same_category(known.category, x)) return known;
    }
    if (head_->found == most_) detail::refuse_more_categories(most_);
    entry& made = entries_[head_->found];
    made = {x, 0};
    slots_[slot] = static_cast<std::uint32_t>(++head_->found);
    return made;
  }

  std::size_t most_;
  std::size_t mask_;
  head* head_;
  std::uint32_t* slots_;
  entry* entries_;
};

template <class T>
void category_counts<T>::merge(const accumulator& part) {
  std::vector<entry> all = found_;
  all.insert(all.end(), part.found().begin(), part.found().end());
  std::sort(all.begin(), all.end(), before);
  std::size_t last = 0;
  for (std::size_t k = 1; k < all.size(); ++k) {
    if (detail::same_category(all[last].category, all[k].category)) {
      all[last].count = detail::wrapping_add(all[last].count, all[k].count);
    } else {
      all[++last] = all[k];
    }
  }
  if (!all.empty()) all.erase(all.begin() + static_cast<std::ptrdiff_t>(last) + 1, all.end());
  if (all.size() > most_) detail::refuse_more_categories(most_);
  found_ = std::move(all);
}

}  // namespace shard
