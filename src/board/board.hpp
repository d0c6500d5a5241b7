// The control block of one run: what has been claimed, what is committed, what failed.
//
// It lies in memory that all processes of the run share, has no pointers, and zeros are its initial
// state. There are no processes and no I/O here (a futex wait aside): owner.hpp is a worker's side
// of the protocol, recovery.hpp the supervisor's. docs/design.md has the crash table.
//
// Invariants, whatever dies wherever:
//  1. Each chunk below the cursor stands in exactly one slot's log, or is in the claiming window of
//     one slot, or belongs to a slot that died in that window (recovery gives it a log).
//  2. A log entry never moves or changes. Its chunk is committed exactly when the entry's index is
//     below the `covered` of the slot's published area.
//  3. The published area of a slot is at every moment the exact reduction of the entries of its log
//     that lie below `covered`, without the condemned ones. One store, of the commit word, moves
//     it.
//  4. Only a slot's owner writes its log, areas and commit word; while a slot has none, the (one)
//     supervisor may append to the log and mend the claiming mark.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>

namespace shard::board {

// What a board is made for; the same in every process of the run.
struct dimensions {
  std::size_t chunks = 0;
  unsigned slots = 0;
  std::size_t partial_bytes = 0;      // of one chunk's ordered reductions
  std::size_t accumulator_bytes = 0;  // of one slot's commutative reductions
};

// How often a chunk may fail, by the kind of failure, before it is condemned.
struct budgets {
  unsigned errors = 0;
  unsigned crashes = 2;
  unsigned kills = 100;
};

enum class failure_kind : std::uint32_t { exception, signal, exit, killed };

// What is held against a chunk; one word, so that judging is one store. Written by the owner of the
// chunk's log entry, or by the supervisor while there is none. Aligned to its size, or clang calls
// libatomic for it.
struct alignas(8) verdict {
  std::uint32_t kills = 0;
  std::uint16_t crashes = 0;
  std::uint8_t errors = 0;
  bool condemned = false;

  unsigned attempts() const noexcept { return kills + crashes + errors; }

  // Counts one more failure and condemns the chunk if that exceeds its budget.
  void add(failure_kind kind, const budgets& allowed) noexcept;
};
static_assert(sizeof(verdict) == 8 && std::atomic<verdict>::is_always_lock_free);

constexpr std::uint64_t no_chunk = std::numeric_limits<std::uint64_t>::max();

// One failure: what the report says of it.
struct failure_facts {
  failure_kind kind = failure_kind::exception;
  std::uint64_t chunk = no_chunk;
  std::uint32_t attempt = 0;  // counts if not above the attempts of the chunk's verdict
  std::uint32_t worker = 0;   // its slot
  std::int32_t signal = 0;
  std::int32_t exit_status = 0;
};
struct failure_record {
  failure_facts facts;
  std::atomic<std::uint32_t> ready;  // 1: complete; its writer may have died before that
  char what[988];
};
static_assert(sizeof(failure_record) == 1024);

// What a dying worker can still say, from a signal or exit handler. Complete when `spoken`.
struct last_words {
  std::atomic<std::uint32_t> spoken;
  std::int32_t exit_status;
  char what[376];
};

// A slot outlives the worker process that owns it.
struct alignas(64) slot {
  // Written by the owner at every chunk, on a line of its own.
  std::atomic<std::uint64_t> length;      // log entries that stand
  std::atomic<std::uint64_t> running;     // log index + 1 of the entry in progress; 0: none
  std::atomic<std::uint64_t> commit;      // sequence * 2 + published area; 0: none, the identity
  std::atomic<std::uint64_t> covered[2];  // header of each area: log entries that it covers
  std::atomic<std::uint32_t> claims;      // odd: inside the claiming window
  std::atomic<std::uint32_t> left;        // 1: the owner has left with nothing more to do

