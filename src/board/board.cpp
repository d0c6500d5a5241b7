#include "board/board.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "os/futex.hpp"

namespace shard::board {
namespace {

constexpr std::size_t page = 4096;

constexpr std::size_t pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

// Units are marked in words of so many.
constexpr std::uint64_t word_bits = 64;
constexpr std::size_t words_of_bits(std::size_t bits) { return bits / word_bits + 1; }

// The bits of word `index` that stand for [first, last).
constexpr std::uint64_t bits_in(std::uint64_t index, std::uint64_t first, std::uint64_t last) {
  const std::uint64_t begin = index * word_bits;
  const std::uint64_t low = first > begin ? first - begin : 0;
  const std::uint64_t high = last - begin < word_bits ? last - begin : word_bits;
  const std::uint64_t below =
      high == word_bits ? ~std::uint64_t{0} : (std::uint64_t{1} << high) - 1;
  return below >> low << low;
}

// Where each part of a board begins; every part on a page of its own, so that what is never used
// (verdicts and failures of a quiet run, the tail of a log) is never touched.
struct offsets {
  explicit offsets(const dimensions& of)
      : slots(page),
        failures(slots + pages(of.slots * sizeof(slot))),
        verdicts(failures + pages(board::failure_capacity * sizeof(failure_record))),
        logs(verdicts + pages(of.chunks * sizeof(verdict))),
        partials(logs + pages(of.slots * of.chunks * sizeof(std::uint64_t))),
        areas(partials + pages(of.chunks * of.partial_bytes)),
        undo(areas + pages(2 * of.slots * board::stride_words(of) * sizeof(std::uint64_t))),
        lost(undo + pages(of.slots * of.undo_bytes)),
        untried(lost + pages(words_of_bits(of.units) * sizeof(std::uint64_t))),
        notes(untried + pages(words_of_bits(of.units) * sizeof(std::uint64_t))),
        schedule(notes + pages(of.notes * sizeof(chunk_note))),
        inherited(schedule + (goes_on(of) ? pages(of.scheduled * sizeof(std::uint64_t)) : 0)),
        end(inherited +
            (goes_on(of) ? pages(words_of_bits(of.chunks) * sizeof(std::uint64_t)) : 0)) {}
  static bool goes_on(const dimensions& of) { return of.scheduled != dimensions::every; }

