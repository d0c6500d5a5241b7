// Notifications: a counter in the control area that is a futex, and an eventfd for event loops.

#include <string>
#include "memory/control.hpp"

#include "memory/segment.hpp"
#include "os/calls.hpp"
#include "os/event.hpp"
#include "os/futex.hpp"
#include "shard/detail/sharing.hpp"
#include "shard/error.hpp"

namespace shard::detail {

void notify(segment& of) {
  auto& count = of.own_words().lines().notice.count;
  // Release: pairs with the acquire in wait_for_notice(); who has seen the notification sees what
  // was written before it.
  count.fetch_add(1, std::memory_order_release);
  os::futex_wake_all(count);
  const int event = of.event_descriptor(false);
  if (event >= 0 && !os::count_event(event)) {
    throw error(std::errc::operation_not_permitted,
                "cannot notify by the event descriptor of " + of.name() +
                    ": found that it can't be written to, expected " +
                    std::string(os::remedy_for_denial));
  }
}

// Of the threads that wait by one handle, the one that moves `noticed` on returns what is between.
std::uint32_t wait_for_notice(segment& of, deadline until) {
  const auto& count = of.own_words().lines().notice.count;
  auto& noticed = of.noticed();
  std::uint32_t seen = noticed.load();
  for (;;) {
    // Acquire: pairs with the release in notify().
    const std::uint32_t now = count.load(std::memory_order_acquire);
    if (now == seen) {
      if (until && *until <= std::chrono::steady_clock::now()) return 0;
      os::futex_wait(count, seen, until);
    } else if (noticed.compare_exchange_strong(seen, now)) {
      return now - seen;
    }
  }
}

int event_descriptor(segment& of) { return of.event_descriptor(true); }

}  // namespace shard::detail
