// Quantiles: estimates from one pass over the data, and the exact ones from a second pass.
//
//   shard::quantiles<double> delays;
//   shard::map(shard::range{0, n}, shard::in(delay), shard::reduce(delays),
//              [](shard::range all, auto delay, auto& delays) { delays.add(delay.span(all)); });
//   delays.at(0.5);                                           // the median, within 0.4%
//
//   shard::exact_quantile median(delays, 0.5);
//   shard::map(shard::range{0, n}, shard::in(delay), shard::reduce(median),
//              [](shard::range all, auto delay, auto& median) { median.add(delay.span(all)); });
//   median.value();                                           // one of the values that were added
//
// The quantile p of n numbers is the smallest number that at least p n of them don't exceed: number
// ceil(p n) in sorted order, and the first one for p = 0. This is the inverse of the empirical
// distribution function, definition 1 of Hyndman and Fan, "Sample quantiles in statistical
// packages" (1996). The product p n is rounded to double first, so that 0.1 of ten numbers is the
// first one.
//
// Both reducers are commutative: they count, and no order of counting changes a count. NaNs are
// ignored. Infinities are numbers here. -0.0 comes before +0.0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/detail/bucket_pages.hpp"
#include "shard/detail/packing.hpp"
#include "shard/exact.hpp"
#include "shard/reduce.hpp"

namespace shard {

namespace detail {

[[noreturn]] void refuse_quantile_of_other_data(std::uint64_t found, std::uint64_t expected);
[[noreturn]] void refuse_quantile_of_too_many(std::uint64_t most);
// Which number in sorted order, from 1, the quantile p of n is. Throws shard::error if p isn't in
// [0, 1], or if n is 0.
std::uint64_t rank_of_quantile(double p, std::uint64_t n);

// A number of type T by its bits. A bucket has all numbers with the same sign, exponent and leading
// seven bits of the mantissa. A group has all buckets with the same sign and exponent.
template <class T>
struct bit_classes {
  using word = std::conditional_t<std::is_same_v<T, double>, std::uint64_t, std::uint32_t>;

  static constexpr unsigned word_bits = 8 * sizeof(word);
  static constexpr unsigned mantissa_bits = std::numeric_limits<T>::digits - 1;
  static constexpr unsigned kept_bits = 7;
  static constexpr unsigned bucket_shift = mantissa_bits - kept_bits;
  static constexpr std::size_t buckets_of_group = std::size_t{1} << kept_bits;
  static constexpr std::size_t groups = std::size_t{1} << (word_bits - mantissa_bits);
  static constexpr std::size_t buckets = groups * buckets_of_group;
  static constexpr word sign = word{1} << (word_bits - 1);
  static constexpr word infinity = (word{1} << (word_bits - 1)) - (word{1} << mantissa_bits);

  static word bits(T x) noexcept { return std::bit_cast<word>(x); }
  static std::size_t group(word bits) noexcept { return bits >> mantissa_bits; }
  static std::size_t bucket(word bits) noexcept { return bits >> bucket_shift; }
  static std::size_t bucket_in_group(word bits) noexcept {
    return bucket(bits) & (buckets_of_group - 1);
  }
  static bool is_nan(word bits) noexcept { return (bits & ~sign) > infinity; }
  // Neither infinite nor a NaN.
  static bool is_finite(word bits) noexcept { return (bits & ~sign) < infinity; }

  // An image of the bits with the order of the numbers, and back.
  static word ordered(word bits) noexcept { return (bits & sign) != 0 ? ~bits : bits | sign; }
  static word from_ordered(word image) noexcept {
    return (image & sign) != 0 ? image ^ sign : ~image;
  }
};

}  // namespace detail

// Both ends included.
template <class T>
struct interval {
  T lowest;
  T highest;
  friend bool operator==(const interval&, const interval&) = default;
};

// Counts of numbers by their leading bits: 128 buckets for each power of two. It needs no
// logarithm, and merges exactly. A worker's state has room for all buckets (5 MiB for double, 640
// KiB for float). What is published and copied is 50 KiB (43 KiB for float), and 1.25 KiB more for
// each power of two that occurs beyond 16 neighbouring ones.
template <class T>
class quantiles : public detail::adds_by_accumulator {
  static_assert(std::is_same_v<T, double> || std::is_same_v<T, float>,
                "shard: quantiles<T> counts double or float");
  using classes = detail::bit_classes<T>;

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;

