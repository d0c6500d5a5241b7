// Typed arrays of fixed shape in shared memory: what a map reads and writes.
//
// A buffer owns its memory together with the arguments of the maps it was handed to. Any thread may
// read one; writing follows the rules of any array. Elements are row-major, and the first dimension
// is the one that a map partitions.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "shard/atomics.hpp"
#include "shard/backing.hpp"
#include "shard/bulk.hpp"
#include "shard/detail/index.hpp"
#include "shard/detail/segment.hpp"
#include "shard/detail/sharing.hpp"
#include "shard/element.hpp"
#include "shard/range.hpp"
#include "shard/strided.hpp"

namespace shard {

namespace detail {

// What T and Rank of a buffer must be. (A name: requires-clauses out of the class must repeat it.)
template <class T, std::size_t Rank>
concept fits_buffer = element<std::remove_const_t<T>> && Rank >= 1 && Rank <= most_dimensions;

}  // namespace detail

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
class buffer;

namespace detail {

struct buffer_access;

template <class R>
inline constexpr bool is_buffer = false;
template <class T, std::size_t Rank>
inline constexpr bool is_buffer<buffer<T, Rank>> = true;

// Ranges whose elements a new buffer<T> copies. Not buffers: those never copy by accident.
template <class R, class T>
concept copied_into =
    std::same_as<std::ranges::range_value_t<R>, std::remove_const_t<T>> && !is_buffer<R>;

}  // namespace detail

// buffer<T> can be written, buffer<const T> can't; both move and never copy. const is deep: a const
// buffer<T> gives const elements. Buffers are made here (in memory), or by open() and create() of
// npy.hpp (in files). Rank is 1 to 8. A buffer that was closed or moved from is empty: size 0, and
// no memory. It has the operations of atomics.hpp, which throw shard::error(argument_out_of_domain)
// if an index is outside and shard::error(bad_file_descriptor) if the buffer is closed.
template <class T, std::size_t Rank = 1>
  requires detail::fits_buffer<T, Rank>
class buffer : public detail::owner_atomics<buffer<T, Rank>, T, Rank> {
  static_assert(alignof(T) <= detail::most_alignment,
                "shard: elements of a buffer can be aligned to 4096 bytes at most");

 public:
  using element_type = T;
  using value_type = std::remove_const_t<T>;

  // Zeros, in memory that processes can share. No page of it is touched until it is used, but that
  // there is enough memory is checked now. Throws shard::error if there is not, if an extent is
  // negative, or if the size in bytes overflows.
  template <std::integral... N>
    requires(sizeof...(N) == Rank && !std::is_const_v<T>)
  explicit buffer(N... extents);

  // The same, made of huge pages if they are to be had.
  template <std::integral... N>
    requires(sizeof...(N) == Rank && !std::is_const_v<T>)
  explicit buffer(pages made_of, N... extents);

  // A copy of the elements of `copied`: a vector, for example, or the span() of another buffer.
  template <std::ranges::contiguous_range R>
    requires(Rank == 1 && detail::copied_into<R, T>)
  explicit buffer(const R& copied);

  // The same memory, from now on read-only.
  template <class U>
    requires std::same_as<const U, T>
  buffer(buffer<U, Rank>&& writable) noexcept;

  buffer(buffer&& from) noexcept;
  buffer& operator=(buffer&& from) noexcept;
  ~buffer() = default;

  // The array behind a descriptor that another buffer's descriptor() gave, in this process or in
  // the one that sent it. The descriptor stays the caller's. Throws shard::error unless it holds an
  // array of this type and rank; of memory, unless that is sealed against shrinking. A file has no
  // such seal: who may write to it can cut it (docs/buffers.md).
  static buffer reopen(int descriptor) {
    return buffer(detail::reopen(descriptor, detail::type_of<value_type>(), Rank, rights));
  }

