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

// Publishing large accumulators costs under 1% of a worker's time.
constexpr auto publish_interval = 10ms;
constexpr int publish_cost_factor = 100;

std::size_t partial_offset(const dimensions& of) { return (of.accumulator_bytes + 63) / 64 * 64; }

void copy_in(std::byte* to, const std::atomic<std::uint64_t>* words, std::size_t bytes) {
  for (std::size_t k = 0; 8 * k < bytes; ++k) {
    const std::uint64_t value = words[k].load(std::memory_order_relaxed);
    std::memcpy(to + 8 * k, &value, std::min<std::size_t>(8, bytes - 8 * k));
  }
}

void copy_out(std::atomic<std::uint64_t>* words, const std::byte* from, std::size_t bytes) {
  for (std::size_t k = 0; 8 * k < bytes; ++k) {
    std::uint64_t value = 0;
    std::memcpy(&value, from + 8 * k, std::min<std::size_t>(8, bytes - 8 * k));
    words[k].store(value, std::memory_order_relaxed);
  }
}

}  // namespace

// Old values lie in the order of the log, from entry undo_first on.
std::size_t restore(const board& on, unsigned index, const undo& with) {
  if (on.size().undo_bytes == 0) return 0;
  const slot& of = on.at(index);
  const publication published = on.snapshot(index);
  const std::uint64_t saved = of.saved.load(std::memory_order_relaxed);
  std::size_t used = 0;
  for (std::uint64_t k = of.undo_first.load(std::memory_order_relaxed); k < saved; ++k) {
    const std::uint64_t chunk = on.log(index)[k].load(std::memory_order_relaxed);
    if (k >= published.covered) {
      // Of an entry in quarantine, what is committed stays.
      with.restore(with.context, chunk, k == published.covered ? published.probed : 0,
                   on.undo(index) + used);
    }
    used += with.bytes(with.context, chunk);
  }
  return used;
}

std::size_t owner::memory_bytes(const dimensions& of) noexcept {
  return partial_offset(of) + of.partial_bytes;
}

owner::owner(const board& on, unsigned slot, const task& what, const policy& how,
             std::byte* memory) noexcept
    : board_(on),
      slot_(on.at(slot)),
      log_(on.log(slot)),
      index_(slot),
      task_(what),
      policy_(how),
      accumulators_(memory),
      partial_(memory + partial_offset(on.size())) {}

void owner::work() {
  resume();
  for (;;) {
    const std::uint64_t before = next_;
    run();
    // Not before it has done something: the next one would be as tired at once.
    const bool may_leave = policy_.tired != nullptr && next_ != before && next_ == length();
    if (may_leave && policy_.tired()) {
      publish();
      return leave(leaving::for_another);
    }
    if (claim()) continue;
    publish();
    // Sequentially consistent: of two owners that publish the last chunks at the same time, at
    // least one then sees both commits.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (board_.settled() == board_.size().chunks) board_.raise(done);
    if (policy_.park) board_.wait_for_controls();
    return leave(leaving::for_good);
  }
}

void owner::leave(leaving how) { slot_.left.store(how, std::memory_order_release); }

void owner::resume() {
  reload();
  redo_until_ = length();
  begin_lap(clock::now());
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
    if (bytes == 0) return;
    std::memset(accumulators_, 0, bytes);
    task_.start(task_.context, accumulators_);
    return;
  }
  const auto* const words = board_.area(index_, found.word.area());
  copy_in(accumulators_, words, bytes);
  if (!found.word.probing()) return;
  probing_ = found;
  if (found.has_partial)
    copy_in(partial_, words + board_.area_words(), board_.size().partial_bytes);
}

