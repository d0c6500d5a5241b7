#include "family/service.hpp"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "board/recovery.hpp"
#include "board/run_memory.hpp"
#include "family/assignment.hpp"
#include "family/buffer_cache.hpp"
#include "os/anonymous.hpp"
#include "os/futex.hpp"
#include "os/process.hpp"

namespace shard::family {
namespace {

// What a worker has made of an assignment. It is the same for each run that has the same bytes.
struct preparation {
  std::vector<std::byte> bytes;
  std::vector<std::shared_ptr<const os::mapping>> buffers;
  std::vector<std::uint64_t> numbers;  // of the buffers
  std::vector<std::string> names;      // of the buffers, for the mappings
  std::vector<mapped> mappings;
  std::shared_ptr<const board::task> task;
  std::uint64_t batch = 1;  // see owner
  std::uint64_t used = 0;
};

// Copies, since shared memory promises nothing about alignment here.
std::vector<lent_buffer> grants_in(const assignment& what, std::span<const std::byte> bytes) {
  std::vector<lent_buffer> grants(what.grants);
  if (!grants.empty()) std::memcpy(grants.data(), bytes.data(), grants.size() * sizeof grants[0]);
  return grants;
}

class server {
 public:
  server(const service& all, const std::vector<mapped>& forsaken, worker& self)
      : all_(all),
        runs_(all.runs),
        door_(all.runs.entrance()),
        forsaken_(forsaken),
        self_(self),
        buffers_(all.terms.caller, self.family()) {}

  void serve();

 private:
  static constexpr std::size_t kept_preparations = 16;

  bool wait_for_a_run();
  bool may_look_for_long() const;
  void listen();
  void work();
  bool is_called_off(const board::board& on) const;
  bool is_incomplete(door::run number) const;
  preparation& prepare(const assignment& what);
  std::unique_ptr<preparation> prepare_anew(const assignment& what,
                                            std::span<const std::byte> bytes);
  std::byte* memory_for(const board::dimensions& size);
  void quiet_down();

  const service& all_;
  const run_queue& runs_;
  const door& door_;
  const std::vector<mapped>& forsaken_;
  worker& self_;
  buffer_cache buffers_;
  std::vector<std::unique_ptr<preparation>> preparations_;
  std::uint64_t uses_ = 0;
  os::anonymous_memory memory_;  // of an owner

