// Runs the kernel of a job on chunks: what one worker owns.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "board/owner.hpp"
#include "mapping/old_values.hpp"
#include "mapping/output_padding.hpp"
#include "mapping/units.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"

namespace shard::mapping {

// Where the states of a job's reductions lie: the ordered ones in each chunk's partial, the
// commutative ones in each worker's accumulators.
struct state_layout {
  explicit state_layout(const std::vector<detail::reduction>& reductions);

  struct place {
    bool ordered;
    std::size_t offset;  // in the partial if ordered, else in the accumulators
  };

  std::vector<place> places;  // of each reduction
  std::size_t partial_bytes = 0;
  std::size_t accumulator_bytes = 0;
};

class chunk_runner {
 public:
  // What kernels may ask for.
  struct numbers {
    unsigned worker = 0;
    std::size_t first_chunk = 0;  // of the partition, if that is a part of the map's
  };

  // data: where this worker has the buffers of the job's grants, in their order. Makes the job's
  // belongings; throws what their making throws.
  chunk_runner(const detail::job& what, const plan::partition& chunks, const state_layout& states,
               const output_padding::paddings& in, std::vector<std::byte*> data, numbers told);
  chunk_runner(const chunk_runner&) = delete;
  chunk_runner& operator=(const chunk_runner&) = delete;

  // As the board wants it: what the kernel throws becomes a text, where one is wanted. Lives as
  // long as this.
  const board::task& task() const noexcept { return task_; }

  // The steps of the task. Throws what the kernel throws.
  void run(const board::piece& what, std::byte* partial, std::byte* accumulators) const;
  void start(std::byte* accumulators) const;

 private:
  static const chunk_runner& of(const void* self);
  static bool run_row(const void* self, const board::row& what, std::byte* accumulators,
                      board::description* why) noexcept;
  static board::live_part live(const void* self, const std::byte* accumulators,
                               std::size_t part) noexcept;
  range indices_of(const board::piece& what) const noexcept;
  using object = std::unique_ptr<void, void (*)(void*) noexcept>;

  const detail::job& job_;
  const plan::partition& chunks_;
  units units_;
  const state_layout& states_;
  std::vector<std::byte*> data_;
  std::size_t first_chunk_;
  old_values old_;
  output_padding padding_;
  std::vector<std::size_t> commutative_;       // reductions
  std::unique_ptr<std::byte*[]> states_here_;  // of the reductions, for the piece in progress
  std::vector<object> made_;                   // what the job's belongings are in this worker, ...
  std::vector<void*> belongings_;              // ... as the kernel's parameters want it
  detail::worker_memory memory_;               // of all that
  board::task task_;                           // of this
};

}  // namespace shard::mapping
