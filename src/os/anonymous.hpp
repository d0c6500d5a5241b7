// Zeroed memory straight from the kernel: pages cost nothing before they are touched.
#pragma once

#include <cstddef>
#include <utility>

#include "os/descriptor.hpp"

namespace shard::os {

enum class sharing {
  with_children,  // a forked child sees, and makes, changes
  none            // a forked child has a copy
};

class anonymous_memory {
 public:
  anonymous_memory() noexcept = default;
  // Throws call_failed if there isn't enough address space. No swap is reserved.
  anonymous_memory(std::size_t bytes, sharing how);
  // Of a memory file, which other programs can map, too. Throws call_failed.
  static anonymous_memory of_file(const descriptor& file, std::size_t bytes);
  anonymous_memory(anonymous_memory&& from) noexcept
      : base_(std::exchange(from.base_, nullptr)), bytes_(std::exchange(from.bytes_, 0)) {}
  anonymous_memory& operator=(anonymous_memory&& from) noexcept {
    std::swap(base_, from.base_);
    std::swap(bytes_, from.bytes_);
    return *this;
  }
  ~anonymous_memory();

  std::byte* base() const noexcept { return base_; }  // on a page; null for 0 bytes
  std::size_t size_bytes() const noexcept { return bytes_; }

 private:
  void map(std::size_t bytes, int flags, int descriptor);

  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
};

// Leaves memory out of this process's core dumps, or of its children. False: the system can't.
// Requires: `base` is on a page.
[[nodiscard]] bool keep_from_dumps(void* base, std::size_t bytes) noexcept;
[[nodiscard]] bool keep_from_children(void* base, std::size_t bytes) noexcept;

// Of a file of which few pages will be touched: nobody reads what lies behind them.
void read_none_ahead(void* base, std::size_t bytes) noexcept;
// From now on children have it again.
void leave_to_children(void* base, std::size_t bytes) noexcept;

// Asks for huge pages. The system may give none. Requires: `base` is on a page.
void prefer_huge_pages(void* base, std::size_t bytes) noexcept;

// Shared memory has zeros there again, for all who share it, and takes no room. Requires: whole
// pages.
void discard(std::byte* base, std::size_t bytes) noexcept;

// Takes pages of shared memory that is to be written to, so that no store there can be the one that
// finds none. False: there are none. A system that can't take them in advance (Linux before 5.14,
// sandboxes) says true: then they are taken one by one.
[[nodiscard]] bool reserve_pages(std::byte* base, std::size_t bytes) noexcept;

// Nothing is mapped there from now on, and access faults.
void vacate(void* base, std::size_t bytes) noexcept;

}  // namespace shard::os
