// A job whose machine fails, or whose processes are all killed, before any call that changes its
// folder: the next start gives what an undisturbed one gives. Some points are tried, or as many as
// POWER_CUTS says: a number, or "all". POWER_SEED chooses others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "power/machine.hpp"

namespace {

using namespace shard_test::power;
namespace fs = std::filesystem;

const luck all_is_lost{luck::of::none, luck::of::none, 0, {}};
const luck live_area_is_left{luck::of::none, luck::of::all, 0, ".live"};

std::string setting(const char* name, const char* otherwise) {
  const char* const given = std::getenv(name);
  return given != nullptr ? given : otherwise;
}

// The lines of what a start prints.
struct printed {
  struct map_line {
    int map = 0, chunks = 0, carried = 0, ran = 0;
  };

  std::string results;
  std::vector<map_line> maps;

  explicit printed(const std::string& output) {
    std::istringstream text(output);
    for (std::string line; std::getline(text, line);) {
      map_line one;
      if (line.starts_with("result ")) {
        results += line + "\n";
      } else if (std::sscanf(line.c_str(), "map %d chunks %d carried %d ran %d", &one.map,
                             &one.chunks, &one.carried, &one.ran) == 4) {
        maps.push_back(one);
      }
    }
  }
};

std::string told(const machine::outcome& of) {
  return of.cut ? "cut before point " + of.last_point : "not cut: " + of.output;
}

// A machine with a job of so many maps, and what the job prints if nothing happens to it.
class job_machine {
 public:
  explicit job_machine(int maps)
      : maps_(maps),
        program_{"/proc/self/exe", "--gtest_filter=JobProgram.*", "--", "{}/results",
                 std::to_string(maps)} {
    const machine::outcome outcome = run();
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    expected_ = printed(outcome.output).results;
    points_ = outcome.points;
    EXPECT_FALSE(expected_.empty());
    reset();
  }
  job_machine(const job_machine&) = delete;
  job_machine& operator=(const job_machine&) = delete;
  ~job_machine() { fs::remove_all(home_); }

  std::uint64_t points() const { return points_; }
  const std::string& expected() const { return expected_; }
  void reset() { machine_.reset(); }
  void fail_sync(std::uint64_t number) { machine_.fail_sync(number); }
  void lose_power(const luck& luck) {
    machine_.lose_power(luck);
    expect_names_to_be_true(text_of(luck));
  }

  // Patiently: there are checkpoints on the way, whatever the load of the machine.
  machine::outcome run(const machine::point& cut = {}) {
    std::vector<std::string> program = program_;
    program.push_back("patiently");
    const machine::outcome outcome = machine_.run(program, cut);
    expect_names_to_be_true(outcome.last_point);
    return outcome;
  }

  // The last start: it comes to its end. Returns its maps.
  std::vector<printed::map_line> expect_the_same(const std::string& after) {
    const machine::outcome last = machine_.run(program_);
    const printed found(last.output);
    EXPECT_EQ(last.status, 0) << after << "\n" << last.output;
    EXPECT_EQ(found.results, expected_) << after << "\n" << last.output;
    EXPECT_EQ(found.maps.size(), static_cast<std::size_t>(maps_)) << after;
    for (const printed::map_line& map : found.maps) {
      // Nothing that was carried over is run again.
      EXPECT_EQ(map.carried + map.ran, map.chunks) << after << "\n" << last.output;
    }
    return found.maps;
  }

 private:
  // A file that has its final name is complete, and a note says so.
  void expect_names_to_be_true(const std::string& after) const {
    const fs::path results = machine_.disk() / "results";
    for (const auto& [name, note] :
         {std::pair{"root.npy", "1.done"}, {"scaled.npy", "2.done"}, {"whole.npy", "2.done"}}) {
      EXPECT_TRUE(!fs::exists(results / name) || fs::exists(results / ".shard" / note))
          << name << " after " << after;
    }
  }

  int maps_;
  std::vector<std::string> program_;  // job_program_test.cpp
  fs::path home_ = fs::path(testing::TempDir()) / ("job_power_cut_" + std::to_string(::getpid()));
  machine machine_ = (fs::create_directories(home_), machine(home_));
  std::string expected_;
  std::uint64_t points_ = 0;
};

// ---- Any point
// ----------------------------------------------------------------------------------------

class JobPowerCut : public testing::TestWithParam<int> {
 protected:
  std::vector<std::uint64_t> cuts(std::size_t usually) {
    const std::string wanted = setting("POWER_CUTS", "");
    std::vector<std::uint64_t> all(job_.points());
    for (std::uint64_t k = 0; k < all.size(); ++k) all[k] = k + 1;
    if (wanted == "all") return all;
    std::shuffle(all.begin(), all.end(), random_);
    all.resize(std::min(all.size(), wanted.empty() ? usually : std::stoul(wanted)));
    return all;
  }
  std::uint64_t any_point() { return 1 + random_() % job_.points(); }
  void expect_the_same(const std::string& after) {
    for (const printed::map_line& map : job_.expect_the_same(after)) carried_ += map.carried;
  }

