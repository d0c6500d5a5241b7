#include "family/overtime.hpp"

#include <algorithm>

namespace shard::family {

using namespace std::chrono_literals;

overtime::overtime(const crew& all)
    : board_(all.board), limits_(all.worker_limits), killed_for_(all.board.size().slots) {}

// What a piece of work may take now: the median is that of the chunks so far, and not trusted to
// mean anything about short ones.
std::optional<overtime::clock::duration> overtime::allowed_time() const {
  constexpr clock::duration least_by_median = 1s;
  std::optional<clock::duration> allowed;
  if (limits_.timeout.count() != 0) allowed = limits_.timeout;
  if (limits_.timeout_factor == 0) return allowed;
  if (const auto median = board_.median_time()) {
    const auto by_median = std::chrono::duration_cast<clock::duration>(
        std::min<std::chrono::duration<double>>(limits_.timeout_factor * *median, 1000h));
    allowed =
        std::min(allowed.value_or(clock::duration::max()), std::max(least_by_median, by_median));
  }
  return allowed;
}

std::optional<overtime::clock::duration> overtime::enforce(const staff& who) {
  constexpr clock::duration until_a_median = 100ms;
  if (!limits_.timed()) return std::nullopt;
  const auto allowed = allowed_time();
  // Before the first median there is nothing to wait for but the chunks that it is made of.
  if (!allowed) return until_a_median;
  std::optional<clock::duration> next;
  for (unsigned slot = 0; slot < who.seats(); ++slot) {
    const board::slot& at = board_.at(slot);
    if (!who.is(slot, staff::seat_state::working) || killed_for_[slot]) continue;
    const std::uint64_t running = at.running.load(std::memory_order_acquire);
    const std::chrono::nanoseconds began = at.began.load(std::memory_order_relaxed);
    const bool claims = at.claims.load(std::memory_order_relaxed) % 2 != 0;
    const clock::duration took = clock::now().time_since_epoch() - began;
    if ((running == 0 && !claims) || began.count() == 0) {
      next = std::min(next.value_or(*allowed), *allowed);
    } else if (took < *allowed) {
      next = std::min(next.value_or(*allowed), *allowed - took);
    } else {
      killed_for_[slot] = {running, began, std::chrono::duration<double>(took).count(),
                           std::chrono::duration<double>(*allowed).count()};
      who.kill(slot);
    }
  }
  return next;
}

std::optional<overtime::finding> overtime::of(unsigned slot) const {
  const std::optional<offence>& that = killed_for_[slot];
  if (!that) return std::nullopt;
  const board::slot& its = board_.at(slot);
  const bool was_at_it = its.running.load(std::memory_order_relaxed) == that->running &&
                         its.began.load(std::memory_order_relaxed) == that->began;
  return finding{that->seconds, that->allowed, was_at_it};
}

}  // namespace shard::family
