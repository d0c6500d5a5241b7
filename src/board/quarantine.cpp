// What an owner does with an entry in quarantine: units of it fail. It is found which, they are
// given up, and all others are run, exactly once each in what counts. All of that goes on from what
// is published and from the notes, so that a quarantine outlives this process.

#include <algorithm>
#include <cstring>

#include "board/owner.hpp"

namespace shard::board {
namespace {

// A range of units that all succeed alone, and that fails all the same, is run so often before it
// is cut: accidents must not move a cut.
constexpr unsigned tries_of_a_good_range = 3;

}  // namespace

// False: the run has ended before the entry was done.
bool owner::quarantine(std::uint64_t chunk) {
  const patient of = patient_in(chunk);
  if (!probing_.word) begin_quarantine(of);
  save(chunk);
  const bool done = policy_.allowed.by_index ? walk(of) : search(of) && run_good(of);
  if (done) end_quarantine(chunk);
  return done;
}

owner::patient owner::patient_in(std::uint64_t chunk) const {
  return {chunk, task_.first_unit(task_.context, chunk), task_.units(task_.context, chunk)};
}

void owner::begin_quarantine(const patient& of) {
  constexpr auto relaxed = std::memory_order_relaxed;
  publish();
  const verdict judged = board_.verdict_on(of.chunk).load(relaxed);
  // Who died in a chunk of one unit has died in that alone.
  const suspicion held = of.units == 1 ? suspicion{0, judged.crashes} : suspicion{};
  slot_.notes.suspect.store(held.word(), relaxed);
  slot_.notes.failures_seen.store(judged.failed_probes, relaxed);
  slot_.notes.width.store(of.units / 2, relaxed);
  slot_.notes.searched.store(0, relaxed);
  probing_ = {};
  probing_.width = of.units;
  probing_.failures_seen = judged.failed_probes;
  publish_quarantine();
}

// Kernels by index: each unit is run by itself, from left to right. A throw gives its unit up; a
// death does when the unit has had more than its budget of them. What is added to ordered partials
// is added as if the failures had never been: same bits.
bool owner::walk(const patient& of) {
  const suspicion held = suspicion::in(slot_.notes.suspect.load(std::memory_order_relaxed));
  while (probing_.probed < of.units) {
    if (ended()) {
      commit_walk(true);
      return false;
    }
    const std::uint64_t unit = probing_.probed;
    const verdict judged = board_.verdict_on(of.chunk).load(std::memory_order_relaxed);
    if (has_failed(of, unit, judged)) give_up(of, unit);
    if (board_.is_lost(of.base + unit)) {
      note_loss();
      ++probing_.probed;
      commit_walk(task_.adds_in_place);  // what was redone because of this unit is safe now
      continue;
    }
    if (held.deaths != 0 && held.unit == unit) commit_walk(true);  // it may kill once more
    if (!run_piece({of.chunk, unit, unit + 1, probing_.has_partial}, partial_)) {
      step_over_throw(of, unit, judged.failed_probes);
      continue;
    }
    ++probing_.probed;
    probing_.has_partial = true;
    commit_walk(false);
  }
  return true;
}

// The worker lives. Where the kernel adds to locals until it returns, nothing is spoilt; otherwise
// what was added since the last commit is redone, up to this unit.
void owner::step_over_throw(const patient& of, std::uint64_t unit, unsigned failures_before) {
  const verdict judged = board_.verdict_on(of.chunk).load(std::memory_order_relaxed);
  if (judged.failed_probes != failures_before) give_up(of, unit);
  if (task_.adds_in_place) {
    reload();
  } else {
    put_back(unit, unit + 1);
  }
}

// Kernels by range: which units fail alone is searched from left to right. A piece that fails is
// halved, one that doesn't is passed and doubled. All of that happens on what is thrown away after
// it: the private accumulators are loaded anew, and old values come back.
bool owner::search(const patient& of) {
  constexpr auto relaxed = std::memory_order_relaxed;
  if (slot_.notes.searched.load(relaxed) == of.units) return true;
  for (;;) {
    const std::uint64_t unit = slot_.notes.searched.load(relaxed);
    if (unit == of.units) break;
    if (ended()) return false;
    const verdict judged = board_.verdict_on(of.chunk).load(relaxed);
    if (has_failed(of, unit, judged)) give_up(of, unit);
    if (board_.is_lost(of.base + unit)) {
      note_loss();
      pass(unit + 1, 1, judged);
      continue;
    }
    const unsigned halvings = judged.failed_probes - slot_.notes.failures_seen.load(relaxed);
    const std::uint64_t width = halvings < 64 ? slot_.notes.width.load(relaxed) >> halvings : 0;
    const std::uint64_t last = unit + std::clamp<std::uint64_t>(width, 1, of.units - unit);
    if (run_piece({of.chunk, unit, last}, partial_)) {
      pass(last, std::min(2 * (last - unit), of.units - last), judged);
    } else {
      if (last - unit == 1) give_up(of, unit);
      put_back(unit, last);
    }
  }
  reload();
  return true;
}

// The notes: the search has passed so many units. The order matters only in that each store alone
// must not make a unit guilty: what is passed last decides.
void owner::pass(std::uint64_t units, std::uint64_t width, const verdict& judged) {
  slot_.notes.failures_seen.store(judged.failed_probes, std::memory_order_relaxed);
  slot_.notes.width.store(width, std::memory_order_relaxed);
  slot_.notes.searched.store(units, std::memory_order_relaxed);
}

// After the search: the largest ranges without a lost unit are run and committed, one after the
// other. So what counts is cut where units fail, and never where a search happened to cut. A range
// that fails all the same is halved, by a rule that asks only how often it failed.
bool owner::run_good(const patient& of) {
  // Those of the search don't count any more.
  const std::uint32_t searching = slot_.notes.failures_seen.load(std::memory_order_relaxed);
  while (probing_.probed < of.units) {
    if (ended()) return false;
    const std::uint64_t unit = probing_.probed;
    if (board_.is_lost(of.base + unit)) {
      note_loss();
      ++probing_.probed;
      probing_.width = of.units;
      continue;
    }
    const verdict judged = board_.verdict_on(of.chunk).load(std::memory_order_relaxed);
    const std::uint64_t good =
        board_.next_lost(of.base + unit, of.base + of.units) - of.base - unit;
    const std::uint32_t seen = std::max(probing_.failures_seen, searching);
    const unsigned halvings = (judged.failed_probes - seen) / tries_of_a_good_range;
    const std::uint64_t width = halvings < 64 ? std::min(probing_.width, good) >> halvings : 0;
    if (width == 0) {
      give_up(of, unit);
      note_loss();
      ++probing_.probed;
      probing_.width = of.units;
      // Committed: what failed here must not count against the next range.
      probing_.failures_seen = judged.failed_probes;
      if (probing_.probed < of.units) publish_quarantine();
      continue;
    }
    if (!run_piece({of.chunk, unit, unit + width, probing_.has_partial}, partial_)) {
      reload();
      continue;
    }
    probing_.probed = unit + width;
    probing_.has_partial = true;
    probing_.width = width == good ? of.units : std::min(2 * width, of.units);
    probing_.failures_seen = judged.failed_probes;
    if (probing_.probed < of.units) publish_quarantine();
  }
  return true;
}

// Whether a unit has failed alone as often as it may, by deaths.
bool owner::has_failed(const patient& of, std::uint64_t unit, const verdict& judged) const {
  const budgets& allowed = policy_.allowed;
  if (of.units == 1 && judged.errors > allowed.errors) return true;
  const suspicion held = suspicion::in(slot_.notes.suspect.load(std::memory_order_relaxed));
  const unsigned borne = policy_.allowed.by_index ? allowed.crashes : std::min(allowed.crashes, 1u);
  return held.unit == unit && held.deaths > borne;
}

void owner::give_up(const patient& of, std::uint64_t unit) {
  board_.give_up(of.base + unit, of.base + unit + 1, loss::failed);
}

// All of the entry that is not committed.
void owner::lose_rest(std::uint64_t chunk, loss why) {
  const patient of = patient_in(chunk);
  const verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
  const suspicion held = suspicion::in(slot_.notes.suspect.load(std::memory_order_relaxed));
  // What has failed often enough before has failed, whatever ends the search for more.
  if (probing_.word && held.unit < of.units && has_failed(of, held.unit, judged)) {
    give_up(of, held.unit);
  }
  if (of.units == 1 && judged.crashes > policy_.allowed.crashes) give_up(of, 0);
  board_.give_up(of.base + probing_.probed, of.base + of.units, why);
  note_loss();
  if (probing_.word) end_quarantine(chunk);
}

// Comes before the loss is committed: whoever takes over from one that died in between does it
// again.
void owner::note_loss() {
  if (!policy_.keep_going && !stopped()) board_.raise(stopping);
  const std::size_t most = policy_.allowed.max_failures;
  if (most == 0 || board_.given_up() <= most || ended()) return;
  board_.raise(stopping);  // first: who has no more to run would claim
  board_.raise(exhausted);
}

// What the kernel has added to the partial in quarantine becomes the chunk's.
void owner::end_quarantine(std::uint64_t chunk) {
  if (probing_.has_partial && board_.size().partial_bytes != 0) {
    std::memcpy(board_.partial(chunk), partial_, board_.size().partial_bytes);
  }
}

}  // namespace shard::board
