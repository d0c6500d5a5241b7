// Where the time and the memory of a map went, as its report says. The oracle is what kernels do on
// purpose: they burn a known processor time, take a known amount of memory, and die when told. No
// test asserts how long anything takes at most.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard::chunk_record;
using shard::executor;
using shard::report;
using shard::seconds;
using shard::worker_resources;
using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;

using Resources = shard_test::leaves_nothing;

constexpr executor everywhere[]{executor::processes, executor::threads, executor::serial};

seconds processor_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return seconds(double(now.tv_sec) + 1e-9 * double(now.tv_nsec));
}

// Burns so much processor time of the thread.
void burn(seconds much) {
  const seconds end = processor_time() + much;
  while (processor_time() < end) {
  }
}

constexpr seconds a_little = 2ms;
// The system counts processor time by microseconds, and each of two readings is cut.
constexpr seconds inexact = 10us;

template <class Space, class Kernel>
report try_each(const shard::options& how, Space space, Kernel kernel) try {
  return shard::for_each(how, space, kernel);
} catch (const shard::map_error& e) {
  return e.result();
}

seconds used_by_all(const report& of) {
  seconds sum{};
  for (const worker_resources& one : of.resources().workers) sum += one.user_time + one.system_time;
  return sum;
}

std::size_t chunks_of_all(const report& of) {
  std::size_t sum = 0;
  for (const worker_resources& one : of.resources().workers) sum += one.chunks;
  return sum;
}

// What holds in any report, however the map went.
void expect_sound(const report& of) {
  const shard::run_resources& used = of.resources();
  if (used.workers.empty()) return;
  EXPECT_NEAR(used.starting + used.working + used.publishing + used.waiting, 1, 1e-9);
  for (const worker_resources& one : used.workers) {
    EXPECT_LE(one.began, one.ended);
    EXPECT_LE(one.ended, of.elapsed());
    const seconds all = one.began + one.working + one.publishing + one.waiting;
    EXPECT_NEAR(all.count(), of.elapsed().count(), 1e-9) << "worker " << one.worker;
    EXPECT_GE(one.waiting, seconds(0));
  }
  // Of one worker's chunks each ends before the next one begins.
  std::map<unsigned, std::vector<const chunk_record*>> by_worker;
  for (const chunk_record& one : of.chunks()) {
    EXPECT_GE(one.start, seconds(0));
    EXPECT_LE(one.start + one.duration, of.elapsed());
    by_worker[one.worker].push_back(&one);
  }
  for (auto& [worker, all] : by_worker) {
    std::ranges::sort(all, {}, [](const chunk_record* one) { return one->start; });
    for (std::size_t k = 1; k < all.size(); ++k) {
      EXPECT_LE(all[k - 1]->start + all[k - 1]->duration, all[k]->start + seconds(1ns));
    }
  }
}

void expect_all_recorded(const report& of) {
  ASSERT_EQ(of.chunks().size(), of.counts().chunks);
  for (std::size_t k = 0; k < of.chunks().size(); ++k) EXPECT_EQ(of.chunks()[k].chunk, k);
}

TEST_F(Resources, AddUpToWhatKernelsBurn) {
  for (const executor where : everywhere) {
    const report run =
        shard::for_each({.workers = 3, .grain = 2, .run_on = where, .record_chunks = true}, 40,
                        [](std::size_t) { burn(a_little); });
    expect_sound(run);
    expect_all_recorded(run);
    EXPECT_GE(used_by_all(run), 40 * a_little - 3 * inexact);
    EXPECT_EQ(chunks_of_all(run), 20u);
    seconds worked{};
    std::map<unsigned, seconds> by_worker;
    for (const chunk_record& one : run.chunks()) {
      EXPECT_GE(one.duration, 2 * a_little - inexact);
      EXPECT_EQ(one.attempt, 1u);
      EXPECT_EQ(one.cause, "");
      EXPECT_EQ(one.indices, (shard::range{2 * one.chunk, 2 * one.chunk + 2}));
      by_worker[one.worker] += one.duration;
      worked += one.duration;
    }
    for (const worker_resources& one : run.resources().workers) {
      EXPECT_GE(one.working + seconds(1us), by_worker[one.worker]) << "worker " << one.worker;
    }
    ASSERT_TRUE(run.resources().slowest);
    const seconds slowest = run.resources().slowest->duration;
    EXPECT_GE(slowest, run.resources().median_chunk);
    for (const chunk_record& one : run.chunks()) EXPECT_LE(one.duration, slowest);
    EXPECT_GE(worked, 40 * a_little - 20 * inexact);
  }
}

