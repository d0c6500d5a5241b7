#include "mapping/outcome.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "board/run_memory.hpp"
#include "mapping/failures.hpp"
#include "mapping/ranges.hpp"
#include "mapping/resources.hpp"
#include "os/memory_pressure.hpp"

namespace shard::mapping {
namespace {

// What a run went without, in the words of its report.
struct named_lack {
  family::lack which;
  const char* text;
};
constexpr std::array named_lacks{
    named_lack{family::dump_protection, "buffers left out of core dumps (madvise)"},
    named_lack{family::child_protection,
               "outputs kept from processes that a kernel forks (madvise)"},
    named_lack{family::orphans_end,
               "an end of all processes that a kernel leaves behind (prctl, kill, /proc)"},
    named_lack{family::overflows_told, "the place of a stack overflow (sigaltstack)"},
    named_lack{family::output_passed_on,
               "the workers' output by whole lines, and its end in the report (read, fcntl, dup2, "
               "fstat, ioctl)"},
    named_lack{family::usage_told, "what workers had used (getrusage)"},
    named_lack{family::memory_limit_held, "memory_limit_bytes (/proc/self/smaps)"},
    named_lack{family::workers_go_first,
               "workers as the first to be killed for want of memory (/proc/self/oom_score_adj)"},
    named_lack{family::supervisor_replaced, "a standby for the supervisor (fork)"},
    named_lack{family::threads_counted, "a look for other threads of the program (/proc/self)"},
    named_lack{family::workers_pinned, "workers that keep to their processors (sched_setaffinity)"},
};

std::vector<std::string> names_of(std::uint32_t lacks) {
  std::vector<std::string> names;
  for (const named_lack& one : named_lacks) {
    if ((lacks & one.which) != 0) names.emplace_back(one.text);
  }
  return names;
}

}  // namespace

// A list may have gaps. Chunks of strides have none.
index_sets all_completed(const plan::partition& chunks) {
  index_sets all;
  if (chunks.indices() == chunks.all().size()) {
    append(all.completed, chunks.all());
    return all;
  }
  for (std::size_t chunk = 0; chunk < chunks.chunks(); ++chunk)
    append(all.completed, chunks[chunk]);
  return all;
}

void settle_reducers(const detail::job& what, bool complete) {
  for (const detail::reduction& one : what.reductions) {
    if (one.settle != nullptr) one.settle(one.reducer, what.where, complete);
  }
}

counted_before::counted_before(const family::roster& by) noexcept
    : takeovers(by.takeovers().load(std::memory_order_relaxed)),
      output_lost(by.output_lost().load(std::memory_order_relaxed)),
      forking(by.forking().load(std::memory_order_relaxed)),
      output_stalled(by.output_stalled().load(std::memory_order_relaxed)) {}

outcome::outcome(const board::board& on, const family::roster& who, const plan::partition& chunks,
                 const counted_before& before)
    : board_(on), roster_(who), chunks_(chunks), units_(chunks), before_(before) {
  complete_ = on.settled() == chunks.chunks() && on.failures().empty();
  if (complete_) return;
  find_committed();
  find_lost();
  std::size_t chunk = 0;
  while (chunk < chunks.chunks() && is_whole(chunk)) ++chunk;
  complete_ = chunk == chunks.chunks();
}

void outcome::find_committed() {
  committed_.assign(chunks_.chunks(), false);
  const std::span<const std::uint64_t> inherited = board_.inherited_set();
  for (std::size_t chunk = 0; !inherited.empty() && chunk < chunks_.chunks(); ++chunk) {
    committed_[chunk] = (inherited[chunk / 64] >> chunk % 64 & 1) != 0;
  }
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    const board::publication found = board_.snapshot(slot);
    const auto* const log = board_.log(slot);
    for (std::uint64_t k = 0; k < found.covered; ++k) {
      committed_[log[k].load(std::memory_order_relaxed)] = true;
    }
    if (found.probed == 0) continue;
    const std::size_t number = log[found.covered].load(std::memory_order_relaxed);
    begun& chunk = begun_[number];
    chunk.indices = units_.offsets(number, 0, found.probed).last;
    if (!found.has_partial) continue;
    // Areas are aligned to words only, states to lines.
    const std::size_t bytes = board_.size().partial_bytes;
    chunk.partial =
        std::make_unique<os::anonymous_memory>(board::run_memory(bytes, os::sharing::none));
    const auto* const words = board_.area(slot, found.word.area()) + board_.area_words();
    if (bytes != 0) std::memcpy(chunk.partial->base(), words, bytes);
  }
}

