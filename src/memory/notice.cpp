// Notifications: a counter in the control area that is a futex, and an eventfd for event loops.

#include <string>
#include <utility>
#include <vector>

#include "memory/attempt.hpp"
#include "memory/control.hpp"
#include "memory/delivery.hpp"
#include "memory/malformed.hpp"
#include "memory/segment.hpp"
#include "os/calls.hpp"
#include "os/event.hpp"
#include "os/futex.hpp"
#include "os/socket.hpp"
#include "shard/detail/sharing.hpp"
#include "shard/error.hpp"

namespace shard::detail {

void notify(segment& of) {
  auto& count = of.own_words().lines().notice.count;
  // Release: pairs with the acquire in wait_for_notice(); who has seen the notification sees what
  // was written before it.
  count.fetch_add(1, std::memory_order_release);
  os::futex_wake_all(count);
  if (!of.count_events()) {
    throw error(std::errc::operation_not_permitted,
                "cannot notify by the event descriptors of " + of.name() +
                    ": found that one can't be written to, expected " +
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

int event_descriptor(segment& of) { return of.event_descriptor(); }

void attach_event(segment& of, int eventfd) {
  memory::attempt("attach an event to " + of.name(), "an open eventfd, and /proc mounted",
                  [&] { of.attach(memory::checked_event(os::duplicate(eventfd))); });
}

void detach_events(segment& of) noexcept { of.detach_events(); }

void send_event(segment& of, int socket) {
  static_cast<void>(of.event_descriptor());
  const segment::event own = of.events().back();
  memory::attempt("send the event of " + of.name(), "a connected Unix domain socket", [&] {
    const int number = own->get();
    os::send_descriptors(socket, {&number, 1});
  });
}

void receive_event(segment& of, int socket) {
  memory::attempt("receive an event for " + of.name(), "a connected Unix domain socket", [&] {
    std::vector<os::descriptor> all =
        memory::delivered(os::receive_descriptors(socket), "an event");
    if (all.size() > 1) {
      throw memory::malformed(std::to_string(all.size()) + " descriptors in a message",
                              "an event's alone", std::errc::bad_message);
    }
    of.attach(memory::checked_event(std::move(all.front())));
  });
}

}  // namespace shard::detail
