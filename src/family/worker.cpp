#include "family/worker.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "family/crash_handlers.hpp"
#include "family/mappings.hpp"
#include "family/memory_limit.hpp"
#include "os/output.hpp"
#include "os/process.hpp"

namespace shard::family {
namespace {

// Until the supervisor has read what this worker wrote to stderr, so that the failure which is
// recorded next has it. No clock ends that: a supervisor that lives reads, or gives up on what
// keeps it from reading. But children of the kernel may print there for ever, and the pipe never be
// empty: enough has been read when that is as much as there was, in the pipe and on its way from
// there. False: what is in the pipe can't be known.
bool wait_to_be_read(const os::writing_end& pipe, const tail& told) {
  std::optional<std::size_t> unread = pipe.unread_bytes();
  const std::uint64_t enough = told.length() + unread.value_or(0) + relay::read_at_once;
  while (unread && (*unread != 0 || told.inside()) && told.length() < enough) {
    os::wait_ready({}, std::chrono::milliseconds(1));
    unread = pipe.unread_bytes();
  }
  return unread.has_value();
}

// A worker process.
class in_a_process final : public board::workplace {
 public:
  // errors_pipe: what is its stderr; nullopt: nobody reads that.
  in_a_process(const worker_start& start, std::optional<os::writing_end> errors_pipe)
      : family_(start.all.roster),
        told_(family_.at(start.self.slot).errors),
        errors_pipe_(errors_pipe),
        limit_(start.all.worker_limits.memory_bytes, family_) {}

  bool wants_a_change() override {
    os::flush_unfinished_output();
    return limit_.is_exceeded();
  }

  void testify(board::failure_facts& to, board::evidence& left) noexcept override {
    add_own_facts(to, family_);
    if (errors_pipe_ && !wait_to_be_read(*errors_pipe_, told_)) {
      family_.go_without(output_passed_on);
    }
    left.errors = {errors_.data(), told_.copy(errors_)};
  }

 private:
  const roster& family_;
  const tail& told_;  // what was read of its stderr
  std::optional<os::writing_end> errors_pipe_;
  memory_limit limit_;
  std::array<char, tail::capacity> errors_;
};

// Returns the pipe that is stderr now, whatever the kernel makes of its stderr.
std::optional<os::writing_end> print_to(const worker_streams& pipes, const roster& family) {
  if (!pipes.output) return std::nullopt;
  const bool printed = os::become(os::standard_stream::output, pipes.output);
  const bool complained = os::become(os::standard_stream::errors, pipes.errors);
  if (!printed || !complained) family.go_without(output_passed_on);
  return os::writing_end(pipes.errors);
}

void work(const worker_start& start, crash_context& crash, board::workplace& here) {
  const crew& all = start.all;
  crash.stack_base = __builtin_frame_address(0);
  crash.signs_of_life = start.self.signs_of_life;
  install_crash_handlers(crash, all.roster);

  keep_from_children(all.roster, all.memory.data(), all.memory.size());
  keep_from_dumps(all.roster, all.memory.data(), all.memory.size());
  std::vector<os::mapping> mappings;
  restrict_inherited_mappings(all, start.inherited, crash.mappings);
  std::vector<std::byte*> data = map_grants(all, mappings, crash.mappings);
  os::unblock_signals(start.mask);
  std::atomic<std::uint32_t>& preparing = all.roster.at(start.self.slot).preparing;
  preparing.store(all.has_state ? 1 : 0, std::memory_order_relaxed);
  std::shared_ptr<const board::task> task = all.enter(std::move(data));
  preparing.store(0, std::memory_order_relaxed);
  work_at(all, start.self.slot, *task, all.policy, here);
  task.reset();  // before the flush: what it has made may print in its end
  os::flush_standard_output();
}

}  // namespace

void restrict_outer_worker() noexcept {
  if (crash_context* const outer = crash_context_here()) restrict_outer_mappings(outer->mappings);
}

void be_worker(const worker_start& start) noexcept {
  // If the supervisor died before we asked to die with it, nobody waits for us.
  if (!os::die_with_parent(start.self.supervisor)) os::leave(1);
  std::array<char, 16> name{};
  std::snprintf(name.data(), name.size(), "shard wk %u", start.self.slot);
  os::call_itself(name.data());
  if (!os::volunteer_for_memory_kills()) start.all.roster.go_without(workers_go_first);
  os::restore_descriptor_limit();
  in_a_process here(start, print_to(start.self.streams, start.all.roster));
  // Not on the stack, which a kernel may spoil: the handlers need it then.
  std::unique_ptr<crash_context> crash;
  last_words& words = start.all.roster.at(start.self.slot).words;
  try {
    crash = std::make_unique<crash_context>();
    crash->words = &words;
    if (crash_context* const outer = crash_context_here()) {
      crash->mappings = std::move(outer->mappings);  // they are this process's, too
    }
    work(start, *crash, here);
  } catch (const std::exception& problem) {
    speak(crash ? *crash->words : words, problem.what());
    os::leave(1);
  }
  os::leave(0);
}

}  // namespace shard::family
