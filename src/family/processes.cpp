#include "family/processes.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "family/attempt.hpp"
#include "family/launch.hpp"
#include "family/stack_names.hpp"
#include "family/supervised_run.hpp"
#include "family/worker.hpp"
#include "os/process.hpp"

namespace shard::family {
namespace {

// How long a supervisor has to end a run that is called off.
constexpr std::chrono::milliseconds patience{500};

// False: a second signal came first.
bool wait_until_all_have_ended(const crew& all, const os::descriptor& end,
                               const on_tick& report_progress) {
  os::watched run[]{{end.get()}, {-1}};
  for (;;) {
    const unsigned signals = heed_signals(all);
    if (signals > 1) return false;
    if (all.signals) {
      run[1].descriptor = signals == 0 ? all.signals->has_come() : all.signals->has_come_again();
    }
    os::wait_ready(run, report_progress ? std::optional(tick) : std::nullopt);
    if (run[0].ready) return true;
    if (report_progress) report_progress();
  }
}

void cancel(const crew& all, launch& family) {
  all.board.raise(board::cancelled);
  family.call_off(patience);
}

supervision supervision_of(const crew& all, std::vector<memory::live_segment> inherited) {
  supervision one{.family = all.roster, .prefix_output = all.prefix_output};
  one.plan = [&all](staff& who, memory_kills& kills) {
    return std::make_unique<supervised_run>(all, who, kills);
  };
  one.work = [&all, buffers = std::move(inherited),
              mask = os::signal_mask()](const newcomer& self) {
    be_worker({all.roster, all.memory, mask, self},
              [&](worker& here) { work_on(all, buffers, here); });
  };
  one.conclude = [&all] { name_stacks(all.board); };
  return one;
}

// Returns when nothing is left of a supervisor, and of those who took its place.
void run_family(const crew& all, os::child_exit how, bool again, const on_tick& report_progress) {
  launch family(all.roster, how, again, [&all](std::vector<memory::live_segment> inherited) {
    return supervision_of(all, std::move(inherited));
  });
  try {
    if (!wait_until_all_have_ended(all, family.end(), report_progress)) cancel(all, family);
  } catch (...) {  // what tells of the progress has thrown
    cancel(all, family);
    family.bury();
    throw;
  }
  family.bury();
}

}  // namespace

void run_in_processes(const crew& all, bool allow_threads, const on_tick& report_progress) {
  const os::child_exit how = prepare_to_launch(all.roster, allow_threads);
  for (int birth = 1; birth == 1 || (birth <= most_births && died_at_birth(all.roster)); ++birth) {
    attempt([&] { run_family(all, how, birth != 1, report_progress); });
  }
  tell_why_nobody_is_left(all.roster);
}

}  // namespace shard::family
