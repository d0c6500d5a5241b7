// A map with its types erased: what the templates of map.hpp hand to the compiled code. Not for
// users.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "shard/detail/segment.hpp"
#include "shard/detail/strided_order.hpp"
#include "shard/options.hpp"
#include "shard/range.hpp"
#include "shard/report.hpp"

namespace shard {
struct worker_status;
}

namespace shard::detail {

// The index space, and how much of its plan the caller has settled.
struct space {
  enum class cut { even, listed, weighted, tiled, strided, by_memory };

  range all;
  cut by = cut::even;
  std::size_t grain = 0;   // 0: not settled
  bool own_grain = false;  // the space names its grain, not the options
  bool whole = false;      // outputs must have exactly all.last rows
  std::size_t rows = 0;    // of a tiled space, which outputs must match
  std::size_t columns = 0;
  std::size_t tile_rows = 0;  // of one tile; those at the far edges are smaller
  std::size_t tile_columns = 0;
  std::size_t stride = 0;       // of a strided space
  std::size_t index_bytes = 0;  // of a space by memory
  std::size_t budget_bytes = 0;
  std::span<const range> parts = {};
  std::span<const double> cost = {};

  // Requires: a strided space. Its chunks, and all that is cut out of them, are ranges of places.
  constexpr strided_order order() const noexcept { return {all, stride}; }

  // Tiles are numbered row by row. Requires: a tiled space, and a number inside.
  constexpr tile tile_number(std::size_t k) const noexcept {
    const std::size_t across = columns / tile_columns + (columns % tile_columns != 0);
    const auto part = [](std::size_t at, std::size_t step, std::size_t end) {
      return range{at * step, step < end - at * step ? at * step + step : end};
    };
    return {part(k / across, tile_rows, rows), part(k % across, tile_columns, columns)};
  }
};

// A buffer that every worker maps anew, with no more rights than it needs.
struct grant {
  std::shared_ptr<segment> owner;
  access rights = access::read;
  bool partitioned = false;  // each chunk writes its own rows: out, inout
  bool keeps = false;        // whose old values the kernel reads: inout
  std::size_t rows = 0;
  std::size_t columns = 1;  // elements of a row, in rank 2 and more: extent(1)
  std::size_t row_bytes = 0;
  bool is_spill = false;  // of a reducer: no argument of the map
  bool by_chunk = false;  // and partitioned: chunk k owns row k
};

// Workers start states and add to them; the caller merges them.
struct reduction {
  bool ordered = false;
  bool in_place = true;  // the kernel adds to the state itself: a throw leaves it spoilt
  std::size_t state_bytes = 0;
  void (*start)(const void* call, std::byte* state) = nullptr;
  // How many of a state's first bytes count: what is behind them is not looked at. Null: all.
  std::size_t (*live_bytes)(const std::byte* state) noexcept = nullptr;

  void* reducer = nullptr;
  // Where the caller has what the states of this reducer name, see spill.hpp; null: they name
  // nothing.
  std::byte* spill = nullptr;
  // Merges `count` states, in their order, that lie `stride` bytes apart. reducer: that one, or a
  // copy.
  void (*merge)(const reduction& of, void* reducer, std::byte* state, std::size_t count,
                std::size_t stride) = nullptr;
  // Behind the last merge. complete: the map is. Null: there is nothing to do.
  void (*settle)(void* reducer, const space& where, bool complete) = nullptr;
  // Of a complete map, when its files get their names. Null: there is nothing to do.
  void (*finish)(void* reducer) = nullptr;
  // Both null: its results can't be compared.
  std::shared_ptr<void> (*copy)(const void* reducer) = nullptr;
  bool (*equal)(const void* reducer, const void* other) = nullptr;
};

// An object that every worker makes for itself when it enters, and destroys when it leaves.
struct belonging {
  void* (*make)(const void* call, unsigned worker) = nullptr;
  void (*destroy)(void* made) noexcept = nullptr;
};

// Where a worker has the job's buffers (in the order of the grants), for the chunk it runs the
// states of the reductions, and its belongings. And the numbers of the chunk and of the worker.
struct worker_memory {
  std::byte* const* data = nullptr;
  std::byte* const* states = nullptr;
  void* const* belongings = nullptr;
  bool goes_on = false;  // ordered states hold what the chunk's first indices gave: add to that
  std::size_t chunk = 0;
  unsigned worker = 0;
};

// Chunks side by side, of `grain` indices each; the last one may have fewer.
struct chunk_row {
  range all;
  std::size_t grain = 0;
  std::atomic<std::uint64_t>* progress = nullptr;  // one is added after each but the last
};

struct job;
class packer;
class unpacker;

// How a job reaches a process that has no copy of its caller's memory. Null: it can't.
struct crossing {
  void (*pack)(const job& what, packer& to) = nullptr;
  job (*unpack)(unpacker& from) = nullptr;  // without a space and grants
};

struct job {
  space where;
  std::vector<grant> grants;
  std::vector<reduction> reductions;
  std::vector<belonging> belongings;
  // What the kernel's parameters are made of. It refers to the kernel and the reducers, which must
  // outlive it.
  std::shared_ptr<const void> call;
  // The kernel is never called with a part of a chunk: each is completed as a whole, or not at all.
  bool whole_chunks = false;
  bool by_index = false;  // the kernel is called for one index, cell or row at a time
  void (*run)(const void* call, const worker_memory& memory, range chunk) = nullptr;
  // The same for several chunks side by side. Null: they can't be told from one large chunk.
  void (*run_chunks)(const void* call, const worker_memory& memory,
                     const chunk_row& chunks) = nullptr;
  crossing by;
};

// Runs the job to its end. Throws shard::error if it can't be started; failures of kernels and
// workers are in the report.
report execute(const job& job, const options& options);

// What a pool is.
class pool_state;
std::shared_ptr<pool_state> make_pool(const options& how);
// For one map, which needs a pool only because its workers are spawned.
std::shared_ptr<pool_state> make_pool_for_one_map(const options& how);
unsigned workers_of(const pool_state& of) noexcept;
void resize(pool_state& which, unsigned workers);
void refresh(pool_state& which);
void stop(pool_state& which);

// The same in a pool, for a job that can be sent. how: what differs from the pool's; null: nothing.
report execute_in(pool_state& where, const job& job, const options* how);
void queue_in(pool_state& where, job&& job, const options* how);
void wait_for(pool_state& which);

// What a run under way is, and who reads its chunks one by one.
class run_state;
class chunk_reader;
std::shared_ptr<run_state> begin_alone(job&& what, const options& how);
std::shared_ptr<run_state> begin_in(const std::shared_ptr<pool_state>& where, job&& what,
                                    const options* how);
report wait_for(run_state& which);
bool wait_for(run_state& which, seconds limit);
void cancel(run_state& which);
progress status_of(const run_state& of);
std::vector<worker_status> workers_in(const run_state& of);
std::vector<range> completed_in(const run_state& of);
// Adds to `into`, a copy of `reducer`, what the run has published for that.
void merge_now(const run_state& of, const void* reducer, void* into);
std::shared_ptr<chunk_reader> read_chunks(std::shared_ptr<run_state> of, bool ascending);
// False: there are no more.
bool next_chunk(chunk_reader& from, range& found);

[[noreturn]] void refuse_negative_count(long long count);
[[noreturn]] void refuse_unequal_outputs(std::size_t first, std::size_t other);
[[noreturn]] void refuse_empty_step();
[[noreturn]] void refuse_too_many_tiles();

}  // namespace shard::detail
