#include "family/processes.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "family/attempt.hpp"
#include "family/stack_names.hpp"
#include "family/supervised_run.hpp"
#include "family/worker.hpp"
#include "os/process.hpp"

namespace shard::family {
namespace {

using clock = std::chrono::steady_clock;

// How long a supervisor has to end a run that is called off.
constexpr std::chrono::milliseconds patience{500};

supervision supervision_of(const crew& all, std::vector<memory::live_segment> inherited) {
  supervision one{.family = all.roster, .prefix_output = all.prefix_output, .held = all.held};
  one.plan = [&all](staff& who, memory_kills& kills) {
    return std::make_unique<supervised_run>(all, who, kills);
  };
  one.work = [&all, buffers = std::move(inherited),
              mask = os::signal_mask()](const newcomer& self) {
    be_worker({all.roster, all.memory, mask, self, all.threads_per_worker, true},
              [&](worker& here) { work_on(all, buffers, here); });
  };
  one.conclude = [&all] { name_stacks(all.board); };
  return one;
}

}  // namespace

process_run::process_run(const crew& all, bool allow_threads)
    : all_(all), how_(prepare_to_fork(all.roster, allow_threads)) {
  start();
}

process_run::~process_run() { cancel(); }

void process_run::start() {
  const bool again = births_++ != 0;
  const briefing brief = [this](std::vector<memory::live_segment> inherited) {
    return supervision_of(all_, std::move(inherited));
  };
  attempt([&] { family_.emplace(all_.roster, forked(how_, again, brief)); });
}

// Nobody is left of a supervisor, and of those who took its place.
void process_run::hear_of_the_end() {
  family_->bury();
  family_.reset();
  if (births_ < most_births && died_at_birth(all_.roster)) return start();
  tell_why_nobody_is_left(all_.roster);
}

bool process_run::wait(const on_tick& report_progress, std::optional<clock::time_point> until) try {
  return attempt([&] { return wait_for_the_end(report_progress, until); });
} catch (...) {  // what tells of the progress has thrown, or the system refuses what is needed
  cancel();
  throw;
}

bool process_run::wait_for_the_end(const on_tick& report_progress,
                                   std::optional<clock::time_point> until) {
  while (family_) {
    const unsigned signals = heed_signals(all_);
    if (signals > 1) {
      cancel();
      break;
    }
    os::watched any[]{{family_->end().get()}, {-1}};
    if (all_.signals) {
      any[1].descriptor = signals == 0 ? all_.signals->has_come() : all_.signals->has_come_again();
    }
    std::optional<std::chrono::milliseconds> limit;
    if (report_progress) limit = tick;
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - clock::now());
      const auto most = std::max(left, std::chrono::milliseconds(0));
      limit = std::min(limit.value_or(most), most);
    }
    os::wait_ready(any, limit);
    if (any[0].ready) {
      hear_of_the_end();
    } else if (until && clock::now() >= *until) {
      return false;
    } else if (report_progress) {
      report_progress();
    }
  }
  return true;
}

void process_run::cancel() {
  if (!family_) return;
  all_.board.raise(board::cancelled);
  family_->call_off(patience);
  family_->bury();
  family_.reset();
}

}  // namespace shard::family
