// Jobs: whatever ends them, and whenever, the next start gives what an undisturbed one gives.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "mounts.hpp"
#include "process/starts.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard_test::eventually;
using shard_test::family;
using shard_test::folder;
using shard_test::mentions;
using shard_test::process_of;
using shard_test::refusal;
using shard_test::tally;
using testing::HasSubstr;

// How often each index has run, in all starts of a test; and what kernels are told to do.
tally* runs = nullptr;
constexpr std::size_t orders = tally::counters - 8;  // the last counters

// The tests' jobs run these.
double square_root(std::size_t i) {
  ++(*runs)[i];
  return std::sqrt(static_cast<double>(i));
}

// What a job of several reducers gives.
struct results {
  std::vector<double> out;
  double total = 0;
  double in_order = 0;
  std::vector<std::int64_t> bins;
  double least = 0;
  std::vector<std::uint32_t> odd;
  bool operator==(const results&) const = default;
};

constexpr std::size_t many = 600;

void pause_if_told() {
  const int us = (*runs)[orders];
  if (us != 0) std::this_thread::sleep_for(std::chrono::microseconds(us));
}

struct all_of_them {
  explicit all_of_them(const std::filesystem::path& path, shard::job_options how)
      : job(path, std::move(how)), out(job.create<double>("out.npy", many)) {}

  shard::report map(const shard::options& how = {.grain = 7}) {
    return job.try_map(how, out, shard::reduce(total), shard::reduce(in_order), shard::reduce(bins),
                       shard::reduce(least), shard::reduce(odd), shard::value(3.0),
                       [](std::size_t i, shard::sum<double>::accumulator& all,
                          shard::ordered_sum<double>::accumulator& ordered, auto& count,
                          shard::minimum<double>::accumulator& low, auto& found, double scale) {
                         ++(*runs)[i];
                         pause_if_told();
                         const double x = scale * std::sin(static_cast<double>(i) * 1e3);
                         all += x;
                         ordered += x * 1e-3;
                         count(x);
                         low(x);
                         if (i % 5 == 3) found.push_back(static_cast<std::uint32_t>(i));
                         return x;
                       });
  }
  results take() {
    results all;
    all.out.assign(out.begin(), out.end());
    all.total = total.value();
    all.in_order = in_order.value();
    for (std::size_t k = 0; k < 16; ++k) all.bins.push_back(bins.at(k));
    all.least = least.value();
    const auto& items = odd.items();
    all.odd.assign(items.begin(), items.end());
    return all;
  }

  shard::job job;
  shard::buffer<double> out;
  shard::sum<double> total;
  shard::ordered_sum<double> in_order;
  decltype(shard::histogram{shard::axis::regular(16, -3.0, 3.0)}) bins{
      shard::axis::regular(16, -3.0, 3.0)};
  shard::minimum<double> least;
  shard::collect<std::uint32_t> odd;
};

class Jobs : public shard_test::starts {
 protected:
  void SetUp() override {
    starts::SetUp();
    runs = &seen_;
  }
  int runs_of_all(std::size_t n) const {
    int sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += seen_[i];
    return sum;
  }

  // kill -9 of all processes of a start, in no order.
  void kill_all(pid_t caller) const {
    while (true) {
      const auto living = relatives().living();
      for (const auto& each : living) ::kill(each.pid, SIGKILL);
      if (living.empty()) break;
    }
    status_of(caller);
  }

  void kill_again_and_again(bool reuse_workers, shard::executor where);
  void go_on_with_several_maps(bool reuse_workers);
};

const shard::job_options quick{.checkpoint = shard::seconds{}, .maps = {.workers = 3}};

TEST_F(Jobs, GiveWhatAMapGives) {
  all_of_them one(place_, quick);
  const shard::report done = one.map();
  EXPECT_TRUE(done.complete()) << done;
  EXPECT_EQ(done.counts().carried_over, 0U);
  const results got = one.take();

  for (std::size_t i = 0; i < many; ++i) {
    EXPECT_EQ(got.out[i], 3.0 * std::sin(static_cast<double>(i) * 1e3));
  }
  EXPECT_EQ(got.odd.size(), many / 5);
  EXPECT_TRUE(std::filesystem::exists(place_ / "out.npy"));
  EXPECT_FALSE(std::filesystem::exists(place_ / "out.npy.part"));
}

TEST_F(Jobs, ThatAreCompleteAreNotRunAgain) {
  results first;
  {
    all_of_them one(place_, quick);
    EXPECT_TRUE(one.map().complete());
    first = one.take();
  }
  const int before = runs_of_all(many);
  all_of_them again(place_, quick);
  const shard::report told = again.map();
  EXPECT_TRUE(told.complete());
  EXPECT_EQ(told.counts().carried_over, told.counts().chunks);
  EXPECT_EQ(told.indices(), many);
  EXPECT_EQ(again.take(), first);
  EXPECT_EQ(runs_of_all(many), before);
}