// How busy a worker was, times the length of the parts, is how long its chunks took.
TEST_F(Resources, SayWhenEachWorkerWasBusy) {
  const report run = shard::for_each({.workers = 2, .grain = 1, .record_chunks = true}, 50,
                                     [](std::size_t) { burn(a_little); });
  std::map<unsigned, seconds> by_worker;
  for (const chunk_record& one : run.chunks()) by_worker[one.worker] += one.duration;
  for (const worker_resources& one : run.resources().workers) {
    ASSERT_THAT(one.busy, SizeIs(240));
    double sum = 0;
    for (const float part : one.busy) {
      EXPECT_GE(part, 0);
      EXPECT_LE(part, 1);
      sum += double{part};
    }
    EXPECT_NEAR(sum / 240 * run.elapsed().count(), by_worker[one.worker].count(),
                run.elapsed().count() * 1e-3);
  }
}

TEST_F(Resources, AreFewWithoutRecords) {
  for (const executor where : everywhere) {
    const report run = shard::for_each({.workers = 2, .grain = 1, .run_on = where}, 20,
                                       [](std::size_t) { burn(a_little); });
    expect_sound(run);
    EXPECT_FALSE(run.resources().recorded);
    EXPECT_THAT(run.chunks(), IsEmpty());
    EXPECT_FALSE(run.resources().slowest);
    EXPECT_EQ(chunks_of_all(run), 20u);
    EXPECT_EQ(run.resources().processes, where == executor::processes);
    for (const worker_resources& one : run.resources().workers) EXPECT_THAT(one.busy, IsEmpty());
    if (where == executor::processes) {
      EXPECT_GE(used_by_all(run), 20 * a_little - 2 * inexact);
    } else {
      EXPECT_EQ(used_by_all(run), seconds(0));
    }
  }
}

TEST_F(Resources, OfNothingAreNothing) {
  for (const executor where : everywhere) {
    const report run =
        shard::for_each({.run_on = where, .record_chunks = true}, 0, [](std::size_t) {});
    EXPECT_TRUE(run.complete());
    EXPECT_THAT(run.chunks(), IsEmpty());
    EXPECT_EQ(chunks_of_all(run), 0u);
    EXPECT_FALSE(run.html().empty());
  }
}

// ---- The dead

TEST_F(Resources, CountAttemptsOfWhoDies) {
  shard_test::tally deaths;
  const report run = shard::for_each(
      {.workers = 2, .grain = 1, .retries_kill = 5, .record_chunks = true}, 12, [&](std::size_t i) {
        burn(a_little);
        if (i == 3 && deaths[0]++ < 2) ::raise(SIGKILL);
      });
  expect_sound(run);
  expect_all_recorded(run);
  EXPECT_EQ(run.counts().deaths, 2u);
  EXPECT_GE(used_by_all(run), 14 * a_little - 5 * inexact) << "with those who died";
  EXPECT_EQ(run.chunks()[3].attempt, 3u);
  EXPECT_EQ(run.chunks()[3].cause, "");
  unsigned processes = 0;
  for (const worker_resources& one : run.resources().workers) processes += one.processes;
  EXPECT_EQ(processes, 4u);
  EXPECT_THAT(run.resources().replacements, SizeIs(2));
  for (const shard::replacement& one : run.resources().replacements) {
    EXPECT_LE(one.at, run.elapsed());
  }
  ASSERT_THAT(run.failures(), SizeIs(2));
  for (const shard::failure& one : run.failures()) {
    EXPECT_GT(one.at, seconds(0));
    EXPECT_LE(one.at, run.elapsed());
    EXPECT_LE(one.elapsed, one.at);
  }
}

