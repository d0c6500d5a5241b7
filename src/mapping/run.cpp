// What the handle of a run can do with it.
#include "shard/run.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <utility>

#include "mapping/execute.hpp"
#include "mapping/ranges.hpp"
#include "mapping/replay.hpp"
#include "mapping/run_state.hpp"
#include "mapping/unknown_variables.hpp"
#include "os/file.hpp"
#include "os/own_pid.hpp"

namespace shard::detail {

run_state::run_state(job&& what, options how, const mapping::settings& decided,
                     family::warm_family* pool, const family::warm_family::order* fresh)
    : what_(std::move(what)), given_(std::move(how)), settled_(what_, given_, decided) {
  if (settled_.is_replayed()) {
    told_ =
        mapping::replay(what_, settled_.chunks, settled_.how.replay, settled_.how.record_chunks);
    return;
  }
  if (fresh != nullptr) {
    expected_ = std::make_unique<mapping::second_run>(what_, given_, settled_, *fresh);
  }
  flight_ = std::make_unique<mapping::flight>(what_, given_, settled_, pool);
  flight_->begin(false, false);
  // Nobody else carries it on.
  if (pool == nullptr && settled_.how.run_on != executor::processes) conclude();
}

run_state::~run_state() {
  // A forked child ends nothing of its parent's.
  if (owner_ != os::own_pid()) static_cast<void>(flight_.release());
}

// What on_progress or on_failure throw is wait()'s to throw again.
void run_state::conclude_quietly() noexcept {
  try {
    conclude();
  } catch (...) {
    failure_ = std::current_exception();
  }
}

const report& run_state::conclude() {
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  if (!flight_) return told_;
  report result;
  try {
    result = flight_->join();
  } catch (...) {
    last_ = flight_->progress_now();
    flight_.reset();
    throw;
  }
  last_ = flight_->progress_now();
  flight_.reset();
  told_ = result;  // also if its files can't get their names
  if (const auto expected = std::move(expected_)) expected->compare(told_);  // before that
  told_ = mapping::finished(what_, settled_.chunks, std::move(result));
  std::erase_if(what_.grants, [](const grant& one) { return one.is_spill; });
  return told_;
}

bool run_state::wait_for(seconds limit) {
  if (!flight_) return true;
  constexpr seconds century{100.0 * 365 * 24 * 3600};
  const auto most =
      std::chrono::ceil<mapping::clock::duration>(std::clamp(limit, seconds(0), century));
  return flight_->await(mapping::clock::now() + most);
}

void run_state::cancel() {
  if (flight_) flight_->call_off();
}

progress run_state::status() const { return flight_ ? flight_->progress_now() : last_; }

std::vector<worker_status> run_state::workers() const {
  return flight_ ? flight_->workers_now() : std::vector<worker_status>();
}

std::vector<range> run_state::completed() const {
  if (flight_) return flight_->outcome_now().completed();
  return {told_.completed().begin(), told_.completed().end()};
}

void run_state::merge_now(const void* reducer, void* into) const {
  if (!flight_) return;  // the reducer has all
  for (std::size_t k = 0; k < what_.reductions.size(); ++k) {
    if (what_.reductions[k].reducer != reducer) continue;
    const reduction& one = what_.reductions[k];
    flight_->outcome_now().merge_published(one, k, flight_->states(), into);
    if (one.settle != nullptr) one.settle(into, what_.where, false);
  }
}

namespace {

// The indices of a chunk. Those of a strided space are far apart.
std::vector<range> ranges_of(const plan::partition& chunks, std::size_t chunk) {
  std::vector<range> all;
  const auto [indices, stride] = chunks.extent_of(chunks[chunk]);
  if (stride == 1) {
    mapping::append(all, indices);
    return all;
  }
  for (std::size_t i = indices.first; i < indices.last; i += stride) all.push_back({i, i + 1});
  return all;
}

// Both ascending.
std::vector<range> common_to(const std::vector<range>& some, const std::vector<range>& others) {
  std::vector<range> common;
  for (const range one : some) {
    auto other = std::ranges::upper_bound(others, one.first, {}, &range::last);
    for (; other != others.end() && other->first < one.last; ++other) {
      common.push_back({std::max(one.first, other->first), std::min(one.last, other->last)});
    }
  }
  return common;
}

}  // namespace

// Which chunks were told of, by how far each slot's log was read.
class chunk_reader {
 public:
  chunk_reader(std::shared_ptr<run_state> of, bool ascending)
      : run_(std::move(of)), ascending_(ascending) {}

