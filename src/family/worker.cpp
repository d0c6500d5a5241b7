#include "family/worker.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <utility>

#include "family/mappings.hpp"
#include "family/place.hpp"
#include "family/share.hpp"
#include "os/process.hpp"

namespace shard::family {
namespace {

// Until the supervisor has passed on what this worker wrote to one of its streams. No clock ends
// that: a supervisor that lives reads, or gives up on what keeps it from reading. But children of
// the kernel may print there for ever, and the pipe never be empty: enough has been read when that
// is as much as there was, in the pipe and on its way from there. False: what is in the pipe can't
// be known.
bool wait_to_be_read(const os::writing_end& pipe, const reading& of) {
  std::optional<std::size_t> unread = pipe.unread_bytes();
  const std::uint64_t enough = of.bytes() + unread.value_or(0) + relay::read_at_once;
  while (unread && (*unread != 0 || of.inside()) && of.bytes() < enough) {
    os::wait_ready({}, std::chrono::milliseconds(1));
    unread = pipe.unread_bytes();
  }
  return unread.has_value();
}

}  // namespace

worker::worker(const worker_start& start, crash_context& crash)
    : start_(start),
      crash_(crash),
      own_(start.family.at(start.self.slot)),
      limit_(start.family),
      account_(start.family) {
  const worker_streams& pipes = start.self.streams;
  if (!pipes.output) return;
  const bool printed = os::become(os::standard_stream::output, pipes.output);
  const bool complained = os::become(os::standard_stream::errors, pipes.errors);
  if (!printed || !complained) start.family.go_without(output_passed_on);
  output_ = os::writing_end(pipes.output);
  errors_ = os::writing_end(pipes.errors);
}

void worker::unblock_signals() const noexcept { os::unblock_signals(start_.mask); }

std::shared_ptr<const board::task> worker::prepare(
    bool has_state, const std::function<std::shared_ptr<const board::task>()>& enter) const {
  own_.preparing.store(has_state ? 1 : 0, std::memory_order_relaxed);
  std::shared_ptr<const board::task> task = enter();
  own_.preparing.store(0, std::memory_order_relaxed);
  return task;
}

void worker::may_call_others(const door* at) noexcept {
  asleep_ = at;
  if (at != nullptr) call_at_ = std::chrono::steady_clock::now() + 2 * door::worth_a_worker;
}

bool worker::wants_a_change() {
  if (asleep_ != nullptr && std::chrono::steady_clock::now() >= call_at_) {
    std::exchange(asleep_, nullptr)->call_all();
  }
  os::flush_unfinished_output();
  return limit_.is_exceeded();
}

void worker::testify(board::failure_facts& to, board::evidence& left) noexcept {
  add_own_facts(to, family());
  wait_for_reader(errors_, own_.errors_read);
  left.errors = {tail_.data(), own_.errors.copy(tail_)};
}

void worker::finish_printing() const {
  os::flush_standard_output();
  wait_for_reader(output_, own_.output_read);
  wait_for_reader(errors_, own_.errors_read);
}

void worker::wait_for_reader(const std::optional<os::writing_end>& pipe, const reading& of) const {
  if (pipe && !wait_to_be_read(*pipe, of)) family().go_without(output_passed_on);
}

void be_worker(const worker_start& start, const std::function<void(worker&)>& work) noexcept {
  const roster& family = start.family;
  // If the supervisor died before we asked to die with it, nobody waits for us.
  if (!os::die_with_parent(start.self.supervisor)) os::leave(1);
  std::array<char, 16> name{};
  std::snprintf(name.data(), name.size(), "shard wk %u", start.self.slot);
  os::call_itself(name.data());
  if (!os::volunteer_for_memory_kills()) family.go_without(workers_go_first);
  os::restore_descriptor_limit();
  take_place(family, start.self.slot);  // before it touches memory of its own
  // Not on the stack, which a kernel may spoil: the handlers need it then.
  std::unique_ptr<crash_context> crash;
  last_words& words = family.at(start.self.slot).words;
  try {
    crash = std::make_unique<crash_context>();
    crash->words = &words;
    crash->stack_base = __builtin_frame_address(0);
    crash->signs_of_life = start.self.signs_of_life;
    worker self(start, *crash);
    install_crash_handlers(*crash, family);
    keep_from_children(family, start.memory.data(), start.memory.size());
    keep_from_dumps(family, start.memory.data(), start.memory.size());
    if (start.threads != 0) take_share(start.threads);
    work(self);
    os::flush_standard_output();
  } catch (const std::exception& problem) {
    speak(crash ? *crash->words : words, problem.what());
    os::leave(1);
  }
  os::leave(0);
}

void work_on(const crew& all, const std::vector<memory::live_segment>& inherited, worker& self) {
  // Never destroyed, in a process that leaves: handlers look at them to the last.
  auto& here = *new std::vector<mapped>;
  auto& mappings = *new std::vector<os::mapping>;
  restrict_inherited_mappings(all, inherited, here);
  std::vector<std::byte*> data = map_grants(all, mappings, here);
  self.has_mapped(here);
  self.limit_memory(all.worker_limits.memory_bytes);
  self.unblock_signals();
  std::shared_ptr<const board::task> task =
      self.prepare(all.has_state, [&] { return all.enter(std::move(data), self.slot()); });
  work_at(all, self.slot(), *task, all.policy, self);
  task.reset();  // before the flush: what it has made may print in its end
}

}  // namespace shard::family
