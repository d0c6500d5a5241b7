// Buffers in .npy files, which numpy, R and Julia read and write.
//
// shard maps files and does not read them. Opening a file takes no time and no memory, whatever its
// size, and the elements of the buffer are the bytes of the file. Files in the other byte order,
// and column-major files, can't be mapped: load reads those. Every function here throws
// shard::error if it fails.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <type_traits>

#include "shard/buffer.hpp"
#include "shard/detail/segment.hpp"

namespace shard {

// Opens the array in an existing file for reading. shard checks type, rank and size before it maps
// the file. If the type differs, the error names both types. Symlinks are followed. An array
// without dimensions opens as one element of rank 1.
template <class T, std::size_t Rank = 1>
buffer<const std::remove_const_t<T>, Rank> open(const std::filesystem::path& path);

// Opens the array in an existing file for reading and writing: for out() and shared().
template <class T, std::size_t Rank = 1>
buffer<T, Rank> open_writable(const std::filesystem::path& path);

// Reads the array in a file into memory. load converts the byte order and column-major order, and
// nothing else: another type or rank is an error, as in open(). Throws torn_error if a writer died
// in the middle of any element (buffer::torn). If another process writes to the file meanwhile, the
// copy may have a part of what it writes; to read whole transfers, open() the file and read().
template <class T, std::size_t Rank = 1>
buffer<T, Rank> load(const std::filesystem::path& path);

// Makes a new file of zeros, mode 0600. create reserves the blocks of the file: a full disk is an
// error now, and not a fault later. The file appears under `path`, and replaces what is there, when
// the first map that fills all of the file completes, or when you call finish(). If neither
// happens, nothing is left of the file. So call finish() if several maps fill the file together, or
// to keep a partial result after a map_error. create refuses a path that finish() could not use, as
// far as that can be known: a folder or an old file that is immutable or append-only (chattr), a
// mount point, or another user's file in a folder of mode 1777. A finished file survives the death
// of any process. To survive a power cut, too, call finish(durability::disk).
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::filesystem::path& path, N... extents);

// Makes a new file as create does, but under its name from the start, for files that others read or
// write while they are being filled. A killed job may leave the file half filled. Throws if
// anything has that name.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path, N... extents);

// Opens the array in an existing file for writing. If there is no file, makes one as create_live
// does. If many processes call this at once, one of them creates the file and all share it.
// was_created() of the result says whether this call created the file. Symlinks are refused.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path, on_mismatch then,
                                       N... extents);

// Writes a copy of a buffer to a file, mode 0600. The copy appears under `path`, and replaces what
// is there, only when the copy is complete. With durability::disk, save also waits until the bytes
// and the name of the file are on the disk. Throws torn_error, and leaves what is there, if a
// writer died in the middle of any element; shard::error(bad_file_descriptor) if the buffer is
// closed. If another process writes to the buffer meanwhile, the file may have a part of what it
// writes; to save whole transfers, read() them into another buffer first.
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
  const std::array<std::size_t, sizeof...(N)> shape{detail::to_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_file(path, detail::type_of<T>(), shape));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path, N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::to_extent(extents)...};
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_live(path, detail::type_of<T>(), shape));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path, on_mismatch then,
                                       N... extents) {
  const std::array<std::size_t, sizeof...(N)> shape{detail::to_extent(extents)...};
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
