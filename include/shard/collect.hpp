// Output of any length: any number of items for each index, in the order of the indices.
//
//   shard::collect<match> found;
//   shard::map(n, shard::in(lines), shard::reduce(found),
//              [](std::size_t i, auto lines, auto& found) {
//                for (auto at : matches_in(lines[i])) found.push_back({i, at});
//              });
//   for (const match& each : found.items()) …
//
// Ordered: the items of an index come in the order in which the kernel adds them, behind those of
// all lower indices. So items are the same with any grain, any workers and any executor, and after
// any crash. Each index counts exactly once. The items of an index that was given up, or not tried,
// are left out.
//
// Workers write items to memory that they share with the caller. A chunk's state only says where
// its items are. When the map is over, the caller copies all items side by side, into memory or a
// file. So for a moment a map needs the memory of its items twice. Beside them, workers reserve up
// to a quarter more, at most 64 MiB; the last piece of each chunk's items may be half empty, up to
// 1 MiB; and what failed attempts have added is kept until the map is over. If there is no memory
// for another item, push_back throws in the kernel. If there is no room for the result, map throws
// shard::error, and the reducer holds what it held before.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/buffer.hpp"
#include "shard/detail/adding.hpp"
#include "shard/detail/job.hpp"
#include "shard/detail/packing.hpp"
#include "shard/detail/spill.hpp"
#include "shard/element.hpp"
#include "shard/npy.hpp"
#include "shard/range.hpp"
#include "shard/reduce.hpp"

namespace shard {

namespace detail {

// Each throws shard::error.
[[noreturn]] void refuse_unwanted_offsets();
[[noreturn]] void refuse_item_of_no_index();
[[noreturn]] void refuse_index_of_items(std::size_t found, range expected, std::size_t at_least);
[[noreturn]] void refuse_offsets_of_tiles();
[[noreturn]] void refuse_offsets_of_strides();
[[noreturn]] void refuse_offsets_behind(std::size_t first, std::size_t indices);
[[noreturn]] void refuse_offsets_beyond(std::size_t last, std::size_t most);

struct wants_offsets {};

}  // namespace detail

// As an argument of collect's constructor: says that offsets() are wanted.
inline constexpr detail::wants_offsets with_offsets{};

// T: any type that buffers hold.
//
// A map adds its items behind those that the reducer already holds, as with all reducers. Where
// offsets are wanted, its indices come behind those of the maps before.
template <class T>
class collect : public detail::adds_by_accumulator {
  static_assert(detail::check_element<T>());

 public:
  class accumulator;
  using compares_bits = void;
  using spills = void;
  static constexpr bool ordered = true;
  static constexpr bool in_place = false;

  // Into memory.
  collect() : held_(std::make_shared<held>()) {}
  explicit collect(detail::wants_offsets) : collect() { held_->starts = no_starts(); }

  // Into a .npy file. When a map is complete, the file gets its name, and replaces what is there.
  // When a map is not complete, shard leaves what is there, and items() are in memory. Throws
  // shard::error if no file can be made there.
  explicit collect(std::filesystem::path file) : collect() {
    static_cast<void>(create<T>(file, 0));  // and is gone
    file_ = std::move(file);
  }
  collect(std::filesystem::path file, detail::wants_offsets) : collect(std::move(file)) {
    held_->starts = no_starts();
  }
  // The same, with these permissions (npy.hpp).
  collect(std::filesystem::path file, std::filesystem::perms permissions) : collect() {
    static_cast<void>(create<T>(file, permissions, 0));
    file_ = std::move(file);
    permissions_ = permissions;
  }
  collect(std::filesystem::path file, std::filesystem::perms permissions, detail::wants_offsets)
      : collect(std::move(file), permissions) {
    held_->starts = no_starts();
  }

  collect(const collect&) = default;  // and not moved: there is always something to read
  collect& operator=(const collect&) = default;

  // What all maps so far have collected. A reference stays valid until the next map is over.
  const buffer<const T>& items() const noexcept { return held_->items; }
  std::size_t size() const noexcept { return held_->items.size(); }

  // Where the items of each index begin: index i has the items from offsets()[i] up to, and
  // without, offsets()[i + 1]. The last offset is that of the end of what was mapped; indices that
  // were not mapped have no items, and take 8 bytes all the same, from index 0 on. In memory;
  // save() writes a file. Throws shard::error unless the reducer was made with with_offsets.
  // Offsets cost 16 bytes more for each index that has items.
  //
  // In a map over the cells or rows of a buffer, the index is the row. A kernel that is called for
  // a range says which index it is at, by begin_index().
  const buffer<const std::uint64_t>& offsets() const {
    if (!held_->starts) detail::refuse_unwanted_offsets();
    return *held_->starts;
  }
  // The items of index i. Throws the same, and shard::error(argument_out_of_domain) if i is not
  // below the end of what was mapped.
  std::span<const T> items_of(std::size_t i) const {
    const buffer<const std::uint64_t>& starts = offsets();
    return items().span().subspan(starts.at(i), starts.at(i + 1) - starts.at(i));
  }

