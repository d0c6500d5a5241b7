// A map from its start to its report: plan, board, run, merge.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "board/board.hpp"
#include "family/crew.hpp"
#include "family/in_process.hpp"
#include "family/processes.hpp"
#include "mapping/checks.hpp"
#include "mapping/chunk_runner.hpp"
#include "mapping/exception_text.hpp"
#include "mapping/failures.hpp"
#include "mapping/nesting.hpp"
#include "mapping/old_values.hpp"
#include "mapping/outcome.hpp"
#include "mapping/output_padding.hpp"
#include "mapping/replay.hpp"
#include "mapping/settings.hpp"
#include "mapping/units.hpp"
#include "memory/segment.hpp"
#include "os/anonymous.hpp"
#include "os/cpu.hpp"
#include "os/process.hpp"
#include "os/stop_signals.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/error.hpp"

namespace shard::detail {
namespace {

using namespace shard::mapping;
using clock = std::chrono::steady_clock;

std::vector<std::size_t> output_row_bytes(const job& what) {
  std::vector<std::size_t> bytes;
  for (const grant& one : what.grants) {
    if (one.partitioned) bytes.push_back(one.row_bytes);
  }
  return bytes;
}

plan::partition partition_of(const job& what, const options& given, std::size_t grain) {
  const space& where = what.where;
  if (where.own_grain && given.grain.value_or(0) != 0) {
    throw error(std::errc::invalid_argument,
                "cannot use the option grain: found " + std::to_string(*given.grain) +
                    " for a space that says itself how it is cut, expected 0");
  }
  switch (where.by) {
    case space::cut::listed: return plan::partition::listed({where.all, where.parts});
    case space::cut::weighted: return plan::partition::balanced({where.all, where.cost});
    case space::cut::tiled:
    case space::cut::even: break;
  }
  if (where.own_grain) return plan::partition::uniform(where.all, where.grain);
  if (grain == 0 && where.all.first <= where.all.last) {
    grain = plan::default_grain(where.all.size(), output_row_bytes(what));
  }
  return plan::partition::uniform(where.all, grain);
}

// Room for the old values of several small chunks, so that they needn't be published one by one.
std::size_t undo_bytes(const old_values& in_place) {
  constexpr std::size_t comfortable = std::size_t{1} << 20;
  const std::size_t largest = in_place.bytes_of_largest();
  return largest == 0 ? 0 : (std::max(largest, comfortable) + 63) / 64 * 64;
}

// However a run ends, what was begun and not completed is as it was.
class old_values_return {
 public:
  old_values_return(const board::board& on, const old_values& of) noexcept : board_(on), old_(of) {}
  old_values_return(const old_values_return&) = delete;
  old_values_return& operator=(const old_values_return&) = delete;
  ~old_values_return() {
    for (unsigned slot = 0; slot < board_.size().slots; ++slot) {
      board::restore(board_, slot, old_.undo());
    }
  }

 private:
  const board::board& board_;
  const old_values& old_;
};

// However a run ends, no padding in its outputs tells of what was begun and not completed.
class padding_return {
 public:
  padding_return(const board::board& on, const plan::partition& chunks, output_padding of)
      : board_(on), chunks_(chunks), padding_(std::move(of)) {}
  padding_return(const padding_return&) = delete;
  padding_return& operator=(const padding_return&) = delete;
  ~padding_return() { padding_.clear_begun(board_, chunks_, completed_); }

  void spare(std::span<const range> completed) {
    if (padding_) completed_.assign(completed.begin(), completed.end());
  }

