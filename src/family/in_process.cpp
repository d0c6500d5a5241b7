#include "family/in_process.hpp"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "os/anonymous.hpp"
#include "os/calls.hpp"
#include "os/sandbox.hpp"
#include "os/thread_stack.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

board::policy policy_here(const crew& all) {
  board::policy policy = all.policy;
  policy.park = false;
  policy.testify = [](const void* family, board::failure_facts& to, board::evidence&) noexcept {
    add_own_facts(to, *static_cast<const roster*>(family));
  };
  policy.witness = &all.roster;
  return policy;
}

// Counts the owners that still work, and keeps the first exception that one ended with.
class finish_line {
 public:
  explicit finish_line(unsigned owners) : left_(owners) {}

  void arrive(const std::exception_ptr& failure) {
    const std::lock_guard lock(mutex_);
    if (failure && !failure_) failure_ = failure;
    if (--left_ == 0) all_here_.notify_all();
  }

  // True once all have arrived; false after a tick without.
  bool wait_a_tick() {
    std::unique_lock lock(mutex_);
    return all_here_.wait_for(lock, tick, [this] { return left_ == 0; });
  }

  void wait() {
    std::unique_lock lock(mutex_);
    all_here_.wait(lock, [this] { return left_ == 0; });
  }

  // Once all have arrived: what the caller's own thread ended with comes before what an owner did.
  void end_with(std::exception_ptr failure) { failure_ = std::move(failure); }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  unsigned left_;
  std::exception_ptr failure_;
};

void own(const crew& all, unsigned slot) {
  const std::shared_ptr<const board::task> task = all.enter(memory::data_here(all.grants));
  const os::anonymous_memory memory(board::owner::memory_bytes(all.board.size()),
                                    os::sharing::none);
  board::owner(all.board, slot, *task, policy_here(all), memory.base()).work();
}

}  // namespace

void run_serial(const crew& all, const on_tick& report_progress) {
  const std::shared_ptr<const board::task> task = all.enter(memory::data_here(all.grants));
  const os::anonymous_memory memory(board::owner::memory_bytes(all.board.size()),
                                    os::sharing::none);
  board::owner worker(all.board, 0, *task, policy_here(all), memory.base());
  auto due = std::chrono::steady_clock::now() + tick;
  worker.resume();
  while (heed_signals(all), worker.claim()) {
    worker.run();
    if (!report_progress || std::chrono::steady_clock::now() < due) continue;
    report_progress();
    due += tick;
  }
  worker.publish();
}

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

void run_on_threads(const crew& all, const on_tick& report_progress) {
  require_threads();
  const unsigned slots = all.board.size().slots;
  // The run's threads are gone when it is over, unless the program uses oneTBB itself: a later map
  // in processes can then fork. Such a program's threads have the stacks that it has given them.
  oneapi::tbb::task_scheduler_handle threads{oneapi::tbb::attach{}};
  finish_line line(slots);
  {
    const oneapi::tbb::global_control enough(oneapi::tbb::global_control::max_allowed_parallelism,
                                             slots + 1);
    const oneapi::tbb::global_control as_deep(oneapi::tbb::global_control::thread_stack_size,
                                              os::own_stack_bytes());
    oneapi::tbb::task_arena arena(static_cast<int>(slots), 0);
    unsigned started = 0;
    try {
      for (; started < slots; ++started) {
        arena.enqueue([&, slot = started] {
          std::exception_ptr failure;
          try {
            own(all, slot);
          } catch (...) {
            failure = std::current_exception();
            all.board.raise(board::stopping);
          }
          line.arrive(failure);
        });
      }
      while (!line.wait_a_tick()) {
        heed_signals(all);
        if (report_progress) report_progress();
      }
    } catch (...) {
      all.board.raise(board::stopping);
      for (; started < slots; ++started) line.arrive(nullptr);  // for those that never will
      line.wait();
      line.end_with(std::current_exception());
    }
  }
  oneapi::tbb::finalize(threads, std::nothrow);
  line.rethrow();
}

}  // namespace shard::family