TEST_F(Resources, SayWhyAChunkIsNotComplete) {
  for (const executor where : everywhere) {
    const report run = try_each(
        {.workers = 2, .grain = 4, .keep_going = true, .run_on = where, .record_chunks = true}, 40,
        [](std::size_t i) {
          if (i == 13) throw std::runtime_error("thirteen");
        });
    expect_sound(run);
    expect_all_recorded(run);
    for (const chunk_record& one : run.chunks()) {
      EXPECT_EQ(one.cause, one.chunk == 3 ? "exception" : "");
    }
    EXPECT_GT(run.chunks()[3].attempt, 1u);
  }
}

TEST_F(Resources, OfACrashAreAsTheSupervisorSawIt) {
  const report run =
      try_each({.workers = 1, .grain = 1, .retries = 0, .keep_going = true, .record_chunks = true},
               5, [](std::size_t i) {
                 burn(a_little);
                 if (i == 2) ::raise(SIGSEGV);
               });
  expect_sound(run);
  expect_all_recorded(run);
  EXPECT_EQ(run.chunks()[2].cause, "signal");
  EXPECT_GE(used_by_all(run), 5 * a_little - 3 * inexact);
}

// A run that ends early has no records of what nobody began.
TEST_F(Resources, HaveNoRecordsOfChunksThatNobodyBegan) {
  std::stop_source source;
  const report run = try_each({.workers = 1,
                               .grain = 1,
                               .run_on = executor::serial,
                               .record_chunks = true,
                               .stop = source.get_token()},
                              100, [&](std::size_t i) {
                                if (i == 9) source.request_stop();
                              });
  expect_sound(run);
  EXPECT_FALSE(run.complete());
  EXPECT_EQ(run.chunks().size(), run.completed()[0].size());
}

TEST_F(Resources, OutliveTheSupervisor) {
  shard_test::tally begun;
  shard_test::tally killed;
  const report run =
      shard::for_each({.workers = 2, .grain = 1, .record_chunks = true}, 30, [&](std::size_t) {
        burn(a_little);
        if (begun[0]++ == 10 && killed[0]++ == 0) {
          ::kill(::getppid(), SIGKILL);
          for (;;) ::pause();
        }
      });
  expect_sound(run);
  expect_all_recorded(run);
  EXPECT_LE(run.counts().takeovers, 1u);  // none, if it had no standby yet
  EXPECT_EQ(chunks_of_all(run), 30u);
}

// ---- Memory

constexpr std::size_t large = std::size_t{64} << 20;

// Private pages, given back at once.
void take_and_give_back(std::size_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  std::memset(memory, 1, bytes);
  ::munmap(memory, bytes);
}

std::size_t peak_of(const report& of) {
  std::size_t peak = 0;
  for (const worker_resources& one : of.resources().workers) {
    peak = std::max(peak, one.peak_private_bytes);
  }
  return peak;
}

TEST_F(Resources, HaveThePeakOfMemoryWithinAChunk) {
  for (const bool recorded : {false, true}) {
    const report run = shard::for_each({.workers = 1, .grain = 1, .record_chunks = recorded}, 3,
                                       [](std::size_t i) {
                                         if (i == 1) take_and_give_back(large);
                                       });
    EXPECT_GE(peak_of(run), large - (std::size_t{1} << 20));
    EXPECT_LE(peak_of(run), 2 * large);
  }
}

TEST_F(Resources, LeaveBuffersOutOfMemory) {
  shard::buffer<char> shared(large);
  const report run = shard::map({.workers = 1, .record_chunks = true}, shared,
                                [](std::size_t i) { return char(i); });
  if (shard_test::sanitized) return;
  EXPECT_LE(peak_of(run), large / 2);
}