  friend bool operator==(const collect& a, const collect& b) noexcept {
    return equal(a.items(), b.items()) &&
           a.held_->starts.has_value() == b.held_->starts.has_value() &&
           (!a.held_->starts || equal(*a.held_->starts, *b.held_->starts));
  }

  template <class X>
  void push_back(const X&) const {
    static_assert(detail::never<X>,
                  "shard: push back to the accumulator that the kernel receives, not to the "
                  "reducer");
  }

  // ---- Not for users.

  // A list of items, and one of where their indices are.
  struct lists {
    detail::spilled_list items;
    detail::spilled_list places;
  };
  std::size_t state_bytes() const noexcept {
    return wants_places() ? sizeof(lists) : sizeof(detail::spilled_list);
  }
  void start(std::byte*) const noexcept {}

  // Before a map. Throws shard::error if its indices can't follow those of the maps before.
  void expect(const detail::space& where);
  void merge(const accumulator& part);
  // Behind the last merge(), as long as the spill is there. all: the indices of the map.
  void settle(range all, bool complete);
  // Of a complete map.
  void finish() { held_->items.finish(); }

  void pack(detail::packer& to) const { to.put(wants_places()); }
  static collect unpack(detail::unpacker& from) { return collect(in_worker{from.get<bool>()}); }

 private:
  // Of consecutive items, with the same index.
  struct place {
    std::uint64_t index;
    std::uint64_t count;
  };

  // What is held never changes: it is replaced. So copies of a reducer share it.
  struct held {
    buffer<const T> items = buffer<T>(0);
    std::optional<buffer<const std::uint64_t>> starts;  // if they are wanted
  };

  struct in_worker {
    bool wants_places;
  };
  explicit collect(in_worker what) : places_in_worker_(what.wants_places) {}
  static buffer<const std::uint64_t> no_starts() { return buffer<std::uint64_t>(1); }
  bool wants_places() const noexcept {
    return held_ == nullptr ? places_in_worker_ : held_->starts.has_value();
  }
  template <class X>
  static bool equal(const buffer<const X>& a, const buffer<const X>& b) noexcept {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.begin(), b.begin(), a.size() * sizeof(X)) == 0);
  }
  void require_behind(range all) const;
  void forget() noexcept {
    pieces_ = {};
    places_ = {};
  }
  buffer<const T> joined(bool complete) const;
  buffer<T> made(bool complete, std::size_t count) const;
  buffer<const std::uint64_t> joined_starts(range all) const;

  std::filesystem::path file_;  // empty: none
  detail::asked_permissions permissions_;
  std::shared_ptr<held> held_;  // null in workers that have no copy of the caller
  bool places_in_worker_ = false;
  // Between merge() and settle(), of one spill.
  const std::byte* merged_from_ = nullptr;
  std::vector<std::span<const T>> pieces_;
  std::vector<std::span<const place>> places_;
};

namespace detail {

// One sentence for each way in which an item could be another than what was pushed back.
template <class X, class T>
constexpr bool check_item() {
  constexpr bool converts = std::is_convertible_v<const X&, T>;
  constexpr bool keeps =
      converts && widens<X, T>() && (std::is_arithmetic_v<T> || requires(const X& x) { T{x}; });
  static_assert(converts,
                "shard: what is pushed back doesn't convert to the type of the items; make one of "
                "it in the kernel");
  static_assert(!converts || keeps,
                "shard: what is pushed back would be narrowed to the type of the items; cast it in "
                "the kernel, or collect a wider type");
  return keeps;
}

}  // namespace detail

template <class T>
class collect<T>::accumulator {
 public:
  using hears_of_indices = void;

  // spill: where this process has it. indices: of the chunk.
  accumulator(const collect& of, std::byte* state, std::byte* spill = nullptr, range indices = {})
      : accumulator(loaded(of, state), of.wants_places(), spill, indices) {}
  accumulator(const accumulator&) = delete;  // take it by reference: auto& found
  accumulator& operator=(const accumulator&) = delete;

  // Adds an item. Throws shard::error, and adds nothing, if there is no memory for it, or if
  // offsets are wanted and nobody has said of which index it is. Doesn't compile if x would be
  // narrowed.
  void push_back(const T& x) {
    std::uint64_t* const count = counter();
    items_.push(x);
    if (count != nullptr) ++*count;
  }
  template <class X>
    requires(!std::is_same_v<X, T>)
  void push_back(const X& x) {
    if constexpr (detail::check_item<X, T>()) push_back(static_cast<T>(x));
  }

  // Adds all, or nothing.
  void append(std::span<const T> all) {
    if (all.empty()) return;
    std::uint64_t* const count = counter();
    items_.append(all.data(), all.size());
    if (count != nullptr) *count += all.size();
  }
  template <class Items>
    requires(!std::is_convertible_v<const Items&, std::span<const T>>)
  void append(const Items&) {
    static_assert(detail::never<Items>,
                  "shard: append() takes contiguous items of the type that is collected: a span, a "
                  "vector or an array; add one with push_back()");
  }