  // Gives up the elements; others that have them keep them. A file made by create() that has not
  // got its final name yet is gone with its last user. Requires, like any end of a handle: no other
  // thread uses it. What another one has locked by it stays so until that thread ends.
  void close() noexcept {
    data_ = nullptr;
    shape_ = {};
    owner_.reset();
  }
  bool is_open() const noexcept { return owner_ != nullptr; }
  // Sends the descriptor over a connected Unix domain socket, and takes the next one that was sent:
  // checked as in reopen, with rights for reading only where T is const. Both wait. The errors of
  // receive tell the end of the connection, a message without a descriptor, and one with several,
  // all of which are then closed.
  void send_descriptor(int socket) const { detail::send(open_owner(), socket, rights); }
  static buffer receive(int socket) {
    return buffer(detail::receive(socket, detail::type_of<value_type>(), Rank, rights));
  }

  std::size_t size() const noexcept { return detail::volume(shape_); }
  bool empty() const noexcept { return size() == 0; }
  std::size_t extent(std::size_t dimension) const noexcept { return shape_[dimension]; }
  std::array<std::size_t, Rank> shape() const noexcept { return shape_; }

  // Requires: indices inside the extents. Compile the program with -DSHARD_CHECKED to check every
  // index into a buffer, view or slice: then it throws shard::error(argument_out_of_domain).
  T& operator[](std::size_t i) noexcept(!detail::checked)
    requires(Rank == 1)
  {
    return data_[place(i)];
  }
  const T& operator[](std::size_t i) const noexcept(!detail::checked)
    requires(Rank == 1)
  {
    return data_[place(i)];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  T& operator()(I... indices) noexcept(!detail::checked) {
    return data_[place(static_cast<std::size_t>(indices)...)];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  const T& operator()(I... indices) const noexcept(!detail::checked) {
    return data_[place(static_cast<std::size_t>(indices)...)];
  }

  // As operator(), but always checked: throws as the atomic operations do.
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  T& at(I... indices) {
    return data_[checked_place({indices...})];
  }
  template <std::integral... I>
    requires(sizeof...(I) == Rank)
  const T& at(I... indices) const {
    return data_[checked_place({indices...})];
  }

  std::span<T> row(std::size_t i) noexcept(!detail::checked)
    requires(Rank == 2)
  {
    return {data_ + row_place(i), shape_[1]};
  }
  std::span<const T> row(std::size_t i) const noexcept(!detail::checked)
    requires(Rank == 2)
  {
    return {data_ + row_place(i), shape_[1]};
  }

  strided_view<T, Rank - 1> row(std::size_t i) noexcept(!detail::checked)
    requires(Rank >= 3)
  {
    return {data_ + row_place(i), detail::row_shape<Rank>(shape_)};
  }
  strided_view<const T, Rank - 1> row(std::size_t i) const noexcept(!detail::checked)
    requires(Rank >= 3)
  {
    return {data_ + row_place(i), detail::row_shape<Rank>(shape_)};
  }

  // A part of the elements: one range for each dimension, or none for all of them. Throws
  // shard::error: argument_out_of_domain unless they are inside, bad_file_descriptor if closed.
  template <class... Part>
    requires detail::selects<Rank, Part...>
  strided_view<T, Rank> slab(const Part&... part) {
    require_open();
    return strided_view<T, Rank>(data_, shape_).sub(part...);
  }
  template <class... Part>
    requires detail::selects<Rank, Part...>
  strided_view<const T, Rank> slab(const Part&... part) const {
    require_open();
    return strided_view<const T, Rank>(data_, shape_).sub(part...);
  }

  // All elements, in row-major order.
  std::span<T> span() noexcept { return {data_, size()}; }
  std::span<const T> span() const noexcept { return {data_, size()}; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size(); }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size(); }

  // For reopen(), here or in a process it is sent to; closed with the buffer. -1 after a move.
  int descriptor() const noexcept { return owner_ ? detail::descriptor_of(*owner_) : -1; }

  // Whether the call that made this handle made the array, too, and did not find it there: how to
  // tell what open_or_create did. True of buffers in memory and of copies; false of what was
  // opened, reopened or received, of read_only() handles, and of closed buffers.
  bool was_created() const noexcept { return owner_ && detail::was_created(*owner_); }

  // ---- Bulk transfers, between all processes that have the buffer. Each is one transfer: no other
  // sees or leaves half of it, and those of other elements don't wait for it, unless they are
  // neighbours (docs/buffers.md). Elements are numbered in row-major order. Nothing is transferred,
  // and shard::error thrown, if an index is outside, a length differs, or values lie in the very
  // elements that they are read from, written or added to; torn_error if a writer died half-way in
  // these elements; shard::error(device_or_resource_busy) if others were writing at every try,
  // which happens to read-only handles alone: one that can write waits. Accesses to elements are no
  // transfers, and wait for none.
  // Requires: values don't lie in these elements through another handle either; all processes that
  // write by bulk or lock are in one PID namespace (a container may have one of its own), or else a
  // living one can be taken for dead.

  void read(range elements, std::span<value_type> to) const {
    const detail::run all = run_of(elements, to.size(), "read");
    read_runs({&all, 1}, to.data());
  }
  void write(range elements, std::span<const value_type> from)
    requires(!std::is_const_v<T>)
  {
    const detail::run all = run_of(elements, from.size(), "write");
    write_runs({&all, 1}, from.data());
  }
  void fill(range elements, const value_type& value)
    requires(!std::is_const_v<T>)
  {
    const detail::run all = run_of(elements, elements.size(), "fill");
    detail::require_done(detail::fill_run(*owner_, all, reinterpret_cast<const std::byte*>(&value)),
                         *owner_);
  }
  // Adds deltas[k] to element elements.first + k; integers wrap. No fetch_add is lost.
  void add(range elements, std::span<const value_type> deltas)
    requires(!std::is_const_v<T> && atomic_number<value_type>)
  {
    const detail::run all = run_of(elements, deltas.size(), "add");
    auto each = [&] {
      for (std::size_t k = 0; k < deltas.size(); ++k) {
        detail::atomic_cell<value_type>(data_[elements.first + k])
            .fetch_add(deltas[k], std::memory_order_relaxed);
      }
    };
    const auto apply = [](void* context) { (*static_cast<decltype(each)*>(context))(); };
    detail::require_done(
        detail::add_run(*owner_, all, reinterpret_cast<const std::byte*>(deltas.data()), apply,
                        &each),
        *owner_);
  }
  // to[k] = element indices[k]
  void gather(std::span<const std::size_t> indices, std::span<value_type> to) const {
    read_runs(runs_of_indices(indices, to.size(), "gather"), to.data());
  }
  // Element indices[k] = from[k], in this order: of equal indices the last one wins.
  void scatter(std::span<const std::size_t> indices, std::span<const value_type> from)
    requires(!std::is_const_v<T>)
  {
    write_runs(runs_of_indices(indices, from.size(), "scatter"), from.data());
  }
  // The elements of a part: one range for each dimension.
  void read_slab(const std::array<range, Rank>& part, std::span<value_type> to) const {
    read_runs(runs_of_part(part, to.size(), "read"), to.data());
  }
  void write_slab(const std::array<range, Rank>& part, std::span<const value_type> from)
    requires(!std::is_const_v<T>)
  {
    write_runs(runs_of_part(part, from.size(), "write"), from.data());
  }

  // As read and write, but they don't wait, and say what became of them.
  transfer try_read(range elements, std::span<value_type> to) const {
    const detail::run all = run_of(elements, to.size(), "read");
    return detail::read_runs(*owner_, {&all, 1}, reinterpret_cast<std::byte*>(to.data()),
                             detail::patience::tries);
  }
  transfer try_write(range elements, std::span<const value_type> from)
    requires(!std::is_const_v<T>)
  {
    const detail::run all = run_of(elements, from.size(), "write");
    return detail::write_runs(*owner_, {&all, 1}, reinterpret_cast<const std::byte*>(from.data()),
                              detail::patience::tries);
  }

  // The elements that writers who died may have left half written, and no one has cleared since.
  std::vector<range> torn() const { return detail::torn_ranges(open_owner()); }
  // Whatever is in these elements now is right from now on. (Of a torn range with these in its
  // middle, all stays torn.)
  void clear_torn(range elements)
    requires(!std::is_const_v<T>)
  {
    const detail::run all = run_of(elements, elements.size(), "clear");
    if (all.count > 0) detail::clear_torn(*owner_, elements);
  }

  // ---- The lock, for whatever its users agree on: it excludes those who lock, not accesses and
  // transfers. Usable with std::unique_lock and std::shared_lock. Held by a thread; a forked child
  // holds nothing. A holder that dies, by whatever signal, is succeeded at once. Throws
  // shard::error(resource_deadlock_would_occur) if the thread holds it already, either way,
  // shard::error(no_lock_available) if it holds 1900 others, and
  // shard::error(operation_not_permitted) if it unlocks what it doesn't hold. Requires: as above,
  // one PID namespace.

  void lock()
    requires(!std::is_const_v<T>)
  {
    detail::lock_exclusively(open_owner(), {});
  }
  bool try_lock()
    requires(!std::is_const_v<T>)
  {
    return detail::lock_exclusively(open_owner(), std::chrono::steady_clock::time_point::min());
  }
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> limit)
    requires(!std::is_const_v<T>)
  {
    return detail::lock_exclusively(open_owner(), detail::deadline_in(limit));
  }
  template <class Clock, class Duration>
  bool try_lock_until(std::chrono::time_point<Clock, Duration> deadline)
    requires(!std::is_const_v<T>)
  {
    return detail::lock_exclusively(open_owner(), detail::deadline_at(deadline));
  }
  void unlock()
    requires(!std::is_const_v<T>)
  {
    detail::unlock_exclusively(open_owner());
  }