TEST_F(Resources, OfAPoolsWorkersHaveTheirMemoryToo) {
  shard::pool workers({.workers = 1, .record_chunks = true});
  const report run = workers.for_each({.grain = 1}, 3, [](std::size_t i) {
    if (i == 1) take_and_give_back(large);
  });
  EXPECT_GE(peak_of(run), large - (std::size_t{1} << 20));
}

// ---- Pools

TEST_F(Resources, OfAPoolAreThoseOfOneRun) {
  shard::pool workers({.workers = 2, .record_chunks = true});
  const report first = workers.for_each({.grain = 1}, 40, [](std::size_t) { burn(5 * a_little); });
  const report second = workers.for_each({.grain = 1}, 10, [](std::size_t) { burn(a_little); });
  for (const report* const run : {&first, &second}) {
    expect_sound(*run);
    expect_all_recorded(*run);
  }
  EXPECT_GE(used_by_all(first), 40 * 5 * a_little - 4 * inexact);
  EXPECT_GE(used_by_all(second), 10 * a_little - 4 * inexact);
  EXPECT_LT(used_by_all(second), used_by_all(first));
  EXPECT_EQ(chunks_of_all(second), 10u);
}

// A pool's kernel captures nothing. Its workers are forks of this program.
std::atomic<int>* died = nullptr;

// The same memory serves many runs. What one has left must not be seen in the next.
TEST_F(Resources, OfAPoolForgetTheRunBefore) {
  shard::pool workers({.workers = 1, .record_chunks = true});
  for (int k = 0; k < 200; ++k) {
    const report run = workers.for_each({.grain = 1}, 7, [](std::size_t) {});
    expect_sound(run);
    expect_all_recorded(run);
    EXPECT_EQ(chunks_of_all(run), 7u);
    for (const worker_resources& one : run.resources().workers) EXPECT_EQ(one.processes, 1u);
  }
}

TEST_F(Resources, OfAPoolSumUpWhoDied) {
  const shard_test::tally deaths;
  died = &deaths[0];
  shard::pool workers({.workers = 2, .record_chunks = true});
  const report run = workers.for_each({.grain = 1}, 12, [](std::size_t i) {
    burn(a_little);
    if (i == 5 && (*died)++ == 0) ::raise(SIGKILL);
  });
  expect_sound(run);
  expect_all_recorded(run);
  EXPECT_EQ(chunks_of_all(run), 12u);
  unsigned processes = 0;
  for (const worker_resources& one : run.resources().workers) processes += one.processes;
  EXPECT_EQ(processes, 3u);
  EXPECT_THAT(run.resources().replacements, SizeIs(1));
}

// ---- Spaces

TEST_F(Resources, TellStridesAndEmptyParts) {
  const report strided = shard::for_each({.workers = 2, .record_chunks = true},
                                         shard::strided{{0, 100}, 10}, [](std::size_t) {});
  expect_all_recorded(strided);
  std::size_t indices = 0;
  for (const chunk_record& one : strided.chunks()) {
    EXPECT_EQ(one.stride, 10u);
    indices += (one.indices.size() + one.stride - 1) / one.stride;
  }
  EXPECT_EQ(indices, 100u);

  const std::vector<shard::range> parts{{0, 5}, {5, 5}, {5, 9}};
  const report listed = shard::for_each({.workers = 2, .record_chunks = true},
                                        shard::chunk_list{{0, 9}, parts}, [](shard::range) {});
  expect_all_recorded(listed);
  EXPECT_TRUE(listed.chunks()[1].indices.empty());
  EXPECT_EQ(listed.chunks()[2].indices, (shard::range{5, 9}));
}

