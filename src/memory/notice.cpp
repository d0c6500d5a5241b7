// Notifications: a counter in the control area that is a futex, and an eventfd for event loops.

#include "memory/control.hpp"
#include "memory/segment.hpp"
#include "os/event.hpp"
#include "os/futex.hpp"
#include "shard/detail/sharing.hpp"

namespace shard::detail {

void notify(segment& of) {
  auto& count = of.own_words().lines().notice.count;
  // Release: pairs with the acquire in wait_for_notice(); who has seen the notification sees what
  // was written before it.
  count.fetch_add(1, std::memory_order_release);
  os::futex_wake_all(count);
  if (const int event = of.event_descriptor(false); event >= 0) os::count_event(event);
}

std::uint32_t wait_for_notice(segment& of, deadline until) {
  const auto& count = of.own_words().lines().notice.count;
  const std::uint32_t seen = of.noticed().load();
  // Acquire: pairs with the release in notify().
  std::uint32_t now = count.load(std::memory_order_acquire);
  while (now == seen && (!until || std::chrono::steady_clock::now() < *until)) {
    os::futex_wait(count, seen, until);
    now = count.load(std::memory_order_acquire);
  }
  of.noticed().store(now);
  return now - seen;
}

int event_descriptor(segment& of) { return of.event_descriptor(true); }

}  // namespace shard::detail
