// Memory for what is too long for a state of a reducer: the spill of a map. Not for users.
//
// A spill is one memory file for a map and a reducer, mapped by its caller and its workers. It is
// only ever taken from, by workers, in pieces, and given back as a whole when the map is over. So
// no two attempts at anything ever write to the same bytes, whoever dies wherever; what a dead
// worker, or a kernel that threw, has taken is lost until then. What counts is only what states
// name, and those are committed as all states are. docs/design.md has the invariants.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>

#include "shard/detail/segment.hpp"

namespace shard::detail {

// One that nobody has taken from. Throws shard::error if there is no memory for it.
array make_spill();

class spill {
 public:
  // memory: where this process has it.
  explicit spill(std::byte* memory) noexcept : memory_(memory) {}

  // Takes that many bytes, which exist then: to write to them can't fail. Returns their offset,
  // which is never 0. Throws shard::error if there is no memory, and has taken nothing. Requires:
  // alignment is a power of two, from 64 on.
  std::uint64_t take(std::size_t bytes, std::size_t alignment) const;

  std::byte* at(std::uint64_t offset) const noexcept { return memory_ + offset; }

  // Its first bytes. Zeros are not enough: see make_spill().
  struct head {
    std::atomic<std::uint64_t> taken;     // bytes, these included
    std::atomic<std::uint64_t> reserved;  // bytes that exist; never fewer than are taken
    std::uint64_t size;                   // that there may ever be
  };

 private:
  head& head_of() const noexcept { return *std::launder(reinterpret_cast<head*>(memory_)); }
  void reserve(std::uint64_t end) const;

  std::byte* memory_;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// A list of items in a spill, as a state has it: in pieces, one behind the other, of which all but
// the last are full. Zeros are the empty list. What belongs to a list never changes: it only grows.
struct spilled_list {
  std::uint64_t first = 0;  // offsets of pieces
  std::uint64_t last = 0;
  std::uint64_t in_last = 0;  // items
  std::uint64_t count = 0;    // items
};

// Of T: `capacity` of them follow, at first_of().
struct spilled_piece {
  std::uint64_t next;  // an offset; means something only to lists that go on behind this piece
  std::uint64_t capacity;

  template <class T>
  static constexpr std::size_t offset_of_items() noexcept {
    return std::max(sizeof(spilled_piece), alignof(T));
  }
  template <class T>
  T* items() noexcept {
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(this) + offset_of_items<T>());
  }
};

// Appends to a list. What it has appended counts once value() is in a state that is committed.
template <class T>
class spilling {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // Goes on behind `from`.
  spilling(std::byte* memory, const spilled_list& from) noexcept
      : to_(memory), first_(from.first), last_(from.last), before_(from.count - from.in_last) {
    if (last_ == 0) return;
    enter();
    at_ += from.in_last;
  }

  // Appends all or nothing: throws shard::error if there is no memory. Returns where the last one
  // is.
  T* push(const T& x) {
    if (at_ == end_) return append(&x, 1);
    if constexpr (std::is_copy_constructible_v<T>) {
      return std::construct_at(at_++, x);  // which, unlike bytes, can't be a pointer of this
    } else {
      return append(&x, 1);
    }
  }
  T* append(const T* from, std::size_t count) {
    const std::size_t room = static_cast<std::size_t>(end_ - at_);
    if (count > room) {
      const std::uint64_t next = take(count - room);
      copy(from, room);
      go_on_in(next);
      from += room;
      count -= room;
    }
    copy(from, count);
    return at_ - 1;
  }

  spilled_list value() const noexcept {
    const auto in_last = static_cast<std::uint64_t>(at_ - begin_);
    return {first_, last_, in_last, before_ + in_last};
  }

 private:
  // A piece is as large as all before it, so that a list of n items has about log2(n) of them; but
  // no larger than this, of which up to all may stay unused, unless it is filled at once.
  static constexpr std::size_t most_ahead_bytes = std::size_t{1} << 20;
  static constexpr std::size_t line_bytes = 64;

  spilled_piece& piece(std::uint64_t offset) const noexcept {
    return *std::launder(reinterpret_cast<spilled_piece*>(to_.at(offset)));
  }
  std::uint64_t take(std::size_t count);
  void go_on_in(std::uint64_t next) noexcept {
    if (last_ == 0) {
      first_ = next;
    } else {
      piece(last_).next = next;
    }
    before_ += static_cast<std::uint64_t>(at_ - begin_);
    last_ = next;
    enter();
  }
  void enter() noexcept {
    spilled_piece& now = piece(last_);
    begin_ = at_ = now.template items<T>();
    end_ = begin_ + now.capacity;
  }
  void copy(const T* from, std::size_t count) noexcept {
    if (count != 0) std::memcpy(static_cast<void*>(at_), from, count * sizeof(T));
    at_ += count;
  }

  spill to_;
  T* begin_ = nullptr;  // of the last piece
  T* at_ = nullptr;
  T* end_ = nullptr;
  std::uint64_t first_;
  std::uint64_t last_;
  std::uint64_t before_;  // items in the other pieces
};

// A piece with room for so many items at least.
template <class T>
std::uint64_t spilling<T>::take(std::size_t count) {
  constexpr std::size_t ahead = std::max<std::size_t>(most_ahead_bytes / sizeof(T), 1);
  constexpr std::size_t head = spilled_piece::offset_of_items<T>();
  constexpr std::size_t most = (std::numeric_limits<std::size_t>::max() / 2 - head) / sizeof(T);
  const std::size_t wanted = std::min(most, std::max(count, std::min(ahead, value().count)));
  const std::size_t bytes = (head + wanted * sizeof(T) + line_bytes - 1) / line_bytes * line_bytes;
  const std::uint64_t offset = to_.take(bytes, std::max(line_bytes, alignof(T)));
  ::new (to_.at(offset)) spilled_piece{0, (bytes - head) / sizeof(T)};
  return offset;
}

// use(const T* items, std::size_t count), for each piece of a list, in their order.
template <class T, class Use>
void each_piece(const std::byte* memory, const spilled_list& of, const Use& use) {
  std::uint64_t offset = of.first;
  for (std::uint64_t left = of.count; left != 0;) {
    auto* const found = const_cast<std::byte*>(memory) + offset;
    spilled_piece& now = *std::launder(reinterpret_cast<spilled_piece*>(found));
    const std::uint64_t count = std::min(left, now.capacity);
    use(static_cast<const T*>(now.template items<T>()), static_cast<std::size_t>(count));
    left -= count;
    offset = now.next;
  }
}

}  // namespace shard::detail