void Jobs::kill_again_and_again(bool reuse_workers, shard::executor where) {
  results expected;
  {
    all_of_them one(here_ / "undisturbed", quick);
    EXPECT_TRUE(one.map().complete());
    expected = one.take();
  }
  for (std::size_t i = 0; i < many; ++i) seen_[i] = 0;
  std::mt19937 random(7);
  seen_[orders] = 300;
  int begun = 0;
  for (int status = 1; status != 0;) {
    ASSERT_LT(++begun, 200);
    const pid_t caller = start([&] {
      all_of_them one(place_,
                      {.checkpoint = shard::seconds{},
                       .reuse_workers = reuse_workers,
                       .maps = {.workers = 1 + static_cast<unsigned>(begun) % 4, .run_on = where}});
      return one.map().complete() && one.take() == expected;
    });
    const bool kills = begun <= 15;
    if (kills) {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
      kill_all(caller);
    } else {
      status = status_of(caller);
    }
  }
  EXPECT_EQ(begun, 16);
  // What was committed is not run again: each start loses what ran, and what was not published.
  EXPECT_LT(runs_of_all(many), 16 * static_cast<int>(many) / 2);
  all_of_them again(place_, quick);
  EXPECT_TRUE(again.map().complete());
  EXPECT_EQ(again.take(), expected);
}

TEST_F(Jobs, GoOnWhereTheyWereWhoeverIsKilledWhenever) {
  kill_again_and_again(false, shard::executor::processes);
}

TEST_F(Jobs, InAPoolGoOnWhereTheyWereWhoeverIsKilledWhenever) {
  kill_again_and_again(true, shard::executor::processes);
}

TEST_F(Jobs, InThreadsGoOnWhereTheyWereWheneverTheyAreKilled) {
  kill_again_and_again(false, shard::executor::threads);
}

// Workers that are spawned have nothing of the caller's.
TEST_F(Jobs, WhoseWorkersAreSpawnedGoOnWhereTheyWereToo) {
  constexpr std::size_t n = 400;
  const auto steps = [&](int us) {
    shard::job job(place_, {.checkpoint = shard::seconds{},
                            .maps = {.workers = 2, .grain = 4, .start = shard::start_by::spawn}});
    auto out = job.create<double>("out.npy", n);
    shard::sum<double> total;
    for (int map = 0; map < 2; ++map) {
      job.map(out, shard::reduce(total), shard::value(map), shard::value(us),
              [](std::size_t i, auto& all, int number, int us_to_wait) {
                std::this_thread::sleep_for(std::chrono::microseconds(us_to_wait));
                const double x = std::sqrt(static_cast<double>(i) + number);
                all += x;
                return x;
              });
    }
    shard::sum<double> expected;
    shard::map({.run_on = shard::executor::serial}, 2 * n, shard::reduce(expected),
               [](std::size_t k, auto& all) {
                 all += std::sqrt(static_cast<double>(k % 400) + (k < 400 ? 0 : 1));
               });
    for (std::size_t i = 0; i < n; ++i) {
      if (out[i] != std::sqrt(static_cast<double>(i) + 1)) return false;
    }
    return total.value() == expected.value();
  };
  std::mt19937 random(3);
  for (int k = 0; k < 6; ++k) {
    const pid_t caller = start([&] { return steps(500); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 100));
    kill_all(caller);
  }
  must_succeed([&] { return steps(500); });
}

TEST_F(Jobs, RunOnlyWhatIsNotCommittedAgain) {
  const auto steps = [&] {
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 1, .grain = 1}});
    auto out = job.create<double>("out.npy", 100);
    const shard::report told =
        job.map(100, shard::out(out), [](shard::range chunk, shard::slice<double> to) {
          const std::size_t i = chunk.first;
          if (i == 40 && (*runs)[i] == 0) {
            ++(*runs)[i];
            kill((*runs)[orders], SIGKILL);  // the caller: its family ends
            pause();
          }
          to[i] = square_root(i);
        });
    return told.counts().carried_over == 40;
  };
  const auto as_caller = [&] {
    seen_[orders] = getpid();
    return steps();
  };
  EXPECT_NE(status_of(start(as_caller)), 0);
  must_succeed(as_caller);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(seen_[i], i == 40 ? 2 : 1) << i;
}

// ---- Indices that fail ----

