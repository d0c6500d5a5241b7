#include "map/outcome.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "map/failures.hpp"
#include "map/ranges.hpp"

namespace shard::mapping {
outcome::outcome(const board::board& on, const plan::partition& chunks)
    : board_(on), chunks_(chunks) {
  complete_ = on.settled() == chunks.chunks() && on.failures().empty();
  if (complete_) return;
  find_committed();
  find_given_up();
  std::size_t chunk = 0;
  while (chunk < chunks.chunks() && completed_in(chunk) == std::vector{chunks[chunk]}) ++chunk;
  complete_ = chunk == chunks.chunks();
}

void outcome::find_committed() {
  committed_.assign(chunks_.chunks(), false);
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    const board::publication found = board_.snapshot(slot);
    const auto* const log = board_.log(slot);
    for (std::uint64_t k = 0; k < found.covered; ++k) {
      committed_[log[k].load(std::memory_order_relaxed)] = true;
    }
    if (found.probed == 0) continue;
    begun& chunk = begun_[log[found.covered].load(std::memory_order_relaxed)];
    chunk.indices = found.probed;
    if (!found.has_partial) continue;
    // Areas are aligned to words only, states to lines.
    const std::size_t bytes = board_.size().partial_bytes;
    chunk.partial = std::make_unique<os::anonymous_memory>(bytes, os::sharing::none);
    const auto* const words = board_.area(slot, found.word.area()) + board_.area_words();
    if (bytes != 0) std::memcpy(chunk.partial->base(), words, bytes);
  }
}

void outcome::find_given_up() {
  for (const board::condemned_part& part : board_.condemned_parts()) {
    const std::uint64_t chunk = part.chunk.load(std::memory_order_acquire);
    if (chunk != 0) given_up_[chunk - 1].push_back({part.first, part.last});
  }
  for (auto& [chunk, parts] : given_up_) {
    std::ranges::sort(parts, {}, &range::first);
  }
}

std::vector<range> outcome::completed_in(std::size_t chunk) const {
  const range all = chunks_[chunk];
  if (complete_) return {all};
  std::size_t end = 0;
  if (committed_[chunk]) end = all.size();
  const auto walked = begun_.find(chunk);
  if (walked != begun_.end()) end = walked->second.indices;
  const auto lost = given_up_.find(chunk);
  if (lost == given_up_.end()) {
    // One that failed too often before it came into quarantine is given up as a whole. Of one that
    // did so in quarantine, when the run ended there, what is committed stays.
    const bool whole = walked == begun_.end() &&
                       board_.verdict_on(chunk).load(std::memory_order_relaxed).condemned();
    if (whole || end == 0) return {};
    return {{all.first, all.first + end}};
  }
  std::vector<range> completed;
  std::size_t at = 0;
  const auto add = [&](std::size_t until) {
    const std::size_t last = std::min(until, end);
    if (at < last) completed.push_back({all.first + at, all.first + last});
  };
  for (const range& part : lost->second) {
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
      one.merge(one.reducer, board_.partial(0) + states.offsets[k], chunks_.chunks(),
                states.partial_bytes);
      continue;
    }
    for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
      if (completed_in(chunk).empty()) continue;
      const auto found = begun_.find(chunk);
      std::byte* const partial =
          found == begun_.end() ? board_.partial(chunk) : found->second.partial->base();
      one.merge(one.reducer, partial + states.offsets[k], 1, states.partial_bytes);
    }
  }
  if (states.accumulator_bytes == 0) return;
  // In place: nobody publishes any more, and the words of an area are where a snapshot would have
  // them.
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    const std::uint64_t word = board_.at(slot).commit.load(std::memory_order_acquire);
    if (word == 0) continue;
    auto* const area = reinterpret_cast<std::byte*>(board_.area(slot, word & 1));
    for (std::size_t k = 0; k < reductions.size(); ++k) {
      const detail::reduction& one = reductions[k];
      if (!one.ordered) one.merge(one.reducer, area + states.offsets[k], 1, 0);
    }
  }
}

report outcome::report_on(std::size_t map, seconds elapsed, unsigned workers) const {
  run_counts counts{
      .map = map, .chunks = chunks_.chunks(), .grain = chunks_.grain(), .workers = workers};
  counts.takeovers = board_.takeovers().load(std::memory_order_relaxed);
  counts.failures_lost = board_.failures_lost();
  counts.output_lost = board_.output_lost().load(std::memory_order_relaxed);
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    counts.deaths += board_.at(slot).deaths.load(std::memory_order_relaxed);
    counts.replacements += board_.at(slot).replacements.load(std::memory_order_relaxed);
  }
  for (std::size_t chunk = 0; !board_.failures().empty() && chunk < chunks_.chunks(); ++chunk) {
    const board::verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
    counts.retries += judged.attempts() - last_failures(chunk);
  }
  return report(sets(), all_failures(board_, chunks_), counts, elapsed, complete_ ? "" : trouble());
}

// Of a run whose processes all died together, whatever ran then may be to blame.
std::string outcome::trouble() const {
  constexpr unsigned most_named = 8;
  std::string text = board_.trouble();
  unsigned running = 0;
  for (unsigned slot = 0; slot < board_.size().slots && !text.empty(); ++slot) {
    const std::uint64_t entry = board_.at(slot).running.load(std::memory_order_acquire);
    if (entry == 0 || ++running > most_named) continue;
    const std::size_t chunk = board_.log(slot)[entry - 1].load(std::memory_order_relaxed);
    const range indices = chunks_[chunk];
    text += (running == 1 ? "; running then: indices [" : ", [") + std::to_string(indices.first) +
            ", " + std::to_string(indices.last) + ")";
  }
  if (running > most_named) text += " and " + std::to_string(running - most_named) + " chunks more";
  return text;
}

// How many of a chunk's failures were not followed by another attempt, at least by one at the rest
// of the chunk: those of what was given up; or the last one, if the run was stopped then.
std::size_t outcome::last_failures(std::size_t chunk) const {
  if (const auto lost = given_up_.find(chunk); lost != given_up_.end()) return lost->second.size();
  const board::verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
  const bool unfinished = !complete_ && !committed_[chunk];
  return judged.condemned() || (unfinished && judged.attempts() != 0) ? 1 : 0;
}

// What was given up, whether all of it had been come to or not.
std::vector<range> outcome::failed_in(std::size_t chunk) const {
  const range all = chunks_[chunk];
  if (complete_) return {};
  if (board_.verdict_on(chunk).load(std::memory_order_relaxed).condemned()) {
    return without(std::vector{all}, completed_in(chunk));
  }
  std::vector<range> failed;
  if (const auto lost = given_up_.find(chunk); lost != given_up_.end()) {
    for (const range part : lost->second)
      append(failed, {all.first + part.first, all.first + part.last});
  }
  return failed;
}

index_sets outcome::sets() const {
  index_sets all;
  if (complete_ && chunks_.indices() == chunks_.all().size()) {
    append(all.completed, chunks_.all());
    return all;
  }
  std::vector<range> every;
  for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
    append(every, chunks_[chunk]);
    for (const range part : completed_in(chunk)) append(all.completed, part);
    for (const range part : failed_in(chunk)) append(all.failed, part);
  }
  all.not_tried = without(every, joined(all.completed, all.failed));
  return all;
}

}  // namespace shard::mapping