bool owner::claim() {
  const std::size_t chunks = board_.size().chunks;
  const std::uint64_t seen = board_.cursor().load(std::memory_order_relaxed);
  if (seen >= chunks || stopped()) return false;

  // Never more than a fair part of what is left: the end of a run is shared by all.
  const std::uint64_t fair = (chunks - seen) / (8 * board_.size().slots);
  const std::uint64_t wanted = std::clamp<std::uint64_t>(fair, 1, batch_);

  if (policy_.timed) note_begin(clock::now());
  const std::uint32_t claims = slot_.claims.load(std::memory_order_relaxed);
  // Release: pairs with the acquire in reclaim(), which takes it for the end of the window before.
  slot_.claims.store(claims + 1, std::memory_order_release);
  // Release: pairs with the acquire of the cursor in reclaim(); whoever sees the cursor moved by us
  // sees that we are in the claiming window, or have left it.
  const std::uint64_t first = board_.cursor().fetch_add(wanted, std::memory_order_acq_rel);
  const std::uint64_t count = first < chunks ? std::min<std::uint64_t>(wanted, chunks - first) : 0;
  const std::uint64_t end = length();
  for (std::uint64_t k = 0; k < count; ++k) {
    log_[end + k].store(first + k, std::memory_order_relaxed);
  }
  // Release, both: pair with the acquires in reclaim(), which reads our log once we are outside.
  slot_.length.store(end + count, std::memory_order_release);
  slot_.claims.store(claims + 2, std::memory_order_release);
  return count != 0;
}

void owner::run() {
  const std::uint64_t end = length();
  const std::uint64_t entries = end - next_;
  const bool little_to_copy = board_.size().accumulator_bytes <= policy_.little_to_copy_bytes;
  while (next_ < end) {
    const bool begun_before = next_ < redo_until_;
    // What had been begun before is finished even when the run stops.
    if (!begun_before && stopped()) return;
    const std::uint64_t chunk = log_[next_].load(std::memory_order_relaxed);
    const bool suspect =
        begun_before && board_.verdict_on(chunk).load(std::memory_order_relaxed).attempts() != 0;
    if (suspect) {
      publish();  // it may take what ran before it down once more
      note_begin(clock::now());
    }
    if (!run_entry(chunk)) continue;
    ++next_;
    if (little_to_copy || suspect) {
      publish();
    } else if (begun_before) {
      publish_if_due(clock::now());
    }
  }
  if (entries != 0) end_lap(entries);
}

// False: the entry is not done yet. Its kernel threw, the failure is on the board, and next_ is
// back at what is committed; or it is in quarantine.
bool owner::run_entry(std::uint64_t chunk) {
  if (next_ < redo_until_) {
    const verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
    if (judged.condemned()) {
      note_loss();
      if (probing_.word) end_quarantine(chunk);
      return true;
    }
    if (judged.state == standing::quarantined) return probe(chunk);
  }
  save(chunk);
  return run_piece({.chunk = chunk}, board_.partial(chunk));
}

// Quarantine. Some indices of the entry fail. They are walked from left to right in probes: one
// that fails is halved, one that doesn't is committed and doubled, and an index that fails alone is
// given up. The walk goes on from the published header, so that it outlives this process; how far
// its width has been halved since is in the verdict. The partial is carried on from probe to probe,
// in the published area: adding goes on as if nothing had happened, to the bit.
bool owner::probe(std::uint64_t chunk) {
  const verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
  const std::size_t indices = task_.indices(task_.context, chunk);
  if (!probing_.word && !begin_quarantine(indices, judged)) {
    condemn(chunk);
    return true;
  }
  if (const std::uint64_t width = probing_.width_after(judged); width != 0) {
    save(chunk);
    const piece next{chunk, probing_.probed, probing_.probed + width, probing_.has_partial};
    if (!run_piece(next, partial_)) return false;
    probing_.probed = next.last;
    probing_.width = std::min(2 * width, indices - next.last);
    probing_.has_partial = true;
  } else {
    if (!board_.condemn(chunk, probing_.probed, probing_.probed + 1)) {
      condemn(chunk);
      end_quarantine(chunk);
      return true;
    }
    note_loss();
    ++probing_.probed;
    probing_.width = 1;
  }
  probing_.failures_seen = judged.failed_probes;
  if (probing_.probed < indices) {
    commit(true);
    return false;
  }
  end_quarantine(chunk);
  return true;
}

// False: there is no room to note what of the chunk is given up.
bool owner::begin_quarantine(std::size_t indices, const verdict& judged) {
  if (!board_.can_condemn_parts()) return false;
  publish();
  probing_ = {};
  probing_.width = indices / 2;
  probing_.failures_seen = judged.failed_probes;
  commit(true);
  return true;
}

// All of it that is not committed.
void owner::condemn(std::uint64_t chunk) {
  verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
  judged.state = standing::condemned;
  board_.verdict_on(chunk).store(judged, std::memory_order_release);
  note_loss();
}

