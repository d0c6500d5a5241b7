// A shared mapping of a file, from its first byte on.
#pragma once

#include <cstddef>
#include <utility>

namespace shard::os {

enum class protection { read, write };

class mapping {
 public:
  mapping() noexcept = default;
  // Maps the first `length_bytes` of a file. Throws call_failed; too small an address space
  // (RLIMIT_AS) is ENOMEM. The descriptor may be closed afterwards. Requires: length_bytes > 0.
  mapping(int descriptor, std::size_t length_bytes, protection rights);
  mapping(mapping&& from) noexcept
      : base_(std::exchange(from.base_, nullptr)),
        length_bytes_(std::exchange(from.length_bytes_, 0)) {}
  mapping& operator=(mapping&& from) noexcept {
    std::swap(base_, from.base_);
    std::swap(length_bytes_, from.length_bytes_);
    return *this;
  }
  ~mapping();

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

}  // namespace shard::os
