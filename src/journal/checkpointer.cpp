#include "journal/checkpointer.hpp"

#include <algorithm>
#include <utility>

#include "family/thread_team.hpp"
#include "os/boot.hpp"
#include "os/calls.hpp"
#include "os/cpu.hpp"
#include "os/event.hpp"
#include "os/file.hpp"
#include "os/own_pid.hpp"

namespace shard::journal {
namespace {

using clock = std::chrono::steady_clock;

// So that checkpoints take a hundredth of the time, at most.
constexpr int cost_factor = 100;

}  // namespace

std::optional<record::found> last_record(const notes& in, const std::string& note,
                                         const shape* expected) {
  const std::optional<std::string> log = in.read(note);
  if (!log) return std::nullopt;
  const auto bytes = std::as_bytes(std::span(*log));
  const std::size_t half = bytes.size() / 2;
  auto first = record::read(bytes.first(half), expected);
  auto second = record::read(bytes.subspan(half), expected);
  if (!first) return second;
  if (!second) return first;
  return first->sequence > second->sequence ? std::move(first) : std::move(second);
}

checkpointer::checkpointer(orders what) : what_(std::move(what)), parent_(os::own_pid()) {
  const std::size_t most = record::most_bytes(what_.expected, what_.of.header().size.slots);
  place_bytes_ = (most + live_page - 1) / live_page * live_page;
  last_count_ = what_.of.carried_over();
  what_.in.require_size(what_.note, 2 * place_bytes_);
  what_.in.attempt("reserve room for checkpoints", [&] {
    const os::descriptor& notes = what_.in.directory();
    const auto last = last_record(what_.in, what_.note, &what_.expected);
    if (os::status_at(notes, what_.note)) {
      log_ = os::open_at(notes, what_.note, os::protection::write);
      if (os::status(log_.get()).size_bytes != 2 * place_bytes_) log_ = {};
    }
    const bool is_new = !log_;
    const std::string fresh = what_.note + ".new";
    if (is_new) {
      what_.in.remove(fresh);
      log_ = os::create_new(notes, fresh);
      os::reserve(log_, 2 * place_bytes_);
    }
    if (last) {
      // Whoever has written it may have died before it was on the disk, and the other place is
      // going to be overwritten.
      const auto bytes = last->what.written(last->sequence, last->boot, last->synced);
      os::write_all(log_, bytes, last->sequence % 2 * place_bytes_);
      sequence_ = last->sequence;
    }
    os::flush(log_);
    if (is_new) os::rename_at(notes, fresh, what_.note);
    what_.in.flush_notes();
    what_.in.flush_files();
    end_ = os::event_counter();
    family::end_idle_threads();
    const bool alone = os::other_threads().value_or(0) == 0;
    process_ = os::start_process(
        alone ? os::child_exit::quiet : os::child_exit::signals_parent,
        [](void* self) { static_cast<checkpointer*>(self)->work(); }, this);
  });
}

bool checkpointer::end() noexcept {
  if (!process_) return true;
  static_cast<void>(os::count_event(end_.get()));
  const os::ending how = process_.wait();
  process_ = {};
  return how.signal == 0;
}

void checkpointer::work() noexcept {
  os::call_itself("shard-checkpt");
  if (!os::reset_signal_handlers() || !os::die_with_parent(parent_)) os::leave(1);
  std::chrono::nanoseconds pause = what_.interval;
  try {
    for (;;) {
      os::watched end{end_.get()};
      os::wait_ready({&end, 1}, std::chrono::ceil<std::chrono::milliseconds>(pause));
      if (end.ready) os::leave(0);
      const clock::time_point begin = clock::now();
      if (!make_one()) os::leave(1);
      const auto cost = std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now() - begin);
      pause = std::max(what_.interval, cost_factor * cost);
    }
  } catch (...) {
    os::leave(1);  // no memory, or no more room: what there is stays
  }
}

// The order is all: rows that a record names are on the disk before it is. False: they may not be,
// and no record is to come any more.
bool checkpointer::make_one() {
  const record cut = cut_of(what_.of.board(), what_.expected);
  if (cut.count() == last_count_) return true;
  live_header& mark = what_.of.header();
  if (!sync(mark, what_.files)) return false;
  const auto bytes = cut.written(++sequence_, os::boot_id(), true);
  os::write_all(log_, bytes, sequence_ % 2 * place_bytes_);
  if (!sync(mark, {&log_, 1})) return false;
  last_count_ = cut.count();
  return true;
}

}  // namespace shard::journal
