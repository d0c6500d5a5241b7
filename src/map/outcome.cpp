#include "map/outcome.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "map/exception_text.hpp"
#include "os/symbols.hpp"

namespace shard::mapping {
namespace {

const char* name_of(board::failure_kind kind) {
  switch (kind) {
    case board::failure_kind::exception: return "exception";
    case board::failure_kind::signal: return "signal";
    case board::failure_kind::exit: return "exit";
    case board::failure_kind::killed: return "killed";
    case board::failure_kind::timeout: return "timeout";
    case board::failure_kind::out_of_memory:
    case board::failure_kind::out_of_memory_alone: return "oom";
  }
  return "?";
}

// By name, or where nobody came to name it, by place.
std::vector<std::string> stack_of(const board::failure_record& record) {
  std::vector<std::string> frames;
  if (record.named.load(std::memory_order_acquire) != 0) {
    std::istringstream names(record.names);
    for (std::string line; std::getline(names, line);) frames.push_back(std::move(line));
    return frames;
  }
  for (std::uint32_t k = 0; k < record.frames; ++k) {
    frames.push_back(os::text_of(os::place_of(record.stack[k]), 0));
  }
  return frames;
}

// Of no chunk yet.
failure told_by(const board::failure_record& record) {
  const board::failure_facts& facts = record.facts;
  failure one{.kind = name_of(facts.kind),
              .what = record.what,
              .signal = facts.signal,
              .exit_status = facts.exit_status,
              .attempt = facts.attempt,
              .worker = facts.worker,
              .stack = stack_of(record),
              .stderr_tail = std::string(record.errors, record.error_bytes),
              .pid = facts.pid,
              .elapsed = facts.elapsed,
              .user_time = facts.used.user,
              .system_time = facts.used.system,
              .max_rss_bytes = facts.used.max_rss_bytes};
  if (facts.kind == board::failure_kind::exception) one.exception = type_in(one.what);
  return one;
}

}  // namespace

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
  return {chunks_.indices(), completed_ranges(),        failures(), counts,
          elapsed,           complete_ ? "" : trouble()};
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
      for (const range part : completed_in(chunk)) add(part);
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
    failure one = told_by(record);
    if (facts.chunk == board::no_chunk) {
      of_none.push_back(std::move(one));
      continue;
    }
    const auto judged = board_.verdict_on(facts.chunk).load(std::memory_order_relaxed);
    if (facts.attempt > judged.attempts()) continue;
    one.chunk = facts.chunk;
    one.indices = chunks_[facts.chunk];
    if (facts.first != facts.last) {
      one.indices = {one.indices.first + facts.first, one.indices.first + facts.last};
    }
    of_chunks[{one.chunk, one.attempt}] = std::move(one);
  }
  std::vector<failure> all;
  all.reserve(of_chunks.size() + of_none.size());
  for (auto& [key, one] : of_chunks) all.push_back(std::move(one));
  std::ranges::move(of_none, std::back_inserter(all));
  return all;
}

}  // namespace shard::mapping
