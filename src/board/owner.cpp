#include "board/owner.hpp"

#include <algorithm>
#include <cstring>

namespace shard::board {
namespace {

using namespace std::chrono_literals;

// Chunks are claimed several at a time only while a whole batch takes next to nothing, so that
// nobody waits for chunks which somebody else holds.
constexpr auto short_batch = 5us;
constexpr std::uint64_t longest_batch = 64;
constexpr std::uint64_t longest_row = 1024;
constexpr std::size_t many_chunks = 1024;  // as a run has by default

// Publishing large accumulators costs under 1% of a worker's time.
constexpr auto publish_interval = 10ms;
constexpr int publish_cost_factor = 100;

// To look at what a process has used costs 0.3% of its time where chunks are noted, else next to
// nothing.
constexpr auto account_interval = 10ms;
constexpr int account_cost_factor = 300;
constexpr auto longest_look = 20us;  // longer ones were interrupted

// Of figures that one writer at a time adds to.
void add(std::atomic<std::chrono::nanoseconds>& to, std::chrono::nanoseconds more) {
  to.store(to.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

std::size_t partial_offset(const dimensions& of) { return (of.accumulator_bytes + 63) / 64 * 64; }

void copy_in(std::byte* to, const std::atomic<std::uint64_t>* words, std::size_t bytes) {
  const std::byte* const end = to + bytes;
  for (; end - to >= 8; to += 8, ++words) {
    const std::uint64_t value = words->load(std::memory_order_relaxed);
    std::memcpy(to, &value, 8);
  }
  if (to == end) return;
  const std::uint64_t value = words->load(std::memory_order_relaxed);
  std::memcpy(to, &value, static_cast<std::size_t>(end - to));
}

void copy_out(std::atomic<std::uint64_t>* words, const std::byte* from, std::size_t bytes) {
  const std::byte* const end = from + bytes;
  for (; end - from >= 8; from += 8, ++words) {
    std::uint64_t value;
    std::memcpy(&value, from, 8);
    words->store(value, std::memory_order_relaxed);
  }
  if (from == end) return;
  std::uint64_t value = 0;
  std::memcpy(&value, from, static_cast<std::size_t>(end - from));
  words->store(value, std::memory_order_relaxed);
}

}  // namespace

// Old values lie in the order of the log, from entry undo_first on.
std::size_t restore(const board& on, unsigned index, const undo& with, of_quarantines which) {
  if (on.size().undo_bytes == 0) return 0;
  const slot& of = on.at(index);
  const publication published = on.snapshot(index);
  const std::uint64_t saved = of.saved.load(std::memory_order_relaxed);
  std::size_t used = 0;
  for (std::uint64_t k = of.undo_first.load(std::memory_order_relaxed); k < saved; ++k) {
    const std::uint64_t chunk = on.log(index)[k].load(std::memory_order_relaxed);
    if (k >= published.covered) {
      const bool keeps = k == published.covered && which == of_quarantines::uncommitted;
      with.restore(with.context, chunk, keeps ? published.probed : 0, piece::to_the_end,
                   on.undo(index) + used);
    }
    used += with.bytes(with.context, chunk);
  }
  return used;
}

std::size_t owner::memory_bytes(const dimensions& of) noexcept {
  return partial_offset(of) + of.partial_bytes;
}

owner::owner(const board& on, unsigned slot, const task& what, const policy& how, std::byte* memory,
             workplace& where, std::uint64_t batch) noexcept
    : board_(on),
      slot_(on.at(slot)),
      log_(on.log(slot)),
      index_(slot),
      task_(what),
      policy_(how),
      workplace_(where),
      accumulators_(memory),
      partial_(memory + partial_offset(on.size())),
      batch_(batch) {}

void owner::work() {
  resume();
  for (;;) {
    const std::uint64_t before = next_;
    run();
    // Not before it has done something: the next one would want the same at once.
    if (next_ != before && next_ == length() && workplace_.wants_a_change()) {
      publish();
      end_publishing();
      return leave(leaving::for_another);
    }
    if (claim()) continue;
    publish();
    end_publishing();
    // Sequentially consistent: of two owners that publish the last chunks at the same time, at
    // least one then sees both commits.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (board_.settled() == board_.size().chunks) tell_the_end();
    if (policy_.park) board_.wait_for_controls();
    return leave(leaving::for_good);
  }
}

// Who doesn't park needs no waking.
void owner::tell_the_end() { policy_.park ? board_.raise(done) : board_.note(done); }

void owner::leave(leaving how) {
  if (accounts_) give_account();
  slot_.left.store(how, std::memory_order_release);
}

void owner::resume() {
  reload();
  redo_until_ = length();
  begin_lap(began_ = clock::now());
  begin_account();
  publish_due_ = lap_ + publish_interval;
}

// Back to what is committed: what the private accumulators hold is lost or spoilt, and so is what
// uncommitted entries have changed in place.
void owner::reload() {
  slot_.running.store(0, std::memory_order_relaxed);
  undo_used_ = restore(board_, index_, task_.in_place);
  probing_ = {};
  const publication found = board_.snapshot(index_);
  const std::size_t bytes = board_.size().accumulator_bytes;
  next_ = published_ = found.covered;
  if (!found.word) {
    if (bytes != 0) start_accumulators();
    return;
  }
  const auto* const words = board_.area(index_, found.word.area());
  copy_in(accumulators_, words, bytes);
  if (!found.word.probing()) return;
  probing_ = found;
  probed_published_ = found.probed;
  if (found.has_partial)
    copy_in(partial_, words + board_.area_words(), board_.size().partial_bytes);
}

void owner::start_accumulators() {
  std::memset(accumulators_, 0, board_.size().accumulator_bytes);
  task_.start(task_.context, accumulators_);
  if (policy_.aside != 0) task_.start(task_.context, accumulators_ + policy_.aside);
}

bool owner::claim() {
  const std::size_t places = board_.places();
  const std::uint64_t seen = board_.cursor().load(std::memory_order_relaxed);
  if (seen >= places || stopped()) return false;

  // Never more than half of a fair part of what is left: the end of a run is shared by all. Of few
  // chunks less: what stands behind one that fails, or takes long, waits for it.
  const std::uint64_t parts = places < many_chunks ? 8 : 2;
  const std::uint64_t fair = (places - seen) / (parts * board_.size().slots);
  const std::uint64_t wanted = std::clamp<std::uint64_t>(fair, 1, batch_);

  if (policy_.timed) note_begin(clock::now());
  const std::uint32_t claims = slot_.claims.load(std::memory_order_relaxed);
  // Release: pairs with the acquire in reclaim(), which takes it for the end of the window before.
  slot_.claims.store(claims + 1, std::memory_order_release);
  // Release: pairs with the acquire of the cursor in reclaim(); whoever sees the cursor moved by us
  // sees that we are in the claiming window, or have left it.
  const std::uint64_t first = board_.cursor().fetch_add(wanted, std::memory_order_acq_rel);
  const std::uint64_t count = first < places ? std::min<std::uint64_t>(wanted, places - first) : 0;
  const std::uint64_t end = length();
  for (std::uint64_t k = 0; k < count; ++k) {
    log_[end + k].store(board_.chunk_at(first + k), std::memory_order_relaxed);
  }
  // Release, both: pair with the acquires in reclaim(), which reads our log once we are outside.
  slot_.length.store(end + count, std::memory_order_release);
  slot_.claims.store(claims + 2, std::memory_order_release);
  return count != 0;
}

// beside: what is copied with them.
bool owner::little_to_copy(std::size_t beside) const noexcept {
  std::size_t bytes = beside + (task_.live == nullptr ? board_.size().accumulator_bytes : 0);
  for (std::size_t k = 0; k < task_.parts; ++k) {
    bytes += task_.live(task_.context, accumulators_, k).bytes;
    if (policy_.aside != 0) {
      bytes += task_.live(task_.context, accumulators_ + policy_.aside, k).bytes;
    }
  }
  return bytes <= policy_.little_to_copy_bytes;
}

void owner::run() {
  const std::uint64_t end = length();
  const std::uint64_t entries = end - next_;
  const bool at_once = little_to_copy();
  const bool in_rows =
      task_.run_row != nullptr && !policy_.timed && board_.size().partial_bytes == 0;
  while (next_ < end) {
    const std::uint32_t controls = board_.controls();
    if ((controls & exhausted) != 0) break;
    const bool begun_before = next_ < redo_until_;
    // What had been begun before is finished even when the run stops.
    if (!begun_before && (controls & stopping) != 0) return;
    const std::uint64_t chunk = log_[next_].load(std::memory_order_relaxed);
    const bool suspect =
        begun_before && board_.verdict_on(chunk).load(std::memory_order_relaxed).attempts() != 0;
    if (suspect) {
      publish();  // it may take what ran before it down once more
      note_begin(clock::now());
    }
    const std::uint64_t row = in_rows && !begun_before ? row_from(chunk, end) : 1;
    if (!(row > 1 ? run_row(chunk, row) : run_entry(chunk))) continue;
    next_ += row;
    if (at_once || suspect) {
      publish();
    } else if (begun_before) {
      publish_if_due(clock::now());
    }
  }
  if (entries != 0) end_lap(entries);
}

// How many fresh entries can be run as one piece.
std::uint64_t owner::row_from(std::uint64_t chunk, std::uint64_t end) const noexcept {
  const std::uint64_t count = end - next_;
  if (board_.size().scheduled != dimensions::every) {  // may descend, and be condemned
    const auto is_good = [this](std::uint64_t one) {
      return board_.verdict_on(one).load(std::memory_order_relaxed).state == standing::good;
    };
    if (!is_good(chunk)) return 1;
    std::uint64_t k = 1;
    while (k < count && log_[next_ + k].load(std::memory_order_relaxed) == chunk + k &&
           is_good(chunk + k)) {
      ++k;
    }
    return k;
  }
  // What one owner claims ascends, so that no gap can hide between.
  return log_[end - 1].load(std::memory_order_relaxed) == chunk + count - 1 ? count : 1;
}

// As attempt(), but `running` goes on with the row: it names the entry to blame at any moment.
bool owner::run_row(std::uint64_t chunk, std::uint64_t chunks) {
  slot_.running.store(next_ + 1, std::memory_order_release);
  description error;
  if (task_.run_row(task_.context, {chunk, chunks, &slot_.running}, accumulators_,
                    has_room_ ? &error : nullptr)) {
    slot_.running.store(0, std::memory_order_relaxed);
    return true;
  }
  const std::uint64_t entry = slot_.running.load(std::memory_order_relaxed) - 1;
  slot_.running.store(0, std::memory_order_relaxed);
  failed({.chunk = log_[entry].load(std::memory_order_relaxed)}, has_room_ ? error : "");
  // Up to the one that threw, each is run by itself.
  redo_until_ = std::max(redo_until_, entry + 1);
  reload();
  return false;
}

// False: the entry is not done yet. Its kernel threw, the failure is on the board, and next_ is
// back at what is committed; or the run has ended in its quarantine.
bool owner::run_entry(std::uint64_t chunk) {
  if (next_ < redo_until_ || board_.size().scheduled != dimensions::every) {
    switch (board_.verdict_on(chunk).load(std::memory_order_relaxed).state) {
      case standing::good: break;
      case standing::quarantined: {
        const std::chrono::nanoseconds start = clock::now().time_since_epoch();
        if (!quarantine(chunk)) return false;
        if (board_.size().notes != 0) note(chunk, start, false, this_attempt(chunk));
        return true;
      }
      case standing::condemned: return lose_rest(chunk, loss::failed), true;
      case standing::untried: return lose_rest(chunk, loss::untried), true;
    }
  }
  save(chunk);
  if (run_whole(chunk)) return true;
  // A throw is a death without the exit: the accumulators are spoilt, so the log's tail is redone.
  redo_until_ = std::max(redo_until_, next_ + 1);
  reload();
  return false;
}

bool owner::run_whole(std::uint64_t chunk) {
  if (!attempt({.chunk = chunk}, board_.partial(chunk), accumulators_)) return false;
  if (board_.size().notes != 0) {
    note(chunk, slot_.began.load(std::memory_order_relaxed), false, this_attempt(chunk));
  }
  if (policy_.keeps_times) {
    board_.note_time(clock::now().time_since_epoch() - slot_.began.load(std::memory_order_relaxed));
  }
  return true;
}

bool owner::run_piece(const piece& what, std::byte* partial) {
  slot_.notes.first.store(what.first, std::memory_order_relaxed);
  slot_.notes.last.store(what.last, std::memory_order_relaxed);
  return attempt(what, partial, accumulators_ + policy_.aside);
}

// `running` names the entry to blame if this process dies now, and the notes its piece. Only a dead
// owner's slot is judged, so the order of these stores in the program is the order in which they
// are seen.
inline bool owner::attempt(const piece& what, std::byte* partial, std::byte* accumulators) {
  if (policy_.timed) note_begin(clock::now());
  // Release: pairs with the acquire of who looks for pieces that take too long, and so sees when
  // this began.
  slot_.running.store(next_ + 1, std::memory_order_release);
  description error;
  const bool returned =
      task_.run(task_.context, what, partial, accumulators, has_room_ ? &error : nullptr);
  slot_.running.store(0, std::memory_order_relaxed);
  if (!returned) failed(what, has_room_ ? error : "");
  return returned;
}

// Holds a throw against the chunk. Where the report has no room, the failure is only counted.
void owner::failed(const piece& what, const char* error) {
  verdict judged = board_.verdict_on(what.chunk).load(std::memory_order_relaxed);
  judged.add(failure_kind::exception, policy_.allowed);
  failure_facts facts{.kind = failure_kind::exception,
                      .chunk = what.chunk,
                      .attempt = judged.attempts(),
                      .worker = index_};
  if (what.last != piece::to_the_end) {
    facts.first = what.first;
    facts.last = what.last;
  }
  evidence left;
  has_room_ = has_room_ && board_.has_room();
  if (has_room_) {
    const std::chrono::nanoseconds end = clock::now().time_since_epoch();
    facts.elapsed = end - slot_.began.load(std::memory_order_relaxed);
    facts.when = end;
    workplace_.testify(facts, left);
  }
  if (board_.size().notes != 0) {
    note(what.chunk, slot_.began.load(std::memory_order_relaxed), true, judged.attempts());
  }
  board_.record(facts, error, left);
  board_.verdict_on(what.chunk).store(judged, std::memory_order_release);
}

// Old values of some units of the entry in progress. Requires: they are saved.
void owner::put_back(std::uint64_t first, std::uint64_t last) {
  if (board_.size().undo_bytes == 0) return;
  const undo& old = task_.in_place;
  std::size_t used = 0;
  for (std::uint64_t k = slot_.undo_first.load(std::memory_order_relaxed); k < next_; ++k) {
    used += old.bytes(old.context, log_[k].load(std::memory_order_relaxed));
  }
  const std::uint64_t chunk = log_[next_].load(std::memory_order_relaxed);
  old.restore(old.context, chunk, first, last, board_.undo(index_) + used);
}

// Keeps the old values of what the next entry may change in place.
void owner::save(std::uint64_t chunk) {
  if (board_.size().undo_bytes == 0 || next_ < slot_.saved.load(std::memory_order_relaxed)) return;
  const undo& old = task_.in_place;
  const std::size_t bytes = old.bytes(old.context, chunk);
  if (published_ < next_ && undo_used_ + bytes > board_.size().undo_bytes) publish();
  if (published_ == next_) {
    // Nothing that is kept is needed any more.
    slot_.undo_first.store(next_, std::memory_order_relaxed);
    undo_used_ = 0;
  }
  old.save(old.context, chunk, board_.undo(index_) + undo_used_);
  undo_used_ += bytes;
  // Only a dead owner's slot is restored, so the order of these stores in the program is the order
  // in which they are seen.
  slot_.saved.store(next_ + 1, std::memory_order_relaxed);
}

// After a batch: how many chunks fit into a short one?
void owner::end_lap(std::uint64_t entries) {
  const clock::time_point now = clock::now();
  const auto took = std::max<clock::duration>(now - lap_, 1ns);
  const auto fitting = static_cast<std::uint64_t>(short_batch * entries / took);
  batch_ = std::clamp<std::uint64_t>(fitting, 1, std::min(2 * batch_, longest()));
  add(slot_.spent.working, took);
  slot_.spent.ended.store(now.time_since_epoch(), std::memory_order_relaxed);
  begin_lap(now);
  publish_if_due(now);
  look_at_account(now);
}

std::uint64_t owner::longest() const noexcept {
  return task_.run_row != nullptr ? longest_row : longest_batch;
}

void owner::begin_lap(clock::time_point now) {
  lap_ = now;
  note_begin(now);
}

// Once for a batch: that is exact to the few microseconds of a short one.
void owner::note_begin(clock::time_point now) {
  slot_.began.store(now.time_since_epoch(), std::memory_order_relaxed);
}

void owner::publish_if_due(clock::time_point now) {
  if (next_ == published_ || now < publish_due_) return;
  publish();
  begin_lap(clock::now());  // what it costs to publish is no batch's time
  add(slot_.spent.publishing, lap_ - now);
  publish_due_ =
      lap_ + std::max<clock::duration>(publish_interval, publish_cost_factor * (lap_ - now));
}

// Behind the last batch. What is little is not worth a look at the clock.
void owner::end_publishing() {
  if (board_.size().accumulator_bytes <= policy_.little_to_copy_bytes) return;
  const std::chrono::nanoseconds end = clock::now().time_since_epoch();
  add(slot_.spent.publishing, end - lap_.time_since_epoch());
}

// ---- For the report.

void owner::begin_account() {
  spending& spent = slot_.spent;
  if (spent.began.load(std::memory_order_relaxed).count() == 0) {
    spent.began.store(began_.time_since_epoch(), std::memory_order_relaxed);
  }
  const std::uint32_t before = spent.owners.load(std::memory_order_relaxed);
  if (before != 0) board_.note_succession({began_.time_since_epoch(), index_});
  spent.owners.store(before + 1, std::memory_order_relaxed);
  accounts_ = board_.size().notes != 0 || workplace_.is_of_this_run();
  account_due_ = began_ + account_interval;
  if (!accounts_ || workplace_.is_of_this_run()) return;
  const std::optional<account> so_far = workplace_.give_account();
  if (so_far) used_before_ = so_far->used;
}

void owner::look_at_account(clock::time_point now) {
  if (now < account_due_) return;
  give_account();
  const clock::time_point end = clock::now();
  const clock::duration took = std::min<clock::duration>(end - now, longest_look);
  const clock::duration pause =
      board_.size().notes != 0 ? account_cost_factor * took : account_interval;
  account_due_ = end + pause;
  begin_lap(end);  // what that costs is no batch's time
}

void owner::give_account() {
  const std::optional<account> found = workplace_.give_account();
  if (!found) return;
  spending& spent = slot_.spent;
  if (found->peak_private_bytes > spent.peak_private_bytes.load(std::memory_order_relaxed)) {
    spent.peak_private_bytes.store(found->peak_private_bytes, std::memory_order_relaxed);
  }
  if (!accounts_) return;  // nobody knows what it had used when it came
  spent.now.set({.user = found->used.user - used_before_.user,
                 .system = found->used.system - used_before_.system,
                 .faults = found->used.faults - used_before_.faults});
}

// What is begun for the first time is not judged yet.
unsigned owner::this_attempt(std::uint64_t chunk) const noexcept {
  if (next_ >= redo_until_) return 1;
  return board_.verdict_on(chunk).load(std::memory_order_relaxed).attempts() + 1;
}

void owner::note(std::uint64_t chunk, std::chrono::nanoseconds start, bool has_failed,
                 unsigned attempt) {
  board_.note_on(chunk).write(
      {.start = start,
       .took = clock::now().time_since_epoch() - start,
       .worker = index_,
       .attempt = attempt,
       .memory_bytes = slot_.spent.peak_private_bytes.load(std::memory_order_relaxed),
       .failed = has_failed});
}

// Between two units of a walk: as is due, or at once.
void owner::commit_walk(bool at_once) {
  if (probing_.probed == probed_published_) return;
  if (at_once || little_to_copy(board_.size().partial_bytes)) return publish_quarantine();
  const clock::time_point now = clock::now();
  if (now < publish_due_) return;
  publish_quarantine();
  const clock::time_point end = clock::now();
  publish_due_ =
      end + std::max<clock::duration>(publish_interval, publish_cost_factor * (end - now));
}

// The commit of what has run, and of nothing in quarantine.
void owner::publish() {
  if (next_ == published_) return;
  const commit_word then = prepare_commit(false);
  if (probing_.word) probing_ = {};
  commit(then);
}

// The same, and of the entry in quarantine as far as it is.
void owner::publish_quarantine() {
  const commit_word then = prepare_commit(true);
  if (probing_.has_partial) {
    copy_out(board_.area(index_, then.area()) + board_.area_words(), partial_,
             board_.size().partial_bytes);
  }
  probe_header& header = slot_.probes[then.area()];
  header.probed.store(probing_.probed, std::memory_order_relaxed);
  header.width.store(probing_.width, std::memory_order_relaxed);
  header.failures_seen.store(probing_.failures_seen, std::memory_order_relaxed);
  header.has_partial.store(probing_.has_partial ? 1 : 0, std::memory_order_relaxed);
  probing_.word = then;
  probed_published_ = probing_.probed;
  commit(then);
}

// Behind what counts, the area keeps what an earlier publication, or one that was not completed,
// has left there.
inline void owner::publish_accumulators(std::atomic<std::uint64_t>* to) const {
  if (task_.live == nullptr) return copy_out(to, accumulators_, board_.size().accumulator_bytes);
  for (std::size_t set = 0;; set = policy_.aside) {
    for (std::size_t k = 0; k < task_.parts; ++k) {
      const live_part part = task_.live(task_.context, accumulators_ + set, k);
      const std::size_t offset = set + part.offset;
      copy_out(to + offset / 8, accumulators_ + offset, part.bytes);
    }
    if (set == policy_.aside) break;
  }
}

// Fills the area that is not published, but for its part of a quarantine.
inline commit_word owner::prepare_commit(bool probing) {
  const commit_word then = commit_word{slot_.commit.load(std::memory_order_relaxed)}.next(probing);
  // Pairs with the acquire fence in board::snapshot(): a reader that sees any of the stores below
  // sees that the commit word has moved on from this area.
  std::atomic_thread_fence(std::memory_order_release);
  if (board_.size().accumulator_bytes != 0) {
    publish_accumulators(board_.area(index_, then.area()));
  }
  slot_.covered[then.area()].store(next_, std::memory_order_relaxed);
  return then;
}

// Release: pairs with the acquires of snapshot(): outputs, partials, area and header all become
// final with this one store.
inline void owner::commit(commit_word then) {
  slot_.commit.store(then.word, std::memory_order_release);
  published_ = next_;
}

std::uint64_t owner::length() const noexcept {
  return slot_.length.load(std::memory_order_relaxed);
}

}  // namespace shard::board
