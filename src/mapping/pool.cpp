// A pool: a family that outlives its runs, the runs that wait for their turn, and the rules by
// which threads of the caller share both.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "family/run_queue.hpp"
#include "family/spawning.hpp"
#include "family/warm_family.hpp"
#include "mapping/execute.hpp"
#include "mapping/flight.hpp"
#include "mapping/nesting.hpp"
#include "mapping/replay.hpp"
#include "mapping/run_state.hpp"
#include "mapping/sending.hpp"
#include "mapping/settings.hpp"
#include "mapping/unknown_variables.hpp"
#include "os/cpu.hpp"
#include "os/environment.hpp"
#include "os/file.hpp"
#include "os/own_pid.hpp"
#include "os/parallel_libraries.hpp"
#include "shard/detail/job.hpp"
#include "shard/error.hpp"

namespace shard::mapping {
namespace {

using namespace std::chrono_literals;

// A wake-up takes so long here that looking for a run meanwhile costs no more.
constexpr std::chrono::nanoseconds spin = 50us;
constexpr std::chrono::nanoseconds none{};

// The caller's, with what the options change.
std::vector<std::string> environment_of(const options& how, const settings& decided) {
  auto changes = how.environment;
  if (decided.threads_per_worker != 0) {  // for libraries that the program is linked with
    for (const char* const each : os::variables_of_parallel_libraries()) {
      changes[each] = std::to_string(decided.threads_per_worker);
    }
  }
  std::vector<std::string> all = os::own_environment();
  std::erase_if(all, [&changes](const std::string& each) {
    return changes.contains(each.substr(0, each.find('=')));
  });
  for (const auto& [name, value] : changes) {
    if (name.empty() || name.find('=') != std::string::npos) {
      throw error(std::errc::invalid_argument, "cannot use the option environment: found '" + name +
                                                   "', expected the name of a variable");
    }
    if (value) all.push_back(name + '=' + *value);
  }
  return all;
}

// Nothing: its processes are forks.
std::optional<family::fresh_program> program_of(const options& how, const settings& decided) {
  if (decided.start == start_by::fork) {
    refuse_what_forks_have(how);
    return std::nullopt;
  }
  family::require_to_be_startable();
  return family::fresh_program{environment_of(how, decided), how.working_directory.string()};
}

}  // namespace

// A pool has them for all its maps.
void refuse_what_a_pool_settles(const options& one) {
  const auto refuse = [](const char* name) {
    throw error(std::errc::invalid_argument,
                std::string("cannot map in a pool: found the option ") + name +
                    " for one map, expected it in the options of the pool");
  };
  if (one.workers) refuse("workers");
  if (one.threads_per_worker) refuse("threads_per_worker");
  if (one.run_on) refuse("run_on");
  if (one.start) refuse("start");
  if (one.pin) refuse("pin");
  if (!one.environment.empty()) refuse("environment");
  if (!one.working_directory.empty()) refuse("working_directory");
  if (one.allow_threads) refuse("allow_threads");
  if (one.prefix_output) refuse("prefix_output");
}

family::warm_family::order family_for(const options& given, const settings& decided,
                                      unsigned workers) {
  const unsigned cpus = os::cpu_budget();
  return {.workers = workers,
          .threads_per_worker = decided.threads_per_worker,
          .pin = decided.pin,
          .allow_threads = decided.allow_threads,
          .prefix_output = decided.prefix_output,
          .spin = workers <= cpus ? spin : none,
          .processors = cpus,
          .make = unpack,
          .program = program_of(given, decided)};
}

namespace {

// A run that waits for its turn, or has it.
struct queued_run {
  // of_the_pool: its options, if the run has none of its own. They must outlive it.
  queued_run(detail::job&& job, std::optional<options> own, const options& of_the_pool,
             const settings& decided, family::warm_family& in)
      : what(std::move(job)),
        given(std::move(own)),
        settled(what, given ? *given : of_the_pool, decided),
        run(what, given ? *given : of_the_pool, settled, &in) {}

  detail::job what;
  std::optional<options> given;
  order settled;
  flight run;
};

// Runs that wait, the oldest first, in memory that is used again.
class queued_runs {
 public:
  bool empty() const noexcept { return all_.empty(); }
  std::size_t size() const noexcept { return all_.size(); }
  queued_run& operator[](std::size_t k) const { return **all_[k]; }

