#include "chaos/pools.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "shard/shard.hpp"

namespace shard_chaos {
namespace {

using number = std::int64_t;

double value(number x) { return std::sin(static_cast<double>(x) * 0.7) * 1e3; }

// ---- Runs, in the workers and in the loop ----

// What a kernel gets beside buffers and reducers.
struct orders {
  std::size_t indices = 0;
  std::size_t shift = 0;
  number plus = 0;
  number bins = 1;
  std::size_t poison = 0;  // this index fails; indices: none does
  bool crashes = false;    // at the poison; otherwise it throws
};

number taken_by(const orders& what, std::size_t i) {
  return static_cast<number>((i + what.shift) % what.indices);
}
number written_for(const orders& what, number x) { return x * 3 % 1'000'003 + what.plus; }
number added_for(number x) { return x % 1000 + 1; }
int bin_for(const orders& what, number x) { return static_cast<int>(x % what.bins); }

constexpr auto kernel = [](std::size_t i, shard::view<number> from, shard::slice<number> to,
                           shard::slice<number> cell, auto& total, auto& hits, auto& bin,
                           const orders& what) {
  const number x = from[static_cast<std::size_t>(taken_by(what, i))];
  cell[i] += added_for(x);
  ++hits;
  total += value(x);
  bin(bin_for(what, x));
  if (i == what.poison) {
    if (what.crashes) std::abort();
    throw std::runtime_error("poison");
  }
  to[i] = written_for(what, x);
};

// What a buffer should hold.
struct image {
  std::vector<number> numbers;
  std::vector<bool> unknown;  // these may be anything
};

struct held_buffer {
  shard::buffer<number> real;
  std::shared_ptr<image> wanted;
};

struct run {
  explicit run(const orders& given)
      : what(given), bins(shard::axis::integer(0, static_cast<int>(given.bins))) {}

