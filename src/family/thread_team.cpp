#include "family/thread_team.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "os/calls.hpp"
#include "os/cpu.hpp"
#include "os/futex.hpp"
#include "os/own_pid.hpp"
#include "os/process.hpp"
#include "os/sandbox.hpp"
#include "os/thread_stack.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// A wake-up takes so long here that looking for a run meanwhile costs no more.
constexpr std::chrono::nanoseconds longest_spin = 50us;

constexpr std::uint32_t one_slot = 1u << 16;
constexpr std::uint32_t one_at_work = 1;

[[noreturn]] void refuse(int denied, const std::string& call) {
  const std::error_code why(denied, std::generic_category());
  const std::string_view remedy = os::remedy_for(denied);
  throw error(why, "cannot map on threads: found '" + why.message() + "' from " + call +
                       ", expected " +
                       std::string(os::is_denial(denied) ? os::remedy_for_denial
                                   : remedy.empty()      ? "room for more threads (ulimit -u)"
                                                         : remedy) +
                       "; or set SHARD_EXECUTOR=serial");
}

}  // namespace

thread_team::thread_team(unsigned threads, std::size_t stack_bytes, std::chrono::nanoseconds spin)
    : stack_bytes_(stack_bytes), spin_(spin) {
  if (const auto denied = os::denied_for_threads()) refuse(denied->error, denied->name);
  const auto begin = [](void* self) { static_cast<thread_team*>(self)->live(); };
  try {
    while (threads_.size() < threads) threads_.emplace_back(stack_bytes, begin, this);
  } catch (const os::call_failed& e) {
    end();
    refuse(e.code().value(), e.call());
  } catch (...) {  // no memory
    end();
    throw;
  }
}

thread_team::~thread_team() { end(); }

void thread_team::end() noexcept {
  ending_ = true;
  bell_.fetch_add(1);
  os::futex_wake_all(bell_);
  threads_.clear();
}

// ---- The caller.

void thread_team::begin(unsigned slots, const work& what) noexcept {
  what_ = &what;
  mask_ = os::signal_mask();
  run_.store(slots * one_slot, std::memory_order_release);
  // Sequentially consistent, both: of a thread that falls asleep meanwhile, one sees the other.
  bell_.fetch_add(1);
  if (asleep_.load() != 0) os::futex_wake(bell_, slots);
}

void thread_team::take_part() noexcept {
  work_at_a_slot(where::the_caller);
  withdraw();
}

void thread_team::withdraw() noexcept { run_.fetch_and(one_slot - 1, std::memory_order_acq_rel); }

bool thread_team::wait(std::optional<clock::time_point> until) noexcept {
  // Acquire: pairs with the release of who leaves last.
  const auto is_over = [this] { return run_.load(std::memory_order_acquire) == 0; };
  if (look_for_a_while(is_over)) return true;
  while (!is_over()) {
    if (until && clock::now() >= *until) return false;
    caller_sleeps_.store(1);
    const std::uint32_t now = run_.load();
    if (now != 0) os::futex_wait(run_, now, until);
    caller_sleeps_.store(0);
  }
  return true;
}

// ---- Anybody.

// False: there is none to take.
bool thread_team::work_at_a_slot(where here) noexcept {
  std::uint32_t now = run_.load(std::memory_order_relaxed);
  do {
    if (now < one_slot) return false;
    // Acquire: pairs with the release in begin().
  } while (!run_.compare_exchange_weak(now, now - one_slot + one_at_work, std::memory_order_acq_rel,
                                       std::memory_order_relaxed));
  if (here == where::own_thread) os::block_signals(mask_);
  (*what_)(now / one_slot - 1);
  if (here == where::own_thread) os::block_signals_of_others();
  // Sequentially consistent: a caller that falls asleep meanwhile sees it, or is seen.
  if (run_.fetch_sub(one_at_work) == one_at_work && caller_sleeps_.load() != 0) {
    os::futex_wake_all(run_);
  }
  return true;
}

template <class Condition>
bool thread_team::look_for_a_while(Condition met) const noexcept {
  constexpr int turns_between_looks_at_the_clock = 64;
  if (met()) return true;
  if (spin_ == 0ns) return false;
  const clock::time_point tired = clock::now() + spin_;
  for (int turn = 1;; ++turn) {
    if (met()) return true;
    os::pause();
    if (turn % turns_between_looks_at_the_clock != 0) continue;
    if (clock::now() >= tired) return false;
    std::this_thread::yield();  // to whoever is waited for, perhaps
  }
}

