// The control block of one run: what has been claimed, what is committed, what failed.
//
// It lies in memory that all processes of the run share, has no pointers, and zeros are its initial
// state. There are no processes and no I/O here (a futex wait aside): owner.hpp is a worker's side
// of the protocol, recovery.hpp the supervisor's. docs/design.md has the crash table.
//
// Invariants, whatever dies wherever:
//  1. Each chunk at a place of the schedule below the cursor stands in exactly one slot's log, or
//     is in the claiming window of one slot, or belongs to a slot that died in that window
//     (recovery gives it a log). A chunk that is at no place is inherited: it is committed since
//     before the run, and stands in no log.
//  2. A log entry never moves or changes. Its chunk is committed exactly when the entry's index is
//     below the `covered` of the slot's published area.
//  3. The published area of a slot is at every moment the exact reduction of the entries of its log
//     that lie below `covered`, and of the first `probed` units of the next entry, if that entry is
//     in quarantine; in both, without the units that are lost. One store, of the commit word, moves
//     the published area. What a run has inherited is exact in sum: its reduction is spread over
//     the areas that the slots begin with (see board::inherit_state).
//  4. Only a slot's owner writes its log, areas and commit word; while a slot has none, the (one)
//     supervisor may append to the log and mend the claiming mark.
//  5. The old values of what entries [covered, saved) change in place are in the slot's undo
//     memory.
//  6. A lost unit stays lost. A unit is marked as lost before a commit passes over it, and after
//     that no kernel runs on it. A unit that is committed as done is never marked.
//  7. What the notes of a quarantine hold (search_notes) decides how the search goes on, and never
//     what the results are: whoever dies between two of those stores costs an attempt, no unit.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "board/chunk_note.hpp"
#include "os/stack_record.hpp"
#include "os/usage.hpp"

namespace shard::board {

// What a board is made for; the same in every process of the run.
struct dimensions {
  std::size_t chunks = 0;
  unsigned slots = 0;
  std::size_t partial_bytes = 0;      // of one chunk's ordered reductions
  std::size_t accumulator_bytes = 0;  // of one slot's commutative reductions
  std::size_t undo_bytes = 0;         // of one slot's undo memory: the largest chunk's, or more
  std::size_t units = 0;              // of all chunks: what can be given up one by one
  std::size_t notes = 0;              // of chunks: as many as there are, or none
  std::size_t scheduled = every;      // so many chunks are to be claimed; see board::schedule()

  static constexpr std::size_t every = std::numeric_limits<std::size_t>::max();

  bool operator==(const dimensions&) const = default;
};

// How often a chunk may fail, by the kind of failure, before it is put into quarantine, or
// condemned. And what a whole run may lose.
struct budgets {
  unsigned errors = 0;
  unsigned crashes = 1;
  unsigned kills = 100;  // those beyond are crashes
  // false: a chunk that takes too long too often is condemned whole. Asks nothing of kernels by
  // index: an index that hangs is known from its first try alone.
  bool isolates_timeouts = false;
  bool by_index = false;  // each call of the kernel is for one unit: the first death shows which
  std::size_t max_timeouts = 0;  // of a run; what would need one more is not tried. 0: no limit
  std::size_t max_failures = 0;  // units that a run may give up; more end it. 0: no limit
};

// Of the two out of memory the first befell one of several workers, and says little about the
// chunk.
enum class failure_kind : std::uint32_t {
  exception,
  signal,
  exit,
  killed,
  timeout,
  out_of_memory,
  out_of_memory_alone
};

// How a chunk stands. In quarantine its units are told apart: those that fail are given up one by
// one, and all others are kept (owner::quarantine). A condemned chunk took too long too often, and
// is given up as a whole; the rest of an untried one is lost too, but nobody says that it fails.
enum class standing : std::uint16_t { good, quarantined, condemned, untried };

// What is held against a chunk; one word, so that judging is one store. Written by the owner of the
// chunk's log entry, or by the supervisor while there is none. Aligned to its size, or clang calls
// libatomic for it.
struct alignas(8) verdict {
  std::uint16_t kills : 14 = 0;  // at most the budget
  standing state : 2 = standing::good;
  std::uint8_t crashes = 0;
  std::uint8_t errors = 0;
  std::uint32_t failed_probes = 0;  // of parts of the chunk, while it was in quarantine

