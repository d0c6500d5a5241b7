// Buffers that processes find by a name. The processes need no common parent and no file. The
// buffer "roots" is /dev/shm/shard.roots, with mode 0600.
//
// Life: a named buffer appears complete, or not at all. It lives as long as any process has a
// handle of it. The last handle removes the name, and closing that handle needs no free descriptor
// and no memory. If all holders were killed, the name stays as a leftover. The next create() or
// open_or_create() of that name replaces the leftover, and reclaim() removes it.
//
// Names: 1 to 200 letters, digits, '.', '_' or '-'. A name belongs to the user who made it: other
// users are refused. In /dev/shm only that user can remove it. So close named buffers before the
// process becomes another user, or the name stays as a leftover.
//
// All processes that lock a buffer, or write to it in bulk, must be in one PID namespace
// (buffer.hpp).
//
// Errors: each function throws shard::error if it cannot do what it says. The code() is
//   no_such_file_or_directory  there is nothing of that name: try again later
//   owner_dead                 there is a leftover, which nobody holds
//   file_exists                create(): somebody holds a buffer of that name
//   invalid_argument           another type, rank or shape; no array; or no valid name
//   permission_denied          the file is another user's
// or else the errno of the system call that failed, such as too_many_files_open.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "shard/buffer.hpp"
#include "shard/detail/segment.hpp"

namespace shard::named {

// Makes a new buffer of zeros and reserves its memory: if /dev/shm is full, create() throws, and no
// later access faults. Throws shard::error(file_exists) if somebody holds a buffer of that name.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::string& name, N... extents);

// Open a buffer that somebody holds: open() for reading, open_writable() for writing. The type and
// the rank are checked. A leftover is refused (owner_dead), since it may be half written.
template <class T, std::size_t Rank = 1>
buffer<const std::remove_const_t<T>, Rank> open(const std::string& name);
template <class T, std::size_t Rank = 1>
buffer<T, Rank> open_writable(const std::string& name);

// Opens the buffer if somebody holds it, and else makes a new one. was_created() of the result says
// which. If many processes call this at once, one process creates the buffer, and all share it.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::string& name, on_mismatch then, N... extents);

// The named buffers of this user, at this moment. An empty list means that there are none: if the
// folder or one of the buffers cannot be looked at, list() throws.
struct entry {
  std::string name;
  std::size_t size_bytes = 0;  // of the whole file, with its header
  bool held = false;           // false: a leftover
};
std::vector<entry> list();

// Removes this user's leftovers, and returns their names. If one cannot be looked at or removed,
// reclaim() throws that error. It removes the others first, unless the process has no descriptors
// or no memory left.
std::vector<std::string> reclaim();

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::string& name, N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::to_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_named(name, detail::type_of<T>(), shape));
}

template <class T, std::size_t Rank>
buffer<const std::remove_const_t<T>, Rank> open(const std::string& name) {
  using value = std::remove_const_t<T>;
  return detail::buffer_access::make<const value, Rank>(
      detail::open_named(name, detail::type_of<value>(), Rank, detail::access::read));
}

template <class T, std::size_t Rank>
buffer<T, Rank> open_writable(const std::string& name) {
  static_assert(!std::is_const_v<T>, "shard: named::open<T> opens a buffer for reading");
  return detail::buffer_access::make<T, Rank>(
      detail::open_named(name, detail::type_of<T>(), Rank, detail::access::write));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::string& name, on_mismatch then, N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::to_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::open_or_create_named(name, then, detail::type_of<T>(), shape));
}

}  // namespace shard::named
