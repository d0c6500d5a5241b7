#include "mapping/flight.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "board/run_memory.hpp"
#include "family/in_process.hpp"
#include "family/kept_memory.hpp"
#include "family/place.hpp"
#include "family/processes.hpp"
#include "mapping/checks.hpp"
#include "mapping/exception_text.hpp"
#include "mapping/failures.hpp"
#include "mapping/nesting.hpp"
#include "mapping/sending.hpp"
#include "mapping/units.hpp"
#include "memory/granted.hpp"
#include "os/process.hpp"
#include "os/stop_signals.hpp"
#include "shard/error.hpp"

namespace shard::mapping {
namespace {

using detail::job;

constexpr std::size_t little_to_copy_bytes = 256;  // a few reductions of one number each

// Where chunks aren't published one by one, there is room for the old values of several.
std::size_t undo_bytes(const old_values& in_place, const state_layout& states) {
  constexpr std::size_t comfortable = std::size_t{1} << 20;
  const std::size_t largest = in_place.bytes_of_largest();
  const bool one_by_one = states.accumulator_bytes <= little_to_copy_bytes;
  return largest == 0 ? 0 : (std::max(largest, one_by_one ? 0 : comfortable) + 63) / 64 * 64;
}

unsigned worker_count(const order& settled) {
  const std::size_t chunks = std::max<std::size_t>(settled.chunks.chunks(), 1);
  return static_cast<unsigned>(
      std::min<std::size_t>({workers_of(settled.how), chunks, settled.most_workers}));
}

family::limits limits_of(const settings& how) {
  return {std::chrono::ceil<std::chrono::nanoseconds>(how.timeout), how.timeout_factor,
          how.memory_limit_bytes};
}

// A chunk is timed alone, and so not run in a row with others, if it is to be noted.
board::policy policy_of(const settings& how, const job& what, bool park, std::size_t aside) {
  return {.allowed = {.errors = how.retries_error,
                      .crashes = how.retries,
                      .kills = how.retries_kill,
                      .isolates_timeouts = how.keep_going,
                      .by_index = what.by_index,
                      .max_timeouts = how.max_timeouts,
                      .max_failures = how.max_failures},
          .keep_going = how.keep_going,
          .park = park,
          .little_to_copy_bytes = little_to_copy_bytes,
          .timed = limits_of(how).timed() || how.record_chunks,
          .keeps_times = how.timeout_factor != 0,
          .aside = aside};
}

void run(const family::crew& all, const settings& how, const family::on_tick& report_progress) {
  switch (how.run_on) {
    case executor::serial: return family::run_serial(all, report_progress);
    case executor::threads: return family::run_on_threads(all, report_progress);
    case executor::processes: break;  // it is begun before
  }
}

// What a worker owns, from when it enters until it leaves.
struct one_worker {
  one_worker(inside_a_map::where found, const job& what, const plan::partition& chunks,
             const state_layout& states, const output_padding::paddings& in,
             std::vector<std::byte*> data, unsigned number)
      : here(found), runner(what, chunks, states, in, std::move(data), {.worker = number}) {}

