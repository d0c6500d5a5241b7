// Threads that wait for runs in this process.
//
// Whoever takes a slot of a run, the caller too, works there until nothing is left to do in the
// whole run. So a slot that nobody has taken by then needs nobody, and nobody waits for a thread to
// wake up.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "os/affinity.hpp"
#include "os/thread.hpp"

namespace shard::family {

class thread_team {
 public:
  using work = std::function<void(unsigned slot)>;  // throws nothing

  // Starts the threads. spin: how long whoever waits looks for what he waits for, before he sleeps.
  // Throws shard::error if the system denies threads.
  thread_team(unsigned threads, std::size_t stack_bytes, std::chrono::nanoseconds spin);
  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;
  // Ends them. Requires: no run is under way.
  ~thread_team();

  unsigned threads() const noexcept { return static_cast<unsigned>(threads_.size()); }
  std::size_t stack_bytes() const noexcept { return stack_bytes_; }
  // Where its threads may run: where the thread that started them might.
  const std::optional<os::processors>& allowed() const noexcept { return allowed_; }

  // ---- A run: begin it, perhaps take part, and wait for its end.

  // Has threads do `what` at these slots, each at most once. At most 4096 slots. `what` must live
  // until the end.
  void begin(unsigned slots, const work& what) noexcept;
  // The caller takes a slot, works there, and withdraws the others.
  void take_part() noexcept;
  // Slots that nobody has taken stay free.
  void withdraw() noexcept;
  // Until nobody works any more, and no slot is left to take. False: the time is over.
  bool wait(std::optional<std::chrono::steady_clock::time_point> until = {}) noexcept;

 private:
  enum class where { the_caller, own_thread };

  void end() noexcept;
  void live() noexcept;
  bool work_at_a_slot(where here) noexcept;
  template <class Condition>
  bool look_for_a_while(Condition met) const noexcept;

  std::size_t stack_bytes_;
  std::optional<os::processors> allowed_ = os::own_processors();
  std::chrono::nanoseconds spin_;

  // Of a run: slots to take, above; and below how many are at work. One word, so that nobody can
  // enter a run that is over: 0.
  alignas(64) std::atomic<std::uint32_t> run_{0};
  std::atomic<std::uint32_t> caller_sleeps_{0};
  const work* what_ = nullptr;
  sigset_t mask_{};  // the caller's

  alignas(64) std::atomic<std::uint32_t> bell_{0};  // rings for a run, and for the end
  std::atomic<std::uint32_t> asleep_{0};            // threads
  std::atomic<bool> ending_{false};
  std::deque<os::thread> threads_;
};

// Those that other runs have left, if they are enough, their stacks are no smaller than the
// caller's, and they may run where the caller may; else new ones. Threads stay when a run is over,
// asleep: to start them takes longer than many a run.
class threads_for_a_run {
 public:
  explicit threads_for_a_run(unsigned threads);
  threads_for_a_run(const threads_for_a_run&) = delete;
  threads_for_a_run& operator=(const threads_for_a_run&) = delete;
  ~threads_for_a_run();

  thread_team* operator->() const noexcept { return team_.get(); }

 private:
  std::unique_ptr<thread_team> team_;
};

// Ends all threads that are in no run. Is called before this process forks, since a child has no
// threads of its parent, and after main().
void end_idle_threads() noexcept;

}  // namespace shard::family