// Comes before the loss is committed: whoever takes over from one that died in between does it
// again.
void owner::note_loss() {
  if (!policy_.keep_going) board_.raise(stopping);
}

// What the probes have added becomes the chunk's; what they did not come to is given up.
void owner::end_quarantine(std::uint64_t chunk) {
  const std::size_t indices = task_.indices(task_.context, chunk);
  if (probing_.probed < indices) board_.condemn_rest(index_, chunk, probing_.probed, indices);
  if (probing_.has_partial && board_.size().partial_bytes != 0) {
    std::memcpy(board_.partial(chunk), partial_, board_.size().partial_bytes);
  }
}

bool owner::run_piece(const piece& what, std::byte* partial) {
  description error;
  clock::time_point begin;
  if (policy_.timed) {
    begin = clock::now();
    note_begin(begin);
  }
  // `running` names the entry to blame if this process dies now. Only a dead owner's slot is
  // judged, so the order of these stores in the program is the order in which they are seen.
  // Release: pairs with the acquire of who looks for pieces that take too long, and so sees when
  // this began.
  slot_.running.store(next_ + 1, std::memory_order_release);
  const bool returned = task_.run(task_.context, what, partial, accumulators_, error);
  slot_.running.store(0, std::memory_order_relaxed);
  if (!returned) {
    failed(what, error);
  } else if (policy_.keeps_times) {
    board_.note_time(clock::now() - begin);
  }
  return returned;
}

// A throw is a death without the exit: the accumulators are spoilt, so the log's tail is redone.
void owner::failed(const piece& what, const char* error) {
  const std::chrono::nanoseconds end = clock::now().time_since_epoch();
  verdict judged = board_.verdict_on(what.chunk).load(std::memory_order_relaxed);
  judged.add(failure_kind::exception, policy_.allowed);
  failure_facts facts{.kind = failure_kind::exception,
                      .chunk = what.chunk,
                      .attempt = judged.attempts(),
                      .worker = index_,
                      .elapsed = end - slot_.began.load(std::memory_order_relaxed)};
  if (what.last != piece::to_the_end) {
    facts.first = what.first;
    facts.last = what.last;
  }
  if (policy_.before_record != nullptr) policy_.before_record();
  board_.record(facts, error);
  board_.verdict_on(what.chunk).store(judged, std::memory_order_release);
  redo_until_ = std::max(redo_until_, next_ + 1);
  reload();
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
  const auto fitting = static_cast<std::uint64_t>(short_batch / took) * entries;
  batch_ = std::clamp<std::uint64_t>(fitting, 1, std::min(2 * batch_, longest_batch));
  begin_lap(now);
  publish_if_due(now);
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
  publish_due_ =
      lap_ + std::max<clock::duration>(publish_interval, publish_cost_factor * (lap_ - now));
}

void owner::publish() {
  if (next_ != published_) commit(false);
}

void owner::commit(bool probing) {
  const commit_word now{slot_.commit.load(std::memory_order_relaxed)};
  const commit_word then = now.next(probing);
  const unsigned other = then.area();
  // Pairs with the acquire fence in board::snapshot(): a reader that sees any of the stores below
  // sees that the commit word has moved on from this area.
  std::atomic_thread_fence(std::memory_order_release);
  auto* const words = board_.area(index_, other);
  copy_out(words, accumulators_, board_.size().accumulator_bytes);
  slot_.covered[other].store(next_, std::memory_order_relaxed);
  if (probing) {
    if (probing_.has_partial) {
      copy_out(words + board_.area_words(), partial_, board_.size().partial_bytes);
    }
    probe_header& header = slot_.probes[other];
    header.probed.store(probing_.probed, std::memory_order_relaxed);
    header.width.store(probing_.width, std::memory_order_relaxed);
    header.failures_seen.store(probing_.failures_seen, std::memory_order_relaxed);
    header.has_partial.store(probing_.has_partial ? 1 : 0, std::memory_order_relaxed);
    probing_.word = then;
  } else {
    probing_ = {};
  }
  // The commit. Release: pairs with the acquires of snapshot(): outputs, partials, area and header
  // all become final with this one store.
  slot_.commit.store(then.word, std::memory_order_release);
  published_ = next_;
}

std::uint64_t owner::length() const noexcept {
  return slot_.length.load(std::memory_order_relaxed);
}

}  // namespace shard::board