  // Up to 64 threads share it; more wait.
  void lock_shared()
    requires(!std::is_const_v<T>)
  {
    detail::lock_shared(open_owner(), {});
  }
  bool try_lock_shared()
    requires(!std::is_const_v<T>)
  {
    return detail::lock_shared(open_owner(), std::chrono::steady_clock::time_point::min());
  }
  template <class Rep, class Period>
  bool try_lock_shared_for(std::chrono::duration<Rep, Period> limit)
    requires(!std::is_const_v<T>)
  {
    return detail::lock_shared(open_owner(), detail::deadline_in(limit));
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> deadline)
    requires(!std::is_const_v<T>)
  {
    return detail::lock_shared(open_owner(), detail::deadline_at(deadline));
  }
  void unlock_shared()
    requires(!std::is_const_v<T>)
  {
    detail::unlock_shared(open_owner());
  }

  // Whether an exclusive holder died: what it was changing may be half changed. Stays so until it
  // is cleared, by someone who has put it right.
  bool abandoned() const { return detail::is_abandoned(open_owner()); }
  void clear_abandoned()
    requires(!std::is_const_v<T>)
  {
    detail::clear_abandoned(open_owner());
  }

  // ---- Notifications: what was written before notify() is seen after the wait() that counts it.

  void notify()
    requires(!std::is_const_v<T>)
  {
    detail::notify(open_owner());
  }
  // How many notifications there were since this handle last waited (at first: since there
  // have been control words), as soon as there is one; 0 after `limit` without any. Of threads that
  // share a handle one gets each notification, and the others wait on.
  std::size_t wait()
    requires(!std::is_const_v<T>)
  {
    return detail::wait_for_notice(open_owner(), {});
  }
  template <class Rep, class Period>
  std::size_t wait_for(std::chrono::duration<Rep, Period> limit)
    requires(!std::is_const_v<T>)
  {
    return detail::wait_for_notice(open_owner(), detail::deadline_in(limit));
  }
  // An eventfd for event loops, made by the first call: readable after a notify() by this handle,
  // or by its copy in a forked child. It is closed with the handle.
  int event_descriptor()
    requires(!std::is_const_v<T>)
  {
    return detail::event_descriptor(open_owner());
  }