  bool next(range& found);

 private:
  bool take(range& found);
  void look();
  void tell(std::size_t chunk);
  void tell_the_rest();

  std::shared_ptr<run_state> run_;
  bool ascending_;
  std::vector<std::uint64_t> read_;                    // of each slot's log
  std::vector<bool> told_;                             // chunks
  std::map<std::size_t, std::vector<range>> waiting_;  // by chunk, until those before are told
  std::size_t next_ = 0;                               // of those
  std::deque<range> ready_;
  bool ended_ = false;
};

bool chunk_reader::take(range& found) {
  if (ready_.empty()) return false;
  found = ready_.front();
  ready_.pop_front();
  return true;
}

bool chunk_reader::next(range& found) {
  constexpr seconds little{0.001};
  for (;;) {
    if (take(found)) return true;
    if (ended_) return false;
    const bool over = shard::detail::wait_for(*run_, seconds(0));  // before the look
    look();
    if (over) tell_the_rest();
    if (ready_.empty() && !ended_) static_cast<void>(shard::detail::wait_for(*run_, little));
  }
}

// What was committed since the last time.
void chunk_reader::look() {
  const mapping::flight* const now = run_->flight();
  told_.resize(run_->chunks().chunks());
  if (now == nullptr) return;
  const board::board& on = now->board();
  read_.resize(on.size().slots);
  for (unsigned slot = 0; slot < on.size().slots; ++slot) {
    const std::uint64_t covered = on.covered(slot);
    for (; read_[slot] < covered; ++read_[slot]) {
      tell(on.log(slot)[read_[slot]].load(std::memory_order_relaxed));
    }
  }
}

void chunk_reader::tell(std::size_t chunk) {
  if (told_[chunk]) return;
  told_[chunk] = true;
  const mapping::flight* const now = run_->flight();
  // Whose units are not lost, as nearly always, is completed as a whole.
  const bool is_whole =
      now != nullptr && now->board().given_up() == 0 && now->board().failures().empty();
  std::vector<range> parts = ranges_of(run_->chunks(), chunk);
  if (!is_whole) parts = common_to(parts, run_->completed());
  if (!ascending_) {
    ready_.insert(ready_.end(), parts.begin(), parts.end());
    return;
  }
  waiting_[chunk] = std::move(parts);
  for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_;
       first = waiting_.erase(first), ++next_) {
    ready_.insert(ready_.end(), first->second.begin(), first->second.end());
  }
}

// The run is over: chunks of which a part is completed, and those that waited for others.
void chunk_reader::tell_the_rest() {
  ended_ = true;
  for (std::size_t chunk = 0; chunk < told_.size(); ++chunk) {
    if (!told_[chunk]) tell(chunk);
  }
}

std::shared_ptr<chunk_reader> read_chunks(std::shared_ptr<run_state> of, bool ascending) {
  return std::make_shared<chunk_reader>(std::move(of), ascending);
}
bool next_chunk(chunk_reader& from, range& found) { return from.next(found); }

std::shared_ptr<run_state> begin_alone(job&& what, const options& how) {
  mapping::tell_unknown_variables();
  const mapping::settings decided = mapping::resolve(how);
  if (const auto pool = mapping::pool_to_spawn(what, how, decided)) {
    return begin_in(pool, std::move(what), nullptr);
  }
  return std::make_shared<run_state>(std::move(what), how, decided, nullptr);
}

}  // namespace shard::detail
