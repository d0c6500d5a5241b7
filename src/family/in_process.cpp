#include "family/in_process.hpp"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "memory/granted.hpp"
#include "os/calls.hpp"
#include "os/sandbox.hpp"
#include "os/thread_stack.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

// A thread. No other one takes its place, and its run is waited for elsewhere.
class in_a_thread : public board::workplace {
 public:
  explicit in_a_thread(const crew& all) noexcept : all_(all) {}

  void testify(board::failure_facts& to, board::evidence&) noexcept override {
    add_own_facts(to, all_.roster);
  }

 private:
  const crew& all_;
};

// The caller's thread, which does all by itself.
class in_the_caller final : public in_a_thread {
 public:
  in_the_caller(const crew& all, const on_tick& report_progress) noexcept
      : in_a_thread(all), crew_(all), report_progress_(report_progress) {}

  bool wants_a_change() override {
    heed_signals(crew_);
    if (report_progress_ && std::chrono::steady_clock::now() >= due_) {
      report_progress_();
      due_ += tick;
    }
    return false;
  }

 private:
  const crew& crew_;
  const on_tick& report_progress_;
  std::chrono::steady_clock::time_point due_ = std::chrono::steady_clock::now() + tick;
};

void own(const crew& all, unsigned slot, board::workplace& where) {
  const std::shared_ptr<const board::task> task = all.enter(memory::data_here(all.grants));
  board::policy how = all.policy;
  how.park = false;
  work_at(all, slot, *task, how, where);
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

}  // namespace

void run_serial(const crew& all, const on_tick& report_progress) {
  in_the_caller here(all, report_progress);
  own(all, 0, here);
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

// Where nobody has to be heard meanwhile, the caller works at the last slot: that needs no thread.
void run_on_threads(const crew& all, const on_tick& report_progress) {
  const unsigned slots = all.board.size().slots;
  const unsigned threads = !report_progress && !all.signals ? slots - 1 : slots;
  const auto work = [&all](unsigned slot) noexcept -> std::exception_ptr {
    try {
      in_a_thread where(all);
      own(all, slot, where);
      return nullptr;
    } catch (...) {
      all.board.raise(board::stopping);
      return std::current_exception();
    }
  };
  if (threads == 0) {
    if (const std::exception_ptr failure = work(0)) std::rethrow_exception(failure);
    return;
  }
  require_threads();
  // The run's threads are gone when it is over, unless the program uses oneTBB itself: a later map
  // in processes can then fork. Such a program's threads have the stacks that it has given them.
  oneapi::tbb::task_scheduler_handle scheduler{oneapi::tbb::attach{}};
  finish_line line(threads);
  {
    const oneapi::tbb::global_control enough(oneapi::tbb::global_control::max_allowed_parallelism,
                                             threads + 1);
    const oneapi::tbb::global_control as_deep(oneapi::tbb::global_control::thread_stack_size,
                                              os::own_stack_bytes());
    oneapi::tbb::task_arena arena(static_cast<int>(threads), 0);
    unsigned started = 0;
    try {
      for (; started < threads; ++started) {
        arena.enqueue([&line, &work, slot = started] { line.arrive(work(slot)); });
      }
      if (threads < slots) {
        if (const std::exception_ptr mine = work(threads)) std::rethrow_exception(mine);
      }
      while (!line.wait_a_tick()) {
        heed_signals(all);
        if (report_progress) report_progress();
      }
    } catch (...) {
      all.board.raise(board::stopping);
      for (; started < threads; ++started) line.arrive(nullptr);  // for those that never will
      line.wait();
      line.end_with(std::current_exception());
    }
  }
  oneapi::tbb::finalize(scheduler, std::nothrow);
  line.rethrow();
}

}  // namespace shard::family
