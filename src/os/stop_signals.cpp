#include "os/stop_signals.hpp"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <mutex>
#include <utility>

#include "os/calls.hpp"
#include "os/event.hpp"

namespace shard::os {
namespace {

constexpr std::array caught{SIGINT, SIGTERM};

// All but what the handler reads is guarded by the mutex.
struct switchboard {
  std::mutex mutex;
  std::shared_ptr<stop_signals> signals;
  std::array<struct sigaction, caught.size()> before{};  // written while no handler of ours is set
  std::array<bool, caught.size()> set{};

  std::atomic<stop_signals*> heard{nullptr};
  std::atomic<unsigned> handlers{0};  // that run just now, in all threads
};
static_assert(std::atomic<stop_signals*>::is_always_lock_free &&
              std::atomic<unsigned>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

switchboard& lines() noexcept {
  static constinit switchboard all;
  return all;
}

// In a child that the program has forked: as if the signals had never been caught.
void let_it_be(int signal) noexcept {
  for (std::size_t k = 0; k < caught.size(); ++k) {
    if (caught[k] != signal) continue;
    ::sigaction(signal, &lines().before[k], nullptr);
    ::raise(signal);  // it is blocked until the handler returns
  }
}

extern "C" void note_stop_signal(int signal) {
  const int error = errno;
  switchboard& all = lines();
  // Sequentially consistent, as are the store and the load in release: either it sees that we are
  // here, or we see that nobody listens any more.
  all.handlers.fetch_add(1);
  if (stop_signals* const to = all.heard.load()) {
    if (to->is_of_this_process()) {
      to->note(signal);
    } else {
      let_it_be(signal);
    }
  }
  all.handlers.fetch_sub(1);
  errno = error;
}

bool is_ours(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == note_stop_signal;
}

// False: an action can't be changed.
bool set_handlers(switchboard& all) noexcept {
  struct sigaction ours {};
  ours.sa_handler = note_stop_signal;
  ours.sa_flags = SA_RESTART;
  for (const int signal : caught) ::sigaddset(&ours.sa_mask, signal);
  for (std::size_t k = 0; k < caught.size(); ++k) {
    struct sigaction found {};
    if (::sigaction(caught[k], nullptr, &found) != 0) return false;
    // Inherited from the process that has forked this one: what was before stays what it was.
    if (is_ours(found)) continue;
    all.before[k] = found;
    all.set[k] = (found.sa_flags & SA_SIGINFO) != 0 || found.sa_handler != SIG_IGN;
    if (all.set[k] && ::sigaction(caught[k], &ours, nullptr) != 0) return false;
  }
  return true;
}

void restore_handlers(switchboard& all) noexcept {
  for (std::size_t k = 0; k < caught.size(); ++k) {
    struct sigaction found {};
    ::sigaction(caught[k], nullptr, &found);
    if (std::exchange(all.set[k], false) && is_ours(found)) {
      ::sigaction(caught[k], &all.before[k], nullptr);
    }
  }
}

}  // namespace

stop_signals::stop_signals()
    : once_(event_counter()), twice_(event_counter()), process_(::getpid()) {}

bool stop_signals::is_of_this_process() const noexcept { return process_ == ::getpid(); }

void stop_signals::note(int signal) noexcept {
  int none = 0;
  first_.compare_exchange_strong(none, signal, std::memory_order_relaxed);
  // Release: pairs with the acquire of count(); who sees the count sees the first signal.
  const unsigned before = count_.fetch_add(1, std::memory_order_release);
  // A signal's handler can tell nobody. Whoever waits looks at the count at every turn, too.
  static_cast<void>(count_event(before == 0 ? once_.get() : twice_.get()));
}

std::shared_ptr<const stop_signals> catch_stop_signals() {
  switchboard& all = lines();
  const std::lock_guard lock(all.mutex);
  if (!all.signals || !all.signals->is_of_this_process()) {
    auto made = std::make_shared<stop_signals>();
    // What ran in another thread while this process was forked doesn't run here.
    if (all.signals) all.handlers.store(0);
    all.heard.store(made.get());
    all.signals = std::move(made);
    if (!set_handlers(all)) {
      const int why = errno;
      restore_handlers(all);
      all.heard.store(nullptr);
      all.signals.reset();
      throw call_failed(why, "sigaction");
    }
  }
  ++all.signals->catchers;
  return all.signals;
}

void release_stop_signals(const stop_signals& which) noexcept {
  switchboard& all = lines();
  const std::lock_guard lock(all.mutex);
  if (--which.catchers != 0) return;
  if (all.signals.get() != &which) return;  // the program's that forked this one, which has its own
  restore_handlers(all);
  all.heard.store(nullptr);
  // One that runs in another thread may still write to the descriptors.
  while (all.signals->is_of_this_process() && all.handlers.load() != 0) ::sched_yield();
  all.signals.reset();
}

std::shared_ptr<const stop_signals> caught_stop_signals() {
  switchboard& all = lines();
  const std::lock_guard lock(all.mutex);
  if (!all.signals || !all.signals->is_of_this_process()) return nullptr;
  return all.signals;
}

}  // namespace shard::os