void outcome::find_lost() {
  for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
    const board::verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
    if (judged.state != board::standing::good) add_lost(chunk);
  }
}

void outcome::add_lost(std::size_t chunk) {
  losses found;
  bool any = false;
  const std::size_t base = units_.first_of(chunk);
  const std::size_t count = units_.in(chunk);
  for (std::size_t at = 0; at < count; ++at) {
    at = board_.next_lost(base + at, base + count) - base;
    if (at == count) break;
    any = true;
    const range part = units_.offsets(chunk, at, at + 1);
    append(found.all, part);
    if (board_.is_untried(base + at)) continue;
    append(found.failed, part);
    ++found.failed_units;
  }
  const board::verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
  if (judged.state == board::standing::condemned && !committed_[chunk]) {
    // The run ended before all of it was given up.
    any = true;
    found.failed = found.all = {{0, chunks_[chunk].size()}};
  }
  if (any) lost_[chunk] = std::move(found);
}

std::vector<range> outcome::completed_in(std::size_t chunk) const {
  const range all = chunks_[chunk];
  if (complete_) return {all};
  if (all.empty()) {
    const bool has_run = committed_[chunk] || begun_.contains(chunk);
    return has_run && !lost_.contains(chunk) ? std::vector{all} : std::vector<range>();
  }
  std::size_t end = 0;
  if (committed_[chunk]) end = all.size();
  const auto walked = begun_.find(chunk);
  if (walked != begun_.end()) end = walked->second.indices;
  const auto lost = lost_.find(chunk);
  if (lost == lost_.end()) {
    if (end == 0) return {};
    return {{all.first, all.first + end}};
  }
  std::vector<range> completed;
  std::size_t at = 0;
  const auto add = [&](std::size_t until) {
    const std::size_t last = std::min(until, end);
    if (at < last) completed.push_back({all.first + at, all.first + last});
  };
  for (const range& part : lost->second.all) {
    add(part.first);
    at = std::max(at, part.last);
  }
  add(end);
  return completed;
}

void outcome::merge(const std::vector<detail::reduction>& reductions,
                    const state_layout& states) const {
  for (std::size_t k = 0; k < reductions.size(); ++k) {
    const detail::reduction& one = reductions[k];
    if (!one.ordered) continue;
    if (complete_) {
      one.merge(one, one.reducer, board_.partial(0) + states.places[k].offset, chunks_.chunks(),
                states.partial_bytes);
      continue;
    }
    for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
      if (completed_in(chunk).empty()) continue;
      const auto found = begun_.find(chunk);
      std::byte* const partial =
          found == begun_.end() ? board_.partial(chunk) : found->second.partial->base();
      one.merge(one, one.reducer, partial + states.places[k].offset, 1, states.partial_bytes);
    }
  }
  if (states.accumulator_bytes == 0) return;
  // In place: nobody publishes any more, and the words of an area are where a snapshot would have
  // them.
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    const std::uint64_t word = board_.at(slot).commit.load(std::memory_order_acquire);
    if (word == 0) continue;
    auto* const area = reinterpret_cast<std::byte*>(board_.area(slot, word & 1));
    for (std::size_t set = 0; set < sets_of(states); ++set) {
      for (std::size_t k = 0; k < reductions.size(); ++k) {
        const detail::reduction& one = reductions[k];
        const std::size_t offset = set * states.accumulator_bytes + states.places[k].offset;
        if (!one.ordered) one.merge(one, one.reducer, area + offset, 1, 0);
      }
    }
  }
}