  unsigned attempts() const noexcept { return failed_probes + kills + crashes + errors; }

  // Counts one more failure, and changes the state if that exceeds its budget. may_hang_again:
  // whether the run has timeouts left.
  void add(failure_kind kind, const budgets& allowed, bool may_hang_again = true) noexcept;
};
static_assert(sizeof(verdict) == 8 && std::atomic<verdict>::is_always_lock_free);

constexpr std::uint64_t no_chunk = std::numeric_limits<std::uint64_t>::max();

// One failure: what the report says of it.
struct failure_facts {
  failure_kind kind = failure_kind::exception;
  std::uint64_t chunk = no_chunk;
  std::uint64_t first = 0;  // the part of the chunk that failed: offsets of units; equal: all
  std::uint64_t last = 0;
  std::uint32_t attempt = 0;  // counts if not above the attempts of the chunk's verdict
  std::uint32_t worker = 0;   // its slot
  std::int32_t signal = 0;
  std::int32_t exit_status = 0;
  std::chrono::nanoseconds elapsed{};  // since the entry in progress, or its short batch, began
  std::chrono::nanoseconds when{};     // it failed, by the steady clock; 0: not known
  std::int32_t pid = 0;
  os::usage used = {};
};

// What a failed process leaves behind, for those who look for the reason.
struct evidence {
  const os::stack_record* stack = nullptr;  // where it died
  std::string_view errors = {};             // the end of what it wrote to stderr
};

struct failure_record {
  failure_facts facts;
  std::atomic<std::uint32_t> ready;  // 1: complete; its writer may have died before that
  std::uint32_t frames;              // code addresses in `stack`, innermost first
  std::uint32_t left_out;            // frames behind the first stack_record::innermost ones
  std::uint64_t stack[os::stack_record::room];
  std::uint32_t error_bytes;
  char errors[2048];
  char what[1024];
  // The stack in words, a line for each frame; written once the run is over, if at all.
  std::atomic<std::uint32_t> named;  // 1: complete
  char names[4096];
};
static_assert(sizeof(failure_record) <= 8192);

// Why a unit is lost.
enum class loss {
  failed,  // it fails alone, or its chunk does too often
  untried  // to find out would take too long
};

// How far an entry in quarantine is; part of an area's header.
struct probe_header {
  std::atomic<std::uint64_t> probed;         // units of the entry that are committed, or lost
  std::atomic<std::uint64_t> width;          // of the next piece, before later failures halve it
  std::atomic<std::uint32_t> failures_seen;  // of the verdict's failed probes: those before this
  std::atomic<std::uint32_t> has_partial;    // 1: behind the accumulators is the entry's partial
};

// The unit that a worker has died in alone, and how often. One word, so that it is one store.
struct suspicion {
  static constexpr std::uint64_t most_deaths = 255;

  std::uint64_t unit = 0;    // as an offset in its chunk
  std::uint64_t deaths = 0;  // 0: nobody is suspected

