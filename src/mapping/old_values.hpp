// What a chunk's rows held before its kernel changed them in place: where they lie in the buffers
// that inout() granted, and the way there and back.
#pragma once

#include <cstddef>
#include <vector>

#include "board/owner.hpp"
#include "mapping/units.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"

namespace shard::mapping {

class old_values {
 public:
  // data: where the grants' elements are, in their order.
  old_values(const detail::job& of, const plan::partition& chunks, std::vector<std::byte*> data);
  old_values(const old_values&) = delete;
  old_values& operator=(const old_values&) = delete;

  // 0: nothing is changed in place.
  std::size_t bytes_of_largest() const;

  // Valid as long as this.
  board::undo undo() const noexcept;

 private:
  std::size_t bytes(std::size_t chunk) const;
  void save(std::size_t chunk, std::byte* to) const;
  void restore(std::size_t chunk, range units, const std::byte* from) const;

  const detail::job& job_;
  const plan::partition& chunks_;
  units units_;
  std::vector<std::byte*> data_;
  bool any_ = false;
};

}  // namespace shard::mapping