  // How many numbers were added, without NaNs.
  std::uint64_t count() const noexcept { return count_; }

  // An estimate of the quantile p: the middle of the bucket that has it. It differs from the
  // quantile by at most 0.4% (1/256) of it. If the quantile is subnormal, it differs by at most
  // 2^-1029 (2^-133 for float). Exact for zeros and infinities. Throws shard::error if p isn't in
  // [0, 1], or if nothing was added.
  T at(double p) const;
  // Where the quantile p is for sure: the lowest and the highest number of its bucket.
  interval<T> bounds(double p) const;

  friend bool operator==(const quantiles& a, const quantiles& b) noexcept {
    return a.count_ == b.count_ && a.counts_ == b.counts_;
  }

  std::size_t state_bytes() const noexcept { return accumulator::most_bytes; }
  static std::size_t live_bytes(const std::byte* state) noexcept {
    return accumulator::live_bytes(state);
  }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part);

  // An accumulator needs nothing of it. Not for users.
  void pack(detail::packer&) const {}
  static quantiles unpack(detail::unpacker&) { return {}; }

 private:
  template <class>
  friend class exact_quantile;
  using word = typename classes::word;

  struct place {
    std::size_t bucket;    // by the order of the numbers
    std::uint64_t before;  // how many numbers are in the buckets before it
    std::uint64_t rank;    // of the quantile, among all numbers, from 1
  };
  place find(double p) const;
  static interval<word> words_of(std::size_t bucket) noexcept;

  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> counts_;  // by the order of the numbers; empty: all are zero
};

// A state is a header, for each group the page of its counters, and the pages in the order in which
// they came into use: the first number brings those of the window. Page 0 stands for groups that
// have none yet.
template <class T>
class quantiles<T>::accumulator {
  using word = typename classes::word;
  using page = detail::bucket_page;
  static_assert(page::buckets == classes::buckets_of_group);
  struct alignas(64) header {
    std::uint32_t pages;          // in use, besides page 0
    std::uint32_t window;         // the lowest group of the window, if there are pages
    std::uint64_t infinities[2];  // positive, negative
  };
  struct layout {
    header head;
    std::array<std::uint16_t, classes::groups> page_of;
    std::array<page, classes::groups - 1> pages;  // infinities and NaNs, two groups, have none
  };
  static_assert(classes::groups - 2 <= std::numeric_limits<std::uint16_t>::max());

 public:
  static constexpr std::size_t most_bytes = sizeof(layout);
  static std::size_t live_bytes(const std::byte* state) noexcept {
    const auto* all = reinterpret_cast<const layout*>(state);
    return offsetof(layout, pages) + (1 + all->head.pages) * sizeof(page);
  }

  accumulator(const quantiles&, std::byte* state) noexcept
      : all_(*reinterpret_cast<layout*>(state)) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& delays
  accumulator& operator=(const accumulator&) = delete;

  // Doesn't compile if x would be narrowed.
  template <class X>
  void operator()(X x) noexcept {
    if constexpr (detail::check_offered<X, T>()) count(static_cast<T>(x));
  }
  // Many numbers: a span, a vector, an array, a view, or a strided part of an array.
  void add(exact::numbers<T> values) noexcept;

  void store(std::byte*) const noexcept {}  // the counters are in the state already

 private:
  friend quantiles;
  static constexpr std::size_t block_size = 256;

  void count(T x) noexcept;
  void add_all(std::span<const T> values) noexcept;
  void add_page(std::size_t group) noexcept;
  void choose_window(std::size_t highest_group) noexcept;