  static suspicion in(std::uint64_t word) noexcept { return {word >> 8, word & most_deaths}; }
  std::uint64_t word() const noexcept {
    return unit << 8 | (deaths < most_deaths ? deaths : most_deaths);
  }
};

// What is known of the entry in quarantine besides what is published. Written by the owner; the
// suspicion by the supervisor, too, while there is no owner.
struct search_notes {
  std::atomic<std::uint64_t> first, last;  // the piece in progress, or the last one
  std::atomic<std::uint64_t> suspect;      // see suspicion
  // Of kernels by range: it is known of so many units which of them fail alone; ...
  std::atomic<std::uint64_t> searched;
  std::atomic<std::uint64_t> width;  // ... and the next piece, before later failures halve it
  std::atomic<std::uint32_t> failures_seen;
};

// Why an owner has left its slot.
enum class leaving : std::uint32_t {
  not_yet,
  for_good,    // there was nothing more to do
  for_another  // it takes too much memory: its place is to be taken
};

// What a process or thread has used: a sum that one writer at a time adds to.
struct usage_sum {
  std::atomic<std::chrono::microseconds> user, system;
  std::atomic<std::uint64_t> faults;

  void set(const os::usage& to) noexcept {
    user.store(to.user, std::memory_order_relaxed);
    system.store(to.system, std::memory_order_relaxed);
    faults.store(to.faults, std::memory_order_relaxed);
  }
  os::usage get() const noexcept {
    return {.user = user.load(std::memory_order_relaxed),
            .system = system.load(std::memory_order_relaxed),
            .faults = faults.load(std::memory_order_relaxed)};
  }
};

// What the owners of a slot have spent in this run. Written by the owner at the end of a batch;
// `before`, and zeros to `now`, by the supervisor while there is none.
struct spending {
  // By the steady clock: the first owner; 0: there was none. And the end of the last batch.
  std::atomic<std::chrono::nanoseconds> began, ended;
  std::atomic<std::chrono::nanoseconds> working, publishing;
  std::atomic<std::uint64_t> peak_private_bytes;
  std::atomic<std::uint32_t> owners;
  usage_sum now;     // of the owner, when it was looked at last
  usage_sum before;  // of those before it
};

// A slot outlives the worker process that owns it.
struct alignas(64) slot {
  // Written by the owner at every chunk, on a line of its own.
  std::atomic<std::uint64_t> length;      // log entries that stand
  std::atomic<std::uint64_t> running;     // log index + 1 of the entry in progress; 0: none
  std::atomic<std::uint64_t> commit;      // see commit_word; 0: none, the identity
  std::atomic<std::uint64_t> covered[2];  // header of each area: log entries that it covers
  std::atomic<std::uint64_t> saved;       // log entries whose old values are in the undo memory
  std::atomic<std::uint32_t> claims;      // odd: inside the claiming window
  std::atomic<leaving> left;
  // By the steady clock: the last entry, or short batch; if it is timed, exactly what is in
  // progress.
  std::atomic<std::chrono::nanoseconds> began;

  // Written by the owner, seldom.
  alignas(64) probe_header probes[2];       // of each area; means something only while probing
  std::atomic<std::uint64_t> undo_first;    // log index whose old values begin the undo memory
  std::atomic<std::uint32_t> replacements;  // owners that left for another
  alignas(64) search_notes notes;

  alignas(64) std::atomic<std::uint32_t> deaths;  // owners that died; by the supervisor

  alignas(64) spending spent;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The commit word of a slot: sequence, whether the area's next entry is in quarantine, the area.
struct commit_word {
  std::uint64_t word = 0;

  explicit operator bool() const noexcept { return word != 0; }
  unsigned area() const noexcept { return word & 1; }
  bool probing() const noexcept { return (word & 2) != 0; }
  std::uint64_t sequence() const noexcept { return word >> 2; }
  // What is published next, in the other area.
  commit_word next(bool probes) const noexcept {
    return {(sequence() + 1) << 2 | (probes ? 2u : 0u) | (area() ^ 1u)};
  }
};

// What a slot has published, as of one moment.
struct publication {
  commit_word word;
  std::uint64_t covered = 0;
  // Of entry `covered`, while it is in quarantine.
  std::uint64_t probed = 0;
  std::uint64_t width = 0;
  std::uint32_t failures_seen = 0;
  bool has_partial = false;
};

// Why workers and supervisors may have to change what they do; bits of the control word.
enum control : std::uint32_t {
  stopping = 1,    // start no more chunks
  done = 2,        // all chunks are committed or lost
  handover = 4,    // a slot with work waits for a process: who is idle should leave
  cancelled = 8,   // the caller wants no more of this run
  requested = 16,  // the program has asked for `stopping`
  exhausted = 32,  // more was given up than the run may lose: not even a quarantine is finished
  loses = 64       // units are lost: it won't be complete
};

class board {
 public:
  static constexpr std::size_t failure_capacity = 1024;