  job_machine job_{GetParam()};
  std::mt19937 random_{static_cast<std::uint32_t>(std::stoul(setting("POWER_SEED", "1")))};
  int carried_ = 0;  // chunks, in all last starts
};

TEST_P(JobPowerCut, GivesTheSameBytesAfterTheDiskHasLostWhatWasNotSynced) {
  for (const std::uint64_t cut : cuts(6)) {
    for (const luck& luck : every_luck(2, static_cast<std::uint32_t>(random_()))) {
      job_.reset();
      std::string after = told(job_.run({.at = cut})) + "; " + text_of(luck);
      job_.lose_power(luck);
      if (random_() % 3 == 0) {  // and once more
        after += "\nthen " + told(job_.run({.at = any_point()}));
        const auto again = every_luck(2, static_cast<std::uint32_t>(random_()));
        const auto& other = again[random_() % again.size()];
        job_.lose_power(other);
        after += "; " + text_of(other);
      }
      expect_the_same(after);
      if (HasFailure()) return;
    }
  }
  std::cout << job_.points() << " points; " << carried_ << " chunks were carried over\n";
}

TEST_P(JobPowerCut, GoesOnWhereItWasIfAllAreKilled) {
  for (const std::uint64_t cut : cuts(20)) {
    job_.reset();
    std::string after = "killed: " + told(job_.run({.at = cut}));
    if (random_() % 3 == 0) after += "\nthen: " + told(job_.run({.at = any_point()}));
    expect_the_same(after);
    if (HasFailure()) return;
  }
  EXPECT_GT(carried_, 0);
}

INSTANTIATE_TEST_SUITE_P(Maps, JobPowerCut, testing::Values(1, 2));

// ---- What docs/jobs.md has in its table of deaths
// -----------------------------------------------------------

class JobCut : public testing::Test {
 protected:
  using maps = std::vector<printed::map_line>;

  // Of a new job. On a machine with much else to do, it may have too few checkpoints to come there.
  machine::outcome cut_at(const machine::point& cut) {
    machine::outcome outcome;
    for (int attempt = 0; attempt < 10 && !outcome.cut; ++attempt) {
      job_.reset();
      outcome = job_.run(cut);
    }
    EXPECT_TRUE(outcome.cut) << outcome.output;
    return outcome;
  }

  // All are killed there; the next start is given to `check`.
  template <class Check>
  void if_killed(const machine::point& cut, Check check) {
    const machine::outcome first = cut_at(cut);
    check(job_.expect_the_same(told(first)));
  }
  // The power fails there, with luck of all kinds.
  template <class Check>
  void if_power_fails(const machine::point& cut, Check check) {
    std::vector<luck> kinds = every_luck(2, 7);
    kinds.push_back(live_area_is_left);
    for (const luck& luck : kinds) {
      const machine::outcome first = cut_at(cut);
      job_.lose_power(luck);
      check(job_.expect_the_same(told(first) + "; " + text_of(luck)));
      if (HasFailure()) return;
    }
  }
  template <class Check>
  void whatever_ends_it(const machine::point& cut, Check check) {
    if_killed(cut, check);
    if_power_fails(cut, check);
  }

  static void first_alone_is_complete(const maps& of) {
    EXPECT_EQ(of.at(0).ran, 0);
    EXPECT_EQ(of.at(1).carried, 0);
  }
  static void nothing_is_run(const maps& of) {
    for (const printed::map_line& map : of) EXPECT_EQ(map.ran, 0) << "map " << map.map;
  }
  static void some_are_run(const maps& of) {
    EXPECT_GT(of.at(0).carried, 0);
    EXPECT_GT(of.at(0).ran, 0);
    EXPECT_EQ(of.at(1).carried, 0);
  }
  static void any(const maps&) {}