  layout& all_;
};

template <class T>
void quantiles<T>::accumulator::count(T x) noexcept {
  const word bits = classes::bits(x);
  if (!classes::is_finite(bits)) {
    if (!classes::is_nan(bits)) ++all_.head.infinities[(bits & classes::sign) != 0];
    return;
  }
  const std::size_t group = classes::group(bits);
  if (all_.head.pages == 0) choose_window(classes::group(bits & ~classes::sign));
  if (all_.page_of[group] == 0) add_page(group);
  all_.pages[all_.page_of[group]].add_one(classes::bucket_in_group(bits));
}

template <class T>
void quantiles<T>::accumulator::add_page(std::size_t group) noexcept {
  const auto next = static_cast<std::uint16_t>(++all_.head.pages);
  all_.page_of[group] = next;
  all_.pages[next] = {};  // behind the live bytes may be anything
}

// So that the highest group is the last but one of the window.
template <class T>
void quantiles<T>::accumulator::choose_window(std::size_t highest_group) noexcept {
  constexpr std::size_t size = detail::bucket_pages::window_groups;
  constexpr std::size_t negative = classes::groups / 2;
  constexpr std::size_t last = negative - 1 - size;  // the group of infinities and NaNs is none
  const std::size_t first = std::clamp(highest_group + 2, size, last + size) - size;
  all_.head.window = static_cast<std::uint32_t>(first);
  for (std::size_t k = 0; k < size; ++k) add_page(first + k);
  for (std::size_t k = 0; k < size; ++k) add_page(negative + first + k);
}

template <class T>
void quantiles<T>::accumulator::add(exact::numbers<T> values) noexcept {
  if (values.stride == 1) return add_all({values.first, values.count});
  std::array<T, block_size> side_by_side;
  for (std::size_t done = 0; done < values.count; done += block_size) {
    const std::size_t n = std::min(block_size, values.count - done);
    for (std::size_t k = 0; k < n; ++k)
      side_by_side[k] = values.first[static_cast<std::ptrdiff_t>(done + k) * values.stride];
    add_all({side_by_side.data(), n});
  }
}

// Numbers of groups that have pages are counted at once. Where there is another one, a block is
// counted one by one: mostly it gets a page by that.
template <class T>
void quantiles<T>::accumulator::add_all(std::span<const T> values) noexcept {
  if (all_.head.pages == 0) {
    std::size_t highest = 0;
    for (const T x : values.first(std::min(block_size, values.size()))) {
      const word magnitude = classes::bits(x) & ~classes::sign;
      if (magnitude < classes::infinity) highest = std::max(highest, classes::group(magnitude));
    }
    if (highest != 0) choose_window(highest);
  }
  while (!values.empty()) {
    if (all_.head.pages != 0) {
      const detail::bucket_pages pages{all_.page_of.data(), all_.pages.data(), all_.head.window};
      values = values.subspan(detail::count_placed(values.data(), values.size(), pages));
    }
    const std::size_t n = std::min(block_size, values.size());
    for (const T x : values.first(n)) count(x);
    values = values.subspan(n);
  }
}

template <class T>
void quantiles<T>::merge(const accumulator& part) {
  if (counts_.empty()) counts_.resize(classes::buckets);
  const auto place_of = [](word bits) { return classes::bucket(classes::ordered(bits)); };
  for (std::size_t group = 0; group < classes::groups; ++group) {
    const std::size_t page = part.all_.page_of[group];
    if (page == 0) continue;
    // Buckets of negative numbers descend.
    const bool negative = group >= classes::groups / 2;
    std::uint64_t* const first =
        counts_.data() + place_of(static_cast<word>(group) << classes::mantissa_bits);
    for (std::size_t k = 0; k < classes::buckets_of_group; ++k) {
      const std::uint64_t n = part.all_.pages[page].count(k);
      *(negative ? first - k : first + k) += n;
      count_ += n;
    }
  }
  for (const bool negative : {false, true}) {
    const std::uint64_t n = part.all_.head.infinities[negative];
    counts_[place_of(classes::infinity | (negative ? classes::sign : word{0}))] += n;
    count_ += n;
  }
}