TEST_F(Jobs, TryFailedIndicesAgainOnceAndCountNothingTwice) {
  results expected;
  {
    all_of_them one(here_ / "undisturbed", quick);
    EXPECT_TRUE(one.map().complete());
    expected = one.take();
  }
  const auto steps = [&](shard::executor where) {
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 2}});
    auto out = job.create<double>("out.npy", 100);
    shard::sum<double> total;
    shard::ordered_sum<double> ordered;
    shard::counter calls;
    const shard::report told =
        job.try_map({.grain = 10, .retries = 0, .keep_going = true, .run_on = where}, out,
                    shard::reduce(total), shard::reduce(ordered), shard::reduce(calls),
                    [](std::size_t i, auto& all, auto& in_order, auto& called) {
                      ++(*runs)[i];
                      if (i % 37 == 5 && (*runs)[orders] == 0) throw std::runtime_error("not yet");
                      all += 1.0 / static_cast<double>(i + 1);
                      in_order += 1.0 / static_cast<double>(i + 1);
                      ++called;
                      return static_cast<double>(i);
                    });
    return std::tuple(told, total.value(), ordered.value(), calls.value());
  };
  for (const auto where :
       {shard::executor::processes, shard::executor::threads, shard::executor::serial}) {
    std::filesystem::remove_all(place_);
    seen_[orders] = 0;
    for (int k = 0; k < 2; ++k) {
      const auto [told, total, ordered, calls] = steps(where);
      EXPECT_EQ(told.failures().size(), 6U);  // each chunk, and each index
      EXPECT_EQ(shard_test::family().living().size(), 0U);
      EXPECT_EQ(calls, 97U);
      EXPECT_EQ(told.counts().carried_over, k == 0 ? 0U : 7U);
    }
    seen_[orders] = 1;
    for (std::size_t i = 0; i < 100; ++i) seen_[i] = 0;
    const auto [told, total, ordered, calls] = steps(where);
    EXPECT_TRUE(told.complete()) << told;
    EXPECT_EQ(calls, 100U);
    EXPECT_EQ(runs_of_all(100), 30) << "the three chunks that had failed";
    double in_order = 0;
    std::array<double, 10> partials{};
    for (std::size_t i = 0; i < 100; ++i) partials[i / 10] += 1.0 / static_cast<double>(i + 1);
    for (const double each : partials) in_order += each;
    EXPECT_EQ(ordered, in_order);
  }
}

TEST_F(Jobs, BeginNoMapBehindOneThatHasLostIndices) {
  shard::job job(place_, quick);
  auto out = job.create<double>("out.npy", 10);
  auto more = job.create<double>("more.npy", 10);
  const shard::report told = job.try_map({.retries = 0}, out, [](std::size_t i) -> double {
    if (i == 3) throw std::runtime_error("no");
    return 1;
  });
  EXPECT_FALSE(told.complete());
  EXPECT_TRUE(std::filesystem::exists(place_ / "out.npy.part"));
  EXPECT_TRUE(mentions(refusal([&] { job.map(more, square_root); }),
                       {"begin map 2", "map 1 is not complete", "start the program again"}));
}

TEST_F(Jobs, ChangedInPlaceComeBackFirst) {
  const auto steps = [&] {
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 2, .grain = 5}});
    auto x = job.create<double>("x.npy", 50);
    job.map(x, [](std::size_t i) { return static_cast<double>(i); });
    job.map(50, shard::inout(x), [](std::size_t i, shard::slice<double> row) {
      row[i] += 1000;
      if (i == 27 && (*runs)[i]++ < 2) {
        kill((*runs)[orders], SIGKILL);
        pause();
      }
    });
    for (std::size_t i = 0; i < 50; ++i) {
      if (x[i] != static_cast<double>(i) + 1000) return false;
    }
    return true;
  };
  const auto as_caller = [&] {
    seen_[orders] = getpid();
    return steps();
  };
  EXPECT_NE(status_of(start(as_caller)), 0);
  EXPECT_NE(status_of(start(as_caller)), 0);
  must_succeed(as_caller);
}

TEST_F(Jobs, ChangedInPlaceRefuseToTryFailedIndicesAgain) {
  const auto steps = [&] {
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 2, .grain = 5}});
    auto x = job.create<double>("x.npy", 50);
    job.map(x, [](std::size_t i) { return static_cast<double>(i); });
    return job.try_map({.retries = 0, .keep_going = true}, 50, shard::inout(x),
                       [](std::size_t i, shard::slice<double> row) {
                         if (i == 27) throw std::runtime_error("no");
                         row[i] += 1000;
                       });
  };
  EXPECT_FALSE(steps().complete());
  EXPECT_TRUE(mentions(refusal([&] { static_cast<void>(steps()); }),
                       {"chunk 5", "has given up indices", "start over"}));
  shard::job job(place_, quick);
}

TEST_F(Jobs, GiveUpAChunkThatTakesEverythingDownAgainAndAgain) {
  const auto steps = [&] {
    seen_[orders] = getpid();
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 2, .grain = 5}});
    auto out = job.create<double>("out.npy", 100);
    const shard::report told = job.try_map({.keep_going = true}, out, [](std::size_t i) {
      if (i == 12) {
        kill((*runs)[orders], SIGKILL);
        pause();
      }
      return square_root(i);
    });
    return told.failed().size() == 1 && told.failed()[0] == shard::range{10, 15} &&
           told.failures().size() == 1 && told.not_tried().empty() &&
           told.failures()[0].what.find("everything was killed while it ran, in 4 starts") !=
               std::string::npos;
  };
  for (int k = 0; k < 4; ++k) {
    EXPECT_NE(status_of(start(steps)), 0);
    // Twice among the others, then behind them.
    if (k == 2) {
      EXPECT_EQ(seen_[99], 1);
    }
  }
  must_succeed(steps);
  for (std::size_t i = 0; i < 100; ++i) {
    if (i < 10 || i >= 15) {
      EXPECT_EQ(seen_[i], 1) << i;
    }
  }
}

