// Buffers in .npy files, which numpy, R and Julia read and write.
//
// Files are mapped, not read: opening one takes no time and no memory, whatever its size, and its
// elements are the file's. What can't be mapped as it is (the other order of bytes, column-major)
// is read by load. Each function throws shard::error if it can't do what it says.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <type_traits>

#include "shard/buffer.hpp"
#include "shard/detail/segment.hpp"

namespace shard {

// The array in an existing file, read-only. Type, rank and size are checked before anything is
// mapped: a file of another type is an error that names both. A symlink is followed. numpy's arrays
// without dimensions open as one element, with rank 1.
template <class T, std::size_t Rank = 1>
buffer<const std::remove_const_t<T>, Rank> open(const std::filesystem::path& path);

// The same, to be written in place: for out and shared.
template <class T, std::size_t Rank = 1>
buffer<T, Rank> open_writable(const std::filesystem::path& path);

// A copy in memory of the array in a file, which is read once. The order of bytes and Fortran's
// order of dimensions are converted; nothing else is: any other type or rank is an error, as in
// open. Throws torn_error if a writer died half-way in any of the elements (buffer::torn). What
// others write meanwhile may be there in part: read() of an opened file sees transfers whole.
template <class T, std::size_t Rank = 1>
buffer<T, Rank> load(const std::filesystem::path& path);

// A new file of zeros, mode 0600, its blocks reserved: a full disk is an error now, not a fault
// later. It appears under `path`, replacing what is there, when the first map that fills all of it
// completes, or when its finish() is called; if neither happens, nothing is left of it. So call
// finish() where several maps fill a file together, or to keep a partial result after a map_error.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::filesystem::path& path, N... extents);

// The same, under its name from the start, for files that are read or written while they are
// filled: no more is promised of what a killed job leaves. Throws if there is anything of that
// name.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path, N... extents);

// The array in an existing file, to be written in place, or else a new one as create_live makes it.
// Of many processes that call this at once, one creates it, and all share it. was_created() of the
// result says which of the two this call did. A symlink is refused.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path, on_mismatch then,
                                       N... extents);

// Writes a copy of a buffer to a file, mode 0600 like create()'s. It appears under `path`,
// replacing what is there, only when it is complete. Throws torn_error, and leaves what is there,
// if a writer died half-way in any of the elements; shard::error(bad_file_descriptor) if the buffer
// is closed. What others write meanwhile may be there in part: of elements that are read() into a
// buffer first, transfers are whole.
template <class T, std::size_t Rank>
void save(const std::filesystem::path& path, const buffer<T, Rank>& from,
          durability needed = durability::memory);

template <class T, std::size_t Rank>
buffer<const std::remove_const_t<T>, Rank> open(const std::filesystem::path& path) {
  using value = std::remove_const_t<T>;
  return detail::buffer_access::make<const value, Rank>(
      detail::open_file(path, detail::type_of<value>(), Rank, detail::access::read));
}

template <class T, std::size_t Rank>
buffer<T, Rank> open_writable(const std::filesystem::path& path) {
  static_assert(!std::is_const_v<T>, "shard: open<T> opens a file for reading");
  return detail::buffer_access::make<T, Rank>(
      detail::open_file(path, detail::type_of<T>(), Rank, detail::access::write));
}

template <class T, std::size_t Rank>
buffer<T, Rank> load(const std::filesystem::path& path) {
  return detail::buffer_access::make<T, Rank>(
      detail::load_file(path, detail::type_of<std::remove_const_t<T>>(), Rank));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::filesystem::path& path, N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::checked_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_file(path, detail::type_of<T>(), shape));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path, N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::checked_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_live(path, detail::type_of<T>(), shape));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path, on_mismatch then,
                                       N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::checked_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::open_or_create_file(path, then, detail::type_of<T>(), shape));
}

template <class T, std::size_t Rank>
void save(const std::filesystem::path& path, const buffer<T, Rank>& from, durability needed) {
  const std::array<std::size_t, Rank> shape = from.shape();
  detail::save_file(path, detail::type_of<std::remove_const_t<T>>(), shape, detail::owner_of(from),
                    needed);
}

}  // namespace shard
