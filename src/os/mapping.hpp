// A shared mapping of a file, or of a part of one.
#pragma once

#include <cstddef>
#include <utility>

namespace shard::os {

enum class protection { read, write };

std::size_t normal_page_bytes() noexcept;
// The start of the page that a file's byte is on. Throws call_failed.
std::size_t page_floor(int descriptor, std::size_t offset);

class mapping {
 public:
  mapping() noexcept = default;
  // Maps `length_bytes` of a file, from `offset` on, rounded up to huge pages where it consists of
  // those. Throws call_failed; too small an address space (RLIMIT_AS) is ENOMEM. The descriptor may
  // be closed afterwards. Requires: length_bytes > 0, and an offset on a page of the file.
  mapping(int descriptor, std::size_t length_bytes, protection rights, std::size_t offset = 0);
  mapping(mapping&& from) noexcept
      : base_(std::exchange(from.base_, nullptr)),
        length_bytes_(std::exchange(from.length_bytes_, 0)) {}
  mapping& operator=(mapping&& from) noexcept {
    std::swap(base_, from.base_);
    std::swap(length_bytes_, from.length_bytes_);
    return *this;
  }
  ~mapping();

  // The same file with other rights in the same place: no address in it changes. Throws
  // call_failed.
  void map_over(int descriptor, protection rights);
  // The same, to write to: what is written doesn't come to the file.
  void map_a_copy_over(int descriptor);

  std::byte* base() const noexcept { return base_; }
  std::size_t length_bytes() const noexcept { return length_bytes_; }

 private:
  std::byte* base_ = nullptr;
  std::size_t length_bytes_ = 0;
};

// From now on a write to these bytes faults, in this process. For the mappings that a worker
// inherits and was not granted. Throws call_failed. Requires: `base` is where a mapping starts.
void make_read_only(void* base, std::size_t length_bytes);
// The same, for reads as well.
void make_unreadable(void* base, std::size_t length_bytes);

// Takes back what make_read_only() did. Requires: the file is open for writing.
void make_writable(void* base, std::size_t length_bytes);

// Asks for huge pages; whether they are given, memory_use tells.
void prefer_huge_pages(const mapping& of) noexcept;

// Waits until what was written through the mapping is in the file. Throws call_failed.
void flush(const mapping& of);

// What a mapping takes.
struct memory_use {
  std::size_t resident_bytes = 0;  // of the file, in memory, whoever touched it
  std::size_t huge_bytes = 0;      // mapped here by huge pages
  std::size_t page_bytes = 0;      // the pages it is made of
};
// Reads /proc; where that can't be read, there are no huge pages. Throws call_failed. Requires: the
// mapping is of this file, from its start.
memory_use use_of(const mapping& of, int descriptor);

// Up to the next multiple of the pages that a file consists of, where those are huge; any other
// file has exactly the bytes it is given. Throws call_failed.
std::size_t round_to_pages(int descriptor, std::size_t bytes);

}  // namespace shard::os