TEST_F(Jobs, TryAChunkThatTookEverythingDownAgainBehindTheOthers) {
  const auto steps = [&](bool kills) {
    seen_[orders] = kills ? getpid() : 0;
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 2, .grain = 5}});
    auto out = job.create<double>("out.npy", 40);
    return job
        .try_map({.keep_going = true}, out,
                 [](std::size_t i) {
                   if (i == 12 && (*runs)[orders] != 0) {
                     kill((*runs)[orders], SIGKILL);
                     pause();
                   }
                   return square_root(i);
                 })
        .complete();
  };
  for (int k = 0; k < 4; ++k) EXPECT_NE(status_of(start([&] { return steps(true); })), 0);
  EXPECT_FALSE(steps(true)) << "it is given up, once";
  EXPECT_TRUE(steps(false));
}

TEST_F(Jobs, BlameNoChunkForWhatTheProgramEnds) {
  for (int k = 0; k < 6; ++k) {
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 2, .grain = 5}});
    auto out = job.create<double>("out.npy", 40);
    seen_[orders] = k < 5 ? 1 : 0;
    const shard::options how{.on_progress = [&](const shard::progress&) {
      if (seen_[orders] != 0 && seen_[12] > k) throw std::runtime_error("enough");
    }};
    const auto map = [&] {
      return job.try_map(how, out, [](std::size_t i) {
        const double root = square_root(i);
        if (i == 12 && (*runs)[orders] != 0) std::this_thread::sleep_for(1h);
        return root;
      });
    };
    if (k < 5) {
      EXPECT_THROW(static_cast<void>(map()), std::runtime_error);
    } else {
      EXPECT_TRUE(map().complete());
    }
  }
}

// Who replaces a worker in a pool is forked by a supervisor that has the board already; and the
// standby's workers by one that has it from its predecessor.
TEST_F(Jobs, InAPoolOutliveTheirWorkersAndSupervisors) {
  shard::job job(place_, {.checkpoint = shard::seconds{},
                          .reuse_workers = true,
                          .maps = {.workers = 3, .retries = 2}});
  auto out = job.create<double>("out.npy", 60);
  for (int map = 0; map < 3; ++map) {
    for (std::size_t i = 0; i < 60; ++i) seen_[i] = 0;
    const shard::report told =
        job.map({.grain = 2}, out, shard::value(map), [](std::size_t i, int number) {
          if (i % 20 == 7 && (*runs)[i]++ == 0) std::abort();
          if (i == 31 && (*runs)[i]++ == 0) {
            std::this_thread::sleep_for(5ms);  // until there is a standby
            kill(getppid(), SIGKILL);
            pause();
          }
          std::this_thread::sleep_for(200us);
          return static_cast<double>(i) + number;
        });
    EXPECT_TRUE(told.complete()) << told;
    EXPECT_GE(told.counts().deaths, 1U);
    for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(out[i], static_cast<double>(i) + map);
  }
}

TEST_F(Jobs, LeaveReportsAndTheFailuresOfAllStarts) {
  const auto lines = [&] {
    std::ifstream file(place_ / "failures.jsonl");
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  const auto steps = [&](bool dies) {
    seen_[orders] = dies ? getpid() : 0;
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 1, .grain = 1}});
    auto out = job.create<double>("out.npy", 20);
    static_cast<void>(job.try_map({.retries = 0, .keep_going = true}, out, [](std::size_t i) {
      if (i == 3) throw std::runtime_error("no");
      if (i == 9 && (*runs)[orders] != 0) {
        kill((*runs)[orders], SIGKILL);
        pause();
      }
      return square_root(i);
    }));
    return true;
  };
  EXPECT_NE(status_of(start([&] { return steps(true); })), 0);
  EXPECT_EQ(lines(), 0);
  steps(false);
  EXPECT_EQ(lines(), 2) << "of the start that was killed, and of this one";
  for (const char* const name : {"report.json", "report.html", "chunks.tsv", "trace.pftrace"}) {
    EXPECT_GT(std::filesystem::file_size(place_ / name), 0U) << name;
  }
}

TEST_F(Jobs, AreOfTheProcessThatHasOpenedThem) {
  shard::job job(place_, quick);
  auto out = job.create<double>("out.npy", 10);
  must_succeed([&] {
    return mentions(refusal([&] { job.map(out, square_root); }), {"forked by process"}) &&
           mentions(refusal([&] { job.create<double>("b.npy", 10); }), {"forked by process"});
  });
  job.map(out, square_root);
}

