// Buffers that processes find by name, with no common parent and no file: "roots" is
// /dev/shm/shard.roots, mode 0600.
//
// A named buffer is there complete or not at all, and lives as long as any handle of it in any
// process; the last to go removes the name. What a kill leaves is taken over by the next create or
// open_or_create, and reclaim() removes it. Names have 1 to 200 letters, digits, '.', '_' or '-',
// and belong to one user. Who writes by bulk or locks has to be in one PID namespace with all
// others who do (buffer.hpp). Each function throws shard::error if it can't do what it says.
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

// A new one of zeros, its memory reserved: if /dev/shm is full, that is an error now, not a fault
// later. Throws shard::error(file_exists) if anyone holds one of that name.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::string& name, N... extents);

// One that somebody holds, for reading; or for writing. Type and rank are checked. What nobody
// holds was left by a kill, perhaps half-written, and is refused.
template <class T, std::size_t Rank = 1>
buffer<const std::remove_const_t<T>, Rank> open(const std::string& name);
template <class T, std::size_t Rank = 1>
buffer<T, Rank> open_writable(const std::string& name);

// One that somebody holds, or else a new one. Of many processes that call this at once, one creates
// it, and all share it.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::string& name, on_mismatch then, N... extents);

// What there is of this user's, at this moment.
struct entry {
  std::string name;
  std::size_t size_bytes = 0;  // header and all
  bool held = false;           // false: a kill left it
};
std::vector<entry> list();

// Removes what nobody holds, and returns the names of it.
std::vector<std::string> reclaim();

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::string& name, N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::checked_extent(extents)...};
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
  const std::array<std::size_t, sizeof...(N)> shape{detail::checked_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::open_or_create_named(name, then, detail::type_of<T>(), shape));
}

}  // namespace shard::named
