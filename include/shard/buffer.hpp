// Typed arrays of fixed shape in shared memory. Maps read and write them.
//
// A buffer is a handle that shares ownership of the memory with the arguments of running maps. Any
// thread may read elements. Writing needs the same care as with any array. Elements are in
// row-major order. A map partitions the first dimension.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "shard/atomics.hpp"
#include "shard/backing.hpp"
#include "shard/bulk.hpp"
#include "shard/detail/index.hpp"
#include "shard/detail/segment.hpp"
#include "shard/element.hpp"
#include "shard/lock.hpp"
#include "shard/notifications.hpp"
#include "shard/range.hpp"
#include "shard/strided.hpp"

namespace shard {

namespace detail {

// What T and Rank of a buffer must be. (Definitions outside the class must repeat this.)
template <class T, std::size_t Rank>
concept fits_buffer =
    check_element<std::remove_const_t<T>>() && Rank >= 1 && Rank <= most_dimensions;

}  // namespace detail

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
class SHARD_ACCESS buffer;

namespace detail {

struct buffer_access;

template <class R>
inline constexpr bool is_buffer = false;
template <class T, std::size_t Rank>
inline constexpr bool is_buffer<buffer<T, Rank>> = true;

// Ranges whose elements a new buffer<T> copies. Buffers are excluded: they never copy by accident.
template <class R, class T>
concept copied_into =
    std::same_as<std::ranges::range_value_t<R>, std::remove_const_t<T>> && !is_buffer<R>;

}  // namespace detail

// A buffer<T> can be written to, a buffer<const T> cannot. Both can be moved, but not copied. Const
// is deep: a const buffer<T> gives const elements. The constructors here make buffers in memory.
// npy.hpp has functions for files, and named.hpp for named buffers. Rank is 1 to 8. A buffer that
// was closed or moved from is empty: it has size 0 and no memory.
//
// A buffer also has the operations of these headers:
//   atomics.hpp        load, store, fetch_add, …: one element, atomically; wait until it changes
//   bulk.hpp           read, write, add, gather, …: many elements, as one transfer
//   lock.hpp           lock, lock_shared, …
//   notifications.hpp  notify, wait, …; attach_event, …
// They throw shard::error(argument_out_of_domain) if an index is outside the buffer, and
// shard::error(bad_file_descriptor) if the buffer is closed.
template <class T, std::size_t Rank = 1>
  requires detail::fits_buffer<T, Rank>
class SHARD_ACCESS buffer : public detail::owner_atomics<buffer<T, Rank>, T, Rank>,
                            public detail::bulk_transfers<buffer<T, Rank>, T, Rank>,
                            public detail::lockable<buffer<T, Rank>, T>,
                            public detail::notifiable<buffer<T, Rank>, T> {
  static_assert(alignof(T) <= detail::most_alignment,
                "shard: elements of a buffer can be aligned to 4096 bytes at most");

 public:
  using element_type = T;
  using value_type = std::remove_const_t<T>;

  // Without an index for notifications, with one for elements.
  using detail::owner_atomics<buffer, T, Rank>::wait;
  using detail::owner_atomics<buffer, T, Rank>::wait_for;
  using detail::notifiable<buffer, T>::wait;
  using detail::notifiable<buffer, T>::wait_for;

  // Makes a buffer of zeros in memory that processes can share. Pages take memory only when they
  // are first used, but shard checks now that there is enough memory. Throws shard::error if there
  // is not enough, if an extent is negative, or if the size in bytes overflows.
  template <std::integral... N>
    requires(sizeof...(N) == Rank && !std::is_const_v<T>)
  explicit buffer(N... extents);

  // The same, with huge pages if `made_of` asks for them and the system can give them
  // (backing.hpp). All memory is taken now.
  template <std::integral... N>
    requires(sizeof...(N) == Rank && !std::is_const_v<T>)
  explicit buffer(pages made_of, N... extents);

  // Makes a buffer that is a copy of `copied`, for example of a vector or of another buffer's
  // span().
  template <std::ranges::contiguous_range R>
    requires(Rank == 1 && detail::copied_into<R, T>)
  explicit buffer(const R& copied);

  // Takes over the memory of `writable`; this handle only reads it.
  template <class U>
    requires std::same_as<const U, T>
  buffer(buffer<U, Rank>&& writable) noexcept {
    take(writable);
  }

  buffer(buffer&& from) noexcept { take(from); }
  buffer& operator=(buffer&& from) noexcept {
    if (this != &from) take(from);
    return *this;
  }
  ~buffer() = default;

  // Opens the array behind a descriptor. The descriptor came from descriptor() of another buffer,
  // in this process or in a process that sent it. The caller keeps the descriptor. Throws
  // shard::error if there is no array of this type and rank (invalid_argument), or if the
  // descriptor does not allow writing and T is not const (permission_denied). Memory must be sealed
  // against shrinking. A file has no such seal: whoever may write to a file can cut it
  // (docs/buffers.md).
  static buffer reopen(int descriptor) {
    return buffer(detail::reopen(descriptor, detail::type_of<value_type>(), Rank, rights));
  }

  // Gives up the elements. Other handles of the same elements keep them. A file that was made by
  // create() and does not have its final name yet disappears with its last user. Closing needs no
  // free descriptor and no memory. If another thread holds the lock through this handle, the lock
  // stays locked until that thread ends.
  // Requires, like any end of a handle: no other thread uses the handle.
  void close() noexcept {
    data_ = nullptr;
    shape_ = {};
    owner_.reset();
  }

  bool is_open() const noexcept { return owner_ != nullptr; }

  // What the buffer is called in messages: the path, as it was given to the function that opened or
  // created the file; the name of a named buffer; "memory". No system call is made. The path stays
  // after finish(), unlink() and a chdir, and does not follow a file that is renamed. A handle from
  // reopen() or receive() was given no path. Its name is the absolute path by which the system
  // knows the open file at that moment, or "descriptor 7" if the system knows none. It knows none
  // of a file that was opened without a name, as create() opens it, also when it is finished. Empty
  // if the buffer was closed or moved from.
  std::string name() const { return owner_ ? detail::name_of(*owner_) : std::string(); }

  // send_descriptor() sends the descriptor over a connected Unix domain socket. receive() takes the
  // next descriptor that was sent, and checks it as reopen() does. If T is const, the receiver gets
  // the right to read only. If T is not const, the events of this handle go along, and are attached
  // to the handle that receives them (notifications.hpp). Both functions wait. receive() throws
  // shard::error(not_connected) if the sender has closed the connection, (bad_message) if a message
  // has no descriptor, or more that are no events, and (too_many_files_open) if this process has no
  // room for them. It keeps none of those descriptors.
  void send_descriptor(int socket) const { detail::send(open_owner(), socket, rights); }
  static buffer receive(int socket) {
    return buffer(detail::receive(socket, detail::type_of<value_type>(), Rank, rights));
  }

  std::size_t size() const noexcept { return detail::volume(shape_); }
  bool empty() const noexcept { return size() == 0; }
  std::size_t extent(std::size_t dimension) const noexcept { return shape_[dimension]; }
  std::array<std::size_t, Rank> shape() const noexcept { return shape_; }

  // Requires: the indices are inside the extents. Compile the program with -DSHARD_CHECKED to check
  // every index into a buffer, view or slice. A wrong index then throws
  // shard::error(argument_out_of_domain).
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

  // Like operator(), but always checked. Throws like the atomic operations.
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

  // What has index i in the first dimension: contiguous memory in rank 2, a strided_view in higher
  // ranks.
  detail::row_of<T, Rank> row(std::size_t i) noexcept(!detail::checked)
    requires(Rank >= 2)
  {
    return detail::row_at<T, Rank>(data_ + row_place(i), shape_);
  }
  detail::row_of<const T, Rank> row(std::size_t i) const noexcept(!detail::checked)
    requires(Rank >= 2)
  {
    return detail::row_at<const T, Rank>(data_ + row_place(i), shape_);
  }

  // A view of a part: give one range for each dimension, or no ranges for all elements. Throws
  // shard::error(argument_out_of_domain) if a range is not inside the buffer, and
  // shard::error(bad_file_descriptor) if the buffer is closed.
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

  // For reopen(), in this process or in one that the descriptor is sent to. The buffer closes the
  // descriptor. -1 if the buffer was closed or moved from.
  int descriptor() const noexcept { return owner_ ? detail::descriptor_of(*owner_) : -1; }

  // Whether the call that returned this handle made a new array. Tells which of the two
  // open_or_create did. True for buffers in memory, for copies (load), and after create and
  // create_live. False after open, reopen, receive and read_only, and for a closed buffer.
  bool was_created() const noexcept { return owner_ && detail::was_created(*owner_); }

  // One more handle of the same elements that can only read. Writing through it faults, even after
  // a cast. It may outlive this handle. Throws shard::error.
  buffer<const value_type, Rank> read_only() const {
    return buffer<const value_type, Rank>(detail::read_only(open_owner(), shape_));
  }

  // Ends writing for good, in all processes. Only buffers in memory can promise that: freeze()
  // refuses files and named buffers. It also refuses while another process or handle can write,
  // while a thread of this program holds the lock, and while a map uses this buffer. A refused
  // buffer stays as it was.
  buffer<const value_type, Rank> freeze() &&
        requires(!std::is_const_v<T>);

  // Puts zeros between the fields of all elements. What maps and bulk transfers write has zeros
  // there already, and save() and finish() see to it: so this is for structs that the program
  // itself stored into a live file or a named buffer. Others may use the fields meanwhile. Does
  // nothing for elements without padding, or whose padding is kept (keeps_padding).
  void clear_padding()
    requires(!std::is_const_v<T>)
  {
    detail::clear_padding(open_owner());
  }

  // Returns when everything that was written through this handle is on the disk. For a buffer in
  // memory it returns at once. Throws shard::error.
  void sync() const { detail::sync(open_owner()); }

  // Removes the name of a file, or of a named buffer. The elements stay until the last handle is
  // closed. Throws shard::error if there is no name, or if the name now leads to another file. A
  // symlink counts as another file.
  void unlink() { detail::unlink(open_owner()); }

  // What the buffer takes now, and who shares it. Costs about two system calls for each handle of
  // this buffer. Before Linux 6.7, a buffer of 2 MiB or more also costs a look into
  // /proc/self/smaps, which has some lines for each mapping of this process. Throws shard::error.
  buffer_stats stats() const { return detail::stats(open_owner(), shape_); }

  // Gives a file made by create() its final name, at once and complete. A map that fills the file
  // calls finish() itself. For any other buffer, and the second time, finish() does nothing.
  // With durability::disk, finish() also waits until the elements and the name of the file are on
  // the disk; call it so after a map, too, if the file must survive a power cut. Throws
  // shard::error; the buffer keeps its elements then, and finish() can be called again.
  void finish(durability needed = durability::memory) { detail::finish(open_owner(), needed); }

 private:
  friend struct detail::buffer_access;
  friend class detail::owner_atomics<buffer, T, Rank>;
  friend class detail::bulk_transfers<buffer, T, Rank>;
  friend class detail::lockable<buffer, T>;
  friend class detail::notifiable<buffer, T>;
  template <class U, std::size_t R>
    requires detail::fits_buffer<U, R>
  friend class buffer;

  explicit buffer(detail::array made) noexcept;

  // Leaves `from` empty.
  template <class U>
  void take(buffer<U, Rank>& from) noexcept {
    data_ = std::exchange(from.data_, nullptr);
    shape_ = std::exchange(from.shape_, {});
    owner_ = std::move(from.owner_);
  }

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
  // A closed buffer has no extents, so every index is refused: only here is it asked for.
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
std::size_t to_extent(N extent) {
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
    : buffer(detail::create_memory(detail::type_of<value_type>(),
                                   std::array<std::size_t, Rank>{detail::to_extent(extents)...})) {}

template <class T, std::size_t Rank>
  requires detail::fits_buffer<T, Rank>
template <std::integral... N>
  requires(sizeof...(N) == Rank && !std::is_const_v<T>)
buffer<T, Rank>::buffer(pages made_of, N... extents)
    : buffer(detail::create_memory(detail::type_of<value_type>(),
                                   std::array<std::size_t, Rank>{detail::to_extent(extents)...},
                                   made_of)) {}

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
  detail::clear_padding(*owner_);
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

}  // namespace shard
