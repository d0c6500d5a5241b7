// Buffers in .npy files, which numpy, R and Julia read and write.
//
// shard maps files and does not read them. Opening a file takes no time and no memory, whatever its
// size, and the elements of the buffer are the bytes of the file. Files in the other byte order,
// and column-major files, can't be mapped: load reads those. Every function here throws
// shard::error if it fails.
//
// Permissions: each function that makes a file also has a form with std::filesystem::perms behind
// the path:
//
//   shard::create<float>("score.npy", std::filesystem::perms{0640}, n)
//
// The file then has exactly these permissions. The umask takes nothing away, and what the file
// replaces doesn't count. Without them, a new file has mode 0600: only its owner can use it. A file
// that replaces another file keeps who may use that one: its mode, group and access control list
// (acl(5)). If this process can't give the file that group or list, the file has fewer permissions,
// never more. The owner of the replaced file, and setuid, setgid and sticky bits are not kept, and
// a symlink has no permissions to keep. Until the file has its name, its mode is 0600. If another
// process changes the replaced file at that very moment, the file ends up as its owner's alone.
//
// In a folder with a default access control list, a file has that list, too, as far as the
// permissions of its group allow. shard refuses (invalid_argument) permissions beyond 0777.
// std::filesystem::perms is the type because std::filesystem::status() returns it, so a program can
// pass on what another file has; and because it is no integer, and so never taken for an extent.
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

// Makes a new file of zeros. create reserves the blocks of the file: a full disk is an
// error now, and not a fault later. The file appears under `path`, and replaces what is there, when
// the first map that fills all of the file completes, or when you call finish(). If neither
// happens, nothing is left of the file. So call finish() if several maps fill the file together, or
// to keep a partial result after a map_error. create refuses a path that finish() could not use, as
// far as that can be known: a folder or an old file that is immutable or append-only (chattr), a
// mount point, or another user's file in a folder of mode 1777. A finished file survives the death
// of any process. To survive a power cut, too, call finish(durability::disk). The permissions may
// leave out the owner's own, such as 0440: they count from finish() on.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::filesystem::path& path, N... extents);
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::filesystem::path& path,
                               std::filesystem::perms permissions, N... extents);

// Makes a new file as create does, but under its name from the start, for files that others read or
// write while they are being filled. A killed job may leave the file half filled. Throws if
// anything has that name. The permissions must let the owner read and write (0600): workers and
// other handles open the file while it is being filled.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path, N... extents);
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path,
                                    std::filesystem::perms permissions, N... extents);

// Opens the array in an existing file for writing. If there is no file, makes one as create_live
// does. If many processes call this at once, one of them creates the file and all share it.
// was_created() of the result says whether this call created the file. Symlinks are refused.
// Permissions are those of a file that this call makes, as of create_live; a file that it opens
// stays as it is.
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path, on_mismatch then,
                                       N... extents);
template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path,
                                       std::filesystem::perms permissions, on_mismatch then,
                                       N... extents);

// Writes a copy of a buffer to a file. The copy appears under `path`, and replaces what
// is there, only when the copy is complete. With durability::disk, save also waits until the bytes
// and the name of the file are on the disk. Throws torn_error, and leaves what is there, if a
// writer died in the middle of any element; shard::error(bad_file_descriptor) if the buffer is
// closed. If another process writes to the buffer meanwhile, the file may have a part of what it
// writes; to save whole transfers, read() them into another buffer first.
template <class T, std::size_t Rank>
void save(const std::filesystem::path& path, const buffer<T, Rank>& from,
          durability needed = durability::memory);
template <class T, std::size_t Rank>
void save(const std::filesystem::path& path, std::filesystem::perms permissions,
          const buffer<T, Rank>& from, durability needed = durability::memory);

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

namespace detail {

template <std::integral... N>
std::array<std::size_t, sizeof...(N)> shape_of(N... extents) {
  return {to_extent(extents)...};
}

}  // namespace detail

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::filesystem::path& path, N... extents) {
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_file(path, detail::type_of<T>(), detail::shape_of(extents...)));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create(const std::filesystem::path& path,
                               std::filesystem::perms permissions, N... extents) {
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_file(path, detail::type_of<T>(), detail::shape_of(extents...), permissions));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path, N... extents) {
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_live(path, detail::type_of<T>(), detail::shape_of(extents...)));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> create_live(const std::filesystem::path& path,
                                    std::filesystem::perms permissions, N... extents) {
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::create_live(path, detail::type_of<T>(), detail::shape_of(extents...), permissions));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path, on_mismatch then,
                                       N... extents) {
  return detail::buffer_access::make<T, sizeof...(N)>(
      detail::open_or_create_file(path, then, detail::type_of<T>(), detail::shape_of(extents...)));
}

template <class T, std::integral... N>
  requires(sizeof...(N) > 0)
buffer<T, sizeof...(N)> open_or_create(const std::filesystem::path& path,
                                       std::filesystem::perms permissions, on_mismatch then,
                                       N... extents) {
  return detail::buffer_access::make<T, sizeof...(N)>(detail::open_or_create_file(
      path, then, detail::type_of<T>(), detail::shape_of(extents...), permissions));
}

template <class T, std::size_t Rank>
void save(const std::filesystem::path& path, const buffer<T, Rank>& from, durability needed) {
  detail::save_file(path, detail::type_of<std::remove_const_t<T>>(), from.shape(),
                    detail::owner_of(from), needed);
}

template <class T, std::size_t Rank>
void save(const std::filesystem::path& path, std::filesystem::perms permissions,
          const buffer<T, Rank>& from, durability needed) {
  detail::save_file(path, detail::type_of<std::remove_const_t<T>>(), from.shape(),
                    detail::owner_of(from), needed, permissions);
}

}  // namespace shard