  // ---- Life.

  // One more handle of the same elements, which can't be written through: not even by a cast, which
  // faults. It outlives this one. Throws shard::error.
  buffer<const value_type, Rank> read_only() const {
    return buffer<const value_type, Rank>(detail::read_only(open_owner(), shape_));
  }

  // Ends writing for good, in all processes: memory alone can promise that, other backings are
  // refused. So it is while any other process or handle can write, this thread holds its lock, or a
  // map runs with this buffer; it is then as it was.
  buffer<const value_type, Rank> freeze() &&
        requires(!std::is_const_v<T>);

  // Returns when what was written here is in the file, and on its disk. In memory there is nothing
  // to wait for. Throws shard::error.
  void sync() const { detail::sync(open_owner()); }

  // Removes the name of a file, or of a named buffer. The elements stay until the last handle goes.
  // Throws shard::error if there is no name, or if it has become another file's; a symlink is.
  void unlink() { detail::unlink(open_owner()); }

  // What it takes, now. Throws shard::error; takes a moment for each mapping of the process.
  buffer_stats stats() const { return detail::stats(open_owner(), shape_); }

  // Gives a file made by create() its final name, at once and complete; a map that fills it does
  // this by itself. For any other buffer, and the second time, it does nothing.
  void finish() { detail::finish(open_owner()); }

