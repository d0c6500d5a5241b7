// The padding between the fields of what a map writes: zeros, whatever kernels left there.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "board/board.hpp"
#include "memory/padding.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/range.hpp"

namespace shard::mapping {

class output_padding {
 public:
  // What the elements of each grant have, in their order. It must outlive this.
  using paddings = std::vector<const memory::padding*>;
  static paddings of(const detail::job& what);

  // data: where the grants' elements are, in their order.
  output_padding(const detail::job& of, const paddings& in, const std::vector<std::byte*>& data);

  // Whether any output has some.
  explicit operator bool() const noexcept { return !outputs_.empty(); }

  // In the rows that these indices of a chunk own, and the chunk's own row.
  void clear(std::size_t chunk, range indices) const noexcept;

  // In the rows of every chunk that was begun, except those whose indices are `completed`
  // (ascending, apart): a worker that died cleared nothing. Requires: nobody works on the board.
  void clear_begun(const board::board& on, const plan::partition& chunks,
                   std::span<const range> completed) const noexcept;

 private:
  struct output {
    const detail::grant& granted;
    const memory::padding& in;
    std::byte* data;
  };

  const detail::space& where_;
  std::vector<output> outputs_;
};

}  // namespace shard::mapping