  orders what;
  std::size_t grain = 1;
  std::shared_ptr<image> from, to, cells;
  shard::ordered_sum<double> sum;
  shard::counter count;
  shard::histogram<shard::axis::integer_axis> bins;
};

// What the reducers of a run should hold.
struct reductions {
  double sum = 0;
  number count = 0;
  std::vector<number> bins;
};

// Carries out the indices that are done. Others are as before, but for the output.
reductions carry_out(const run& one, const std::vector<bool>& done) {
  const orders& what = one.what;
  reductions found{.bins = std::vector<number>(static_cast<std::size_t>(what.bins))};
  for (std::size_t first = 0; first < what.indices; first += one.grain) {
    double of_chunk = 0;
    bool any = false;
    for (std::size_t i = first; i < std::min(first + one.grain, what.indices); ++i) {
      one.to->unknown[i] = !done[i];
      if (!done[i]) continue;
      const number x = one.from->numbers[static_cast<std::size_t>(taken_by(what, i))];
      one.to->numbers[i] = written_for(what, x);
      one.cells->numbers[i] += added_for(x);
      of_chunk += value(x);
      ++found.bins[static_cast<std::size_t>(bin_for(what, x))];
      ++found.count;
      any = true;
    }
    if (any) found.sum += of_chunk;
  }
  return found;
}

// ---- What is wrong with them; empty: nothing ----

std::string fault_in(const run& one, const reductions& wanted) {
  if (one.count.value() != wanted.count) {
    return fmt::format("count is {}, expected {}", one.count.value(), wanted.count);
  }
  if (std::bit_cast<std::uint64_t>(one.sum.value()) != std::bit_cast<std::uint64_t>(wanted.sum)) {
    return fmt::format("sum is {}, expected {}", one.sum.value(), wanted.sum);
  }
  const auto bins = one.bins.counts();
  return std::ranges::equal(bins, wanted.bins) ? "" : "bins differ";
}

// What may be anything is taken as it is.
std::string fault_in(const held_buffer& one) {
  image& wanted = *one.wanted;
  for (std::size_t i = 0; i < wanted.numbers.size(); ++i) {
    const number found = std::as_const(one.real)[i];
    if (wanted.unknown[i]) wanted.numbers[i] = found;
    wanted.unknown[i] = false;
    if (found != wanted.numbers[i]) {
      return fmt::format("element {} is {}, expected {}", i, found, wanted.numbers[i]);
    }
  }
  return {};
}

// ---- What processes take ----

struct taken {
  std::size_t descriptors = 0;
  std::size_t mappings = 0;
};

taken taken_by_process(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  taken found;
  std::error_code ignored;
  for ([[maybe_unused]] const auto& each :
       std::filesystem::directory_iterator(folder + "/fd", ignored)) {
    ++found.descriptors;
  }
  std::ifstream maps(folder + "/maps");
  for (std::string line; std::getline(maps, line);) ++found.mappings;
  return found;
}

// ---- A pool and its rounds ----

class lodging {
 public:
  lodging(std::mt19937& random, const shard_test::family& relatives, const shard_test::tally& at,
          pool_totals& into)
      : random_(random), relatives_(relatives), at_(at), into_(into) {
    indices_ = 1 + random_() % (random_() % 4 == 0 ? 20'000 : 500);
    for (int k = 0; k < 5; ++k) buffers_.push_back(fresh());
    pool_.emplace(
        shard::options{.workers = 1 + static_cast<unsigned>(random_() % 4),
                       .retries = 1,
                       .retries_kill = 10'000,
                       .keep_going = true,
                       .start = one_in(3) ? shard::start_by::spawn : shard::start_by::fork,
                       .pin = one_in(3)});
  }

  void keep();

 private:
  // Slack for what comes and goes in any program, such as the heap's mappings.
  static constexpr std::size_t slack = 16;

  bool one_in(unsigned chances) { return random_() % chances == 0; }
  held_buffer fresh();
  run& add_run(bool poisoned);
  template <class Call>
  void call_with(run& one, const Call& call);
  void touch_buffers();
  void idle();
  void round();
  void drop();
  std::optional<shard::report> finish(bool& thrown);
  void compare(const std::optional<shard::report>& incomplete, bool thrown);
  void look_for_growth();
  void tell(const std::string& fault);

  std::mt19937& random_;
  const shard_test::family& relatives_;
  const shard_test::tally& at_;
  pool_totals& into_;
  std::size_t indices_ = 0;
  std::vector<held_buffer> buffers_;
  std::vector<std::unique_ptr<run>> runs_;  // of this round; the pool may merge into them
  std::optional<shard::pool> pool_;
  std::map<pid_t, taken> before_;  // what each process took when it was first looked at
};

held_buffer lodging::fresh() {
  held_buffer made{shard::buffer<number>(indices_), std::make_shared<image>()};
  for (std::size_t i = 0; i < indices_; ++i) {
    made.wanted->numbers.push_back(static_cast<number>(random_() % 1'000'000));
    made.real[i] = made.wanted->numbers[i];
  }
  made.wanted->unknown.resize(indices_);
  return made;
}

run& lodging::add_run(bool poisoned) {
  std::ranges::shuffle(buffers_, random_);
  auto made = std::make_unique<run>(orders{.indices = indices_,
                                           .shift = random_() % indices_,
                                           .plus = static_cast<number>(random_() % 1000),
                                           .bins = one_in(10) ? 5'000 : 10,
                                           .poison = poisoned ? random_() % indices_ : indices_,
                                           .crashes = one_in(2)});
  made->grain = 1 + random_() % std::max<std::size_t>(indices_ / 3, 1);
  made->from = buffers_[0].wanted;
  made->to = buffers_[1].wanted;
  made->cells = buffers_[2].wanted;
  return *runs_.emplace_back(std::move(made));
}

template <class Call>
void lodging::call_with(run& one, const Call& call) {
  call(indices_, shard::in(buffers_[0].real), shard::out(buffers_[1].real),
       shard::inout(buffers_[2].real), shard::reduce(one.sum), shard::reduce(one.count),
       shard::reduce(one.bins), shard::value(one.what), kernel);
}

// Also those that queued runs need.
void lodging::touch_buffers() {
  if (one_in(4)) {
    buffers_[random_() % buffers_.size()] = fresh();
    ++into_.closed;
  }
  if (one_in(4)) std::swap(buffers_[0], buffers_[1]);
}

void lodging::idle() {
  at_[state] = between_runs;
  for (auto turns = random_() % (one_in(4) ? 20'000 : 200); turns != 0; --turns) sched_yield();
}

// Ends what is queued: by a wait, or by a map. What it gets of a run that is incomplete.
std::optional<shard::report> lodging::finish(bool& thrown) try {
  if (one_in(3)) {
    pool_->wait();
    return std::nullopt;
  }
  run& last = add_run(one_in(5));
  shard::options how{.grain = last.grain};
  if (one_in(8)) {
    how.on_progress = [](const shard::progress&) { throw std::domain_error("enough"); };
  }
  ++into_.maps;
  std::optional<shard::report> found;
  call_with(last, [&](auto&&... all) {
    found = pool_->try_map(how, std::forward<decltype(all)>(all)...);
  });
  if (found->complete()) return std::nullopt;
  return found;
} catch (const shard::map_error& failed) {
  return failed.result();
} catch (const std::domain_error&) {
  thrown = true;
  return std::nullopt;
}

void lodging::round() {
  ++at_[map_number];
  idle();
  at_[state] = within_runs;
  const bool poisoned = one_in(6);
  const auto count = one_in(3) ? 0 : one_in(6) ? 100 : random_() % 12;
  shard::buffer<number> none(0);
  for (auto k = count; k != 0; --k) {
    if (one_in(10)) pool_->queue(none, [](std::size_t) { return number{1}; });
    run& next = add_run(poisoned && one_in(8));
    call_with(next, [&](auto&&... all) {
      pool_->queue({.grain = next.grain}, std::forward<decltype(all)>(all)...);
    });
    ++into_.queued;
    touch_buffers();
  }
  if (one_in(20)) pool_->resize(1 + static_cast<unsigned>(random_() % 4));
  if (one_in(20)) pool_->refresh();
  bool thrown = false;
  const auto incomplete = finish(thrown);
  if (one_in(40)) pool_->stop();
  at_[state] = between_runs;
  compare(incomplete, thrown);
  runs_.clear();
}

// All runs before the first one that is incomplete are carried out, and none behind it is begun. Of
// one whose listener has thrown, it isn't known what was done.
void lodging::compare(const std::optional<shard::report>& incomplete, bool thrown) {
  const std::vector<bool> all(indices_, true);
  std::optional<std::size_t> last;
  std::string fault;
  for (std::size_t k = 0; k < runs_.size() && fault.empty(); ++k) {
    const run& one = *runs_[k];
    if (thrown && k + 1 == runs_.size()) {
      ++into_.thrown;
      for (std::size_t i = 0; i < indices_; ++i) {
        // Once, or not at all.
        const number x = one.from->numbers[static_cast<std::size_t>(taken_by(one.what, i))];
        const auto cells = std::ranges::find(buffers_, one.cells, &held_buffer::wanted);
        const number found = std::as_const(cells->real)[i];
        number& before = one.cells->numbers[i];
        if (found == before + added_for(x)) before = found;
        one.to->unknown[i] = true;
      }
    } else if (last) {
      if (one.count.value() != 0) fault = fmt::format("run {} was begun behind one", k);
    } else if (incomplete && one.count.value() != static_cast<number>(indices_)) {
      last = k;
      std::vector<bool> done(indices_);
      for (const shard::range part : incomplete->completed()) {
        for (const std::size_t i : part) done[i] = true;
      }
      fault = fault_in(one, carry_out(one, done));
      if (one.what.poison < indices_ && done[one.what.poison]) fault = "the poison is done";
      const auto missing = static_cast<std::size_t>(std::ranges::count(done, false));
      // Only supervisor and standby killed together may end a run early.
      const bool is_broken = incomplete->trouble().find("supervisor") != std::string::npos;
      if (is_broken) {
        ++into_.broken;
      } else if (missing != (one.what.poison < indices_ ? 1 : 0)) {
        fault = fmt::format("{} indices are missing: {}", missing, incomplete->trouble());
      } else {
        ++into_.incomplete;
      }
    } else {
      fault = fault_in(one, carry_out(one, all));
    }
    if (!fault.empty()) fault = fmt::format("run {} of {}: {}", k + 1, runs_.size(), fault);
  }
  if (fault.empty() && incomplete && !last) fault = "an incomplete run that is complete";
  for (const held_buffer& one : buffers_) {
    if (fault.empty()) fault = fault_in(one);
  }
  if (!fault.empty()) tell(fault);
}

void lodging::tell(const std::string& fault) {
  ++into_.mismatches;
  fmt::print(stderr, "shard_chaos: pool {}: {} ({} indices, {} workers)\n", into_.pools + 1, fault,
             indices_, pool_->workers());
}

// Workers map each buffer at most twice, and hear of those that were closed when they have nothing
// else to do. The caller has a descriptor for each buffer.
void lodging::look_for_growth() {
  const auto grows = [&](pid_t pid, std::size_t descriptors, std::size_t mappings) {
    const taken now = taken_by_process(pid);
    const taken& then = before_.try_emplace(pid, now).first->second;
    return now.descriptors > then.descriptors + descriptors ||
           now.mappings > then.mappings + mappings;
  };
  const auto expect = [&](const char* who, pid_t pid, std::size_t descriptors) {
    if (shard_test::eventually(
            [&] { return !grows(pid, descriptors, 2 * buffers_.size() + slack); })) {
      return;
    }
    const taken now = taken_by_process(pid);
    const taken& then = before_[pid];
    fmt::print(stderr,
               "shard_chaos: pool {}: {} grows: {} descriptors and {} mappings, before {} and {}\n",
               into_.pools + 1, who, now.descriptors, now.mappings, then.descriptors,
               then.mappings);
    ++into_.growth;
  };
  // A family has five, or seven if it is spawned; there was none if the pool had been stopped.
  expect("the caller", ::getpid(), 8);
  for (const shard_test::relative& one : relatives_.living()) {
    if (one.name.starts_with("shard wk")) expect("a worker", one.pid, 0);
  }
}

void lodging::drop() {
  at_[state] = within_runs;
  for (auto k = random_() % 40; k != 0; --k) {
    run& next = add_run(one_in(20));
    call_with(next, [&](auto&&... all) {
      pool_->queue({.grain = next.grain}, std::forward<decltype(all)>(all)...);
    });
    ++into_.queued;
    ++into_.dropped;
    touch_buffers();
  }
  pool_.reset();
  runs_.clear();
}

void lodging::keep() {
  for (auto rounds = 1 + random_() % 60; rounds != 0 && into_.mismatches == 0; --rounds) {
    round();
    if (one_in(4)) look_for_growth();
  }
  if (one_in(3)) drop();
  pool_.reset();
  at_[state] = no_pool;
  ++into_.pools;
}

}  // namespace

void keep_a_pool(std::mt19937& random, const shard_test::family& relatives,
                 const shard_test::tally& at, pool_totals& into) {
  lodging(random, relatives, at, into).keep();
}

}  // namespace shard_chaos