  std::size_t slots, failures, verdicts, logs, partials, areas, undo, lost, untried, notes,
      schedule, inherited, end;
};

template <class T>
T* part(std::byte* memory, std::size_t offset) {
  return reinterpret_cast<T*>(memory + offset);
}

// Lines of memory that are zeros are not written to, and so stay in others' caches. Requires: whole
// lines, and nobody uses them.
void zero_lines(void* of, std::size_t bytes) noexcept {
  std::array<std::uint64_t, 8> words;
  auto* const begin = static_cast<std::byte*>(of);
  for (std::byte* line = begin; line != begin + bytes; line += sizeof words) {
    std::memcpy(words.data(), line, sizeof words);
    std::uint64_t any = 0;
    for (const std::uint64_t word : words) any |= word;
    if (any != 0) std::memset(line, 0, sizeof words);
  }
}

// Returns how much of the text has found room.
template <std::size_t Room>
std::size_t keep(char (&to)[Room], std::string_view text) {
  const std::size_t length = std::min(text.size(), Room);
  std::copy_n(text.begin(), length, to);  // of nothing, there may be no address
  return length;
}

}  // namespace

void verdict::add(failure_kind kind, const budgets& allowed, bool may_hang_again) noexcept {
  // Beyond its budget a kill is a crash: a kernel can kill its own process, and would do so for
  // ever.
  const bool from_outside = kind == failure_kind::killed || kind == failure_kind::out_of_memory;
  if (from_outside && kills < allowed.kills) {
    kills = static_cast<std::uint16_t>((kills + 1u) & 0x3fff);
    return;
  }
  if (state == standing::quarantined) {
    // A throw leaves its worker alive, and what is left of a kernel's budget of throws with it.
    const bool forgiven =
        kind == failure_kind::exception && allowed.by_index && errors < allowed.errors;
    forgiven ? static_cast<void>(++errors) : static_cast<void>(++failed_probes);
  } else if (kind == failure_kind::exception) {
    if (++errors > allowed.errors) state = standing::quarantined;
  } else if (++crashes > allowed.crashes || allowed.by_index) {
    const bool isolates =
        kind != failure_kind::timeout || allowed.isolates_timeouts || allowed.by_index;
    state = isolates ? standing::quarantined : standing::condemned;
  }
  const bool hopeless = kind == failure_kind::timeout && !may_hang_again;
  if (hopeless && state != standing::condemned) state = standing::untried;
}

std::size_t board::size_bytes(const dimensions& of) noexcept { return offsets(of).end; }

board::board(std::byte* memory, const dimensions& of) noexcept : size_(of) {
  const offsets where(of);
  shared_ = part<shared_part>(memory, 0);
  slots_ = part<slot>(memory, where.slots);
  failures_ = part<failure_record>(memory, where.failures);
  verdicts_ = part<std::atomic<verdict>>(memory, where.verdicts);
  logs_ = part<std::atomic<std::uint64_t>>(memory, where.logs);
  partials_ = memory + where.partials;
  areas_ = part<std::atomic<std::uint64_t>>(memory, where.areas);
  stride_words_ = stride_words(of);
  undo_ = memory + where.undo;
  lost_ = part<std::atomic<std::uint64_t>>(memory, where.lost);
  untried_ = part<std::atomic<std::uint64_t>>(memory, where.untried);
  schedule_ = part<std::uint64_t>(memory, where.schedule);
  inherited_ = part<std::uint64_t>(memory, where.inherited);
  notes_ = part<chunk_note>(memory, where.notes);
}

// What a run uses besides is written before it is read, or has to do with failures. Of chunks that
// a run does not come to, the notes are read, too.
void board::clear() const noexcept {
  zero_lines(shared_, sizeof *shared_);
  zero_lines(slots_, size_.slots * sizeof(slot));
  if (size_.notes != 0) {
    std::memset(static_cast<void*>(notes_), 0, size_.notes * sizeof(chunk_note));
  }
}

// As if a first owner had published that, and left.
void board::inherit_state(unsigned index, std::span<const std::uint64_t> words,
                          std::span<const std::uint64_t> aside) const noexcept {
  const commit_word word = commit_word{}.next(false);
  std::atomic<std::uint64_t>* to = area(index, word.area());
  for (const std::uint64_t each : words) (to++)->store(each, std::memory_order_relaxed);
  for (const std::uint64_t each : aside) (to++)->store(each, std::memory_order_relaxed);
  at(index).commit.store(word.word, std::memory_order_release);
}

void board::condemn(std::uint64_t chunk, std::uint64_t attempts,
                    std::string_view why) const noexcept {
  verdict judged;
  judged.state = standing::condemned;
  judged.crashes = static_cast<std::uint8_t>(std::min<std::uint64_t>(attempts, 255));
  record({.kind = failure_kind::killed, .chunk = chunk, .attempt = judged.attempts()}, why);
  verdict_on(chunk).store(judged, std::memory_order_relaxed);
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
    // Pairs with the release fence in owner::prepare_commit(): having read anything that was
    // written into this area after its commit, we see that commit's successor here.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (from.commit.load(relaxed) == found.word.word) return found;
  }
}

std::size_t board::settled() const noexcept {
  std::size_t sum = inherited();
  for (unsigned k = 0; k < size_.slots; ++k) sum += covered(k);
  return sum;
}

void board::note(control bit) const noexcept {
  shared_->controls.fetch_or(bit, std::memory_order_acq_rel);
}