 private:
  const board::board& board_;
  const plan::partition& chunks_;
  output_padding padding_;
  std::vector<range> completed_;
};

unsigned worker_count(const settings& how, std::size_t chunks) {
  if (how.run_on == executor::serial) return 1;
  const unsigned wanted = how.workers != 0 ? how.workers : os::cpu_budget();
  return static_cast<unsigned>(std::min<std::size_t>(wanted, std::max<std::size_t>(chunks, 1)));
}

family::limits limits_of(const settings& how) {
  return {std::chrono::ceil<std::chrono::nanoseconds>(how.timeout), how.timeout_factor,
          how.memory_limit_bytes};
}

board::policy policy_of(const settings& how, const job& what) {
  return {.allowed = {.errors = how.retries_error,
                      .crashes = how.retries,
                      .kills = how.retries_kill,
                      .isolates_timeouts = how.keep_going,
                      .by_index = what.by_index,
                      .max_timeouts = how.max_timeouts,
                      .max_failures = how.max_failures},
          .keep_going = how.keep_going,
          .little_to_copy_bytes = 256,  // a few reductions of one number each
          .timed = limits_of(how).timed(),
          .keeps_times = how.timeout_factor != 0};
}

progress progress_now(const board::board& on, const plan::partition& chunks,
                      clock::time_point began) {
  const std::size_t settled = on.settled();
  const std::size_t total = chunks.indices();
  progress now{.failed = std::min(total, on.given_up() * units(chunks).size()),
               .total = total,
               .failures = on.failures().size() + on.failures_lost(),
               .elapsed = clock::now() - began};
  for (unsigned slot = 0; slot < on.size().slots; ++slot) {
    now.deaths += on.at(slot).deaths.load(std::memory_order_relaxed);
  }
  if (settled == chunks.chunks()) {
    now.done = total;
  } else {
    // All chunks have the grain but the last one; listed ones are taken for equal.
    const double share = static_cast<double>(settled) / static_cast<double>(chunks.chunks());
    now.done = chunks.grain() != 0 ? std::min(total, settled * chunks.grain())
                                   : static_cast<std::size_t>(share * static_cast<double>(total));
    if (settled != 0) now.remaining = now.elapsed * ((1 - share) / share);
    now.done = std::max(now.done, now.failed);  // those of chunks that are not settled
  }
  return now;
}

// What the caller hears while the run goes on, and once more at the end. Nothing, if it doesn't
// listen.
family::on_tick teller(const options& given, const board::board& on, const plan::partition& chunks,
                       clock::time_point began) {
  if (!given.on_failure && !given.on_progress) return {};
  return [&given, &on, &chunks, began, unheard = std::make_shared<new_failures>(on, chunks)] {
    if (given.on_failure) {
      for (const failure& one : unheard->take()) given.on_failure(one);
    }
    if (given.on_progress) given.on_progress(progress_now(on, chunks, began));
  };
}

void run(const family::crew& all, const settings& how, const family::on_tick& report_progress) {
  switch (how.run_on) {
    case executor::serial: return family::run_serial(all, report_progress);
    case executor::threads: return family::run_on_threads(all, report_progress);
    case executor::processes:
      return family::run_in_processes(all, how.allow_threads, report_progress);
  }
}

// What a worker owns, from when it enters until it leaves.
struct one_worker {
  one_worker(inside_a_map::where found, const job& what, const plan::partition& chunks,
             const state_layout& states, std::vector<std::byte*> data)
      : here(found), runner(what, chunks, states, std::move(data)) {}