// ---- A thread.

void thread_team::live() noexcept {
  for (;;) {
    const std::uint32_t rung = bell_.load();
    if (ending_) return;
    if (work_at_a_slot(where::own_thread)) continue;
    const auto rings = [&] { return bell_.load(std::memory_order_relaxed) != rung; };
    if (look_for_a_while(rings)) continue;
    asleep_.fetch_add(1);
    if (bell_.load() == rung) os::futex_wait(bell_, rung);
    asleep_.fetch_sub(1);
  }
}

// ---- The threads that are kept.

namespace {

class keeper {
 public:
  keeper();
  std::unique_ptr<thread_team> take(unsigned threads, std::size_t stack_bytes);
  void give_back(std::unique_ptr<thread_team> one) noexcept;
  void end_all() noexcept;

  // Around a fork. Nobody takes or gives back meanwhile.
  void before_a_fork() noexcept;
  void after_a_fork() noexcept { mutex_.unlock(); }

 private:
  std::vector<std::unique_ptr<thread_team>> all_idle() noexcept;
  void forget_a_parents() noexcept;

  std::mutex mutex_;
  pid_t owner_ = os::own_pid();
  std::vector<std::unique_ptr<thread_team>> idle_;
};

std::atomic<keeper*> made{nullptr};

// Never destroyed: threads that are in a run when main() returns come back to it.
keeper& the_keeper() {
  static keeper& one = *new keeper;
  static const struct at_the_end {
    ~at_the_end() { end_idle_threads(); }
  } end;
  return one;
}

// Those that are in a run when another thread forks belong to that run, which the child doesn't
// have.
keeper::keeper() {
  made = this;
  os::around_forks([] { made.load()->before_a_fork(); }, [] { made.load()->after_a_fork(); },
                   [] { made.load()->after_a_fork(); });
}

// If none fit, some that don't make room: so there are never more teams than runs at a time.
std::unique_ptr<thread_team> keeper::take(unsigned threads, std::size_t stack_bytes) {
  std::unique_ptr<thread_team> found;
  {
    const std::lock_guard lock(mutex_);
    forget_a_parents();
    const auto allowed = os::own_processors();
    const auto fits = [&](const std::unique_ptr<thread_team>& one) {
      return one->threads() >= threads && one->stack_bytes() >= stack_bytes &&
             one->allowed() == allowed;
    };
    auto at = std::ranges::find_if(idle_, fits);
    if (at == idle_.end()) at = idle_.begin();
    if (at != idle_.end()) {
      found = std::move(*at);
      idle_.erase(at);
      if (fits(found)) return found;
    }
  }
  found.reset();
  // Beside the caller.
  const bool have_processors = threads < os::cpu_budget();
  return std::make_unique<thread_team>(threads, stack_bytes, have_processors ? longest_spin : 0ns);
}

void keeper::give_back(std::unique_ptr<thread_team> one) noexcept try {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(one));
} catch (const std::bad_alloc&) {  // it ends
}

std::vector<std::unique_ptr<thread_team>> keeper::all_idle() noexcept {
  const std::lock_guard lock(mutex_);
  forget_a_parents();
  return std::exchange(idle_, {});
}

// Without the lock: what threads destroy at their ends may map on threads, too.
void keeper::end_all() noexcept { all_idle().clear(); }

void keeper::before_a_fork() noexcept {
  for (;;) {
    end_all();
    mutex_.lock();
    if (idle_.empty()) return;
    mutex_.unlock();
  }
}

// Where a program calls clone(2), or _Fork(), nothing is called before.
void keeper::forget_a_parents() noexcept {
  if (const pid_t here = os::own_pid(); std::exchange(owner_, here) == here) return;
  for (std::unique_ptr<thread_team>& one : idle_) static_cast<void>(one.release());
  idle_.clear();
}

}  // namespace

threads_for_a_run::threads_for_a_run(unsigned threads)
    : team_(the_keeper().take(threads, os::own_stack_bytes())) {}

threads_for_a_run::~threads_for_a_run() { the_keeper().give_back(std::move(team_)); }

void end_idle_threads() noexcept {
  if (keeper* const one = made) one->end_all();
}

}  // namespace shard::family
