// A worker's side of the board: claim chunks, run them, publish what they gave.
// One owner at a time for each slot; used by the one thread that owns it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "board/board.hpp"

namespace shard::board {

using description = char[sizeof(failure_record::what)];

// What the kernel is run on: a chunk, or in quarantine some of its units, as offsets in it.
struct piece {
  static constexpr std::size_t to_the_end = std::numeric_limits<std::size_t>::max();

  std::size_t chunk = 0;
  std::size_t first = 0;
  std::size_t last = to_the_end;
  bool goes_on = false;  // the partial holds what earlier pieces of the chunk gave
};

// Whole chunks side by side. After each but the last one, one is added to `progress`.
struct row {
  std::size_t chunk = 0;  // the first one
  std::size_t chunks = 0;
  std::atomic<std::uint64_t>* progress = nullptr;
};

// What chunks change in place. Each function is called with the context.
struct undo {
  // Of a chunk's old values. 0: it has none.
  std::size_t (*bytes)(const void* context, std::size_t chunk);
  void (*save)(const void* context, std::size_t chunk, std::byte* to);
  // Of the chunk's units [first, last); last may be piece::to_the_end.
  void (*restore)(const void* context, std::size_t chunk, std::size_t first, std::size_t last,
                  const std::byte* from);
  const void* context;
};

// Bytes of the accumulators that count. `offset` is a multiple of 8.
struct live_part {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

// What a run does with a chunk. Functions and a context instead of virtual calls: the same object
// serves every process that was forked from its maker.
struct task {
  // Runs the kernel on a piece: its outputs, its ordered partial, and additions to `accumulators`.
  // False if the kernel threw; `error`, unless it is null, then describes the exception,
  // NUL-terminated.
  bool (*run)(const void* context, const piece& what, std::byte* partial, std::byte* accumulators,
              description* error) noexcept;

  // Writes the identity of every commutative reduction into zeroed memory.
  void (*start)(const void* context, std::byte* accumulators);

  // How many units a chunk has, and the number of its first one over all chunks.
  std::size_t (*units)(const void* context, std::size_t chunk);
  std::size_t (*first_unit)(const void* context, std::size_t chunk);

  const void* context;

  undo in_place;  // used if the board has undo memory

  bool adds_in_place = false;  // a throw spoils what the kernel has added to

  // The same as `run`, of a row. Null: chunks are run one by one.
  bool (*run_row)(const void* context, const row& what, std::byte* accumulators,
                  description* error) noexcept = nullptr;

  // What counts of accumulators that say themselves how long they are, in `parts` parts: only that
  // is published, and whoever reads what is published must not look behind it. Null: all counts.
  live_part (*live)(const void* context, const std::byte* accumulators,
                    std::size_t part) noexcept = nullptr;
  std::size_t parts = 0;
};

// Brings back the old values of what a slot's entries have changed in place and not committed.
// Repeatable. Requires: nobody owns the slot, or the caller does. Returns how many bytes of the
// undo memory hold old values.
// of_quarantines: of an entry in quarantine, what is not committed, or all.
enum class of_quarantines { uncommitted, all };
std::size_t restore(const board& on, unsigned slot, const undo& with,
                    of_quarantines which = of_quarantines::uncommitted);

struct policy {
  budgets allowed;
  bool keep_going = false;  // though something has been given up
  bool park = true;         // wait for the end when nothing is left to claim; false: leave
  std::size_t little_to_copy_bytes = 0;  // accumulators up to this are published after every chunk
  bool timed = false;                    // each chunk's start is told to the supervisor
  bool keeps_times = false;              // and how long it took: their median is asked for
  // Where a second set of accumulators begins, for what chunks in quarantine add. 0: there is one
  // set for all.
  std::size_t aside = 0;
};

// What a thread or process has used so far.
struct account {
  os::usage used = {};
  std::size_t peak_private_bytes = 0;  // memory of its own; 0: not known
};

// What an owner asks of the thread, or process, that it works in.
class workplace {
 public:
  workplace() = default;
  workplace(const workplace&) = delete;
  workplace& operator=(const workplace&) = delete;
  virtual ~workplace() = default;

  // Between chunks, now and then. True: another process should take over.
  virtual bool wants_a_change() { return false; }

  // A kernel threw, and that is to be recorded: adds what is known of the process. What `left`
  // points to must stay until the next call.
  virtual void testify(failure_facts&, evidence&) noexcept {}

  // For the report. Takes microseconds. Nothing: the system does not tell.
  virtual std::optional<account> give_account() noexcept { return std::nullopt; }
  // Whether the process was started for this run, so that all that it has used is the run's.
  virtual bool is_of_this_run() const noexcept { return false; }
};

class owner {
 public:
  // Private memory of an owner: zeroed, 64-byte aligned.
  static std::size_t memory_bytes(const dimensions& of) noexcept;