  inside_a_map here;
  chunk_runner runner;
};

// Says why a run that the program has stopped isn't complete, unless something else ended it.
void tell_who_stopped(const family::crew& all) {
  const board::board& on = all.board;
  if ((on.controls() & board::requested) == 0 || *on.trouble() != '\0') return;
  std::string who = "on request";
  if (all.signals && all.signals->count() != 0) {
    const int signal = all.signals->first();
    who = "by signal " + std::to_string(signal) + " (SIG" + os::name_of_signal(signal) + ")";
    if ((on.controls() & board::cancelled) != 0) who += ", and its workers killed by a second one";
  }
  std::snprintf(on.trouble(), board::board::trouble_bytes, "the run was stopped %s", who.c_str());
}

// Says why a run ended that has failed too often.
void tell_what_was_too_much(const family::crew& all) {
  const board::board& on = all.board;
  if ((on.controls() & board::exhausted) == 0 || *on.trouble() != '\0') return;
  const board::budgets& allowed = all.policy.allowed;
  const bool failed = allowed.max_failures != 0 && on.given_up() > allowed.max_failures;
  const std::string what =
      failed
          ? "more than max_failures = " + std::to_string(allowed.max_failures) + " indices failed"
          : "there were max_timeouts = " + std::to_string(allowed.max_timeouts) + " timeouts";
  std::snprintf(on.trouble(), board::board::trouble_bytes, "the run was ended: %s", what.c_str());
}

// Files that a complete map has filled get their final names. If one can't, the others do, and the
// report of the run is in the error.
report finished(const job& what, const plan::partition& chunks, report result) {
  if (!result.complete()) return result;
  const bool tiled = what.where.by == space::cut::tiled;
  std::optional<error> first;
  for (const grant& one : what.grants) {
    if (!one.partitioned || (!tiled && chunks.indices() != one.rows)) continue;
    try {
      one.owner->finish_cleared(durability::memory);
    } catch (const error& e) {
      if (!first) first = e;
    }
  }
  if (first) throw map_error(std::move(result), *first);
  return result;
}

// Before anything runs: a file that another process has created can't be finished by this one.
void check_filled_outputs(const job& what, const plan::partition& chunks) {
  const bool tiled = what.where.by == space::cut::tiled;
  for (const grant& one : what.grants) {
    if (!one.partitioned || (!tiled && chunks.indices() != one.rows)) continue;
    one.owner->require_own("map to " + one.owner->name());
  }
}

}  // namespace

report execute(const job& what, const options& given) {
  const clock::time_point began = clock::now();
  const std::size_t number = number_of_this_map();
  settings how = resolve(given);
  // It would wait for threads that are all waiting for maps of their own.
  if (how.run_on == executor::threads && is_inside_a_map_of_this_thread()) {
    how.run_on = executor::serial;
  }
  const plan::partition chunks = partition_of(what, given, how.grain);
  check_chunks(chunks);
  check_arguments(what);
  check_filled_outputs(what, chunks);

  if (how.replay && how.replay->map == number) {
    return finished(what, chunks, replay(what, chunks, *how.replay));
  }
  const unsigned workers = worker_count(how, chunks.chunks());
  const state_layout states(what.reductions);
  const std::vector<std::byte*> data_here = memory::data_here(what.grants);
  const old_values in_place(what, chunks, data_here);
  const board::dimensions size{chunks.chunks(),      workers,
                               states.partial_bytes, states.accumulator_bytes,
                               undo_bytes(in_place), units(chunks).total()};
  check_headroom(size);
  const bool in_processes = how.run_on == executor::processes;
  if (in_processes) check_mappings(what);
  const os::anonymous_memory memory(board::board::size_bytes(size), os::sharing::with_children);
  const board::board on(memory.base(), size);
  padding_return cleared(on, chunks, output_padding(what, data_here));
  const old_values_return put_back(on, in_place);  // before that

  family::crew all{.board = on,
                   .board_memory = {memory.base(), memory.size_bytes()},
                   .policy = policy_of(how, what),
                   .worker_limits = limits_of(how),
                   .grants = {},
                   .prefix_output = how.prefix_output,
                   .enter = {},
                   .has_state = !what.belongings.empty()};
  for (const grant& one : what.grants)
    all.grants.push_back({one.owner, one.rights, one.partitioned});
  all.enter = [&](std::vector<std::byte*> data) {
    try {
      const auto worker = std::make_shared<one_worker>(
          in_processes ? inside_a_map::where::this_process : inside_a_map::where::this_thread, what,
          chunks, states, std::move(data));
      return std::shared_ptr<const board::task>(worker, &worker->runner.task());
    } catch (...) {
      if (!in_processes) throw;
      // All that leaves a worker process is a text.
      throw error(std::errc::operation_canceled, describe_current_exception());
    }
  };
  const family::on_tick report_progress = teller(given, on, chunks, began);
  // A map inside a kernel is a part of a chunk, which is finished when the program is to stop.
  if (number != 0) all.signals = os::caught_stop_signals();
  {
    const std::stop_callback at_request(given.stop, [&on] { family::stop_on_request(on); });
    family::heed_signals(all);
    const bool stopped = (on.controls() & board::stopping) != 0;
    if (chunks.chunks() != 0 && !stopped) run(all, how, report_progress);
  }
  tell_what_was_too_much(all);
  tell_who_stopped(all);
  if (report_progress) report_progress();

  const outcome result(on, chunks);
  result.merge(what.reductions, states);
  report told = result.report_on(number, clock::now() - began, workers);
  cleared.spare(told.completed());
  return finished(what, chunks, std::move(told));
}

}  // namespace shard::detail