  // Written by the supervisor, seldom.
  alignas(64) std::atomic<std::int32_t> pid;  // of the owner; 0: the slot is vacant
  std::atomic<std::uint32_t> deaths;          // owners that died
  last_words words;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// Why workers and supervisors may have to change what they do; bits of the control word.
enum control : std::uint32_t {
  stopping = 1,   // start no more chunks
  done = 2,       // all chunks are committed or condemned
  handover = 4,   // a slot with work waits for a process: who is idle should leave
  finished = 8,   // no worker is left: results may be read
  cancelled = 16  // the caller wants no more of this run
};

class board {
 public:
  static constexpr std::size_t failure_capacity = 1024;

  static std::size_t size_bytes(const dimensions& of) noexcept;

  // A view of zeroed or already used shared memory of size_bytes(), aligned to a page.
  board(std::byte* memory, const dimensions& of) noexcept;

  const dimensions& size() const noexcept { return size_; }

  slot& at(unsigned index) const noexcept { return slots_[index]; }
  std::atomic<std::uint64_t>* log(unsigned slot) const noexcept {
    return logs_ + slot * size_.chunks;
  }
  std::atomic<verdict>& verdict_on(std::size_t chunk) const noexcept { return verdicts_[chunk]; }
  std::byte* partial(std::size_t chunk) const noexcept {
    return partials_ + chunk * size_.partial_bytes;
  }
  std::atomic<std::uint64_t>* area(unsigned slot, unsigned which) const noexcept {
    return areas_ + (2 * slot + which) * area_words();
  }
  std::size_t area_words() const noexcept { return (size_.accumulator_bytes + 7) / 8; }

  // The next chunk that nobody has claimed; may exceed the number of chunks.
  std::atomic<std::uint64_t>& cursor() const noexcept { return shared_->cursor; }

  // Log entries of a slot that its published area covers. Safe while the owner publishes.
  std::uint64_t covered(unsigned slot) const noexcept;

  // A slot's published accumulators, as of one moment, into `out`; returns what they cover. False
  // for "none yet": `out` is untouched. Safe while the owner publishes (it retries while the owner
  // laps it; the owner never waits).
  bool snapshot(unsigned slot, std::span<std::uint64_t> out, std::uint64_t& covered) const noexcept;

  // Chunks committed or condemned, over all slots.
  std::size_t settled() const noexcept;

  std::uint32_t controls() const noexcept {
    return shared_->controls.load(std::memory_order_acquire);
  }
  void raise(control bit) const noexcept;  // and wakes whoever waits
  void lower(control bit) const noexcept;
  void wait_for_controls() const noexcept;  // returns once stopping, done or handover is raised

  // Keeps a failure for the report, `what` cut to its place; counts it if there is no room left.
  void record(const failure_facts& facts, std::string_view what) const noexcept;
  std::span<failure_record> failures() const noexcept;
  std::size_t failures_lost() const noexcept;

  std::atomic<std::uint32_t>& takeovers() const noexcept { return shared_->takeovers; }
  // The process that supervises after so many takeovers, and that waits to do so; 0: none yet.
  std::atomic<std::int32_t>& leader(unsigned takeover) const noexcept {
    return shared_->leaders[takeover];
  }
  static constexpr unsigned leader_capacity = 128;
  char* trouble() const noexcept { return shared_->trouble; }  // NUL-terminated
  static constexpr std::size_t trouble_bytes = 512;

 private:
  struct shared_part {
    alignas(64) std::atomic<std::uint64_t> cursor;
    alignas(64) std::atomic<std::uint32_t> controls;
    std::atomic<std::uint32_t> takeovers;
    std::atomic<std::uint64_t> failures;
    std::atomic<std::int32_t> leaders[leader_capacity];
    char trouble[trouble_bytes];
  };
  static_assert(sizeof(shared_part) <= 4096);

  dimensions size_;
  shared_part* shared_;
  slot* slots_;
  failure_record* failures_;
  std::atomic<verdict>* verdicts_;
  std::atomic<std::uint64_t>* logs_;
  std::byte* partials_;
  std::atomic<std::uint64_t>* areas_;
};

}  // namespace shard::board