  static std::size_t size_bytes(const dimensions& of) noexcept;

  // A view of zeroed or already used shared memory of size_bytes(), aligned to a page.
  board(std::byte* memory, const dimensions& of) noexcept;

  // Whether clear() is enough to use the memory again: nothing has failed.
  bool is_unharmed() const noexcept { return shared_->failures.load() == 0; }
  // Makes it the board of a run that has not begun. Requires: is_unharmed(), and nobody uses it.
  void clear() const noexcept;

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
    return areas_ + (2 * slot + which) * stride_words_;
  }
  // An area has words for the accumulators, and behind them for the partial of one chunk. Each
  // begins at a line of memory, where states may be used in place.
  std::size_t area_words() const noexcept { return (size_.accumulator_bytes + 7) / 8; }
  static std::size_t stride_words(const dimensions& of) noexcept {
    return ((of.accumulator_bytes + 7) / 8 + (of.partial_bytes + 7) / 8 + 7) / 8 * 8;
  }
  std::byte* undo(unsigned slot) const noexcept { return undo_ + slot * size_.undo_bytes; }

  // Of a run that goes on with what an earlier one has committed: the chunks that are to be
  // claimed, in their order. Written before the run.
  std::span<std::uint64_t> schedule() const noexcept {
    return {schedule_, size_.scheduled == dimensions::every ? 0 : size_.scheduled};
  }
  std::size_t places() const noexcept {
    return size_.scheduled == dimensions::every ? size_.chunks : size_.scheduled;
  }
  std::uint64_t chunk_at(std::uint64_t place) const noexcept {
    return size_.scheduled == dimensions::every ? place : schedule_[place];
  }

  // A bit for each of the other chunks, written before the run; see inherited().
  std::span<std::uint64_t> inherited_set() const noexcept {
    return {inherited_, size_.scheduled == dimensions::every ? 0 : (size_.chunks + 63) / 64};
  }
  // How many they are.
  std::size_t inherited() const noexcept { return size_.chunks - places(); }

  // The next place that nobody has claimed; may exceed the number of places.
  std::atomic<std::uint64_t>& cursor() const noexcept { return shared_->cursor; }

  // Before the run: a state that an earlier one has published. aside: what the second set of
  // accumulators begins with. Requires: it is called once at most for a slot.
  void inherit_state(unsigned slot, std::span<const std::uint64_t> words,
                     std::span<const std::uint64_t> aside) const noexcept;
  // The chunk is given up as a whole when it is claimed. Requires: there is a schedule.
  void condemn(std::uint64_t chunk, std::uint64_t attempts, std::string_view why) const noexcept;

  // Log entries of a slot that its published area covers. Safe while the owner publishes.
  std::uint64_t covered(unsigned slot) const noexcept;

  // What a slot has published, as of one moment, and its accumulators into `out`, unless that is
  // empty. Without a word nothing is published, and `out` untouched. Safe while the owner publishes
  // (it tries again while the owner laps it; the owner never waits).
  publication snapshot(unsigned slot, std::span<std::uint64_t> out = {}) const noexcept;

  // Chunks committed or lost, over all slots, and inherited ones.
  std::size_t settled() const noexcept;

