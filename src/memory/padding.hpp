// Zeros for what lies between the fields of elements: what a program left there is no part of any
// value, differs from run to run, and may be anything of its memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "shard/detail/segment.hpp"

namespace shard::memory {

class padding {
 public:
  padding() = default;
  explicit padding(const detail::element_type& of);
  // Of what stores() was, in another process.
  padding(std::vector<detail::gap> stores, std::size_t element_bytes) noexcept
      : stores_(std::move(stores)), element_bytes_(element_bytes) {}

  std::span<const detail::gap> stores() const noexcept { return stores_; }

  // Whether elements have any.
  explicit operator bool() const noexcept { return !stores_.empty(); }

  // Writes to padding alone: others may use the values meanwhile. (Beside a bit-field, a byte is
  // read and written as a whole.)
  void clear(std::byte* first, std::size_t elements) const noexcept;
  void clear(std::span<std::byte> elements) const noexcept {
    if (*this) clear(elements.data(), elements.size() / element_bytes_);
  }

 private:
  std::vector<detail::gap> stores_;  // of one element; each is one instruction, if it can be
  std::size_t element_bytes_ = 1;
};

// An aligned place for copies of elements without what is in their padding, some at a time.
class clean_copies {
 public:
  clean_copies(const padding& of, std::size_t element_bytes, std::size_t elements,
               std::size_t block_bytes);

  // Calls use(copies, bytes done before) for one block after the other.
  template <class Use>
  void each(const std::byte* from, std::size_t elements, Use use) {
    const std::size_t bytes = elements * element_bytes_;
    for (std::size_t done = 0; done < bytes; done += block_.size()) {
      use(copied(from + done, std::min(block_.size(), bytes - done)), done);
    }
  }

 private:
  std::span<const std::byte> copied(const std::byte* from, std::size_t bytes);

  const padding& padding_;
  std::size_t element_bytes_;
  std::vector<std::byte> block_;
};

}  // namespace shard::memory