 private:
  friend struct detail::buffer_access;
  friend class detail::owner_atomics<buffer, T, Rank>;
  template <class U, std::size_t R>
    requires detail::fits_buffer<U, R>
  friend class buffer;

  explicit buffer(detail::array made) noexcept;

  static constexpr auto rights = std::is_const_v<T> ? detail::access::read : detail::access::write;

  template <class... I>
  std::size_t place(I... indices) const noexcept(!detail::checked) {
    if constexpr (detail::checked) return checked_place({indices...});
    return detail::offset<Rank>(shape_, {indices...});
  }
  std::size_t row_place(std::size_t i) const noexcept(!detail::checked) {
    if (detail::checked && i >= shape_[0]) refuse(0, i);
    return i * detail::row_volume<Rank>(shape_);
  }
  std::size_t checked_place(const detail::position<Rank>& at) const {
    for (std::size_t d = 0; d < Rank; ++d) {
      if (at[d] >= shape_[d]) refuse(d, at[d]);
    }
    return detail::offset<Rank>(shape_, at);
  }
  T& cell(const detail::position<Rank>& at) const { return data_[checked_place(at)]; }
  // Closed buffers have no extents, so that only what is refused asks whether this is one.
  [[noreturn]] void refuse(std::size_t dimension, std::size_t found) const {
    require_open();
    detail::refuse_index(dimension, found, shape_[dimension]);
  }

  // Throws shard::error(bad_file_descriptor).
  void require_open() const {
    if (!owner_) detail::refuse_closed();
  }
  // The segment of an open buffer. Throws as above.
  detail::segment& open_owner() const {
    require_open();
    return *owner_;
  }
  // The elements as what a transfer takes. Throw unless the buffer is open, they are inside, and
  // `length` as many.
  detail::run run_of(range elements, std::size_t length, const char* operation) const;
  std::vector<detail::run> runs_of_indices(std::span<const std::size_t> indices, std::size_t length,
                                           const char* operation) const;
  std::vector<detail::run> runs_of_part(const std::array<range, Rank>& part, std::size_t length,
                                        const char* operation) const;
  void read_runs(std::span<const detail::run> runs, value_type* to) const;
  void write_runs(std::span<const detail::run> runs, const value_type* from);