  std::uint32_t controls() const noexcept {
    return shared_->controls.load(std::memory_order_acquire);
  }
  void raise(control bit) const noexcept;  // and wakes whoever waits
  void note(control bit) const noexcept;   // and wakes nobody: nobody waits in this run
  void lower(control bit) const noexcept;
  void wait_for_controls() const noexcept;  // returns once stopping, done or handover is raised

  // Why the run ended early; empty: it did not, or for a reason that is no run's.
  std::string_view trouble() const noexcept { return shared_->trouble; }
  void tell_trouble(std::string_view what) const noexcept;  // cut to its place

  // Keeps a failure for the report, each text cut to its place; counts it if there is no room left.
  void record(const failure_facts& facts, std::string_view what,
              const evidence& left = {}) const noexcept;
  std::span<failure_record> failures() const noexcept;
  std::size_t failures_lost() const noexcept;
  // False: a failure is counted from now on, and nothing else.
  bool has_room() const noexcept;

  // Marks units as lost; those that are lost already stay as they are. Whoever dies in this is
  // followed by one who does the same again. Units are numbered over all chunks.
  void give_up(std::uint64_t first, std::uint64_t last, loss why) const noexcept;
  bool is_lost(std::uint64_t unit) const noexcept;
  bool is_untried(std::uint64_t unit) const noexcept;  // and lost
  // The first lost unit of [first, last); last: none is.
  std::uint64_t next_lost(std::uint64_t first, std::uint64_t last) const noexcept;
  // How many have been given up as failed so far.
  std::size_t given_up() const noexcept;

  // When the map began, by the steady clock: what the report counts from. By the caller, before
  // anybody works.
  std::chrono::nanoseconds began() const noexcept { return shared_->began; }
  void set_began(std::chrono::nanoseconds when) const noexcept { shared_->began = when; }

  // The note of a chunk. Requires: size().notes != 0.
  chunk_note& note_on(std::size_t chunk) const noexcept { return notes_[chunk]; }

  // What the slot's owner has used, which has ended, is that of those before it. By the supervisor.
  // used: what the system says; nothing: what the owner had said.
  void close_account(unsigned slot, const std::optional<os::usage>& used) const noexcept;

  // An owner has come after another one. By any of them.
  struct succession {
    std::chrono::nanoseconds when{};  // by the steady clock; 0: who wrote it has died at it
    std::uint32_t slot = 0;
  };
  void note_succession(const succession& one) const noexcept;
  // The first 64. Requires: nobody works.
  std::span<const succession> successions() const noexcept;

  // Counts a timeout. Returns how many there were before.
  std::size_t note_timeout() const noexcept;

  // How long chunks took: kept coarsely (to an eighth), and the median of what is kept, if there
  // are enough of them to speak of one.
  void note_time(std::chrono::nanoseconds took) const noexcept;
  std::optional<std::chrono::nanoseconds> median_time() const noexcept;

 private:
  // Times: eight for each power of two of nanoseconds.
  static constexpr std::size_t time_steps = 8;
  static constexpr std::size_t time_classes = 48 * time_steps;

  struct shared_part {
    alignas(64) std::atomic<std::uint64_t> cursor;
    alignas(64) std::atomic<std::uint32_t> controls;
    std::atomic<std::uint64_t> failures;
    std::atomic<std::uint64_t> given_up;
    std::atomic<std::uint64_t> timeouts;
    alignas(64) std::atomic<std::uint32_t> times[time_classes];
    char trouble[512];  // NUL-terminated
    std::chrono::nanoseconds began;
    std::atomic<std::uint32_t> successions_noted;
    succession successions[64];
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
  std::size_t stride_words_;  // of one area
  std::byte* undo_;
  std::atomic<std::uint64_t>* lost_;     // a bit for each unit
  std::atomic<std::uint64_t>* untried_;  // the same: of those that are lost
  std::uint64_t* schedule_;
  std::uint64_t* inherited_;
  chunk_note* notes_;
};

}  // namespace shard::board
