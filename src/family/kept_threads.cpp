#include "family/kept_threads.hpp"

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "os/calls.hpp"
#include "os/process.hpp"
#include "os/sandbox.hpp"
#include "os/thread_stack.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

namespace tbb = oneapi::tbb;

// oneTBB waits for ever for a thread that can't be started.
void require_threads() {
  const auto denied = os::denied_for_threads();
  if (!denied) return;
  const std::error_code why(denied->error, std::generic_category());
  const std::string_view remedy = os::remedy_for(denied->error);
  throw error(why, "cannot map on threads: found '" + why.message() + "' from " + denied->name +
                       ", expected " +
                       std::string(os::is_denial(denied->error) ? os::remedy_for_denial
                                   : remedy.empty() ? "room for more threads (ulimit -u)"
                                                    : remedy) +
                       "; or set SHARD_EXECUTOR=serial");
}

class kept_threads {
 public:
  using arena = std::unique_ptr<tbb::task_arena>;

  // Threads have the stacks that they were started with.
  arena borrow(unsigned tasks, std::size_t stack_bytes) {
    const std::lock_guard lock(mutex_);
    if (stack_bytes_ != stack_bytes) end();
    if (borrowed_ + tasks > started_) require_threads();
    if (!handle_) handle_.emplace(tbb::attach{});
    arena found;
    const auto fits = [tasks](const arena& one) {
      return one->max_concurrency() == static_cast<int>(tasks);
    };
    if (const auto at = std::ranges::find_if(idle_, fits); at != idle_.end()) {
      found = std::move(*at);
      idle_.erase(at);
    } else {
      found = std::make_unique<tbb::task_arena>(static_cast<int>(tasks), 0);
    }
    allow(std::size_t{borrowed_} + tasks + 1);
    stack_bytes_ = stack_bytes;
    borrowed_ += tasks;
    started_ = std::max(started_, borrowed_);
    return found;
  }

  void give_back(arena one) noexcept {
    constexpr std::size_t most_idle = 4;
    const std::lock_guard lock(mutex_);
    borrowed_ -= static_cast<unsigned>(one->max_concurrency());
    if (borrowed_ == 0) limit_.reset();
    if (idle_.size() == most_idle) idle_.erase(idle_.begin());
    try {
      idle_.push_back(std::move(one));
    } catch (const std::bad_alloc&) {
      // The next run makes one of its own.
    }
  }

  // Around a fork of the program's: the child has no such threads, and must not wait for them.
  void before_fork() noexcept {
    mutex_.lock();
    end();
  }
  void after_fork() noexcept { mutex_.unlock(); }

  // Requires: the lock is held.
  void end() noexcept {
    if (borrowed_ != 0 || !handle_) return;
    idle_.clear();
    tbb::finalize(*handle_, std::nothrow);
    handle_.reset();
    started_ = 0;
  }

 private:
  // Of all limits that a program has set, oneTBB heeds the lowest: so there is one for all runs
  // together, and none where there is room anyway.
  void allow(std::size_t threads) {
    constexpr auto parallelism = tbb::global_control::max_allowed_parallelism;
    if (tbb::global_control::active_value(parallelism) >= threads) return;
    limit_.reset();
    if (tbb::global_control::active_value(parallelism) < threads) {
      limit_.emplace(parallelism, threads);
    }
  }

  std::mutex mutex_;
  std::optional<tbb::task_scheduler_handle> handle_;
  std::vector<arena> idle_;
  std::optional<tbb::global_control> limit_;
  unsigned borrowed_ = 0;  // tasks of all runs
  unsigned started_ = 0;   // threads, at least
  std::size_t stack_bytes_ = 0;
};

// Never destroyed: other static objects may map in their destructors.
kept_threads& all_kept() {
  static kept_threads& all = *[] {
    auto* const made = new kept_threads;
    os::around_forks([] { all_kept().before_fork(); }, [] { all_kept().after_fork(); });
    return made;
  }();
  return all;
}

}  // namespace

borrowed_arena::borrowed_arena(unsigned tasks)
    : stack_bytes_(os::own_stack_bytes()),
      arena_(all_kept().borrow(tasks, stack_bytes_).release()),
      as_deep_(tbb::global_control::thread_stack_size, stack_bytes_) {}

void borrowed_arena::giving_back::operator()(tbb::task_arena* one) const noexcept {
  all_kept().give_back(kept_threads::arena(one));
}

void end_kept_threads() noexcept {
  all_kept().before_fork();
  all_kept().after_fork();
}

}  // namespace shard::family
