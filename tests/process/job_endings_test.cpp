// What ends a job while it makes a checkpoint, other than kill -9: SIGTERM, to the program or to
// its whole group, and a disk that fails. Nothing is lost without a word, and nothing is left.

#include <errno.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "os/calls.hpp"
#include "process/starts.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;
using shard::os::calls;
using shard_test::content_of;
using shard_test::eventually;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

namespace fs = std::filesystem;

constexpr std::size_t n = 120;

// What all processes of a start count, and what they are told.
tally* seen = nullptr;
enum : std::size_t {
  caller,
  slow,         // kernels take their time
  started,      // kernels
  checkpoints,  // the checkpointer's calls that tests replace
  wanted,       // which of these is the moment
  moment,
  to_all,  // the signal goes to the group of the program
  late,    // it waits until all kernels are started
  sent,
  completed,  // indices, as the program was told
  syncs,      // of all processes
  failing,    // which of these fails; 0: none
  failing_checkpoint,
  struck
};
enum { before, in_the_middle, behind };

bool is_checkpointer() {
  std::array<char, 16> name{};
  prctl(PR_GET_NAME, name.data());
  return std::strcmp(name.data(), "shard-checkpt") == 0;
}

struct results {
  std::vector<double> out;
  double total = 0;
  double in_order = 0;
  bool operator==(const results&) const = default;
};

// Each kernel takes long enough for others to publish what is done.
double patient_root(std::size_t i) {
  ++(*seen)[started];
  if ((*seen)[slow] != 0) std::this_thread::sleep_for(1ms);
  return std::sqrt(static_cast<double>(i) + 0.1);
}

class JobEnding : public shard_test::starts {
 protected:
  void SetUp() override {
    starts::SetUp();
    seen = &seen_;
    {
      map_of_a_job one(here_ / "undisturbed");
      EXPECT_TRUE(one.map().complete());
      expected_ = one.take();
    }
    seen_[started] = 0;
  }

  struct map_of_a_job {
    explicit map_of_a_job(const fs::path& place)
        : job(place, {.checkpoint = 1ms, .maps = {.workers = 2, .grain = 1}}),
          out(job.create<double>("out.npy", n)) {}
    shard::report map() {
      return job.try_map(out, shard::reduce(total), shard::reduce(in_order),
                         [](std::size_t i, shard::sum<double>::accumulator& all,
                            shard::ordered_sum<double>::accumulator& ordered) {
                           const double x = patient_root(i);
                           wait_where_told(i);
                           all += x;
                           ordered += x * 1e-3;
                           return x;
                         });
    }
    results take() { return {{out.begin(), out.end()}, total.value(), in_order.value()}; }
    shard::job job;
    shard::buffer<double> out;
    shard::sum<double> total;
    shard::ordered_sum<double> in_order;
  };
  // The second half waits for the first checkpoint, and the last chunks for what is to happen in
  // one.
  static void wait_where_told(std::size_t i) {
    if ((*seen)[slow] == 0) return;
    const bool signals = (*seen)[wanted] != 0;
    const auto is_over = [] { return (*seen)[sent] != 0 || (*seen)[struck] != 0; };
    if (i >= n / 2 && (*seen)[late] == 0) {
      const int one = signals ? calls_of_a_checkpoint : syncs_of_a_checkpoint;
      static_cast<void>(eventually([&] { return (*seen)[checkpoints] >= one || is_over(); }));
    }
    const bool is_to_happen = signals || (*seen)[failing_checkpoint] != 0;
    if (i >= n - 2 && is_to_happen) static_cast<void>(eventually(is_over));
  }
  // It syncs the output, writes the record, and syncs that.
  static constexpr int calls_of_a_checkpoint = 3;
  static constexpr int syncs_of_a_checkpoint = 2;

  // The next start gives what an undisturbed one gives, and nothing is left of the one before.
  void expect_the_same(std::uint64_t carried_over_at_least = 0) {
    EXPECT_TRUE(eventually([&] { return relatives().living().empty(); })) << "a process is left";
    seen_[slow] = seen_[wanted] = seen_[failing] = seen_[failing_checkpoint] = 0;
    for (int time = 0; time < 2; ++time) {
      must_succeed([&] {
        map_of_a_job one(place_);
        const shard::report told = one.map();
        const std::uint64_t carried = told.counts().carried_over;
        if (time == 0 && carried < carried_over_at_least) {
          std::cerr << carried << " of " << carried_over_at_least << " chunks were carried over\n";
          return false;
        }
        if (time == 1 && carried != n) return false;
        return told.complete() && one.take() == expected_;
      });
    }
    EXPECT_TRUE(fs::exists(place_ / "out.npy"));
    EXPECT_FALSE(fs::exists(place_ / "out.npy.part"));
    fs::remove_all(place_);
  }
  void begin_anew() {
    for (std::size_t k = 0; k <= struck; ++k) seen_[k] = 0;
    seen_[slow] = 1;
  }

