#include "board/board.hpp"

#include <algorithm>
#include <bit>

#include "os/futex.hpp"
#include "os/process.hpp"

namespace shard::board {
namespace {

constexpr std::size_t page = 4096;

constexpr std::size_t pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

// Where each part of a board begins; every part on a page of its own, so that what is never used
// (verdicts and failures of a quiet run, the tail of a log) is never touched.
struct offsets {
  explicit offsets(const dimensions& of)
      : slots(page),
        failures(slots + pages(of.slots * sizeof(slot))),
        condemned(failures + pages(board::failure_capacity * sizeof(failure_record))),
        verdicts(condemned + pages(board::condemned_capacity * sizeof(condemned_part))),
        logs(verdicts + pages(of.chunks * sizeof(verdict))),
        partials(logs + pages(of.slots * of.chunks * sizeof(std::uint64_t))),
        areas(partials + pages(of.chunks * of.partial_bytes)),
        undo(areas + pages(2 * of.slots * board::stride_words(of) * sizeof(std::uint64_t))),
        end(undo + pages(of.slots * of.undo_bytes)) {}

  std::size_t slots, failures, condemned, verdicts, logs, partials, areas, undo, end;
};

template <class T>
T* part(std::byte* memory, std::size_t offset) {
  return reinterpret_cast<T*>(memory + offset);
}

std::chrono::nanoseconds now() { return std::chrono::steady_clock::now().time_since_epoch(); }

// Of a failure that blames no chunk, nothing had begun.
void set_elapsed(failure_facts& of, const slot& where, std::chrono::nanoseconds end) {
  if (of.chunk == no_chunk) return;
  of.elapsed = end - where.began.load(std::memory_order_relaxed);
}

void add_own_facts(failure_record& to) {
  to.facts.pid = os::own_pid();
  to.facts.used = os::own_usage();
}

void add_facts_of_the_dead(failure_record& to, const slot& where) {
  to.facts.pid = where.died.pid;
  to.facts.used = where.died.used;
  // Acquire: pairs with the release of whoever spoke.
  const bool spoke = where.words.spoken.load(std::memory_order_acquire) != 0;
  set_elapsed(to.facts, where, spoke ? where.words.when : now());
  if (!spoke) return;
  to.frames = static_cast<std::uint32_t>(where.words.stack.copy(to.stack));
  to.left_out = static_cast<std::uint32_t>(where.words.stack.left_out());
}

}  // namespace

void verdict::add(failure_kind kind, const budgets& allowed) noexcept {
  if (kind == failure_kind::killed || kind == failure_kind::out_of_memory) {
    if (++kills > allowed.kills) state = standing::condemned;
  } else if (state == standing::quarantined) {
    if (++failed_probes > most_failed_probes) state = standing::condemned;
  } else {
    const bool over =
        kind == failure_kind::exception ? ++errors > allowed.errors : ++crashes > allowed.crashes;
    const bool isolates = kind != failure_kind::timeout || allowed.isolates_timeouts;
    if (over) state = isolates ? standing::quarantined : standing::condemned;
  }
}

void condemned_part::note(std::uint64_t of, std::uint64_t from, std::uint64_t to) noexcept {
  first = from;
  last = to;
  // Release: pairs with the acquire of whoever reads the parts.
  chunk.store(of + 1, std::memory_order_release);
}

std::size_t board::size_bytes(const dimensions& of) noexcept { return offsets(of).end; }

board::board(std::byte* memory, const dimensions& of) noexcept : size_(of) {
  const offsets where(of);
  shared_ = part<shared_part>(memory, 0);
  slots_ = part<slot>(memory, where.slots);
  failures_ = part<failure_record>(memory, where.failures);
  condemned_ = part<condemned_part>(memory, where.condemned);
  verdicts_ = part<std::atomic<verdict>>(memory, where.verdicts);
  logs_ = part<std::atomic<std::uint64_t>>(memory, where.logs);
  partials_ = memory + where.partials;
  areas_ = part<std::atomic<std::uint64_t>>(memory, where.areas);
  undo_ = memory + where.undo;
}

std::uint64_t board::covered(unsigned slot) const noexcept { return snapshot(slot).covered; }

publication board::snapshot(unsigned index, std::span<std::uint64_t> out) const noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  const slot& from = at(index);
  for (;;) {
    // Acquire: pairs with the release of the commit in owner::commit(); whoever sees the word sees
    // the area that it points to, and the outputs of the chunks that the area covers.
    publication found{.word = {from.commit.load(std::memory_order_acquire)}};
    if (!found.word) return found;
    const unsigned which = found.word.area();
    found.covered = from.covered[which].load(relaxed);
    if (found.word.probing()) {
      const probe_header& probe = from.probes[which];
      found.probed = probe.probed.load(relaxed);
      found.width = probe.width.load(relaxed);
      found.failures_seen = probe.failures_seen.load(relaxed);
      found.has_partial = probe.has_partial.load(relaxed) != 0;
    }
    const auto* const words = area(index, which);
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = words[k].load(relaxed);
    // Pairs with the release fence in owner::commit(): having read anything that was written into
    // this area after its commit, we see that commit's successor here.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (from.commit.load(relaxed) == found.word.word) return found;
  }
}