  // Cached, so that an access is one addition.
  T* data_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
  std::shared_ptr<detail::segment> owner_;
};

template <std::ranges::contiguous_range R>
buffer(const R&) -> buffer<std::ranges::range_value_t<R>>;

namespace detail {

// The one way into a buffer for the rest of shard.
struct buffer_access {
  template <class T, std::size_t Rank>
  static buffer<T, Rank> make(array made) {
    return buffer<T, Rank>(std::move(made));
  }
  template <class T, std::size_t Rank>
  static const std::shared_ptr<segment>& owner(const buffer<T, Rank>& of) noexcept {
    return of.owner_;
  }
};

// The segment that a buffer shares; null after a move.
template <class T, std::size_t Rank>
const std::shared_ptr<segment>& owner_of(const buffer<T, Rank>& of) noexcept {
  return buffer_access::owner(of);
}

template <std::integral N>
std::size_t checked_extent(N extent) {
  if constexpr (std::is_signed_v<N>) {
    if (extent < 0) refuse_negative_extent(extent);
  }
  return static_cast<std::size_t>(extent);
}

}  // namespace detail

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <std::integral... N>
  requires(sizeof...(N) == Rank && !std::is_const_v<T>)
buffer<T, Rank>::buffer(N... extents)
    : buffer(detail::create_memory(
          detail::type_of<value_type>(),
          std::array<std::size_t, Rank>{detail::checked_extent(extents)...})) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <std::integral... N>
  requires(sizeof...(N) == Rank && !std::is_const_v<T>)
buffer<T, Rank>::buffer(pages made_of, N... extents)
    : buffer(detail::create_memory(
          detail::type_of<value_type>(),
          std::array<std::size_t, Rank>{detail::checked_extent(extents)...}, made_of)) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <std::ranges::contiguous_range R>
  requires(Rank == 1 && detail::copied_into<R, T>)
buffer<T, Rank>::buffer(const R& copied)
    : buffer(detail::create_memory(
          detail::type_of<value_type>(),
          std::array<std::size_t, 1>{static_cast<std::size_t>(std::ranges::size(copied))})) {
  // Through value_type, since the elements of a buffer<const T> are written only here.
  std::ranges::copy(copied, const_cast<value_type*>(data_));
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <class U>
  requires std::same_as<const U, T>
buffer<T, Rank>::buffer(buffer<U, Rank>&& writable) noexcept
    : data_(std::exchange(writable.data_, nullptr)),
      shape_(std::exchange(writable.shape_, {})),
      owner_(std::move(writable.owner_)) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
buffer<T, Rank>::buffer(buffer&& from) noexcept
    : data_(std::exchange(from.data_, nullptr)),
      shape_(std::exchange(from.shape_, {})),
      owner_(std::move(from.owner_)) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
buffer<T, Rank>& buffer<T, Rank>::operator=(buffer&& from) noexcept {
  if (this == &from) return *this;
  data_ = std::exchange(from.data_, nullptr);
  shape_ = std::exchange(from.shape_, {});
  owner_ = std::move(from.owner_);
  return *this;
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
buffer<T, Rank>::buffer(detail::array made) noexcept
    : data_(reinterpret_cast<T*>(made.data)), owner_(std::move(made.owner)) {
  std::ranges::copy(made.shape, shape_.begin());
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
           buffer<const std::remove_const_t<T>, Rank> buffer<T, Rank>::freeze() &&
             requires(!std::is_const_v<T>)
{
  require_open();
  detail::freeze(owner_);
  return std::move(*this);
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
detail::run buffer<T, Rank>::run_of(range elements, std::size_t length,
                                    const char* operation) const {
  require_open();
  if (elements.first > elements.last || elements.last > size()) {
    detail::refuse_elements(operation, elements, size());
  }
  if (elements.size() != length) detail::refuse_length(operation, length, elements.size());
  return {elements.first, length};
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
std::vector<detail::run> buffer<T, Rank>::runs_of_indices(std::span<const std::size_t> indices,
                                                          std::size_t length,
                                                          const char* operation) const {
  require_open();
  if (indices.size() != length) detail::refuse_length(operation, length, indices.size());
  std::vector<detail::run> runs;
  runs.reserve(indices.size());
  for (std::size_t k = 0; k < indices.size(); ++k) {
    if (indices[k] >= size()) detail::refuse_listed_index(operation, k, indices[k], size());
    runs.push_back({indices[k], 1});
  }
  return runs;
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
std::vector<detail::run> buffer<T, Rank>::runs_of_part(const std::array<range, Rank>& part,
                                                       std::size_t length,
                                                       const char* operation) const {
  require_open();
  detail::require_within<Rank>(detail::part_of<Rank>(shape_), part);
  std::vector<detail::run> runs = detail::runs_of(shape_, part);
  std::size_t elements = 0;
  for (const detail::run& each : runs) elements += each.count;
  if (elements != length) detail::refuse_length(operation, length, elements);
  return runs;
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
void buffer<T, Rank>::read_runs(std::span<const detail::run> runs, value_type* to) const {
  const detail::segment& of = open_owner();
  detail::require_done(
      detail::read_runs(of, runs, reinterpret_cast<std::byte*>(to), detail::patience::waits), of);
}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
void buffer<T, Rank>::write_runs(std::span<const detail::run> runs, const value_type* from) {
  detail::segment& of = open_owner();
  detail::require_done(detail::write_runs(of, runs, reinterpret_cast<const std::byte*>(from),
                                          detail::patience::waits),
                       of);
}

}  // namespace shard