  inside_a_map here;
  chunk_runner runner;
};

board::dimensions dimensions_of(const order& settled, unsigned workers, const state_layout& states,
                                const old_values& in_place, board_keeper* keeper) {
  board::dimensions size{settled.chunks.chunks(),
                         workers,
                         states.partial_bytes,
                         states.accumulator_bytes,
                         undo_bytes(in_place, states),
                         units(settled.chunks).total(),
                         settled.how.record_chunks ? settled.chunks.chunks() : 0};
  if (keeper != nullptr) {
    size.accumulator_bytes *= 2;
    size = keeper->with_inheritance(size);
  }
  check_headroom(size);
  return size;
}

}  // namespace

flight::flight(const job& what, const options& given, const order& settled,
               family::warm_family* pool, board_keeper* keeper)
    : job_(what),
      given_(given),
      order_(settled),
      pool_(pool),
      keeper_(keeper),
      workers_(pool != nullptr ? pool->runs().slots() : worker_count(settled)),
      states_(what.reductions),
      data_here_(memory::data_here(what.grants)),
      in_(output_padding::of(what)),
      old_(what, settled.chunks, data_here_),
      padding_(what, in_, data_here_),
      size_(dimensions_of(settled, workers_, states_, old_, keeper)),
      ground_(make_ground()),
      board_(ground_.board, size_),
      roster_(ground_.roster),
      crew_(make_crew()),
      before_(roster_) {
  if (keeper_ != nullptr) {
    keeper_->begin(board_, identity());
    inherited_ = board_.settled();
  }
  board_.set_began(order_.began.time_since_epoch());
  const settings& how = order_.how;
  if (!how.pin || pool_ != nullptr || how.run_on == executor::serial) return;
  family::give_places(roster_, how.run_on == executor::processes ? how.threads_per_worker : 1);
}

flight::ground flight::make_ground() {
  if (pool_ != nullptr) {
    // So that a loop of maps needs no new memory. What is packed may itself map something.
    constexpr std::size_t most_kept_bytes = std::size_t{1} << 16;
    thread_local detail::packer kept;
    detail::packer packed = std::move(kept);
    packed.clear();
    lend(job_, packed);
    pack(job_, order_.chunks, packed);
    packed_bytes_ = packed.bytes().size();
    family::run_queue& runs = pool_->runs();
    const bool is_here = keeper_ == nullptr;
    family::lease place = runs.take_place(is_here ? size_ : board::dimensions{}, packed.bytes());
    if (packed_bytes_ <= most_kept_bytes) kept = std::move(packed);
    std::byte* const board =
        is_here ? runs.memory_of(place) : keeper_->make(size_, board::board::size_bytes(size_));
    return {.place = std::move(place), .board = board, .roster = runs.family()};
  }
  const std::size_t bytes = board::board::size_bytes(size_);
  if (keeper_ != nullptr) {
    if (order_.how.run_on == executor::processes) check_mappings(job_);
    std::byte* const board = keeper_->make(size_, bytes + family::roster::size_bytes(workers_));
    return {.own = {}, .board = board, .roster = {board + bytes, workers_}};
  }
  os::anonymous_memory own;
  if (order_.how.run_on == executor::processes) {
    check_mappings(job_);
    own =
        board::run_memory(bytes + family::roster::size_bytes(workers_), os::sharing::with_children);
  } else {
    own = family::memory_in_this_process(size_);
  }
  std::byte* const board = own.base();
  return {.own = std::move(own), .board = board, .roster = {board + bytes, workers_}};
}

flight::~flight() {
  at_request_.reset();  // a late one must not come to the memory's next user
  processes_.reset();   // whoever works still writes
  if (pool_ != nullptr && number_ != 0) pool_->cancel(number_);
  for (unsigned slot = 0; slot < size_.slots; ++slot) board::restore(board_, slot, old_.undo());
  padding_.clear_begun(board_, order_.chunks, completed_);
  const bool is_alone =
      pool_ == nullptr && keeper_ == nullptr && order_.how.run_on != executor::processes;
  if (!is_alone) return;
  if (order_.how.pin) roster_.set_has_places(false);  // for whoever has the memory next
  family::give_back(std::move(ground_.own), size_);
}

// Of one set of accumulators.
std::vector<std::uint64_t> flight::identity() const {
  std::vector<std::uint64_t> words(states_.accumulator_bytes / sizeof(std::uint64_t));
  const os::anonymous_memory memory =
      board::run_memory(states_.accumulator_bytes, os::sharing::none);  // aligned as states want it
  for (std::size_t k = 0; k < job_.reductions.size(); ++k) {
    const detail::reduction& one = job_.reductions[k];
    if (!one.ordered) one.start(job_.call.get(), memory.base() + states_.places[k].offset);
  }
  if (!words.empty()) std::memcpy(words.data(), memory.base(), states_.accumulator_bytes);
  return words;
}

family::crew flight::make_crew() {
  family::crew all{.board = board_,
                   .roster = roster_,
                   .memory = {ground_.own.base(), ground_.own.size_bytes()},
                   .policy = policy_of(order_.how, job_, pool_ == nullptr,
                                       keeper_ == nullptr ? 0 : states_.accumulator_bytes),
                   .worker_limits = limits_of(order_.how),
                   .grants = {},
                   .threads_per_worker = order_.how.threads_per_worker,
                   .prefix_output = order_.how.prefix_output,
                   .enter = [this](std::vector<std::byte*> data,
                                   unsigned slot) { return enter(std::move(data), slot); },
                   .has_state = !job_.belongings.empty()};
  if (keeper_ != nullptr) {
    all.memory = {ground_.board,
                  board::board::size_bytes(size_) + family::roster::size_bytes(workers_)};
    all.held = keeper_->held_descriptor();
  }
  for (const detail::grant& one : job_.grants) {
    if (pool_ != nullptr) break;  // its workers are told in another way
    all.grants.push_back({one.owner, one.rights, one.partitioned});
  }
  // A map inside a kernel is a part of a chunk, which is finished when the program is to stop.
  if (order_.number != 0) all.signals = os::caught_stop_signals();
  return all;
}

// What a worker owns, where it works.
std::shared_ptr<const board::task> flight::enter(std::vector<std::byte*> data,
                                                 unsigned slot) const {
  const bool in_processes = order_.how.run_on == executor::processes;
  try {
    const auto worker = std::make_shared<one_worker>(
        in_processes ? inside_a_map::where::this_process : inside_a_map::where::this_thread, job_,
        order_.chunks, states_, in_, std::move(data), slot);
    return {worker, &worker->runner.task()};
  } catch (...) {
    if (!in_processes) throw;
    // All that leaves a worker process is a text.
    throw error(std::errc::operation_canceled, describe_current_exception());
  }
}

void flight::begin(bool follows, bool awaited) {
  at_request_.emplace(given_.stop, [this] {
    family::stop_on_request(board_);
    if (pool_ != nullptr) pool_->tell_of_a_request();
  });
  family::heed_signals(crew_);
  follows_ = follows;
  const bool is_idle = has_nothing_to_do() || (board_.controls() & board::stopping) != 0;
  if (pool_ == nullptr) {
    if (!is_idle && order_.how.run_on == executor::processes) {
      processes_.emplace(crew_, order_.how.allow_threads);
    }
    return;
  }
  // In a queue a run that has nothing to do takes its turn, too: the next one looks at the run that
  // has the number before.
  if (awaited && is_idle) return;
  family::run_queue& runs = pool_->runs();
  const family::door::run number = runs.entrance().submitted() + 1;
  family::assignment& what = runs.of(number);
  what = {.size = size_,
          .policy = crew_.policy,
          .worker_limits = crew_.worker_limits,
          .place = ground_.place.place(),
          .has_state = crew_.has_state,
          .follows = follows,
          .awaited = awaited,
          .most_workers = order_.most_workers,
          .grants = job_.grants.size(),
          .packed_bytes = packed_bytes_};
  if (keeper_ != nullptr) {
    what.kept = keeper_->place_for_others();
    static_cast<void>(runs.board_of(what));  // so that it is mapped
  }
  pool_->submit(number);
  number_ = number;
}

bool flight::await(std::optional<clock::time_point> until) {
  if (processes_) return processes_->wait({}, until);
  return number_ == 0 || pool_->wait(number_, crew_, {}, until);
}

void flight::call_off() {
  family::stop_on_request(board_);
  if (processes_) processes_->cancel();
  if (number_ != 0) pool_->cancel(number_);
}

bool flight::has_nothing_to_do() const noexcept {
  return size_.chunks == 0 || (keeper_ != nullptr && board_.settled() == size_.chunks);
}

void flight::carry_out(const family::on_tick& listen) {
  if (processes_) static_cast<void>(processes_->wait(listen));
  if (pool_ == nullptr) {
    const bool stopped = (board_.controls() & board::stopping) != 0;
    if (!has_nothing_to_do() && !stopped) run(crew_, order_.how, listen);
    return;
  }
  if (number_ == 0) return;
  pool_->wait(number_, crew_, listen);
  name_stacks();
}

void flight::name_stacks() {
  const bool wanted = std::ranges::any_of(board_.failures(), [](const board::failure_record& one) {
    return one.frames != 0 && one.named.load(std::memory_order_acquire) == 0;
  });
  if (wanted) pool_->name_stacks(number_);
}

report flight::join() {
  const family::on_tick listen = teller();
  carry_out(listen);
  at_request_.reset();
  tell_what_was_too_much();
  tell_who_stopped();
  tell_what_came_before();
  if (listen) listen();

  const outcome result(board_, roster_, order_.chunks, before_);
  result.merge(job_.reductions, states_);
  settle_reducers(job_, result.complete());
  const auto workers = static_cast<unsigned>(
      std::clamp<std::size_t>(order_.chunks.chunks(), 1, std::min(workers_, order_.most_workers)));
  report told = result.report_on(order_.number, clock::now() - order_.began,
                                 {workers, order_.how.run_on == executor::processes,
                                  order_.how.memory_limit_bytes, inherited_});
  if (padding_) completed_ = result.completed_places();
  return told;
}

// ---- What the caller hears while the run goes on, and once more at the end. Nothing, if it
// ---- doesn't listen.

family::on_tick flight::teller() const {
  if (!given_.on_failure && !given_.on_progress) return {};
  return [this, unheard = std::make_shared<new_failures>(board_, order_.chunks)] {
    if (given_.on_failure) {
      for (const failure& one : unheard->take()) given_.on_failure(one);
    }
    if (given_.on_progress) given_.on_progress(progress_now());
  };
}

progress flight::progress_now() const {
  const plan::partition& chunks = order_.chunks;
  const std::size_t settled = board_.settled();
  const std::size_t total = chunks.indices();
  progress now{.failed = std::min(total, board_.given_up() * units(chunks).size()),
               .total = total,
               .failures = board_.failures().size() + board_.failures_lost(),
               .elapsed = clock::now() - order_.began};
  for (unsigned slot = 0; slot < size_.slots; ++slot) {
    now.deaths += board_.at(slot).deaths.load(std::memory_order_relaxed);
  }
  if (settled == chunks.chunks()) {
    now.done = total;
  } else {
    // All chunks have the grain but the last one; listed ones are taken for equal.
    const auto all = static_cast<double>(chunks.chunks());
    const double share = static_cast<double>(settled) / all;
    const double here = static_cast<double>(settled - inherited_) / all;
    now.done = chunks.grain() != 0 ? std::min(total, settled * chunks.grain())
                                   : static_cast<std::size_t>(share * static_cast<double>(total));
    if (settled != inherited_) now.remaining = now.elapsed * ((1 - share) / here);
    now.done = std::max(now.done, now.failed);  // those of chunks that are not settled
  }
  return now;
}

std::vector<worker_status> flight::workers_now() const {
  std::vector<worker_status> all;
  const std::chrono::nanoseconds now = clock::now().time_since_epoch();
  const bool pinned = roster_.has_places() && (roster_.lacks() & family::workers_pinned) == 0;
  for (unsigned slot = 0; slot < size_.slots; ++slot) {
    const board::slot& at = board_.at(slot);
    const std::uint64_t entry = at.running.load(std::memory_order_acquire);
    if (entry == 0) continue;
    const std::uint64_t chunk = board_.log(slot)[entry - 1].load(std::memory_order_relaxed);
    if (chunk >= size_.chunks) continue;  // it has just ended, and its slot another one
    const std::chrono::nanoseconds since = now - at.began.load(std::memory_order_relaxed);
    all.push_back({slot, order_.chunks.extent_of(order_.chunks[chunk]).indices, since, {}});
    if (pinned) all.back().processors = to_string(roster_.at(slot).place);
  }
  return all;
}

// ---- Why a run ended early, in words.

bool flight::has_trouble() const noexcept {
  return !board_.trouble().empty() || !roster_.trouble().empty();
}

// Says why a run that the program has stopped isn't complete, unless something else ended it.
void flight::tell_who_stopped() const {
  if ((board_.controls() & board::requested) == 0 || has_trouble()) return;
  std::string who = "on request";
  if (crew_.signals && crew_.signals->count() != 0) {
    const int signal = crew_.signals->first();
    who = "by signal " + std::to_string(signal) + " (SIG" + os::name_of_signal(signal) + ")";
    if ((board_.controls() & board::cancelled) != 0) {
      who += ", and its workers killed by a second one";
    }
  }
  board_.tell_trouble("the run was stopped " + who);
}

void flight::tell_what_came_before() const {
  const bool begun = board_.cursor().load(std::memory_order_relaxed) != 0;
  if (!follows_ || begun || (board_.controls() & board::stopping) == 0 || has_trouble()) return;
  board_.tell_trouble("a run before it in the queue is incomplete");
}

// Says why a run ended that has failed too often.
void flight::tell_what_was_too_much() const {
  if ((board_.controls() & board::exhausted) == 0 || has_trouble()) return;
  const board::budgets& allowed = crew_.policy.allowed;
  const bool failed = allowed.max_failures != 0 && board_.given_up() > allowed.max_failures;
  const std::string what =
      failed
          ? "more than max_failures = " + std::to_string(allowed.max_failures) + " indices failed"
          : "there were max_timeouts = " + std::to_string(allowed.max_timeouts) + " timeouts";
  board_.tell_trouble("the run was ended: " + what);
}

}  // namespace shard::mapping