template <class T>
auto quantiles<T>::find(double p) const -> place {
  const std::uint64_t rank = detail::rank_of_quantile(p, count_);
  place at{0, 0, rank};
  while (at.before + counts_[at.bucket] < rank) at.before += counts_[at.bucket++];
  return at;
}

// The bits of the bucket's lowest and highest number.
template <class T>
auto quantiles<T>::words_of(std::size_t bucket) noexcept -> interval<word> {
  const auto lowest = static_cast<word>(bucket) << classes::bucket_shift;
  const word highest = lowest | ((word{1} << classes::bucket_shift) - 1);
  const interval<word> all{classes::from_ordered(lowest), classes::from_ordered(highest)};
  // With infinity, only NaNs would be in a bucket.
  if (!classes::is_finite(all.lowest)) {
    const word only = (all.lowest & classes::sign) | classes::infinity;
    return {only, only};
  }
  return all;
}

template <class T>
interval<T> quantiles<T>::bounds(double p) const {
  const auto bits = words_of(find(p).bucket);
  return {std::bit_cast<T>(bits.lowest), std::bit_cast<T>(bits.highest)};
}

template <class T>
T quantiles<T>::at(double p) const {
  const auto bits = words_of(find(p).bucket);
  // The end nearer to zero: the one with smaller bits behind the sign.
  const word inner = std::min(bits.lowest, bits.highest);
  const bool exact = (inner & ~classes::sign) == 0 || bits.lowest == bits.highest;
  return std::bit_cast<T>(exact ? inner : inner | (word{1} << (classes::bucket_shift - 1)));
}

// The quantile p of numbers that were counted already, exactly: for a second map, over the same
// numbers. It keeps those that are in the bucket of the quantile, each different one once, and how
// often it came.
template <class T>
class exact_quantile : public detail::adds_by_accumulator {
  using classes = detail::bit_classes<T>;
  using word = typename classes::word;

 public:
  class accumulator;
  using compares_bits = void;
  static constexpr bool ordered = false;

  // room: how many different numbers a bucket may have; a kernel that adds more throws
  // shard::error. A worker's state takes at most 32 bytes for each, and no more than for all
  // numbers of the bucket. A map is refused where three such states for each worker would not
  // find memory. Throws shard::error if p isn't in [0, 1], or if nothing was counted.
  exact_quantile(const quantiles<T>& counted, double p, std::size_t room = std::size_t{1} << 22);

  // Throws shard::error unless the second map has added as many numbers of the bucket as were
  // counted.
  T value() const;

  friend bool operator==(const exact_quantile& a, const exact_quantile& b) noexcept {
    return a.bucket_ == b.bucket_ && a.expected_ == b.expected_ && a.rank_ == b.rank_ &&
           a.kept_ == b.kept_;
  }

  std::size_t state_bytes() const noexcept {
    return sizeof(typename accumulator::header) + 2 * room_ * sizeof(repeated);
  }
  static std::size_t live_bytes(const std::byte* state) noexcept {
    const auto* head = reinterpret_cast<const typename accumulator::header*>(state);
    return sizeof *head + head->used * sizeof(repeated);
  }
  void start(std::byte*) const noexcept {}
  void merge(const accumulator& part);

  // All but what was kept. Not for users.
  void pack(detail::packer& to) const {
    to.put(bucket_);
    to.put(expected_);
    to.put(rank_);
    to.put(room_);
  }
  static exact_quantile unpack(detail::unpacker& from) {
    exact_quantile made;
    made.bucket_ = from.get<std::size_t>();
    made.expected_ = from.get<std::uint64_t>();
    made.rank_ = from.get<std::uint64_t>();
    made.room_ = from.get<std::size_t>();
    return made;
  }

 private:
  struct repeated {
    std::uint64_t image;  // of the number's bits, with the order of the numbers
    std::uint64_t times;
    friend bool operator==(const repeated&, const repeated&) = default;
  };