// ---- What a map is ----

class Identity : public Jobs {
 protected:
  struct facts {
    std::size_t first = 0;
    double value = 2;
    std::size_t grain = 5;
    const char* input = "x.npy";
    bool other_kernel = false;
    bool other_reducer = false;
  };
  void SetUp() override {
    Jobs::SetUp();
    for (const char* const name : {"x.npy", "y.npy"}) {
      auto x = shard::create<double>(here_ / name, 100);
      for (std::size_t i = 0; i < 100; ++i) x[i] = static_cast<double>(i) * (*name == 'x' ? 1 : 2);
      x.finish();
    }
  }
  void run(const facts& what, shard::on_change changed = shard::on_change::refuse) const {
    shard::job job(place_,
                   {.changed = changed, .checkpoint = shard::seconds{}, .maps = {.workers = 2}});
    auto out = job.create<double>("out.npy", 50);
    const auto x = shard::open<double>(here_ / what.input);
    shard::histogram bins{shard::axis::regular(what.other_reducer ? 4 : 5, 0.0, 1.0)};
    const auto kernel = [](std::size_t i, shard::view<double> from, auto& count, double by,
                           shard::slice<double> to) {
      count(0.5);
      to[i] = from[i] * by;
    };
    const auto other = [](std::size_t i, shard::view<double> from, auto& count, double by,
                          shard::slice<double> to) {
      count(0.25);
      to[i] = from[i] + by;
    };
    const shard::options how{.grain = what.grain};
    if (what.other_kernel) {
      job.map(how, shard::range{what.first, 50}, shard::in(x), shard::reduce(bins),
              shard::value(what.value), shard::out(out), other);
    } else {
      job.map(how, shard::range{what.first, 50}, shard::in(x), shard::reduce(bins),
              shard::value(what.value), shard::out(out), kernel);
    }
  }
};

TEST_F(Identity, NamesWhatDiffers) {
  run({});
  run({});
  EXPECT_TRUE(mentions(refusal([&] { run({.first = 1}); }),
                       {"plan has changed", "[0, 50) then", "[1, 50) now", "start_over"}));
  EXPECT_TRUE(mentions(
      refusal([&] { run({.value = 3}); }),
      {"argument 3 has changed", "0000000000000040 then", "0000000000000840 now", "keep"}));
  EXPECT_TRUE(mentions(refusal([&] { run({.grain = 6}); }), {"plan has changed", "9 chunks"}));
  EXPECT_TRUE(mentions(refusal([&] { run({.input = "y.npy"}); }), {"input 1", "y.npy"}));
  EXPECT_TRUE(mentions(refusal([&] { run({.other_kernel = true}); }), {"kernel has changed"}));
  EXPECT_TRUE(
      mentions(refusal([&] { run({.other_reducer = true}); }), {"argument 2 has other contents"}));
  run({});
}

TEST_F(Identity, OfAFileIsItsContent) {
  run({});
  // Another file, of another time, with the same content.
  std::filesystem::copy_file(here_ / "x.npy", here_ / "copy.npy");
  std::filesystem::rename(here_ / "copy.npy", here_ / "x.npy");
  run({});
  auto x = shard::open_writable<double>(here_ / "x.npy");
  x[7] = -1;
  x.close();
  std::filesystem::last_write_time(here_ / "x.npy", std::filesystem::file_time_type::clock::now());
  EXPECT_TRUE(
      mentions(refusal([&] { run({}); }), {"input 1", "x.npy", "has other contents", "100 rows"}));
}

TEST_F(Identity, IsStartedOverOrKeptAsTold) {
  run({});
  run({.value = 3}, shard::on_change::keep);
  EXPECT_EQ(shard::open<double>(place_ / "out.npy")[10], 20.0) << "what was achieved is kept";
  run({.value = 4}, shard::on_change::start_over);
  EXPECT_EQ(shard::open<double>(place_ / "out.npy")[10], 40.0);
  run({.value = 4});
  EXPECT_TRUE(mentions(refusal([&] { run({.first = 1}, shard::on_change::keep); }),
                       {"plan has changed", "start_over"}));
}

TEST_F(Identity, OfAnOutputThatIsAnotherFileIsNamed) {
  const auto steps = [&](bool fails) {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", 10);
    return job.try_map({.retries = 0}, out, shard::value(1),
                       [](std::size_t i, int) -> double {
                         if (i == 3 && (*runs)[orders] == 0) throw std::runtime_error("no");
                         return 1;
                       })
               .complete() == !fails;
  };
  EXPECT_TRUE(steps(true));
  std::filesystem::remove(place_ / "out.npy.part");
  EXPECT_TRUE(mentions(refusal([&] { steps(true); }), {"its outputs are other files"}));
}

