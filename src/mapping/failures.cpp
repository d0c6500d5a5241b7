#include "mapping/failures.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <sstream>
#include <string>
#include <tuple>
#include <utility>

#include "mapping/exception_text.hpp"
#include "mapping/units.hpp"
#include "os/stack_text.hpp"
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

// Of a timeout, or memory that a worker took alone, the kernel is to blame.
bool is_from_outside(board::failure_kind kind) {
  return kind == board::failure_kind::killed || kind == board::failure_kind::out_of_memory;
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
    if (k == os::stack_record::innermost && record.left_out != 0) {
      frames.push_back(os::frames_left_out(record.left_out));
    }
    frames.push_back(os::text_of(os::place_of(record.stack[k]), 0));
  }
  return frames;
}

failure told_by(const board::failure_record& record, const plan::partition& chunks,
                std::chrono::nanoseconds began) {
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
              .at = facts.when.count() == 0 ? seconds() : seconds(facts.when - began),
              .elapsed = facts.elapsed,
              .user_time = facts.used.user,
              .system_time = facts.used.system,
              .max_rss_bytes = facts.used.max_rss_bytes,
              .from_outside = is_from_outside(facts.kind)};
  if (facts.kind == board::failure_kind::exception) one.exception = type_in(one.what);
  if (facts.chunk == board::no_chunk) return one;
  one.chunk = facts.chunk;
  range places = chunks[facts.chunk];
  one.empty_part = places.empty();
  if (facts.first != facts.last) {
    places = units(chunks).indices(facts.chunk, facts.first, facts.last);
  }
  const auto [indices, stride] = chunks.extent_of(places);
  one.indices = indices;
  one.stride = stride;
  return one;
}

}  // namespace

std::string_view kind_of(const failure& one) noexcept {
  using enum board::failure_kind;
  for (const auto kind : {exception, signal, exit, killed, timeout, out_of_memory}) {
    if (one.kind == name_of(kind)) return name_of(kind);
  }
  return "unknown";
}

new_failures::new_failures(const board::board& on, const plan::partition& chunks)
    : board_(on), chunks_(chunks) {}

// Of a record that blames a chunk the verdict comes last. Who died in between has left a record of
// an attempt that was then judged, and recorded, again: of these the last one counts.
std::vector<failure> new_failures::take() {
  const std::span<const board::failure_record> all = board_.failures();
  while (seen_ < all.size()) waiting_.push_back(seen_++);
  std::map<attempt_at, std::size_t> last;
  std::vector<std::size_t> found;
  std::erase_if(waiting_, [&](std::size_t index) {
    const board::failure_record& record = all[index];
    if (record.ready.load(std::memory_order_acquire) == 0) return false;
    if (record.facts.chunk != board::no_chunk) {
      const attempt_at which{record.facts.chunk, record.facts.attempt};
      if (!stands(which)) return false;
      if (taken_.contains(which)) return true;
      last[which] = index;
    }
    found.push_back(index);
    return true;
  });
  std::vector<failure> taken;
  for (const std::size_t index : found) {
    const board::failure_facts& facts = all[index].facts;
    if (facts.chunk != board::no_chunk) {
      const attempt_at which{facts.chunk, facts.attempt};
      if (last[which] != index) continue;
      taken_.insert(which);
    }
    taken.push_back(told_by(all[index], chunks_, board_.began()));
  }
  return taken;
}

bool new_failures::stands(const attempt_at& which) const {
  // Acquire: pairs with the release of who judges; the attempt's records are then all there.
  const auto& [chunk, attempt] = which;
  return attempt <= board_.verdict_on(chunk).load(std::memory_order_acquire).attempts();
}

std::vector<failure> all_failures(const board::board& on, const plan::partition& chunks) {
  std::vector<failure> all = new_failures(on, chunks).take();
  const auto blames_none = [](const failure& one) { return !is_at(one); };
  std::ranges::stable_sort(all, [&](const failure& one, const failure& other) {
    return std::tuple(blames_none(one), one.chunk, one.attempt) <
           std::tuple(blames_none(other), other.chunk, other.attempt);
  });
  return all;
}

}  // namespace shard::mapping