  job_machine job_{2};
};

TEST_F(JobCut, BeforeAMapIsKnownBeginsIt) {
  whatever_ends_it({.call = "rename", .path = "/2.map.json"}, first_alone_is_complete);
}

TEST_F(JobCut, BeforeALiveAreaBeginsTheMap) {
  whatever_ends_it({.call = "rename", .path = "/2.live"}, first_alone_is_complete);
}

// The second record: by then some chunks are committed, and a record of fewer is on the disk.
const machine::point in_the_second_record{.call = "pwrite", .path = "/1.log", .number = 2};

TEST_F(JobCut, WhileALiveAreaIsRebuiltRebuildsItAgain) {
  for (const bool in_same_boot : {true, false}) {
    std::string after = told(cut_at(in_the_second_record));
    after += "\nthen " + told(job_.run({.call = "rename", .path = "/1.live"}));
    if (!in_same_boot) job_.lose_power(all_is_lost);
    some_are_run(job_.expect_the_same(after));
  }
}

TEST_F(JobCut, InARunGoesOnFromTheLiveAreaOrTheLastRecord) {
  const machine::point in_the_run{.call = "fdatasync", .path = "/1.spill.0", .number = 2};
  if_killed(in_the_run, any);  // the mark says that a sync was begun: from the record
  if_power_fails(in_the_run, some_are_run);
}

TEST_F(JobCut, WhileARecordIsWrittenGoesOnFromTheOtherOne) {
  whatever_ends_it(in_the_second_record, some_are_run);
  whatever_ends_it({.call = "fdatasync", .path = "/1.log", .number = 2}, some_are_run);
}

TEST_F(JobCut, WhileAMapIsNotedAsCompleteRunsNothingOrWhatIsLost) {
  if_killed({.call = "rename", .path = "/1.done"}, [](const maps& of) {
    EXPECT_EQ(of.at(0).ran, 0);
    EXPECT_EQ(of.at(1).carried, 0);
  });
  if_power_fails({.call = "rename", .path = "/1.done"}, any);
}

TEST_F(JobCut, BetweenTheNoteAndTheNamesRunsNothing) {
  whatever_ends_it({.call = "rename", .path = "/scaled.npy"}, nothing_is_run);
}

TEST_F(JobCut, BetweenTwoNamesGivesTheOther) {
  whatever_ends_it({.call = "rename", .path = "/whole.npy"}, nothing_is_run);
}

TEST_F(JobCut, AfterTheNamesRunsNothing) {
  whatever_ends_it({.call = "unlink", .path = "/2.live"}, nothing_is_run);
  whatever_ends_it({.call = "unlink", .path = "/2.log"}, nothing_is_run);
}

// Whoever has renamed the note may have died before its folder was synced. A start that finds the
// note gives the names, and then the power fails.
TEST_F(JobCut, OfAStartThatFindsACompleteMapKeepsItsNote) {
  for (const luck& luck : every_luck(2, 11)) {
    std::string after = told(cut_at({.call = "rename", .path = "/2.done", .later = 1}));
    after += "\nthen " + told(job_.run({.call = "unlink", .path = "/2.live"}));
    job_.lose_power(luck);
    nothing_is_run(job_.expect_the_same(after + "; " + text_of(luck)));
  }
}

// Whoever has written the newest record may have died before it was on the disk. A start that finds
// it writes the next one over the other place, and then the power fails.
TEST_F(JobCut, OfAStartThatFindsARecordKeepsTheOneThatIsOnTheDisk) {
  // Of the place that is written over, some pages reach the disk.
  for (std::uint32_t seed = 0; seed < 4; ++seed) {
    const luck luck{luck::of::some, luck::of::all, seed, {}};
    machine::outcome first;
    machine::outcome second;
    for (int attempt = 0; attempt < 10 && !second.cut; ++attempt) {
      first = cut_at({.call = "fdatasync", .path = "/1.log", .number = 2});
      second = job_.run({.call = "fdatasync", .path = "/1.log"});
    }
    EXPECT_TRUE(second.cut) << second.output;
    const std::string after = told(first) + "\nthen " + told(second) + "; " + text_of(luck);
    job_.lose_power(luck);
    const maps found = job_.expect_the_same(after);
    EXPECT_GT(found.at(0).carried, 0) << after;
  }
}

TEST_F(JobCut, BelievesNothingOfAFileWhoseSyncHasFailed) {
  int refusals = 0;
  for (std::uint64_t number = 1; number <= 14; ++number) {
    job_.reset();
    job_.fail_sync(number);
    const machine::outcome first = job_.run();
    const std::string after = "sync " + std::to_string(number) + " failed: " + first.output;
    if (first.status != 0) {
      EXPECT_THAT(first.output, testing::HasSubstr("error cannot")) << after;
      ++refusals;
    } else {
      EXPECT_EQ(printed(first.output).results, job_.expected()) << after;
    }
    const bool in_same_boot = number % 2 == 0;
    if (!in_same_boot) job_.lose_power(all_is_lost);
    static_cast<void>(job_.expect_the_same(after));
    if (HasFailure()) return;
  }
  EXPECT_GT(refusals, 0);
}

}  // namespace