TEST_F(Identity, OfAFileIsNotItsPlace) {
  run({});
  std::filesystem::create_directories(here_ / "other");
  std::filesystem::rename(here_ / "x.npy", here_ / "other" / "x.npy");
  run({.input = "other/x.npy"});
}

TEST_F(Identity, OfAStructIsItsValues) {
  struct padded {
    char letter;
    double number;
  };
  for (const int filling : {0x11, 0x77}) {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", 4);
    shard::buffer<padded> in(4);
    for (std::size_t i = 0; i < 4; ++i) {
      std::memset(static_cast<void*>(&in[i]), filling, sizeof(padded));
      in[i].letter = 'a';
      in[i].number = 2;
    }
    padded one;
    std::memset(static_cast<void*>(&one), filling, sizeof one);
    one.letter = 'b';
    one.number = 3;
    const shard::report told =
        job.map(out, shard::in(in), shard::value(one),
                [](std::size_t i, shard::view<padded> from, const padded& also) {
                  return from[i].number + also.number;
                });
    EXPECT_EQ(told.counts().carried_over, filling == 0x11 ? 0U : 4U);
  }
}

TEST_F(Identity, OfOtherStatesCannotBeKept) {
  const auto steps = [&](int bins, shard::on_change changed) {
    shard::job job(place_, {.changed = changed, .checkpoint = shard::seconds{}});
    auto out = job.create<double>("out.npy", 10);
    shard::histogram count{shard::axis::regular(bins, 0.0, 10.0)};
    job.map(out, shard::reduce(count), [](std::size_t i, auto& in) {
      in(static_cast<double>(i));
      return 1.0;
    });
  };
  steps(100, shard::on_change::refuse);
  EXPECT_TRUE(mentions(refusal([&] { steps(200, shard::on_change::keep); }),
                       {"states of reducers has changed", "start_over"}));
  steps(200, shard::on_change::start_over);
}

// Maps that read what later ones overwrite.
TEST_F(Jobs, StartOverOnlyWhereInputsAreLeft) {
  const auto steps = [&](double by, shard::on_change changed, bool apart) {
    shard::job job(place_, {.changed = changed, .checkpoint = shard::seconds{}});
    auto a = job.create<double>("a.npy", 10);
    auto b = job.create<double>("b.npy", 10);
    auto c = job.create<double>("c.npy", 10);
    const auto plus = [](std::size_t i, shard::view<double> from, double more) {
      return from[i] + more;
    };
    job.map(a, [](std::size_t i) { return static_cast<double>(i); });
    job.map(b, shard::in(a), shard::value(by), plus);
    job.map(apart ? c : a, shard::in(b), shard::value(1.0), plus);
    return apart ? c[3] : a[3];
  };
  EXPECT_EQ(steps(1, shard::on_change::refuse, false), 5.0);
  EXPECT_EQ(steps(1, shard::on_change::refuse, false), 5.0);
  EXPECT_TRUE(mentions(refusal([&] { steps(2, shard::on_change::start_over, false); }),
                       {"start over from map 2", "map 3 has changed a.npy"}));
  std::filesystem::remove_all(place_);
  EXPECT_EQ(steps(1, shard::on_change::refuse, true), 5.0);
  EXPECT_EQ(steps(2, shard::on_change::start_over, true), 6.0);
}

// A file that a map reads before any has written it: later maps of the last start have.
TEST_F(Jobs, ReadWhatTheyHaveCreatedBeforeAnyMapHasWrittenIt) {
  for (int k = 0; k < 3; ++k) {
    shard::job job(place_, quick);
    auto a = job.create<double>("a.npy", 10);
    auto b = job.create<double>("b.npy", 10);
    for (int step = 0; step < 4; ++step) {
      job.map(b, shard::in(a), [](std::size_t i, shard::view<double> from) { return from[i] + 1; });
      std::swap(a, b);
    }
    EXPECT_EQ(a[5], 4.0);
  }
}

// Another boot, as far as a process can tell: the system's number is another one.
TEST_F(Jobs, ChangedInPlaceAreNotBegunAnewAfterAnotherBoot) {
  const auto steps = [&](bool dies) {
    seen_[orders] = dies ? getpid() : 0;
    shard::job job(place_, {.checkpoint = shard::seconds{}, .maps = {.workers = 1, .grain = 5}});
    auto x = job.create<double>("x.npy", 50);
    job.map(50, shard::inout(x), [](std::size_t i, shard::slice<double> row) {
      row[i] += 1;
      if (i == 27 && (*runs)[orders] != 0) {
        kill((*runs)[orders], SIGKILL);
        pause();
      }
    });
    return true;
  };
  EXPECT_NE(status_of(start([&] { return steps(true); })), 0);
  const std::filesystem::path other = here_ / "boot_id";
  std::ofstream(other) << "another boot\n";
  const bool possible = shard_test::with_own_mounts([&] {
    if (mount(other.c_str(), "/proc/sys/kernel/random/boot_id", nullptr, MS_BIND, nullptr) != 0) {
      return false;
    }
    for (int k = 0; k < 3; ++k) {
      EXPECT_TRUE(mentions(refusal([&] { steps(false); }), {"its machine has gone down"}));
    }
    return true;
  });
  must_succeed([&] { return steps(false); });
  if (!possible) GTEST_SKIP() << "this machine lets nobody mount";
}

