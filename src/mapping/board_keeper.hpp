// Where the board of a run lies if it is to outlive the processes of the run, and what it begins
// with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "board/board.hpp"
#include "family/assignment.hpp"

namespace shard::mapping {

class board_keeper {
 public:
  board_keeper() = default;
  board_keeper(const board_keeper&) = delete;
  board_keeper& operator=(const board_keeper&) = delete;
  virtual ~board_keeper() = default;

  // The slots and the schedule that the board needs for what it inherits. Slots beyond the first
  // ones get no worker.
  virtual board::dimensions with_inheritance(board::dimensions of) = 0;

  // Zeros on a page, which children that are forked share, as long as this. Throws shard::error.
  virtual std::byte* make(const board::dimensions& of, std::size_t bytes) = 0;

  // The board, before the run. identity: what one set of accumulators begins with. Throws
  // shard::error.
  virtual void begin(const board::board& on, std::span<const std::uint64_t> identity) = 0;

  // Of a run in a pool: where its workers find what make() made.
  virtual family::kept_board place_for_others() const = 0;

  // What the run's processes hold as long as they live, and children of kernels don't.
  virtual int held_descriptor() const noexcept = 0;
};

}  // namespace shard::mapping
