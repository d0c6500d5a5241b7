#include "mapping/chunk_runner.hpp"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <utility>

#include "mapping/exception_text.hpp"

namespace shard::mapping {
namespace {

constexpr std::size_t line_bytes = 64;

constexpr std::size_t round_up(std::size_t bytes, std::size_t to) {
  return (bytes + to - 1) / to * to;
}

// Small partials are packed, since there is one for each chunk.
std::size_t partial_alignment(std::size_t bytes) {
  return std::min(std::bit_ceil(std::max<std::size_t>(bytes, 8)), line_bytes);
}

// Also where the kernel throws: nobody may come back to what it has written.
class cleared_afterwards {
 public:
  cleared_afterwards(const output_padding& of, std::size_t chunk, range indices) noexcept
      : padding_(of), chunk_(chunk), indices_(indices) {}
  cleared_afterwards(const cleared_afterwards&) = delete;
  cleared_afterwards& operator=(const cleared_afterwards&) = delete;
  ~cleared_afterwards() {
    if (padding_) padding_.clear(chunk_, indices_);
  }

 private:
  const output_padding& padding_;
  std::size_t chunk_;
  range indices_;
};

// The current exception, where that is wanted.
void describe(board::description* to) {
  if (to == nullptr) return;
  std::snprintf(*to, sizeof *to, "%s", describe_current_exception().c_str());
}

}  // namespace

state_layout::state_layout(const std::vector<detail::reduction>& reductions) {
  std::size_t widest = 1;
  for (const detail::reduction& one : reductions) {
    const std::size_t alignment = one.ordered ? partial_alignment(one.state_bytes) : line_bytes;
    std::size_t& end = one.ordered ? partial_bytes : accumulator_bytes;
    end = round_up(end, alignment);
    places.push_back({one.ordered, end});
    end += one.state_bytes;
    if (one.ordered) widest = std::max(widest, alignment);
  }
  partial_bytes = round_up(partial_bytes, widest);
  accumulator_bytes = round_up(accumulator_bytes, line_bytes);  // areas lie one after the other
}

chunk_runner::chunk_runner(const detail::job& what, const plan::partition& chunks,
                           const state_layout& states, const output_padding::paddings& in,
                           std::vector<std::byte*> data, numbers told)
    : job_(what),
      chunks_(chunks),
      units_(chunks),
      states_(states),
      data_(std::move(data)),
      first_chunk_(told.first_chunk),
      old_(what, chunks, data_),
      padding_(what, in, data_),
      states_here_(std::make_unique<std::byte*[]>(what.reductions.size())),
      memory_(),
      task_{[](const void* self, const board::piece& piece, std::byte* partial,
               std::byte* accumulators, board::description* why) noexcept {
              try {
                of(self).run(piece, partial, accumulators);
                return true;
              } catch (...) {
                describe(why);
                return false;
              }
            },
            [](const void* self, std::byte* accumulators) { of(self).start(accumulators); },
            [](const void* self, std::size_t chunk) { return of(self).units_.in(chunk); },
            [](const void* self, std::size_t chunk) { return of(self).units_.first_of(chunk); },
            this,
            old_.undo(),
            std::ranges::any_of(what.reductions, &detail::reduction::in_place),
            what.run_chunks != nullptr && chunks.grain() != 0 ? run_row : nullptr} {
  for (const detail::belonging& one : job_.belongings) {
    made_.emplace_back(nullptr, one.destroy);
    made_.back().reset(one.make(job_.call.get(), told.worker));
    belongings_.push_back(made_.back().get());
  }
  memory_ = {.data = data_.data(),
             .states = states_here_.get(),
             .belongings = belongings_.data(),
             .worker = told.worker};
  if (std::ranges::none_of(job_.reductions, &detail::reduction::live_bytes)) return;
  for (std::size_t k = 0; k < job_.reductions.size(); ++k) {
    if (!job_.reductions[k].ordered) commutative_.push_back(k);
  }
  task_.live = live;
  task_.parts = commutative_.size();
}

board::live_part chunk_runner::live(const void* self, const std::byte* accumulators,
                                    std::size_t part) noexcept {
  const chunk_runner& its = of(self);
  const std::size_t which = its.commutative_[part];
  const detail::reduction& one = its.job_.reductions[which];
  const std::size_t offset = its.states_.places[which].offset;
  if (one.live_bytes == nullptr) return {offset, one.state_bytes};
  return {offset, std::min(one.live_bytes(accumulators + offset), one.state_bytes)};
}

const chunk_runner& chunk_runner::of(const void* self) {
  return *static_cast<const chunk_runner*>(self);
}

void chunk_runner::run(const board::piece& what, std::byte* partial,
                       std::byte* accumulators) const {
  std::byte** here = states_here_.get();
  for (const state_layout::place& one : states_.places) {
    *here++ = (one.ordered ? partial : accumulators) + one.offset;
  }
  const range indices =
      what.last == board::piece::to_the_end ? chunks_[what.chunk] : indices_of(what);
  detail::worker_memory memory = memory_;
  memory.goes_on = what.goes_on;
  memory.chunk = first_chunk_ + what.chunk;
  const cleared_afterwards outputs(padding_, memory.chunk, indices);
  job_.run(job_.call.get(), memory, indices);
}

bool chunk_runner::run_row(const void* self, const board::row& what, std::byte* accumulators,
                           board::description* why) noexcept {
  const chunk_runner& its = of(self);
  std::byte** here = its.states_here_.get();
  for (const state_layout::place& one : its.states_.places) *here++ = accumulators + one.offset;
  const range indices{its.chunks_[what.chunk].first,
                      its.chunks_[what.chunk + what.chunks - 1].last};
  try {
    const cleared_afterwards outputs(its.padding_, what.chunk, indices);
    its.job_.run_chunks(its.job_.call.get(), its.memory_,
                        {indices, its.chunks_.grain(), what.progress});
    return true;
  } catch (...) {
    describe(why);
    return false;
  }
}

range chunk_runner::indices_of(const board::piece& what) const noexcept {
  return units_.indices(what.chunk, what.first, what.last);
}

void chunk_runner::start(std::byte* accumulators) const {
  for (std::size_t k = 0; k < job_.reductions.size(); ++k) {
    const detail::reduction& one = job_.reductions[k];
    if (!one.ordered) one.start(job_.call.get(), accumulators + states_.places[k].offset);
  }
}

}  // namespace shard::mapping