// Without checkpoints nothing of a map that was under way is believed after another boot; nor of
// one that is complete.
TEST_F(Jobs, WithoutCheckpointsBeginAnewAfterAnotherBoot) {
  const auto steps = [&] {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", 10);
    return job.map(out, square_root).counts().carried_over;
  };
  EXPECT_EQ(steps(), 0U);
  const std::filesystem::path other = here_ / "boot_id";
  std::ofstream(other) << "another boot\n";
  const bool possible = shard_test::with_own_mounts([&] {
    if (mount(other.c_str(), "/proc/sys/kernel/random/boot_id", nullptr, MS_BIND, nullptr) != 0) {
      return false;
    }
    EXPECT_EQ(steps(), 0U);
    EXPECT_EQ(steps(), 10U);
    return true;
  });
  if (!possible) GTEST_SKIP() << "this machine lets nobody mount";
}

// ---- Several maps ----

void Jobs::go_on_with_several_maps(bool reuse_workers) {
  constexpr std::size_t n = 200;
  const auto steps = [&](int die_at) {
    seen_[orders] = getpid();
    seen_[orders + 1] = die_at;
    shard::job job(place_, {.checkpoint = shard::seconds{},
                            .reuse_workers = reuse_workers,
                            .maps = {.workers = 2, .grain = 10}});
    auto a = job.create<double>("a.npy", n);
    auto b = job.create<double>("b.npy", n);
    job.map(a, [](std::size_t i) { return static_cast<double>(i % 17); });
    for (int step = 0; step < 6; ++step) {
      job.map(b, shard::in(a), shard::value(step),
              [](std::size_t i, shard::view<double> from, int now) {
                if (now == (*runs)[orders + 1] && i == 100) {
                  kill((*runs)[orders], SIGKILL);
                  pause();
                }
                const double left = from[i == 0 ? from.size() - 1 : i - 1];
                return 0.5 * left + 0.25 * from[i] + now;
              });
      std::swap(a, b);
    }
    std::vector<double> x(n);
    std::vector<double> y(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<double>(i % 17);
    for (int step = 0; step < 6; ++step) {
      for (std::size_t i = 0; i < n; ++i)
        y[i] = 0.5 * x[i == 0 ? n - 1 : i - 1] + 0.25 * x[i] + step;
      std::swap(x, y);
    }
    return std::equal(x.begin(), x.end(), a.begin());
  };
  for (const int die_at : {0, 3, 3, 5}) {
    EXPECT_NE(status_of(start([&] { return steps(die_at); })), 0);
  }
  must_succeed([&] { return steps(-1); });
  must_succeed([&] { return steps(-1); });
  EXPECT_TRUE(std::filesystem::exists(place_ / "a.npy"));
  EXPECT_TRUE(std::filesystem::exists(place_ / "b.npy"));
}

TEST_F(Jobs, OfSeveralMapsGoOnWithTheFirstThatIsNotComplete) { go_on_with_several_maps(false); }

TEST_F(Jobs, OfSeveralMapsInAPoolGoOnWithTheFirstThatIsNotComplete) {
  go_on_with_several_maps(true);
}

TEST_F(Jobs, KeepTheProgramFromChangingWhatAMapHasWritten) {
  must_succeed([&] {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", 10);
    out[3] = 1;
    job.map(out, square_root);
    signal(SIGSEGV, [](int) { _exit(0); });
    out[3] = 1;
    return false;
  });
}

// ---- Folders ----

TEST_F(Jobs, AreOfOneProcessAtATime) {
  int told[2];
  ASSERT_EQ(pipe(told), 0);
  const pid_t other = start([&] {
    shard::job job(place_, quick);
    static_cast<void>(!write(told[1], "x", 1));
    pause();
    return true;
  });
  char x = 0;
  ASSERT_EQ(read(told[0], &x, 1), 1);
  EXPECT_TRUE(mentions(refusal([&] { shard::job job(place_, quick); }),
                       {"in use by process", std::to_string(other).c_str(), "expected nobody"}));
  kill(other, SIGKILL);
  { shard::job job(place_, quick); }
  status_of(other);
  close(told[0]);
  close(told[1]);
}

TEST_F(Jobs, AreKnownFromTheirCopies) {
  const std::filesystem::path copy = here_ / "copy";
  {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", 10);
    job.map(out, square_root);
  }
  std::filesystem::copy(place_, copy, std::filesystem::copy_options::recursive);
  EXPECT_TRUE(
      mentions(refusal([&] { shard::job job(copy, quick); }), {"a copy of another folder"}));
  std::filesystem::rename(place_, here_ / "moved");
  shard::job job(here_ / "moved", quick);
  auto out = job.create<double>("out.npy", 10);
  EXPECT_EQ(job.map(out, square_root).counts().carried_over, 10U);
}

TEST_F(Jobs, TakeNoFilesButTheirOwn) {
  std::filesystem::create_directories(place_);
  std::ofstream(place_ / "out.npy") << "mine";
  shard::job job(place_, quick);
  EXPECT_TRUE(mentions(refusal([&] { job.create<double>("out.npy", 10); }),
                       {"out.npy, which this job has not made"}));
  for (const char* const name : {"", "a/b.npy", ".hidden"}) {
    EXPECT_TRUE(mentions(refusal([&] { job.create<double>(name, 10); }), {"the name of a file"}));
  }
  auto a = job.create<double>("a.npy", 10);
  EXPECT_TRUE(mentions(refusal([&] { job.create<double>("a.npy", 10); }), {"another name"}));
  shard::buffer<double> other(10);
  EXPECT_TRUE(mentions(refusal([&] { job.map(other, square_root); }),
                       {"the output memory", "one that the job has created"}));
}

TEST_F(Jobs, WithOtherShapesAreRefused) {
  {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", 10);
  }
  shard::job job(place_, quick);
  EXPECT_TRUE(
      mentions(refusal([&] { job.create<double>("out.npy", 11); }), {"shape (10)", "shape (11)"}));
  EXPECT_TRUE(mentions(refusal([&] { job.create<float>("out.npy", 10); }), {"out.npy.part", "f8"}));
}

TEST_F(Jobs, OnAFullDiskEndBeforeTheyBegin) {
  const std::filesystem::path at = here_ / "disk";
  std::filesystem::create_directories(at);
  const bool possible = shard_test::with_own_mounts([&] {
    if (!shard_test::mount_tmpfs(at, "size=4m")) return false;
    shard::job job(at / "results", quick);
    auto out = job.create<double>("out.npy", 1000);
    EXPECT_TRUE(mentions(refusal([&] { job.map(out, square_root); }),
                         {"reserve", "bytes for a map", "No space left"}));
    EXPECT_FALSE(std::filesystem::exists(at / "results" / "out.npy"));
    return true;
  });
  if (!possible) GTEST_SKIP() << "this machine lets nobody mount";
}

// What a power cut leaves of a file is no file. What somebody has changed is an error.
TEST_F(Jobs, WhoseNotesAreSpoiltSaySo) {
  const auto contents = [](const std::filesystem::path& of) {
    std::ifstream file(of);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  const auto complete = [&] {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", 10);
    return job.map(out, square_root).counts().carried_over == 10;
  };
  EXPECT_FALSE(complete());
  EXPECT_TRUE(complete());
  for (const char* const name : {"1.map.json", "job.json"}) {
    const std::filesystem::path note = place_ / ".shard" / name;
    const std::string good = contents(note);
    std::string changed = good;
    changed[changed.find("version")] = 'V';
    std::ofstream(note) << changed;
    EXPECT_TRUE(mentions(refusal([&] { complete(); }), {name, "somebody has changed it"}));
    std::ofstream(note) << good;
    EXPECT_TRUE(complete());
  }
  const std::filesystem::path note = place_ / ".shard" / "1.map.json";
  const std::string good = contents(note);
  for (const std::string& left :
       {std::string(), good.substr(0, good.size() / 2), good.substr(0, good.size() - 3),
        std::string(good.size(), '\0'), good.substr(0, 20) + std::string(good.size() - 20, '\0')}) {
    std::ofstream(note) << left;
    EXPECT_FALSE(complete()) << "it is not known what the map was";
    EXPECT_TRUE(complete());
  }
}

// ---- Checkpoints, as far as they show without a power cut ----

TEST_F(Jobs, WithCheckpointsRefuseToChangeInPlace) {
  shard::job job(place_);
  auto x = job.create<double>("x.npy", 50);
  EXPECT_TRUE(mentions(refusal([&] {
                         job.map(50, shard::inout(x),
                                 [](std::size_t i, shard::slice<double> row) { row[i] += 1; });
                       }),
                       {"x.npy", "inout()", "checkpoint = 0"}));
}

TEST_F(Jobs, WithCheckpointsGiveTheSame) {
  results expected;
  {
    all_of_them one(here_ / "undisturbed", quick);
    EXPECT_TRUE(one.map().complete());
    expected = one.take();
  }
  seen_[orders] = 300;
  const pid_t caller = start([&] {
    all_of_them one(place_, {.checkpoint = 1ms, .maps = {.workers = 2}});
    return one.map().complete() && one.take() == expected;
  });
  std::this_thread::sleep_for(20ms);
  kill_all(caller);
  must_succeed([&] {
    all_of_them one(place_, {.checkpoint = 1ms, .maps = {.workers = 3}});
    return one.map().complete() && one.take() == expected;
  });
}

}  // namespace