  template <class... Args>
  void add(Args&&... args) {
    if (idle_.empty()) idle_.push_back(std::make_unique<std::optional<queued_run>>());
    idle_.back()->emplace(std::forward<Args>(args)...);
    all_.push_back(std::move(idle_.back()));
    idle_.pop_back();
  }
  void drop_last() {
    all_.back()->reset();
    idle_.push_back(std::move(all_.back()));
    all_.pop_back();
  }
  void drop_first() {
    all_.front()->reset();
    idle_.push_back(std::move(all_.front()));
    all_.pop_front();
  }
  void drop_all() {
    while (!all_.empty()) drop_first();
  }

 private:
  std::deque<std::unique_ptr<std::optional<queued_run>>> all_;
  std::vector<std::unique_ptr<std::optional<queued_run>>> idle_;
};

}  // namespace
}  // namespace shard::mapping

namespace shard::detail {

class pool_state {
 public:
  // One call at a time; others of other threads wait.
  class turn {
   public:
    enum class from_listeners { refused, allowed };
    explicit turn(const pool_state& of, from_listeners calls = from_listeners::refused);
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() {
      if (held_) of_.holder_ = std::thread::id();
    }

   private:
    const pool_state& of_;
    std::unique_lock<std::mutex> held_;
  };

  enum class purpose { many_maps, one_map };
  explicit pool_state(const options& how, purpose what_for = purpose::many_maps);
  pool_state(const pool_state&) = delete;
  pool_state& operator=(const pool_state&) = delete;
  ~pool_state();

  bool is_own() const noexcept { return owner_ == os::own_pid(); }
  unsigned workers() const noexcept { return workers_; }
  report map(const job& what, const options* how);
  void queue(job&& what, const options* how);
  std::shared_ptr<run_state> start(job&& what, const options* how);
  void let_go(run_state& which) noexcept;
  void wait();
  void resize(unsigned workers);
  void refresh();
  void stop();

 private:
  bool has_processes() const noexcept { return how_.run_on == executor::processes; }
  // The workers of a pool for one map are new anyway.
  bool checks(const mapping::settings& how) const noexcept {
    return how.check_pool && what_for_ == purpose::many_maps;
  }
  family::warm_family::order order_of_family() const;
  family::warm_family& family();
  // Runs that were handed over before are over then: each is done twice, and sees what they have
  // written.
  std::optional<family::warm_family::order> second_family(const mapping::settings& how);
  report carry_out(const job& what, const options& given, const mapping::settings& decided);
  void end_family();
  void conclude_started();
  static void skip();
  void make_room();
  void finish(std::size_t count);
  void finish_first();
  void finish_all();
  void throw_first_failure();