  // What is added from now on belongs to index i. Only kernels that are called for a range need to
  // say so, and only if offsets are wanted. Throws shard::error if i is not in the chunk, or below
  // the index before.
  void begin_index(std::size_t i) {
    if (!wants_places_) return;
    if (i < least_ || i >= indices_.last) detail::refuse_index_of_items(i, indices_, least_);
    least_ = index_ = i;
    count_ = nullptr;
  }

  void store(std::byte* state) const noexcept {
    const typename collect::lists now{items_.value(), places_.value()};
    std::memcpy(state, &now, wants_places_ ? sizeof now : sizeof now.items);
  }

 private:
  friend collect;
  static constexpr std::size_t no_index = static_cast<std::size_t>(-1);

  static typename collect::lists loaded(const collect& of, const std::byte* state) noexcept {
    typename collect::lists found;
    std::memcpy(&found, state, of.state_bytes());
    return found;
  }
  accumulator(const typename collect::lists& from, bool wants_places, std::byte* spill,
              range indices) noexcept
      : spill_(spill),
        items_(spill, from.items),
        places_(spill, from.places),
        wants_places_(wants_places),
        indices_(indices),
        least_(indices.first) {}

  // Of the items of this index; null: nobody counts them.
  std::uint64_t* counter() {
    if (!wants_places_) return nullptr;
    if (count_ == nullptr) {
      if (index_ == no_index) detail::refuse_item_of_no_index();
      count_ = &places_.push({index_, 0})->count;
    }
    return count_;
  }

  std::byte* spill_;
  detail::spilling<T> items_;
  detail::spilling<place> places_;
  bool wants_places_;
  range indices_;
  std::size_t least_;             // that may come next
  std::size_t index_ = no_index;  // of what is added
  std::uint64_t* count_ = nullptr;
};

template <class T>
void collect<T>::expect(const detail::space& where) {
  forget();
  if (!held_->starts) return;
  if (where.by == detail::space::cut::tiled) detail::refuse_offsets_of_tiles();
  if (where.by == detail::space::cut::strided) detail::refuse_offsets_of_strides();
  constexpr std::size_t most_indices = std::size_t{1} << 40;
  if (where.all.last > most_indices) detail::refuse_offsets_beyond(where.all.last, most_indices);
  require_behind(where.all);
}

template <class T>
void collect<T>::require_behind(range all) const {
  if (!held_->starts) return;
  const std::size_t before = held_->starts->size() - 1;
  if (all.first < before) detail::refuse_offsets_behind(all.first, before);
}

template <class T>
void collect<T>::merge(const accumulator& part) {
  // Of a map that has failed between merge() and settle(), the spill is gone.
  if (merged_from_ != part.spill_) forget();
  merged_from_ = part.spill_;
  detail::each_piece<T>(part.spill_, part.items_.value(), [&](const T* items, std::size_t count) {
    pieces_.emplace_back(items, count);
  });
  detail::each_piece<place>(
      part.spill_, part.places_.value(),
      [&](const place* places, std::size_t count) { places_.emplace_back(places, count); });
}

template <class T>
void collect<T>::settle(range all, bool complete) {
  const struct forgetting {  // also if this fails
    ~forgetting() { of.forget(); }
    collect& of;
  } afterwards{*this};
  require_behind(all);
  auto next = std::make_shared<held>(held{joined(complete), std::nullopt});
  if (held_->starts) next->starts = joined_starts(all);
  held_ = std::move(next);
}

template <class T>
buffer<const T> collect<T>::joined(bool complete) const {
  std::size_t count = size();
  for (const std::span<const T> piece : pieces_) count += piece.size();
  buffer<T> all = made(complete, count);
  std::byte* to = reinterpret_cast<std::byte*>(all.begin());
  const auto add = [&to](std::span<const T> some) {
    if (!some.empty()) std::memcpy(to, some.data(), some.size_bytes());
    to += some.size_bytes();
  };
  add(items().span());
  for (const std::span<const T> piece : pieces_) add(piece);
  all.clear_padding();
  return all;
}

template <class T>
buffer<T> collect<T>::made(bool complete, std::size_t count) const {
  if (!complete || file_.empty()) return buffer<T>(count);
  return permissions_ ? create<T>(file_, *permissions_, count) : create<T>(file_, count);
}

template <class T>
buffer<const std::uint64_t> collect<T>::joined_starts(range all) const {
  const std::span<const std::uint64_t> before = held_->starts->span();
  buffer<std::uint64_t> starts(std::max(all.last + 1, before.size()));
  std::ranges::copy(before, starts.begin());
  for (const std::span<const place> piece : places_) {
    for (const place& one : piece) starts[one.index + 1] += one.count;
  }
  for (std::size_t k = before.size(); k < starts.size(); ++k) starts[k] += starts[k - 1];
  return starts;
}

}  // namespace shard