  door::run now_ = 0;
  door::run left_ = 0;
  door::farewell farewell_ = door::farewell::others_are_inside;  // when it left that
  std::uint64_t heard_ = 0;
  std::uint64_t closed_ = 0;
};

void server::serve() {
  door_.arrive(self_.slot());
  listen();
  now_ = door_.inside(self_.slot());
  while (now_ != 0 || wait_for_a_run()) {
    work();
    left_ = std::exchange(now_, 0);
  }
}

// Whether there is a processor for that: the caller needs one, and no more workers than the last
// run was for need to be awake.
bool server::may_look_for_long() const {
  if (all_.terms.spin.count() == 0) return false;
  const bool told = farewell_ == door::farewell::told;
  if (told && door_.caller_is_here()) return false;
  if (runs_.slots() < all_.terms.processors) return true;
  if (told) return false;
  const unsigned awake = door_.awake().all;
  return awake < all_.terms.processors || farewell_ == door::farewell::over ||
         awake <= door_.wanted(left_);
}

// Looks for one without a pause, for a while, and then sleeps. False: it is to leave.
bool server::wait_for_a_run() {
  using clock = std::chrono::steady_clock;
  constexpr int turns_between_looks_at_the_clock = 64;
  bool looks = may_look_for_long();
  clock::time_point tired{};  // not known before it has found nothing
  clock::duration looked{};   // as far as the clock was looked at
  for (int turn = 0;; ++turn) {
    if (door_.news() != heard_) listen();  // also where one run comes right after the other
    now_ = door_.try_to_enter(self_.slot(), left_);
    const bool ends = now_ == 0 && (runs_.is_ending() || runs_.wants_room());
    if ((now_ != 0 || ends || !looks) && looked.count() != 0) {
      self_.family().add_looking(std::exchange(looked, {}));
    }
    if (now_ != 0) return true;
    if (ends) return false;
    if (door_.awaited() != 0) quiet_down();
    if (looks && turn % turns_between_looks_at_the_clock == 0) {
      door_.note_processor(self_.slot());
      const clock::time_point here = clock::now();
      if (tired == clock::time_point{}) tired = here + all_.terms.spin;
      looked = here + all_.terms.spin - tired;
      looks = here < tired;
    }
    if (looks) {
      os::pause();
      continue;
    }
    quiet_down();
    const door::run before = door_.submitted();
    door_.sleep(self_.slot(), left_, heard_);
    if (door_.submitted() == before) continue;  // it was for something else
    looks = all_.terms.spin.count() != 0;
    tired = {};
    turn = -1;
  }
}

void server::listen() {
  heard_ = door_.news();
  runs_.each_closed(
      closed_,
      [this](std::uint64_t number) {
        std::erase_if(preparations_, [number](const std::unique_ptr<preparation>& one) {
          return std::ranges::count(one->numbers, number) != 0;
        });
        buffers_.drop(number);
      },
      [this] {
        preparations_.clear();
        buffers_.drop_all();
      });
}

// Nothing is left to be done, and nothing to be put right.
bool server::is_called_off(const board::board& on) const {
  const std::uint32_t controls = on.controls();
  if ((controls & board::cancelled) != 0) return true;
  return (controls & board::stopping) != 0 && !board::has_quarantine(on, self_.slot());
}

bool server::is_incomplete(door::run number) const {
  const board::board on = runs_.board_of(runs_.of(number));
  const std::uint32_t controls = on.controls();
  if (on.size().chunks == 0) return (controls & board::stopping) != 0;  // as the one before
  return (controls & board::loses) != 0 || on.settled() != on.size().chunks;
}

void server::work() {
  const assignment& what = runs_.of(now_);
  const board::board on = runs_.board_of(what);
  runs_.hide_kept_board();
  member& own = self_.family().at(self_.slot());
  if (what.follows && is_incomplete(now_ - 1)) on.raise(board::stopping);
  if (on.size().chunks != 0 && !is_called_off(on)) {
    own.printed.store(1);
    own.errors.begin_anew();
    self_.limit_memory(what.worker_limits.memory_bytes);
    preparation& with = prepare(what);
    self_.has_mapped(with.mappings);
    if (runs_.is_for_few(now_)) self_.may_call_others(&door_);
    board::owner owner(on, self_.slot(), *with.task, what.policy, memory_for(on.size()), self_,
                       with.batch);
    owner.work();
    self_.may_call_others(nullptr);
    with.batch = owner.batch();
    // What takes less can't make it a run for two.
    if (owner.worked() * runs_.slots() >= door::worth_a_worker) {
      door_.note_time(now_, owner.worked());
    }
    // For another one, who takes less memory: this slot stays in the run until it is mended.
    if (on.at(self_.slot()).left.load() == board::leaving::for_another) {
      preparations_.clear();  // what is a worker_state ends as in any worker that leaves
      os::flush_standard_output();
      os::leave(0);
    }
  }
  // Whoever waits for the run hears of its end when this is read.
  if (what.awaited || door_.awaited() >= now_) quiet_down();
  farewell_ = door_.leave(self_.slot(), now_);
}

void server::quiet_down() {
  member& own = self_.family().at(self_.slot());
  if (own.printed.load() == 0) return;
  self_.finish_printing();
  own.printed.store(0);
}

preparation& server::prepare(const assignment& what) {
  const std::span<const std::byte> bytes = runs_.packed(what);
  const auto found = std::ranges::find_if(preparations_, [bytes](const auto& one) {
    return one->bytes.size() == bytes.size() &&
           std::memcmp(one->bytes.data(), bytes.data(), bytes.size()) == 0;
  });
  if (found != preparations_.end()) {
    (*found)->used = ++uses_;
    return **found;
  }
  if (preparations_.size() == kept_preparations) {
    preparations_.erase(
        std::ranges::min_element(preparations_, {}, [](const auto& one) { return one->used; }));
  }
  return *preparations_.emplace_back(prepare_anew(what, bytes));
}

std::unique_ptr<preparation> server::prepare_anew(const assignment& what,
                                                  std::span<const std::byte> bytes) {
  auto made = std::make_unique<preparation>();
  made->bytes.assign(bytes.begin(), bytes.end());
  made->used = ++uses_;
  made->mappings = forsaken_;
  std::vector<std::byte*> data;
  const std::vector<lent_buffer> grants = grants_in(what, made->bytes);
  made->names.reserve(grants.size());
  for (const lent_buffer& one : grants) {
    const os::mapping& here = *made->buffers.emplace_back(buffers_.map(one));
    made->numbers.push_back(one.number);
    made->mappings.push_back(
        {here.base(), here.length_bytes(), one.data_offset, one.element_bytes,
         made->names.emplace_back(one.name).c_str(),
         one.writable != 0 ? held::granted_for_writing : held::granted_for_reading});
    data.push_back(here.base() + one.data_offset);
  }
  const std::span<const std::byte> packed =
      std::span<const std::byte>(made->bytes).subspan(grants.size() * sizeof(lent_buffer));
  made->task = self_.prepare(what.has_state,
                             [&] { return all_.make(packed, std::move(data), self_.slot()); });
  return made;
}

std::byte* server::memory_for(const board::dimensions& size) {
  const std::size_t bytes = board::owner::memory_bytes(size);
  if (bytes > memory_.size_bytes()) memory_ = board::run_memory(bytes, os::sharing::none);
  return memory_.base();
}

}  // namespace

std::vector<mapped> forsake_buffers(const std::vector<memory::live_segment>& inherited) {
  std::vector<mapped> places;
  for (const memory::live_segment& one : inherited) {
    one.self->forsake();
    places.push_back({one.base, one.length_bytes, one.data_offset, one.element_bytes,
                      one.name.c_str(), held::forsaken});
  }
  return places;
}

void serve(const service& all, const std::vector<mapped>& forsaken, worker& self) {
  self.unblock_signals();
  server(all, forsaken, self).serve();
}

}  // namespace shard::family