void board::raise(control bit) const noexcept {
  note(bit);
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

void board::tell_trouble(std::string_view what) const noexcept {
  shared_->trouble[keep(shared_->trouble, what.substr(0, sizeof shared_->trouble - 1))] = '\0';
}

void board::record(const failure_facts& facts, std::string_view what,
                   const evidence& left) const noexcept {
  const std::uint64_t index = shared_->failures.fetch_add(1, std::memory_order_relaxed);
  if (index >= failure_capacity) return;
  failure_record& place = failures_[index];
  place.facts = facts;
  if (left.stack != nullptr) {
    place.frames = static_cast<std::uint32_t>(left.stack->copy(place.stack));
    place.left_out = static_cast<std::uint32_t>(left.stack->left_out());
  }
  place.error_bytes = static_cast<std::uint32_t>(keep(place.errors, left.errors));
  place.what[keep(place.what, what.substr(0, sizeof place.what - 1))] = '\0';
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

bool board::has_room() const noexcept {
  return shared_->failures.load(std::memory_order_relaxed) < failure_capacity;
}

// Owners mark units of their own chunks, but share words with others. Relaxed: readers that matter
// see the commit that passes over a unit, and with it the mark.
void board::give_up(std::uint64_t first, std::uint64_t last, loss why) const noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  if (first == last) return;
  // Comes first: of units that who has died here had marked, and not counted, nobody adds the
  // count.
  note(loses);
  for (std::uint64_t k = first / word_bits; k * word_bits < last; ++k) {
    const std::uint64_t all = bits_in(k, first, last);
    // Comes first: of a unit that is lost already, nobody could tell why.
    if (why == loss::untried) untried_[k].fetch_or(all & ~lost_[k].load(relaxed), relaxed);
    const std::uint64_t fresh = all & ~lost_[k].fetch_or(all, relaxed);
    if (why == loss::failed && fresh != 0) {
      shared_->given_up.fetch_add(static_cast<std::uint64_t>(std::popcount(fresh)), relaxed);
    }
  }
}

bool board::is_lost(std::uint64_t unit) const noexcept {
  return (lost_[unit / word_bits].load(std::memory_order_relaxed) >> unit % word_bits & 1) != 0;
}

bool board::is_untried(std::uint64_t unit) const noexcept {
  return (untried_[unit / word_bits].load(std::memory_order_relaxed) >> unit % word_bits & 1) != 0;
}

std::uint64_t board::next_lost(std::uint64_t first, std::uint64_t last) const noexcept {
  for (std::uint64_t k = first / word_bits; k * word_bits < last; ++k) {
    const std::uint64_t found = lost_[k].load(std::memory_order_relaxed) & bits_in(k, first, last);
    if (found != 0) return k * word_bits + static_cast<std::uint64_t>(std::countr_zero(found));
  }
  return last;
}

std::size_t board::given_up() const noexcept {
  return shared_->given_up.load(std::memory_order_relaxed);
}

void board::close_account(unsigned index, const std::optional<os::usage>& used) const noexcept {
  spending& spent = at(index).spent;
  const os::usage last = used ? *used : spent.now.get();
  os::usage sum = spent.before.get();
  sum.user += last.user;
  sum.system += last.system;
  sum.faults += last.faults;
  spent.now.set({});
  spent.before.set(sum);
}

void board::note_succession(const succession& one) const noexcept {
  const std::uint32_t at = shared_->successions_noted.fetch_add(1, std::memory_order_relaxed);
  if (at < std::size(shared_->successions)) shared_->successions[at] = one;
}

std::span<const board::succession> board::successions() const noexcept {
  const std::size_t count = shared_->successions_noted.load(std::memory_order_acquire);
  return {shared_->successions, std::min(count, std::size(shared_->successions))};
}

std::size_t board::note_timeout() const noexcept {
  return shared_->timeouts.fetch_add(1, std::memory_order_relaxed);
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