  options given_;
  mapping::settings how_;
  std::atomic<unsigned> workers_;
  purpose what_for_;
  pid_t owner_ = os::own_pid();
  mutable std::mutex busy_;
  mutable std::atomic<std::thread::id> holder_{};
  std::optional<family::warm_family> family_;
  family::lease last_place_;  // of the last run that was finished: the next one looks at it
  mapping::queued_runs queued_;
  std::vector<run_state*> started_;
  std::exception_ptr failure_;  // of the first queued run that has one
};

pool_state::pool_state(const options& how, purpose what_for)
    : given_(how), how_(mapping::resolve(how)), workers_(0), what_for_(what_for) {
  mapping::tell_unknown_variables();
  resize(how_.workers);
}

pool_state::~pool_state() { end_family(); }

pool_state::turn::turn(const pool_state& of, from_listeners calls) : of_(of) {
  if (!of.is_own()) {
    throw error(std::errc::operation_not_permitted,
                "cannot use a pool in process " + std::to_string(os::own_pid()) +
                    ": found it started by process " + std::to_string(of.owner_) +
                    ", expected a pool of this process");
  }
  if (of.holder_ == std::this_thread::get_id() && calls == from_listeners::allowed) return;
  if (of.holder_ == std::this_thread::get_id()) {
    throw error(std::errc::resource_deadlock_would_occur,
                "cannot use a pool here: found a call of on_progress or on_failure of one of its "
                "own maps, expected a call from outside");
  }
  held_ = std::unique_lock(of.busy_);
  of.holder_ = std::this_thread::get_id();
}

family::warm_family& pool_state::family() {
  const bool is_idle = queued_.empty() && started_.empty();
  if (family_ && (family_->has_ended() || (is_idle && family_->is_worn()))) end_family();
  if (!family_) family_.emplace(order_of_family());
  return *family_;
}

family::warm_family::order pool_state::order_of_family() const {
  return mapping::family_for(given_, how_, workers_);
}

std::optional<family::warm_family::order> pool_state::second_family(const mapping::settings& how) {
  if (!checks(how) || !has_processes()) return std::nullopt;
  conclude_started();
  return order_of_family();
}

void pool_state::conclude_started() {
  for (run_state* const each : started_) each->conclude_quietly();
}

void pool_state::end_family() {
  for (run_state* const each : started_) each->cancel();
  conclude_started();
  queued_.drop_all();
  last_place_ = {};
  family_.reset();
}

report pool_state::map(const job& what, const options* how) {
  const turn mine(*this);
  finish_all();
  throw_first_failure();
  if (how == nullptr) return carry_out(what, given_, how_);
  mapping::refuse_what_a_pool_settles(*how);
  const options all = mapping::merged(given_, *how);
  return carry_out(what, all, mapping::resolve(all));
}

report pool_state::carry_out(const job& what, const options& given,
                             const mapping::settings& decided) {
  const auto fresh = second_family(decided);
  return mapping::carry_out(what, given, decided, has_processes() ? &family() : nullptr,
                            fresh ? &*fresh : nullptr);
}

void pool_state::queue(job&& what, const options* how) {
  const turn mine(*this);
  if (how != nullptr) mapping::refuse_what_a_pool_settles(*how);
  std::optional<options> own;
  if (how != nullptr) own = mapping::merged(given_, *how);
  const mapping::settings decided = own ? mapping::resolve(*own) : how_;
  if (failure_) return skip();
  // A replay is for debuggers: no detours.
  if (!has_processes() || decided.replay.map != 0 || checks(decided)) {
    try {
      report result = carry_out(what, own ? *own : given_, decided);
      if (!result.complete()) throw map_error(std::move(result));
    } catch (...) {
      failure_ = std::current_exception();
    }
    return;
  }
  make_room();
  if (family_ && family_->has_ended()) finish_all();  // those that are left have failed with it
  if (failure_) return skip();
  const bool follows = !queued_.empty();
  queued_.add(std::move(what), std::move(own), given_, decided, family());
  try {
    queued_[queued_.size() - 1].run.begin(follows, false);
  } catch (...) {
    queued_.drop_last();
    throw;
  }
}

std::shared_ptr<run_state> pool_state::start(job&& what, const options* how) {
  const turn mine(*this);
  if (how != nullptr) mapping::refuse_what_a_pool_settles(*how);
  options all = how == nullptr ? given_ : mapping::merged(given_, *how);
  const mapping::settings decided = how == nullptr ? how_ : mapping::resolve(all);
  if (!has_processes()) {
    return std::make_shared<run_state>(std::move(what), std::move(all), decided, nullptr);
  }
  finish_all();  // so that nothing that is queued comes behind it
  make_room();
  const auto fresh = second_family(decided);
  auto made = std::make_shared<run_state>(std::move(what), std::move(all), decided, &family(),
                                          fresh ? &*fresh : nullptr);
  started_.push_back(made.get());
  return made;
}

void pool_state::let_go(run_state& which) noexcept {
  if (!is_own()) return;  // a forked child ends nothing of its parent's
  const turn mine(*this, turn::from_listeners::allowed);
  std::erase(started_, &which);
  which.abandon();
}

// What comes behind a failure is not begun. It has a number all the same: the next map's must not
// depend on when the failure was noticed.
void pool_state::skip() { static_cast<void>(mapping::number_of_this_map()); }

// Of a full queue, half.
void pool_state::make_room() {
  constexpr std::size_t most = family::run_queue::capacity - 2;
  const auto started = static_cast<std::size_t>(std::ranges::count_if(
      started_, [](const run_state* each) { return each->flight() != nullptr; }));
  if (queued_.size() + started < most) return;
  if (!queued_.empty()) return finish((queued_.size() + 1) / 2);
  throw error(std::errc::resource_unavailable_try_again,
              "cannot start a run: found " + std::to_string(started) +
                  " runs of this pool that were started and not waited for, expected fewer");
}

// The first ones. One wait for all, unless somebody wants to hear of each, or may stop it.
void pool_state::finish(std::size_t count) {
  if (count == 0) return;
  bool one_by_one = false;
  for (std::size_t k = 0; k < queued_.size(); ++k) {
    one_by_one |= queued_[k].run.needs_its_own_wait();
  }
  if (!one_by_one) queued_[count - 1].run.await();
  for (; count != 0; --count) finish_first();
}

void pool_state::finish_first() {
  mapping::queued_run& first = queued_[0];
  try {
    report result = mapping::finished(first.what, first.settled.chunks, first.run.join());
    if (!result.complete()) throw map_error(std::move(result));
  } catch (...) {
    if (!failure_) failure_ = std::current_exception();
  }
  last_place_ = first.run.release_place();
  queued_.drop_first();
}

void pool_state::finish_all() {
  if (queued_.empty()) return;
  finish(queued_.size());
  family_->wait_for_output();
  last_place_ = {};
}

void pool_state::throw_first_failure() {
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void pool_state::wait() {
  const turn mine(*this);
  finish_all();
  throw_first_failure();
}

void pool_state::resize(unsigned workers) {
  const turn mine(*this);
  finish_all();
  conclude_started();
  options wanted = given_;
  wanted.workers = workers;
  how_ = mapping::where_it_runs(mapping::resolve(wanted));
  given_ = wanted;
  workers_ = mapping::workers_of(how_);
  end_family();
  if (has_processes()) family();
}

void pool_state::refresh() {
  const turn mine(*this);
  finish_all();
  conclude_started();
  end_family();
  if (has_processes()) family();
}

void pool_state::stop() {
  const turn mine(*this);
  for (std::size_t k = 0; k < queued_.size(); ++k) queued_[k].run.call_off();
  finish_all();
  failure_ = nullptr;
  end_family();
}

namespace {

// A forked child shares the boards with its parent, and ends nothing of that one's: what it has of
// the pool stays. The list is for tools that look for leaks.
void drop(pool_state* one) {
  static auto& of_parents = *new std::vector<pool_state*>;
  if (one->is_own()) {
    delete one;
  } else {
    of_parents.push_back(one);
  }
}

}  // namespace

std::shared_ptr<pool_state> make_pool(const options& how) { return {new pool_state(how), drop}; }
std::shared_ptr<pool_state> make_pool_for_one_map(const options& how) {
  return {new pool_state(how, pool_state::purpose::one_map), drop};
}
unsigned workers_of(const pool_state& of) noexcept { return of.workers(); }
void resize(pool_state& which, unsigned workers) { which.resize(workers); }
void refresh(pool_state& which) { which.refresh(); }
void stop(pool_state& which) { which.stop(); }
report execute_in(pool_state& where, const job& what, const options* how) {
  return where.map(what, how);
}
void queue_in(pool_state& where, job&& what, const options* how) {
  where.queue(std::move(what), how);
}
void wait_for(pool_state& which) { which.wait(); }

// ---- Runs: those in a pool take turns with its other calls.

namespace {

template <class Use>
auto in_turn(const run_state& which, pool_state::turn::from_listeners calls, Use use) {
  std::optional<pool_state::turn> mine;
  if (which.pool()) mine.emplace(*which.pool(), calls);
  return use();
}
constexpr auto refused = pool_state::turn::from_listeners::refused;
constexpr auto allowed = pool_state::turn::from_listeners::allowed;

}  // namespace

std::shared_ptr<run_state> begin_in(const std::shared_ptr<pool_state>& where, job&& what,
                                    const options* how) {
  std::shared_ptr<run_state> made = where->start(std::move(what), how);
  made->belong_to(where);
  run_state* const which = made.get();
  // What its last owner does: it may not go while the pool looks at it.
  return {which, [made = std::move(made), where](run_state*) mutable {
            where->let_go(*made);
            made.reset();
          }};
}

report wait_for(run_state& which) {
  return in_turn(which, refused, [&] { return which.conclude(); });
}
bool wait_for(run_state& which, seconds limit) {
  return in_turn(which, refused, [&] { return which.wait_for(limit); });
}
void cancel(run_state& which) {
  in_turn(which, refused, [&] { which.cancel(); });
}
progress status_of(const run_state& of) {
  return in_turn(of, allowed, [&] { return of.status(); });
}
std::vector<worker_status> workers_in(const run_state& of) {
  return in_turn(of, allowed, [&] { return of.workers(); });
}
std::vector<range> completed_in(const run_state& of) {
  return in_turn(of, allowed, [&] { return of.completed(); });
}
void merge_now(const run_state& of, const void* reducer, void* into) {
  in_turn(of, allowed, [&] { of.merge_now(reducer, into); });
}

}  // namespace shard::detail
