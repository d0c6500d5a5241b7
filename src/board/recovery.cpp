#include "board/recovery.hpp"

#include <algorithm>
#include <vector>

namespace shard::board {
namespace {

constexpr int patience = 10'000;  // loads, while another owner is inside its claiming window

bool inside(std::uint32_t claims) { return claims % 2 != 0; }

// Whether the slot's owner can't append chunks from below the cursor any more, as the cursor was
// when this is called: it is outside its window, or has come out of it, or is dead.
bool outside_once(const board& on, unsigned slot, const std::function<bool(unsigned)>& alive) {
  // Acquire: pairs with the releases at the end of owner::claim(); its log is then up to date.
  const std::uint32_t seen = on.at(slot).claims.load(std::memory_order_acquire);
  if (!inside(seen)) return true;
  for (int k = 0; k < patience; ++k) {
    if (on.at(slot).claims.load(std::memory_order_acquire) != seen) return true;
  }
  return !alive(slot);
}

// Marks the chunks below `end` that stand in a log.
std::vector<bool> logged_below(const board& on, std::uint64_t end) {
  std::vector<bool> logged(end);
  for (unsigned s = 0; s < on.size().slots; ++s) {
    const std::uint64_t length = on.at(s).length.load(std::memory_order_acquire);
    for (std::uint64_t k = 0; k < length; ++k) {
      const std::uint64_t chunk = on.log(s)[k].load(std::memory_order_relaxed);
      if (chunk < end) logged[chunk] = true;
    }
  }
  return logged;
}

// A worker died in one unit alone.
void suspect(search_notes& notes, std::uint64_t unit) {
  suspicion held = suspicion::in(notes.suspect.load(std::memory_order_relaxed));
  held = {unit, held.unit == unit ? held.deaths + 1 : 1};
  notes.suspect.store(held.word(), std::memory_order_relaxed);
}

}  // namespace

bool judge(const board& on, unsigned index, const death& how, const budgets& allowed) {
  slot& dead = on.at(index);
  dead.deaths.fetch_add(1, std::memory_order_relaxed);
  const bool may_hang_again = how.kind != failure_kind::timeout || allowed.max_timeouts == 0 ||
                              on.note_timeout() + 1 < allowed.max_timeouts;
  failure_facts facts{.kind = how.kind,
                      .worker = index,
                      .signal = how.signal,
                      .exit_status = how.exit_status,
                      .when = how.when,
                      .pid = how.pid,
                      .used = how.used};
  const std::uint64_t running = dead.running.load(std::memory_order_relaxed);
  if (running == 0) {  // nothing had begun
    on.record(facts, how.what, how.left);
    return false;
  }
  const std::uint64_t chunk = on.log(index)[running - 1].load(std::memory_order_relaxed);
  const verdict before = on.verdict_on(chunk).load(std::memory_order_relaxed);
  verdict judged = before;
  judged.add(how.kind, allowed, may_hang_again);
  facts.chunk = chunk;
  facts.attempt = judged.attempts();
  facts.elapsed = how.when - dead.began.load(std::memory_order_relaxed);
  if (before.state == standing::quarantined) {
    facts.first = dead.notes.first.load(std::memory_order_relaxed);
    facts.last = dead.notes.last.load(std::memory_order_relaxed);
    const bool alone = facts.last - facts.first == 1;
    if (alone && judged.failed_probes != before.failed_probes) {
      suspect(dead.notes, facts.first);
    }
  }
  spending& spent = dead.spent;
  spent.working.store(spent.working.load() + facts.elapsed);  // the batch that has not ended
  spent.ended.store(how.when);
  if (on.size().notes != 0) {
    on.note_on(chunk).write({.start = how.when - facts.elapsed,
                             .took = facts.elapsed,
                             .worker = index,
                             .attempt = facts.attempt,
                             .memory_bytes = spent.peak_private_bytes.load(),
                             .failed = true});
  }
  on.record(facts, how.what, how.left);
  on.verdict_on(chunk).store(judged, std::memory_order_release);
  if (!may_hang_again) {
    on.raise(stopping);  // first: who has no more to run would claim
    on.raise(exhausted);
  }
  dead.running.store(0, std::memory_order_release);  // or the next owner's death would be its too
  return true;
}

void acquit(const board& on, unsigned index) noexcept {
  on.at(index).running.store(0, std::memory_order_release);
}

bool reclaim(const board& on, unsigned index, const std::function<bool(unsigned)>& alive) {
  slot& dead = on.at(index);
  const std::uint32_t claims = dead.claims.load(std::memory_order_acquire);
  if (!inside(claims)) return true;
  // Acquire: pairs with the fetch_add in owner::claim(); whoever moved the cursor to what we see is
  // seen inside its window, or has left it.
  const std::uint64_t cursor = on.cursor().load(std::memory_order_acquire);
  for (unsigned s = 0; s < on.size().slots; ++s) {
    if (s != index && !outside_once(on, s, alive)) return false;
  }
  const std::uint64_t end = std::min<std::uint64_t>(cursor, on.places());
  const bool scheduled = on.size().scheduled != dimensions::every;
  const std::vector<bool> logged = logged_below(on, scheduled ? on.size().chunks : end);
  std::uint64_t length = dead.length.load(std::memory_order_relaxed);
  for (std::uint64_t place = 0; place < end; ++place) {
    const std::uint64_t chunk = on.chunk_at(place);
    if (!logged[chunk]) on.log(index)[length++].store(chunk, std::memory_order_relaxed);
  }
  // Two stores, in this order: after the first one nothing is missing from the logs, so that doing
  // all of this again adds nothing.
  dead.length.store(length, std::memory_order_release);
  dead.claims.store(claims + 1, std::memory_order_release);
  return true;
}

bool has_tail(const board& on, unsigned index) noexcept {
  return on.covered(index) < on.at(index).length.load(std::memory_order_acquire);
}

bool has_quarantine(const board& on, unsigned index) noexcept {
  const std::uint64_t length = on.at(index).length.load(std::memory_order_acquire);
  for (std::uint64_t k = on.covered(index); k < length; ++k) {
    const std::uint64_t chunk = on.log(index)[k].load(std::memory_order_relaxed);
    const verdict judged = on.verdict_on(chunk).load(std::memory_order_relaxed);
    if (judged.state == standing::quarantined) return true;
  }
  return false;
}

}  // namespace shard::board