void outcome::merge_published(const detail::reduction& one, std::size_t number,
                              const state_layout& states, void* into) const {
  const std::size_t offset = states.places[number].offset;
  if (one.ordered) {
    for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
      // What is committed is not written to any more. A chunk in quarantine comes later.
      const bool whole = complete_ || (committed_[chunk] && !begun_.contains(chunk));
      if (whole && !completed_in(chunk).empty()) {
        one.merge(one, into, board_.partial(chunk) + offset, 1, states.partial_bytes);
      }
    }
    return;
  }
  std::vector<std::uint64_t> words(board_.area_words());
  const auto memory = board::run_memory(board_.size().accumulator_bytes, os::sharing::none);
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    if (!board_.snapshot(slot, words).word) continue;
    std::memcpy(memory.base(), words.data(), memory.size_bytes());
    for (std::size_t set = 0; set < sets_of(states); ++set) {
      one.merge(one, into, memory.base() + set * states.accumulator_bytes + offset, 1, 0);
    }
  }
}

// With what chunks in quarantine have added, where that is kept aside.
std::size_t outcome::sets_of(const state_layout& states) const noexcept {
  return board_.size().accumulator_bytes / std::max<std::size_t>(1, states.accumulator_bytes);
}

std::vector<range> outcome::completed() const { return sets().completed; }

std::vector<range> outcome::completed_places() const {
  std::vector<range> all;
  for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
    for (const range part : completed_in(chunk)) append(all, part);
  }
  return all;
}

// Of most chunks either all is done, or nothing.
bool outcome::is_all_or_nothing(std::size_t chunk) const {
  return complete_ || (!begun_.contains(chunk) && !lost_.contains(chunk));
}

bool outcome::is_whole(std::size_t chunk) const {
  if (is_all_or_nothing(chunk)) return complete_ || committed_[chunk];
  return completed_in(chunk) == std::vector{chunks_[chunk]};
}

std::vector<range> outcome::missing_chunks() const {
  std::vector<range> missing;
  for (std::size_t chunk = 0; !complete_ && chunk < chunks_.chunks(); ++chunk) {
    if (!is_whole(chunk)) append(missing, {chunk, chunk + 1});
  }
  return missing;
}

report outcome::report_on(std::size_t map, seconds elapsed, const workforce& who) const {
  run_counts counts{.map = map,
                    .chunks = chunks_.chunks(),
                    .grain = chunks_.grain(),
                    .carried_over = who.carried_over,
                    .workers = who.workers};
  counts.without = names_of(roster_.lacks());
  const counted_before now(roster_);
  counts.takeovers = now.takeovers - before_.takeovers;
  counts.failures_lost = board_.failures_lost();
  counts.output_lost = now.output_lost - before_.output_lost;
  counts.looking = roster_.take_looking();
  // Forks may overlap: the caller's is over before it hears so.
  counts.forking = std::min<seconds>(now.forking - before_.forking, elapsed);
  if (counts.forking >= run_counts::noticed_forking) {
    counts.forked_bytes = os::glance_at_own_memory().anonymous_bytes;
  }
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    counts.deaths += board_.at(slot).deaths.load(std::memory_order_relaxed);
    counts.replacements += board_.at(slot).replacements.load(std::memory_order_relaxed);
  }
  for (std::size_t chunk = 0; !board_.failures().empty() && chunk < chunks_.chunks(); ++chunk) {
    const board::verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
    const std::size_t attempts = judged.attempts();
    counts.retries += attempts - std::min(attempts, last_failures(chunk));
  }
  std::vector<failure> failures = all_failures(board_, chunks_);
  std::vector<chunk_record> chunks = chunk_records(failures);
  run_resources used = resources_of(board_, who.workers, elapsed, chunks);
  used.processes = who.processes;
  used.memory_limit_bytes = who.memory_limit_bytes;
  used.output_stalled = now.output_stalled - before_.output_stalled;
  return report(sets(), std::move(failures), std::move(counts), elapsed, complete_ ? "" : trouble(),
                std::move(used), std::move(chunks));
}