  // batch: how many chunks to claim at first. It begins with one where nobody knows better, and
  // changes with what chunks turn out to take.
  owner(const board& on, unsigned slot, const task& what, const policy& how, std::byte* memory,
        workplace& where, std::uint64_t batch = 1) noexcept;

  // What another owner may begin with that has the same task.
  std::uint64_t batch() const noexcept { return batch_; }

  // How long it has worked, up to the end of its last batch.
  std::chrono::nanoseconds worked() const noexcept { return lap_ - began_; }

  // Does all that there is for this slot to do: redoes what its last owner left uncommitted, then
  // claims until nothing is left or the run is stopped.
  void work();

  // The steps of work(), apart for tests and named as in the model.
  void resume();   // take the slot as its last owner left it
  bool claim();    // append unclaimed chunks to the log; false: none is left, or the run stops
  void run();      // run the entries of the log that are not run yet, publishing as is due
  void publish();  // commit what has run

 private:
  using clock = std::chrono::steady_clock;

  // Of the entry in quarantine.
  struct patient {
    std::uint64_t chunk;
    std::uint64_t base;   // the number of its first unit
    std::uint64_t units;  // how many it has
  };

  void reload();
  void start_accumulators();
  std::uint64_t row_from(std::uint64_t chunk, std::uint64_t end) const noexcept;
  bool run_row(std::uint64_t chunk, std::uint64_t chunks);
  bool run_entry(std::uint64_t chunk);
  bool run_whole(std::uint64_t chunk);
  bool run_piece(const piece& what, std::byte* partial);
  bool attempt(const piece& what, std::byte* partial, std::byte* accumulators);
  void failed(const piece& what, const char* error);
  void put_back(std::uint64_t first, std::uint64_t last);
  void save(std::uint64_t chunk);
  void publish_quarantine();
  void publish_accumulators(std::atomic<std::uint64_t>* to) const;
  commit_word prepare_commit(bool probing);
  void commit(commit_word then);
  void commit_walk(bool at_once);
  void begin_lap(clock::time_point now);
  void note_begin(clock::time_point now);
  void end_lap(std::uint64_t entries);
  void publish_if_due(clock::time_point now);
  void tell_the_end();
  void leave(leaving how);
  void begin_account();
  void look_at_account(clock::time_point now);
  void give_account();
  void end_publishing();
  void note(std::uint64_t chunk, std::chrono::nanoseconds start, bool has_failed, unsigned attempt);
  unsigned this_attempt(std::uint64_t chunk) const noexcept;
  std::uint64_t length() const noexcept;
  bool stopped() const noexcept { return (board_.controls() & stopping) != 0; }
  bool ended() const noexcept { return (board_.controls() & exhausted) != 0; }
  bool little_to_copy(std::size_t beside = 0) const noexcept;
  std::uint64_t longest() const noexcept;

  // In quarantine.cpp: what run_entry() does with an entry whose units fail, or whose rest is given
  // up. It runs pieces, and puts back, reloads and commits what came of them by the above.
  bool quarantine(std::uint64_t chunk);
  void lose_rest(std::uint64_t chunk, loss why);
  patient patient_in(std::uint64_t chunk) const;
  void begin_quarantine(const patient& of);
  bool walk(const patient& of);
  void step_over_throw(const patient& of, std::uint64_t unit, unsigned failures_before);
  bool search(const patient& of);
  void pass(std::uint64_t units, std::uint64_t width, const verdict& judged);
  bool run_good(const patient& of);
  bool has_failed(const patient& of, std::uint64_t unit, const verdict& judged) const;
  void give_up(const patient& of, std::uint64_t unit);
  void note_loss();
  void end_quarantine(std::uint64_t chunk);

  const board& board_;
  slot& slot_;
  std::atomic<std::uint64_t>* log_;
  unsigned index_;
  task task_;
  policy policy_;
  workplace& workplace_;
  std::byte* accumulators_;
  std::byte* partial_;  // of the entry in quarantine

  std::uint64_t next_ = 0;  // log entries that the private accumulators hold: ran, or condemned
  std::uint64_t published_ = 0;         // log entries that the published area covers
  publication probing_{};               // entry next_ in quarantine; no word: not begun
  std::uint64_t probed_published_ = 0;  // what the published area has of that
  std::size_t undo_used_ = 0;           // bytes
  std::uint64_t redo_until_ = 0;        // entries below this were begun before
  bool has_room_ = true;                // the report, for another failure, for all that is known
  std::uint64_t batch_;                 // chunks to claim at a time
  clock::time_point began_{};
  clock::time_point lap_{};          // when the last batch ended
  clock::time_point publish_due_{};  // when accumulators are to be copied out again
  bool accounts_ = false;            // what it has used is told to the end
  os::usage used_before_ = {};       // by this thread or process, in other runs
  clock::time_point account_due_{};
};

}  // namespace shard::board
