#include "map/outcome.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace shard::mapping {
namespace {

const char* name_of(board::failure_kind kind) {
  switch (kind) {
    case board::failure_kind::exception: return "exception";
    case board::failure_kind::signal: return "signal";
    case board::failure_kind::exit: return "exit";
    case board::failure_kind::killed: return "killed";
  }
  return "?";
}

}  // namespace

outcome::outcome(const board::board& on, const plan::partition& chunks)
    : board_(on), chunks_(chunks) {
  const std::size_t count = chunks.chunks();
  const bool anything_failed = !on.failures().empty();
  if (on.settled() == count && !anything_failed) {
    complete_ = true;
    return;
  }
  committed_.assign(count, false);
  std::size_t committed = 0;
  for (unsigned slot = 0; slot < on.size().slots; ++slot) {
    const std::uint64_t covered = on.covered(slot);
    for (std::uint64_t k = 0; k < covered; ++k) {
      const std::uint64_t chunk = on.log(slot)[k].load(std::memory_order_relaxed);
      if (on.verdict_on(chunk).load(std::memory_order_relaxed).condemned) continue;
      committed_[chunk] = true;
      ++committed;
    }
  }
  complete_ = committed == count;
}

void outcome::merge(const std::vector<detail::reduction>& reductions,
                    const state_layout& states) const {
  for (std::size_t k = 0; k < reductions.size(); ++k) {
    const detail::reduction& one = reductions[k];
    if (!one.ordered) continue;
    const auto merge = [&](std::size_t first, std::size_t count) {
      one.merge(one.reducer, board_.partial(first) + states.offsets[k], count,
                states.partial_bytes);
    };
    if (complete_) {
      merge(0, chunks_.chunks());
      continue;
    }
    for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
      if (committed_[chunk]) merge(chunk, 1);
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

report outcome::report_on(seconds elapsed, unsigned workers) const {
  run_counts counts{.chunks = chunks_.chunks(), .grain = chunks_.grain(), .workers = workers};
  counts.takeovers = board_.takeovers().load(std::memory_order_relaxed);
  counts.failures_lost = board_.failures_lost();
  for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
    counts.deaths += board_.at(slot).deaths.load(std::memory_order_relaxed);
  }
  // Of a condemned chunk, the last failure wasn't followed by another attempt.
  for (std::size_t chunk = 0; !board_.failures().empty() && chunk < chunks_.chunks(); ++chunk) {
    const board::verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
    counts.retries += judged.attempts() - (judged.condemned ? 1 : 0);
  }
  return {chunks_.indices(), completed_ranges(),
          failures(),        counts,
          elapsed,           complete_ ? "" : board_.trouble()};
}

std::vector<range> outcome::completed_ranges() const {
  std::vector<range> completed;
  const auto add = [&](range part) {
    if (!completed.empty() && completed.back().last == part.first) {
      completed.back().last = part.last;
    } else if (!part.empty()) {
      completed.push_back(part);
    }
  };
  if (complete_ && chunks_.indices() == chunks_.all().size()) {
    add(chunks_.all());
  } else {
    for (std::size_t chunk = 0; chunk < chunks_.chunks(); ++chunk) {
      if (committed(chunk)) add(chunks_[chunk]);
    }
  }
  return completed;
}

// Each attempt once: whoever recorded it may have died before the verdict, and it was then made,
// and recorded, again.
std::vector<failure> outcome::failures() const {
  std::map<std::pair<std::size_t, unsigned>, failure> of_chunks;
  std::vector<failure> of_none;
  for (const board::failure_record& record : board_.failures()) {
    if (record.ready.load(std::memory_order_acquire) == 0) continue;
    const board::failure_facts& facts = record.facts;
    failure one{.kind = name_of(facts.kind),
                .what = record.what,
                .signal = facts.signal,
                .exit_status = facts.exit_status,
                .attempt = facts.attempt,
                .worker = facts.worker};
    if (facts.chunk == board::no_chunk) {
      of_none.push_back(std::move(one));
      continue;
    }
    const auto judged = board_.verdict_on(facts.chunk).load(std::memory_order_relaxed);
    if (facts.attempt > judged.attempts()) continue;
    one.chunk = facts.chunk;
    one.indices = chunks_[facts.chunk];
    of_chunks[{one.chunk, one.attempt}] = std::move(one);
  }
  std::vector<failure> all;
  all.reserve(of_chunks.size() + of_none.size());
  for (auto& [key, one] : of_chunks) all.push_back(std::move(one));
  std::ranges::move(of_none, std::back_inserter(all));
  return all;
}

}  // namespace shard::mapping