std::size_t board::settled() const noexcept {
  std::size_t sum = 0;
  for (unsigned k = 0; k < size_.slots; ++k) sum += covered(k);
  return sum;
}

void board::raise(control bit) const noexcept {
  shared_->controls.fetch_or(bit, std::memory_order_acq_rel);
  os::futex_wake_all(shared_->controls);
}

void board::lower(control bit) const noexcept {
  shared_->controls.fetch_and(~static_cast<std::uint32_t>(bit), std::memory_order_acq_rel);
}

void board::wait_for_controls() const noexcept {
  for (;;) {
    const std::uint32_t now = controls();
    if ((now & (stopping | done | handover)) != 0) return;
    os::futex_wait(shared_->controls, now);
  }
}

void board::record(const failure_facts& facts, std::string_view what) const noexcept {
  const std::uint64_t index = shared_->failures.fetch_add(1, std::memory_order_relaxed);
  if (index >= failure_capacity) return;
  failure_record& place = failures_[index];
  place.facts = facts;
  const slot& where = at(facts.worker);
  if (facts.kind == failure_kind::exception) {
    add_own_facts(place);
  } else {
    add_facts_of_the_dead(place, where);
  }
  place.error_bytes = static_cast<std::uint32_t>(where.errors.copy(place.errors));
  const std::size_t length = std::min(what.size(), sizeof place.what - 1);
  std::memcpy(place.what, what.data(), length);
  place.what[length] = '\0';
  // Release: pairs with the acquire of whoever makes the report.
  place.ready.store(1, std::memory_order_release);
}

std::span<failure_record> board::failures() const noexcept {
  const std::uint64_t count = shared_->failures.load(std::memory_order_acquire);
  return {failures_, std::min<std::size_t>(count, failure_capacity)};
}

std::size_t board::failures_lost() const noexcept {
  const std::uint64_t count = shared_->failures.load(std::memory_order_acquire);
  return count - failures().size();
}

// Other owners note other chunks at the same time; the same part is noted by one after the other.
bool board::condemn(std::uint64_t chunk, std::uint64_t first, std::uint64_t last) const noexcept {
  const auto is_it = [&](const condemned_part& one) {
    return one.chunk.load(std::memory_order_acquire) == chunk + 1 && one.first == first &&
           one.last == last;
  };
  if (std::ranges::any_of(condemned_parts(), is_it)) return true;
  std::uint64_t index = shared_->condemned.load(std::memory_order_relaxed);
  do {
    if (index >= shared_places()) return false;
  } while (!shared_->condemned.compare_exchange_weak(index, index + 1, std::memory_order_relaxed));
  condemned_[index].note(chunk, first, last);
  return true;
}

void board::condemn_rest(unsigned slot, std::uint64_t chunk, std::uint64_t first,
                         std::uint64_t last) const noexcept {
  if (condemn(chunk, first, last)) return;
  // Whoever dies in writing this place is followed by one who writes the same there. A place that
  // is counted first, as above, would be lost.
  condemned_[shared_places() + slot].note(chunk, first, last);
}

bool board::can_condemn_parts() const noexcept {
  return shared_->condemned.load(std::memory_order_relaxed) < shared_places();
}

std::span<condemned_part> board::condemned_parts() const noexcept {
  const std::uint64_t count = shared_->condemned.load(std::memory_order_acquire);
  return {condemned_, count < shared_places() ? count : condemned_capacity};
}

void board::note_time(std::chrono::nanoseconds took) const noexcept {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), time_steps));
  const auto power = static_cast<std::size_t>(std::bit_width(ns) - 1);
  const std::size_t step = (ns >> (power - 3)) % time_steps;
  const std::size_t at = std::min((power - 3) * time_steps + step, time_classes - 1);
  shared_->times[at].fetch_add(1, std::memory_order_relaxed);
}

std::optional<std::chrono::nanoseconds> board::median_time() const noexcept {
  constexpr std::uint64_t enough = 5;
  std::uint64_t all = 0;
  for (const auto& each : shared_->times) all += each.load(std::memory_order_relaxed);
  if (all < enough) return std::nullopt;
  std::uint64_t below = 0;
  std::size_t at = 0;
  while (at + 1 < time_classes &&
         2 * (below += shared_->times[at].load(std::memory_order_relaxed)) < all) {
    ++at;
  }
  const std::uint64_t ns = (time_steps + at % time_steps) << (at / time_steps);
  return std::chrono::nanoseconds(ns);
}

}  // namespace shard::board
