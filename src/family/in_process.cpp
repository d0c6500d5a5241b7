#include "family/in_process.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>

#include "family/place.hpp"
#include "family/thread_team.hpp"
#include "memory/granted.hpp"
#include "os/usage.hpp"

namespace shard::family {
namespace {

// A thread. No other one takes its place, and its run is waited for elsewhere.
class in_a_thread : public board::workplace {
 public:
  explicit in_a_thread(const crew& all) noexcept : all_(all) {}

  void testify(board::failure_facts& to, board::evidence&) noexcept override {
    add_own_facts(to, all_.roster);
  }
  // Its memory it has in common with others.
  std::optional<board::account> give_account() noexcept override {
    const std::optional<os::usage> used = os::usage_of_this_thread();
    if (!used) {
      all_.roster.go_without(usage_told);
      return std::nullopt;
    }
    return board::account{.used = *used};
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
  const for_a_while at_its_place(all.roster, slot);
  const std::shared_ptr<const board::task> task = all.enter(memory::data_here(all.grants), slot);
  board::policy how = all.policy;
  how.park = false;
  work_at(all, slot, *task, how, where);
}

}  // namespace

void run_serial(const crew& all, const on_tick& report_progress) {
  in_the_caller here(all, report_progress);
  own(all, 0, here);
}

// Where nobody has to be heard meanwhile, the caller works, too.
void run_on_threads(const crew& all, const on_tick& report_progress) {
  const unsigned slots = all.roster.size();
  const bool listens = report_progress || all.signals;
  if (slots == 1 && !listens) return run_serial(all, report_progress);

  std::atomic_flag has_failed;
  std::exception_ptr failure;  // the first that an owner ended with
  const thread_team::work work = [&](unsigned slot) {
    try {
      in_a_thread where(all);
      own(all, slot, where);
    } catch (...) {
      all.board.raise(board::stopping);
      if (!has_failed.test_and_set()) failure = std::current_exception();
    }
  };
  const threads_for_a_run team(listens ? slots : slots - 1);
  team->begin(slots, work);
  try {
    if (!listens) team->take_part();
    while (!team->wait(listens ? std::optional(std::chrono::steady_clock::now() + tick)
                               : std::nullopt)) {
      heed_signals(all);
      if (report_progress) report_progress();
    }
  } catch (...) {
    all.board.raise(board::stopping);
    team->withdraw();
    team->wait();
    throw;
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace shard::family