  results expected_;
};

// ---- SIGTERM ----

// In the checkpointer.
void send() {
  if ((*seen)[late] != 0) static_cast<void>(eventually([] { return (*seen)[started] >= int{n}; }));
  const int to = (*seen)[caller];
  ++(*seen)[sent];
  kill((*seen)[to_all] != 0 ? -to : to, SIGTERM);
}
bool is_wanted(int what) {
  return is_checkpointer() && (*seen)[checkpoints] + 1 == (*seen)[wanted] &&
         (*seen)[moment] == what && (*seen)[sent] == 0;
}
void count_call() {
  if (is_checkpointer()) ++(*seen)[checkpoints];
}

// No disk is waited for: none loses anything here.
int sync_and_signal(int) {
  if (is_wanted(before)) send();
  const bool now = is_wanted(behind);
  count_call();
  if (now) send();
  return 0;
}
ssize_t write_and_signal(int file, const void* from, std::size_t bytes, off_t to) {
  if (is_wanted(before)) send();
  if (is_wanted(in_the_middle)) {
    static_cast<void>(!pwrite(file, from, bytes / 2, to));
    send();
  }
  const bool now = is_wanted(behind);
  const ssize_t written = pwrite(file, from, bytes, to);
  count_call();
  if (now) send();
  return written;
}

class JobSignal : public JobEnding {
 protected:
  // A start that gets the signal at a moment of a checkpoint. It leads its group.
  template <class Steps>
  pid_t start_to_signal(int call, int when, bool all, Steps steps) {
    begin_anew();
    seen_[wanted] = call;
    seen_[moment] = when;
    seen_[to_all] = all ? 1 : 0;
    return start([&] {
      setpgid(0, 0);
      seen_[caller] = getpid();
      calls().fsync = [](int) { return 0; };
      calls().fdatasync = sync_and_signal;
      calls().pwrite = write_and_signal;
      return steps();
    });
  }
  // Of the first two checkpoints.
  template <class Test>
  void at_every_moment(Test test) {
    for (const bool all : {false, true}) {
      for (int call = 1; call <= 2 * calls_of_a_checkpoint; ++call) {
        for (const int when : {before, in_the_middle, behind}) {
          const bool writes = call % calls_of_a_checkpoint == 2;
          if (when == in_the_middle && !writes) continue;
          SCOPED_TRACE("call " + std::to_string(call) + " of the checkpointer, moment " +
                       std::to_string(when) + (all ? ", to all" : ", to the program"));
          test(call, when, all);
          EXPECT_EQ(seen_[sent], 1);
          if (HasFailure()) return;
        }
      }
    }
  }
};

TEST_F(JobSignal, EndsTheProgramAtAnyMomentOfACheckpoint) {
  at_every_moment([&](int call, int when, bool all) {
    const int status = status_of(start_to_signal(call, when, all, [&] {
      map_of_a_job one(place_);
      one.map();
      return true;
    }));
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
    expect_the_same();
  });
}

// Whoever catches it ends the map in order: what was done then is not run again.
TEST_F(JobSignal, StopsAMapAtAnyMomentOfACheckpointAndLosesNothing) {
  at_every_moment([&](int call, int when, bool all) {
    EXPECT_EQ(status_of(start_to_signal(call, when, all,
                                        [&] {
                                          const shard::stop_on_signals guard;
                                          map_of_a_job one(place_);
                                          const shard::report told = one.map();
                                          int done = 0;
                                          for (const shard::range& part : told.completed())
                                            done += static_cast<int>(part.size());
                                          seen_[completed] = done;
                                          return guard.signal() == SIGTERM && done > 0;
                                        })),
              0);
    expect_the_same(static_cast<std::uint64_t>(seen_[completed]));
  });
}

// The last kernels run already. So the map is complete, and no disk has failed.
TEST_F(JobSignal, ThatComesToTheLastKernelsEndsACompleteMap) {
  for (const bool all : {false, true}) {
    for (const int call : {1, 2, 3}) {
      SCOPED_TRACE("call " + std::to_string(call) + (all ? ", to all" : ", to the program"));
      EXPECT_EQ(status_of(start_to_signal(call, before, all,
                                          [&] {
                                            seen_[late] = 1;
                                            const shard::stop_on_signals guard;
                                            map_of_a_job one(place_);
                                            return one.map().complete() &&
                                                   guard.signal() == SIGTERM &&
                                                   one.take() == expected_;
                                          })),
                0);
      expect_the_same(n);
    }
  }
}