// Of an attempt that was not committed there is no record, unless it has failed: its worker died,
// or was killed, before others knew of it.
std::vector<chunk_record> outcome::chunk_records(std::span<const failure> failures) const {
  std::vector<chunk_record> all;
  if (board_.size().notes == 0) return all;
  all.reserve(chunks_.chunks());
  auto last = failures.begin();  // in the order of chunks and attempts
  for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
    std::string_view cause;
    for (; last != failures.end() && is_at(*last) && last->chunk <= chunk; ++last) {
      if (last->chunk == chunk) cause = kind_of(*last);
    }
    const auto found = board_.note_on(chunk).read();
    if (!found) continue;
    const bool whole = complete_ || is_whole(chunk);
    if (!whole && !found->failed && !committed_[chunk]) continue;
    const auto [indices, stride] = chunks_.extent_of(chunks_[chunk]);
    all.push_back({.chunk = chunk,
                   .indices = indices,
                   .stride = stride,
                   .worker = found->worker,
                   .attempt = found->attempt,
                   .start = found->start - board_.began(),
                   .duration = found->took,
                   .cause = whole           ? ""
                            : cause.empty() ? "unknown"
                                            : cause,
                   .peak_private_bytes = found->memory_bytes});
  }
  return all;
}

// Of a run whose processes all died together, whatever ran then may be to blame.
std::string outcome::trouble() const {
  constexpr unsigned most_named = 8;
  std::string text(board_.trouble().empty() ? roster_.trouble() : board_.trouble());
  unsigned running = 0;
  for (unsigned slot = 0; slot < board_.size().slots && !text.empty(); ++slot) {
    const std::uint64_t entry = board_.at(slot).running.load(std::memory_order_acquire);
    if (entry == 0 || ++running > most_named) continue;
    const std::size_t chunk = board_.log(slot)[entry - 1].load(std::memory_order_relaxed);
    const auto [indices, stride] = chunks_.extent_of(chunks_[chunk]);
    text += (running == 1 ? "; running then: indices [" : ", [") + std::to_string(indices.first) +
            ", " + std::to_string(indices.last) + ")";
    if (stride != 1) text += " in steps of " + std::to_string(stride);
  }
  if (running > most_named) text += " and " + std::to_string(running - most_named) + " chunks more";
  return text;
}

// How many of a chunk's failures were not followed by another attempt at the same indices: the last
// one of each unit that was given up alone; the last one of the rest, or of the run.
std::size_t outcome::last_failures(std::size_t chunk) const {
  const board::verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
  if (judged.state == board::standing::condemned) return 1;  // as a whole
  const bool untried = judged.state == board::standing::untried;
  const bool unfinished = !complete_ && !committed_[chunk] && judged.attempts() != 0;
  const auto lost = lost_.find(chunk);
  const std::size_t alone = lost == lost_.end() ? 0 : lost->second.failed_units;
  return alone + (untried || unfinished ? 1 : 0);
}

std::vector<range> outcome::failed_in(std::size_t chunk) const {
  const auto lost = lost_.find(chunk);
  if (complete_ || lost == lost_.end()) return {};
  std::vector<range> failed;
  const std::size_t begin = chunks_[chunk].first;
  for (const range part : lost->second.failed) {
    append(failed, {begin + part.first, begin + part.last});
  }
  return failed;
}

index_sets outcome::sets() const {
  if (complete_ && chunks_.indices() == chunks_.all().size()) return all_completed(chunks_);
  index_sets all;
  std::vector<range> every;
  for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
    append(every, chunks_[chunk]);
    if (is_all_or_nothing(chunk)) {
      if (is_whole(chunk)) append(all.completed, chunks_[chunk]);
      continue;
    }
    for (const range part : completed_in(chunk)) append(all.completed, part);
    for (const range part : failed_in(chunk)) append(all.failed, part);
  }
  all.not_tried = without(every, joined(all.completed, all.failed));
  all.missing_chunks = missing_chunks();
  if (chunks_.stride() == 0) return all;
  const detail::strided_order order = chunks_.order();
  for (std::vector<range>* const set : {&all.completed, &all.failed, &all.not_tried}) {
    *set = indices_at(order, *set);
  }
  return all;
}

}  // namespace shard::mapping