// Kernels by index run in rows where nobody asks for records.
TEST_F(Resources, TimeEachChunkOfARow) {
  shard::buffer<double> out(100'000);
  const report run = shard::map({.workers = 2, .grain = 10, .record_chunks = true}, out,
                                [](std::size_t i) { return double(i); });
  expect_sound(run);
  expect_all_recorded(run);
  std::set<std::int64_t> starts;
  for (const chunk_record& one : run.chunks()) {
    starts.insert(std::llround(one.start.count() * 1e9));
  }
  EXPECT_GT(starts.size(), run.chunks().size() / 2) << "not those of batches";
}

TEST_F(Resources, OfAReplayAreTheCallers) {
  shard::counter none;
  const std::size_t before =
      shard::map(0, shard::reduce(none), [](std::size_t, auto&) {}).counts().map;
  setenv("SHARD_REPLAY", (std::to_string(before + 1) + ":4-6").c_str(), 1);
  const report run =
      try_each({.grain = 4, .record_chunks = true}, 40, [](std::size_t) { burn(a_little); });
  unsetenv("SHARD_REPLAY");
  expect_sound(run);
  EXPECT_GE(used_by_all(run), 2 * a_little - inexact);
  ASSERT_THAT(run.chunks(), SizeIs(1));
  EXPECT_EQ(run.chunks()[0].chunk, 1u);
  EXPECT_EQ(run.chunks()[0].indices, (shard::range{4, 6}));
  EXPECT_EQ(run.chunks()[0].cause, "replay");
}

// ---- Output

TEST_F(Resources, AreInTheJsonToo) {
  const report run = shard::for_each({.workers = 2, .grain = 1, .record_chunks = true}, 10,
                                     [](std::size_t) { burn(a_little); });
  const auto json = nlohmann::json::parse(run.json())["resources"];
  EXPECT_EQ(json["recorded"], true);
  EXPECT_EQ(json["slowest"]["chunk"], run.resources().slowest->chunk);
  ASSERT_EQ(json["workers"].size(), run.resources().workers.size());
  for (std::size_t k = 0; k < json["workers"].size(); ++k) {
    const worker_resources& one = run.resources().workers[k];
    EXPECT_EQ(json["workers"][k]["chunks"], one.chunks);
    EXPECT_EQ(json["workers"][k]["user_time"], one.user_time.count());
    EXPECT_EQ(json["workers"][k]["busy"].size(), one.busy.size());
  }
}

std::vector<std::vector<std::string>> table_in(const std::filesystem::path& file) {
  std::vector<std::vector<std::string>> lines;
  std::ifstream from(file);
  for (std::string line; std::getline(from, line);) {
    lines.emplace_back();
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, '\t');) lines.back().push_back(field);
  }
  return lines;
}

TEST_F(Resources, AreWrittenAsAListOfAttempts) {
  const shard_test::folder in;
  shard_test::tally deaths;
  const report run = try_each({.workers = 2, .grain = 2, .keep_going = true, .record_chunks = true},
                              20, [&](std::size_t i) {
                                if (i == 8 && deaths[0]++ < 1) ::raise(SIGKILL);
                                if (i == 15) throw std::runtime_error("fifteen");
                              });
  run.write_chunks(in / "chunks.tsv");
  const auto lines = table_in(in / "chunks.tsv");
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines[0],
            (std::vector<std::string>{"chunk", "first", "last", "worker", "attempt", "start",
                                      "seconds", "cause", "peak_private_bytes"}));
  std::map<std::size_t, std::vector<std::string>> causes;
  std::set<std::pair<std::string, std::string>> attempts;
  for (std::size_t k = 1; k < lines.size(); ++k) {
    ASSERT_THAT(lines[k], SizeIs(9)) << k;
    causes[std::stoul(lines[k][0])].push_back(lines[k][7]);
    EXPECT_TRUE(attempts.emplace(lines[k][0], lines[k][4]).second) << "each attempt once";
  }
  ASSERT_THAT(causes, SizeIs(10));
  EXPECT_EQ(causes[0], std::vector<std::string>{""});
  EXPECT_EQ(causes[4], (std::vector<std::string>{"killed", ""}));
  EXPECT_EQ(causes[7].front(), "exception");
  EXPECT_THAT(causes[7], Each("exception"));
}

}  // namespace
