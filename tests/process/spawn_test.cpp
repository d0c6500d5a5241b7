// Workers that are no forks: what they share with their caller and what not, from which callers
// they can be started, and what is said where they can't be. That their results are those of any
// pool, whatever dies, is shown by the tests of pools, which run with them, too.

#include "shard/spawn.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <oneapi/tbb/parallel_for.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/process.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "process/leftovers.hpp"
#include "process/printed.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

namespace fs = std::filesystem;

using shard::start_by;
using shard_test::refusal;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class Spawn : public shard_test::leaves_nothing {};

shard::options spawned(unsigned workers = 2) {
  return {.workers = workers, .start = start_by::spawn};
}

using text = shard::text<256>;

// What one worker says.
template <class Kernel>
std::string told(shard::pool& by, Kernel kernel) {
  shard::buffer<text> said(1);
  by.map(said, kernel);
  return std::string(said[0]);
}

// ---- Results, without a pool. Those of pools are in pool_test.cpp. ----

TEST_F(Spawn, GivesWhatForksGive) {
  shard::buffer<double> x(10'000), forked(10'000), fresh(10'000);
  std::iota(x.begin(), x.end(), 1.0);
  const auto kernel = [](std::size_t i, shard::view<double> from,
                         shard::ordered_sum<double>::accumulator& all, const double& factor) {
    all += from[i];
    return factor * from[i];
  };
  for (const unsigned workers : {1u, 2u, 8u}) {
    shard::ordered_sum<double> a, b;
    shard::map({.workers = workers, .start = start_by::fork}, forked, shard::in(x),
               shard::reduce(a), shard::value(3.0), kernel);
    const shard::report how = shard::map(spawned(workers), fresh, shard::in(x), shard::reduce(b),
                                         shard::value(3.0), kernel);
    EXPECT_TRUE(how.complete());
    EXPECT_TRUE(std::equal(forked.begin(), forked.end(), fresh.begin()));
    EXPECT_EQ(a.value(), b.value());
  }
}

TEST_F(Spawn, GivesARunThatGoesOnByItself) {
  shard::buffer<int> out(1000);
  shard::run run = shard::start(spawned(), out, [](std::size_t i) { return static_cast<int>(i); });
  EXPECT_TRUE(run.wait().complete());
  EXPECT_EQ(out[999], 999);
}

TEST_F(Spawn, StartsNoMoreWorkersThanThereAreChunks) {
  shard::buffer<int> out(3);
  shard::run run = shard::start(spawned(8), out, [](std::size_t) {
    for (;;) ::pause();
    return 0;
  });
  EXPECT_TRUE(shard_test::eventually([&] { return run.workers().size() == 3; }));
  EXPECT_TRUE(shard_test::eventually([&] {
    return std::ranges::count_if(relatives().living(), [](const auto& one) {
             return one.name.starts_with("shard wk");
           }) == 3;
  }));
  run.cancel();
}

TEST_F(Spawn, TakesNoKernelThatCaptures) {
  shard::buffer<int> out(3);
  int captured = 3;
  EXPECT_EQ(
      refusal([&] { shard::map(spawned(), out, [captured](std::size_t) { return captured; }); }),
      "cannot start workers by spawn for this map: found a kernel that captures variables, or "
      "an argument that holds pointers, expected a kernel that captures nothing and gets what "
      "it needs as parameters, in value(x), in(buffer), out(buffer); or start_by::fork");
}

// ---- What workers have of the caller ----

int global = 1;

TEST_F(Spawn, SeesVariablesAsTheyAreAtTheBeginning) {
  global = 2;
  shard::pool workers(spawned());
  EXPECT_EQ(told(workers, [](std::size_t) { return text(std::to_string(global)); }), "1");
  global = 1;
}

TEST_F(Spawn, HasTheEnvironmentAndTheFolderOfItsCallerUnlessTold) {
  const shard_test::folder elsewhere;
  ::setenv("SPAWN_TEST", "the caller's", 1);
  ::setenv("SPAWN_TEST_LESS", "there", 1);
  const auto says = [](std::size_t) {
    const auto variable = [](const char* name) {
      const char* const value = std::getenv(name);
      return std::string(value == nullptr ? "none" : value);
    };
    return text(variable("SPAWN_TEST") + ", " + variable("SPAWN_TEST_LESS") + ", " +
                variable("SPAWN_TEST_MORE") + ", " + fs::current_path().string());
  };
  shard::options how = spawned();
  {
    shard::pool workers(how);
    EXPECT_EQ(told(workers, says), "the caller's, there, none, " + fs::current_path().string());
  }
  how.environment = {{"SPAWN_TEST", "other = another"},
                     {"SPAWN_TEST_LESS", std::nullopt},
                     {"SPAWN_TEST_MORE", ""}};
  how.working_directory = elsewhere / "";
  shard::pool workers(how);
  EXPECT_EQ(told(workers, says),
            "other = another, none, , " + fs::canonical(elsewhere / "").string());
  ::unsetenv("SPAWN_TEST");
  ::unsetenv("SPAWN_TEST_LESS");
}

TEST_F(Spawn, RefusesAnEnvironmentThatCannotBe) {
  shard::options how = spawned();
  how.environment = {{"A=B", "1"}};
  EXPECT_EQ(refusal([&] { shard::pool workers(how); }),
            "cannot use the option environment: found 'A=B', expected the name of a variable");
  how = spawned();
  how.working_directory = "/nowhere";
  EXPECT_THAT(refusal([&] { shard::pool workers(how); }),
              StartsWith("cannot start workers in /nowhere: found 'No such file or directory'"));
  how = {.start = start_by::fork, .environment = {{"A", "1"}}};
  EXPECT_EQ(refusal([&] { shard::pool workers(how); }),
            "cannot use the option environment: found workers that start by fork, expected "
            "start_by::spawn");
  shard::buffer<int> out(1);
  how = {.start = start_by::fork, .working_directory = "/"};
  EXPECT_EQ(refusal([&] { shard::map(how, out, [](std::size_t) { return 1; }); }),
            "cannot use the option working_directory: found workers that start by fork, expected "
            "start_by::spawn");
}

TEST_F(Spawn, HasNoDescriptorOfItsCaller) {
  const fs::path left_open = "/dev/zero";
  const int open = ::open(left_open.c_str(), O_RDONLY);  // and not close-on-exec
  const int low = ::fcntl(open, F_DUPFD, 3);
  const int high = ::fcntl(open, F_DUPFD, 200);
  shard::pool workers(spawned());
  EXPECT_EQ(told(workers,
                 [](std::size_t) {
                   std::string found;
                   std::error_code gone;
                   for (const auto& each : fs::directory_iterator("/proc/self/fd")) {
                     if (fs::read_symlink(each, gone) == "/dev/zero")
                       found += each.path().filename().string();
                   }
                   return text(found);
                 }),
            "");
  for (const int each : {open, low, high}) ::close(each);
}

TEST_F(Spawn, HasTheSignalsThatItsCallerHasBlocked) {
  sigset_t some, before;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &some, &before);
  shard::pool workers(spawned());
  EXPECT_EQ(told(workers,
                 [](std::size_t) {
                   sigset_t found;
                   pthread_sigmask(SIG_SETMASK, nullptr, &found);
                   std::string blocked;
                   for (int each = 1; each < 32; ++each) {
                     if (sigismember(&found, each) == 1) blocked += std::to_string(each) + " ";
                   }
                   return text(blocked);
                 }),
            std::to_string(SIGUSR2) + " ");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(Spawn, MaySpawnFromAKernel) {
  shard::pool workers(spawned(1));
  EXPECT_EQ(told(workers,
                 [](std::size_t) {
                   shard::buffer<int> squares(20);
                   shard::pool more(spawned(1));
                   more.map(squares, [](std::size_t i) { return static_cast<int>(i * i); });
                   return text(std::to_string(squares[19]));
                 }),
            "361");
}

// Those run inline, and so may capture.
TEST_F(Spawn, LeavesMapsInKernelsAsTheyAre) {
  ::setenv("SHARD_START", "spawn", 1);
  shard::buffer<int> out(4);
  shard::map({.workers = 2}, out, [](std::size_t i) {
    shard::buffer<int> inner(10);
    shard::map(inner, [i](std::size_t k) { return static_cast<int>(i * k); });
    return inner[9];
  });
  ::unsetenv("SHARD_START");
  EXPECT_THAT(std::vector<int>(out.begin(), out.end()), ElementsAre(0, 9, 18, 27));
}

TEST_F(Spawn, GivesRoomBackLikeAnyPool) {
  shard::pool workers(spawned());
  for (int round = 0; round < 50; ++round) {
    shard::buffer<double> out(1 << 16);
    workers.map(out, [](std::size_t i) { return static_cast<double>(i); });
    ASSERT_EQ(out[100], 100.0);
  }
}

// ---- Callers with threads, and large ones ----

// Its threads take and give back memory all the time, as any program's do.
class busy {
 public:
  busy() {
    for (std::thread& each : threads_) {
      each = std::thread([this] {
        while (!over_) {
          std::vector<std::unique_ptr<std::string>> some;
          for (int k = 0; k < 100; ++k) some.push_back(std::make_unique<std::string>(100, 'x'));
        }
      });
    }
  }
  ~busy() {
    over_ = true;
    for (std::thread& each : threads_) each.join();
  }

 private:
  std::atomic<bool> over_ = false;
  std::array<std::thread, 2> threads_;
};

double work_in_threads() {
  std::vector<double> some(10'000);
  oneapi::tbb::parallel_for(std::size_t{0}, some.size(),
                            [&](std::size_t i) { some[i] = static_cast<double>(i); });
#ifdef _OPENMP
#pragma omp parallel for
  for (std::size_t i = 0; i < some.size(); ++i) some[i] += 1;
#endif
  return some.back();
}

// In a child: its threads live on, and what is forked here later could not be.
TEST_F(Spawn, WorksForACallerWithThreads) {
  EXPECT_TRUE(shard_test::holds_in_a_child([] {
    const double there = work_in_threads();
    const busy others;
    shard::buffer<double> out(100);
    bool right = true;
    for (int round = 0; round < 30; ++round) {
      shard::map(spawned(), out, [](std::size_t i) {
        const std::string takes_memory(100 + i, 'x');
        return static_cast<double>(takes_memory.size());
      });
      right = right && out[99] == 199.0 && work_in_threads() == there;
    }
    shard::pool workers(spawned());
    for (int round = 0; round < 1000; ++round) {
      workers.map(out, shard::value(round), [](std::size_t i, const int& k) {
        const std::string takes_memory(100 + i, 'x');
        return static_cast<double>(takes_memory.size()) + k;
      });
      right = right && out[99] == 199.0 + round;
      if (round % 10 == 0) right = right && work_in_threads() == there;
    }
    return right;
  }));
}

TEST_F(Spawn, WorksInAKernelThatHasThreadsOfItsOwn) {
  shard::pool workers(spawned());
  const std::string there =
      told(workers, [](std::size_t) { return text(std::to_string(work_in_threads())); });
  EXPECT_TRUE(
      shard_test::holds_in_a_child([&] { return there == std::to_string(work_in_threads()); }));
}

TEST_F(Spawn, WorksForACallerOfFourGiB) {
  constexpr std::size_t bytes = std::size_t{4} << 30;
  void* const heap = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (heap == MAP_FAILED) GTEST_SKIP() << "no address space for it";
  // A page of each 2 MiB: they have page tables of their own.
  for (std::size_t k = 0; k < bytes; k += std::size_t{2} << 20) static_cast<char*>(heap)[k] = 1;
  shard::buffer<int> out(100);
  shard::map(spawned(), out, [](std::size_t i) { return static_cast<int>(i); });
  EXPECT_EQ(out[99], 99);
  ::munmap(heap, bytes);
}

// ---- Programs ----

struct outcome {
  int status = 0;
  std::string text;
};

std::string path_of(const std::string& program) {
  return std::string(SPAWNING_PROGRAMS) + "/" + program;
}

template <class... Arguments>
outcome run_at(const std::string& path, const Arguments&... arguments) {
  namespace process = boost::process;
  process::ipstream out;
  process::child child(path, std::string(arguments)..., process::std_out > out);
  outcome found;
  found.text.assign(std::istreambuf_iterator<char>(out), {});
  child.wait();
  found.status = child.exit_code();
  return found;
}

template <class... Arguments>
outcome run(const std::string& program, const Arguments&... arguments) {
  return run_at(path_of(program), arguments...);
}

TEST_F(Spawn, FindsKernelsHoweverTheProgramIsLinked) {
  for (const char* const program :
       {"spawning_by_default", "spawning_pie", "spawning_not_pie", "spawning_stripped"}) {
    SCOPED_TRACE(program);
    const outcome found = run(program, "map");
    EXPECT_EQ(found.text, "9801\n");
    EXPECT_EQ(found.status, 0);
  }
}

TEST_F(Spawn, RefusesAProgramWithoutABuildId) {
  EXPECT_EQ(run("spawning_without_id", "map").text,
            "cannot start workers by spawn: found a program without a build id, expected one (link "
            "with -Wl,--build-id)\n");
}

// With every limit below the one that is enough.
TEST_F(Spawn, TellsWhichLimitOfDescriptorsIsTooLow) {
  outcome found;
  int limit = 4;
  for (; limit < 256 && found.text != "9801\n"; ++limit) {
    SCOPED_TRACE(limit);
    found = run_at(
        "/bin/sh", "-c",
        "ulimit -n " + std::to_string(limit) + "; exec " + path_of("spawning_by_default") + " map");
    constexpr int cannot_be_loaded = 127;
    if (found.status != 0 && found.status != cannot_be_loaded) {
      ASSERT_THAT(found.text, testing::EndsWith("(ulimit -n)\n"));
    }
  }
  EXPECT_GT(limit, 10);
  EXPECT_EQ(found.text, "9801\n");
}

TEST_F(Spawn, TellsAProgramThatForgetsInit) {
  EXPECT_EQ(run("spawning_by_default", "forget_always").text,
            "cannot start workers by spawn: found that shard::init was not called, expected "
            "shard::init(argc, argv) at the beginning of main\n");
}

// The one that is started goes on as if nobody had asked it for anything: it must start no more.
TEST_F(Spawn, TellsAProgramThatForgetsInitInItsWorkersOnly) {
  const outcome found = run("spawning_by_default", "forget");
  EXPECT_THAT(found.text,
              HasSubstr("cannot start workers by spawn: found a program that was itself started to "
                        "be a supervisor and did not get as far as shard::init"));
  EXPECT_THAT(found.text, HasSubstr("the program that was started as a supervisor ended with exit "
                                    "status 1 before it called shard::init"));
}

TEST_F(Spawn, TellsOfAProgramThatEndsBeforeInit) {
  const outcome found = run("spawning_by_default", "exit");
  EXPECT_EQ(found.status, 1);
  EXPECT_THAT(found.text, HasSubstr("ended with exit status 7 before it called shard::init"));
}

TEST_F(Spawn, StartsAgainWhereItIsKilledBeforeInit) {
  const shard_test::folder here;
  const std::string once = here / "once";
  std::ofstream(once).put('x');
  const outcome found = run("spawning_by_default", "die", once);
  EXPECT_EQ(found.text, "9801\n");
  EXPECT_FALSE(fs::exists(once));
}

TEST_F(Spawn, NeedsNotToHearHowItHasEnded) {
  const shard_test::folder here;
  const std::string once = here / "once";
  std::ofstream(once).put('x');
  EXPECT_EQ(run("spawning_by_default", "die_unheard", once).text, "9801\n");
  EXPECT_FALSE(fs::exists(once));
  EXPECT_THAT(run("spawning_by_default", "exit_unheard").text,
              HasSubstr("as a supervisor ended before it called shard::init"));
}

TEST_F(Spawn, GivesUpARunForWhichNobodyComes) {
  EXPECT_EQ(run("spawning_by_default", "give_up").text, "given up\n");
}

TEST_F(Spawn, StopsARunForWhichNobodyComes) {
  for (const char* const how : {"by_token", "queued", "started"}) {
    SCOPED_TRACE(how);
    EXPECT_EQ(run("spawning_by_default", "stop", how).text,
              "0 completed; the run was stopped on request\n");
  }
  EXPECT_EQ(run("spawning_by_default", "stop", "by_signal").text,
            "0 completed; the run was stopped by signal 2 (SIGINT)\n");
}

TEST_F(Spawn, TakesNoLetterForItsOwnThatItHasWritten) {
  const shard_test::folder here;
  const std::string once = here / "once";
  std::ofstream(once).put('x');
  const outcome found = run("spawning_by_default", "own_letter", once);
  EXPECT_EQ(found.text, "9801\n9801\n");
  EXPECT_FALSE(fs::exists(once));
}

TEST_F(Spawn, MayBeStartedByManyThreadsAtOnce) {
  const auto map_some = [] {
    for (int round = 0; round < 20; ++round) {
      shard::buffer<int> out(10);
      EXPECT_NO_THROW(
          shard::map(spawned(1), out, [](std::size_t i) { return static_cast<int>(i); }));
      EXPECT_EQ(out[9], 9);
    }
  };
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; ++k) threads.emplace_back(map_some);
  for (std::thread& each : threads) each.join();
}

TEST_F(Spawn, FindsKernelsInLibrariesThatWereLoadedMeanwhile) {
  const outcome found = run("spawning_by_default", "library", SPAWNED_KERNELS);
  EXPECT_EQ(found.text, "18 \n18 \n");
}

TEST_F(Spawn, RefusesAnotherBuildOfALibrary) {
  const shard_test::folder here;
  const std::string library = here / "lib.so";
  const std::string other = here / "other.so";
  fs::copy_file(SPAWNED_KERNELS, library);
  fs::copy_file(OTHER_SPAWNED_KERNELS, other);
  const outcome found = run("spawning_by_default", "library", library, other);
  EXPECT_THAT(found.text, HasSubstr("cannot run a function here: found build "));
  EXPECT_THAT(found.text,
              HasSubstr(" of " + fs::canonical(library).string() + ", expected build "));
  EXPECT_THAT(found.text, HasSubstr(", which the caller runs"));
}

}  // namespace