  exact_quantile() = default;
  // Sorts them, and makes one of equal ones. Returns how many are left.
  static std::size_t unite(std::span<repeated> all) noexcept;

  std::size_t bucket_ = 0;  // by the order of the numbers
  std::uint64_t expected_ = 0;
  std::uint64_t rank_ = 0;  // in the bucket, from 1
  std::size_t room_ = 0;
  std::vector<repeated> kept_;  // in order, each different one once
};

// A state is a header and what was kept.
template <class T>
class exact_quantile<T>::accumulator {
 public:
  struct alignas(64) header {
    std::uint64_t used;
    std::uint64_t distinct;  // as many were left when equal ones were united last
  };

  accumulator(const exact_quantile& of, std::byte* state) noexcept
      : bucket_(of.bucket_),
        room_(of.room_),
        head_(*reinterpret_cast<header*>(state)),
        kept_(reinterpret_cast<repeated*>(state + sizeof(header))) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& median
  accumulator& operator=(const accumulator&) = delete;

  // Doesn't compile if x would be narrowed.
  template <class X>
  void operator()(X x) {
    if constexpr (detail::check_offered<X, T>()) offer(static_cast<T>(x));
  }
  // Many numbers: a span, a vector, an array, a view, or a strided part of an array.
  void add(exact::numbers<T> values) {
    for (std::size_t i = 0; i < values.count; ++i)
      offer(values.first[static_cast<std::ptrdiff_t>(i) * values.stride]);
  }

  void store(std::byte*) const noexcept {}  // the numbers are in the state already

 private:
  friend exact_quantile;
  static constexpr std::size_t seldom = 4096;  // so many new ones are kept before they are sorted

  void offer(T x) {
    const word image = classes::ordered(classes::bits(x));
    if (classes::bucket(image) == bucket_ && !classes::is_nan(classes::bits(x))) keep(image);
  }
  void keep(word image);
  std::span<repeated> kept() const noexcept { return {kept_, head_.used}; }

  std::size_t bucket_;
  std::size_t room_;
  header& head_;
  repeated* kept_;
};

template <class T>
void exact_quantile<T>::accumulator::keep(word image) {
  if (head_.used == std::min(2 * room_, 2 * head_.distinct + seldom)) {
    head_.used = head_.distinct = unite(kept());
    if (head_.distinct > room_) detail::refuse_quantile_of_too_many(room_);
  }
  kept_[head_.used++] = {image, 1};
}

template <class T>
std::size_t exact_quantile<T>::unite(std::span<repeated> all) noexcept {
  std::ranges::sort(all, {}, &repeated::image);
  std::size_t n = 0;
  for (const repeated& each : all) {
    if (n > 0 && all[n - 1].image == each.image) {
      all[n - 1].times += each.times;
    } else {
      all[n++] = each;
    }
  }
  return n;
}

template <class T>
exact_quantile<T>::exact_quantile(const quantiles<T>& counted, double p, std::size_t room) {
  const auto at = counted.find(p);
  bucket_ = at.bucket;
  expected_ = counted.counts_[at.bucket];
  rank_ = at.rank - at.before;
  room_ =
      static_cast<std::size_t>(std::min<std::uint64_t>(std::max<std::size_t>(room, 1), expected_));
}

template <class T>
void exact_quantile<T>::merge(const accumulator& part) {
  kept_.insert(kept_.end(), part.kept().begin(), part.kept().end());
  kept_.resize(unite(kept_));
}

template <class T>
T exact_quantile<T>::value() const {
  std::uint64_t found = 0;
  for (const repeated& each : kept_) found += each.times;
  if (found != expected_) detail::refuse_quantile_of_other_data(found, expected_);
  auto at = kept_.begin();
  for (std::uint64_t before = at->times; before < rank_; before += at->times) ++at;
  return std::bit_cast<T>(classes::from_ordered(static_cast<word>(at->image)));
}

}  // namespace shard