// ---- A disk that fails ----

int sync_or_fail(int) {
  const bool here = is_checkpointer();
  const int number = ++(*seen)[syncs];
  const int of_checkpoint = here ? ++(*seen)[checkpoints] : 0;
  const bool fails =
      (number == (*seen)[failing]) || (here && of_checkpoint == (*seen)[failing_checkpoint]);
  if (!fails) return 0;
  ++(*seen)[struck];
  errno = EIO;
  return -1;
}

class JobSync : public JobEnding {
 protected:
  // What a start is told, and what it prints.
  struct told {
    std::string refusal, printed;
    std::string again;  // of another map behind that
  };
  // One sync of its fails: the so-manieth of all, or of the checkpointer.
  told start_that_fails(int number, int of_checkpointer) {
    begin_anew();
    seen_[failing] = number;
    seen_[failing_checkpoint] = of_checkpointer;
    const fs::path first = here_ / "first", second = here_ / "second", printed = here_ / "printed";
    must_succeed([&] {
      const int file = open(printed.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
      if (file < 0 || dup2(file, STDERR_FILENO) < 0) return false;
      close(file);
      calls().fsync = sync_or_fail;
      calls().fdatasync = sync_or_fail;
      std::string again;
      std::ofstream(first) << refusal([&] {
        map_of_a_job one(place_);
        const std::string message = refusal([&] { one.map(); });
        if (message.empty()) return;
        again = refusal([&] { one.map(); });
        throw shard::error(std::errc::io_error, message);
      });
      std::ofstream(second) << again;
      return true;
    });
    return {content_of(first), content_of(printed), content_of(second)};
  }
};

TEST_F(JobSync, ThatFailsAnywhereIsToldOnceAndNothingIsPromised) {
  int number = 1;
  for (;; ++number) {
    SCOPED_TRACE("sync " + std::to_string(number));
    const told found = start_that_fails(number, 0);
    const bool is_struck = seen_[struck] != 0;
    EXPECT_EQ(found.printed, "");
    if (is_struck) {
      EXPECT_THAT(found.refusal, StartsWith("cannot "));
      EXPECT_TRUE(mentions(found.refusal, {": found ", ", expected "}));
      EXPECT_THAT(found.refusal, AnyOf(HasSubstr("Input/output error"),
                                       HasSubstr("a write to its disk has failed")));
      // A file with its final name is complete.
      EXPECT_TRUE(!fs::exists(place_ / "out.npy") || fs::exists(place_ / ".shard/1.done"));
    } else {
      EXPECT_EQ(found.refusal, "");
    }
    expect_the_same();
    if (!is_struck || HasFailure()) break;
    ASSERT_LT(number, 500);
  }
  EXPECT_GT(number, 12);
}

TEST_F(JobSync, OfACheckpointThatFailsEndsTheMapInAnError) {
  // The outputs, and the record, of the first and the second checkpoint.
  struct place {
    int sync;
    bool has_record;  // a whole one, of an earlier checkpoint or of this one
  };
  for (const place& one : {place{1, false}, place{2, true}, place{3, true}, place{4, true}}) {
    SCOPED_TRACE("sync " + std::to_string(one.sync) + " of the checkpointer");
    const told found = start_that_fails(0, one.sync);
    ASSERT_EQ(seen_[struck], 1);
    EXPECT_TRUE(mentions(found.refusal, {"cannot complete map 1", "a write to its disk has failed",
                                         "a disk that works", "start the program again"}));
    EXPECT_TRUE(mentions(found.again, {"cannot begin map 2", "map 1 has not come to its end",
                                       "start the program again"}));
    EXPECT_EQ(found.printed, "");
    EXPECT_EQ(seen_[started], int{n}) << "all chunks were run";
    EXPECT_FALSE(fs::exists(place_ / "out.npy"));
    EXPECT_FALSE(fs::exists(place_ / ".shard/1.done"));
    // In the same boot, with all chunks in the live area: nothing of that is believed.
    seen_[started] = 0;
    expect_the_same(one.has_record ? 1 : 0);
    if (one.has_record) {
      EXPECT_GT(seen_[started], 0) << "what no record has was not run again";
      EXPECT_LT(seen_[started], int{n});
    } else {
      EXPECT_EQ(seen_[started], int{n}) << "rows that may not be on the disk were believed";
    }
  }
}

}  // namespace
