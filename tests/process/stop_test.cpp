// Maps that the program ends early: by a stop token, by SIGINT and SIGTERM. What had run is there,
// and the report says exactly which indices that is.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard::executor;
using shard_test::eventually;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::tally;
using testing::IsEmpty;
using testing::SizeIs;

using Stop = shard_test::leaves_nothing;
using StopOnSignals = shard_test::leaves_nothing;

constexpr std::array everywhere{executor::processes, executor::threads, executor::serial};
constexpr std::size_t indices = 400;

// A map that adds up its indices in every kind of reduction and writes each to an output. Whether
// those are exactly what its report calls completed.
struct job {
  shard::buffer<std::uint64_t> out{indices};
  shard::sum<std::uint64_t> total{};
  shard::ordered_sum<double> ordered{};

  template <class During>
  shard::report run(const shard::options& how, During during) {
    return shard::try_map(how, indices, shard::out(out), shard::reduce(total),
                          shard::reduce(ordered),
                          [&](std::size_t i, auto to, auto& sum, auto& ordered_sum) {
                            during(i);
                            to[i] = i + 1;
                            sum += i + 1;
                            ordered_sum += static_cast<double>(i + 1);
                          });
  }

  bool holds_exactly(const shard::report& report) const {
    std::uint64_t expected = 0;
    for (const shard::range part : report.completed()) {
      for (const std::size_t i : part) {
        expected += i + 1;
        if (out[i] != i + 1) return false;
      }
    }
    return total.value() == expected && ordered.value() == static_cast<double>(expected);
  }
};

std::size_t indices_in(const shard::report& report) {
  std::size_t sum = 0;
  for (const shard::range part : report.completed()) sum += part.size();
  return sum;
}

// ---- A token ----

TEST_F(Stop, RequestedBeforeTheMapStartsNothing) {
  for (const executor where : everywhere) {
    std::stop_source source;
    source.request_stop();
    job work;
    const tally calls;
    const shard::report run = work.run({.workers = 2, .run_on = where, .stop = source.get_token()},
                                       [&](std::size_t) { ++calls[0]; });
    EXPECT_EQ(calls[0], 0);
    EXPECT_FALSE(run.complete());
    EXPECT_THAT(run.completed(), IsEmpty());
    EXPECT_EQ(run.indices(), indices);
    EXPECT_TRUE(mentions(run.trouble(), {"stopped on request"}));
    EXPECT_TRUE(work.holds_exactly(run));
  }
}

TEST_F(Stop, RequestedBeforeTheMapDoesNotHideAMistake) {
  std::stop_source source;
  source.request_stop();
  shard::buffer<int> out(10);
  EXPECT_TRUE(mentions(refusal([&] {
                         shard::map({.stop = source.get_token()}, 9, shard::out(out),
                                    [](std::size_t, auto) {});
                       }),
                       {"found 10 rows"}));
  shard::counter none;
  EXPECT_TRUE(
      shard::map({.stop = source.get_token()}, 0, shard::reduce(none), [](std::size_t, auto&) {
      }).complete());
}

TEST_F(Stop, RequestedByAnotherThreadFinishesWhatRuns) {
  if (shard_test::thread_sanitizer) GTEST_SKIP() << "it can't follow a fork beside threads";
  for (const executor where : everywhere) {
    SCOPED_TRACE(static_cast<int>(where));
    std::stop_source source;
    const tally at;
    std::thread other([&] {
      static_cast<void>(eventually([&] { return at[0] != 0; }));
      source.request_stop();
      at[1] = 1;
    });
    job work;
    const shard::report run = work.run({.workers = 3,
                                        .grain = 4,
                                        .run_on = where,
                                        .allow_threads = true,
                                        .stop = source.get_token()},
                                       [&](std::size_t i) {
                                         // In the middle of its chunk when the stop is requested.
                                         if (i % 4 != 1 || i < 40) return;
                                         at[0] = 1;
                                         static_cast<void>(eventually([&] { return at[1] != 0; }));
                                       });
    other.join();
    EXPECT_FALSE(run.complete());
    EXPECT_TRUE(mentions(run.trouble(), {"stopped on request"}));
    EXPECT_THAT(run.failures(), IsEmpty());
    EXPECT_TRUE(work.holds_exactly(run));
    // What had begun is finished: whole chunks, the one in the middle of which it came among them.
    EXPECT_EQ(indices_in(run) % 4, 0u);
    EXPECT_GE(indices_in(run), 4u);
    EXPECT_LE(indices_in(run), 52u);
  }
}

TEST_F(Stop, RequestedByOnProgressEndsTheMap) {
  for (const executor where : {executor::processes, executor::threads}) {
    std::stop_source source;
    const tally told;
    job work;
    const shard::report run =
        work.run({.workers = 2,
                  .grain = 1,
                  .run_on = where,
                  .on_progress =
                      [&](const shard::progress&) {
                        source.request_stop();
                        told[0] = 1;
                      },
                  .stop = source.get_token()},
                 [&](std::size_t i) {
                   if (i < 10) return;
                   static_cast<void>(eventually([&] { return told[0] != 0; }));
                 });
    EXPECT_FALSE(run.complete());
    EXPECT_TRUE(work.holds_exactly(run));
  }
}

TEST_F(Stop, RequestedByTheKernelInThisProcessEndsTheMapBehindIt) {
  std::stop_source source;
  job work;
  const shard::report run = work.run(
      {.grain = 1, .run_on = executor::serial, .stop = source.get_token()}, [&](std::size_t i) {
        if (i == 41) source.request_stop();
      });
  ASSERT_THAT(run.completed(), SizeIs(1));
  EXPECT_EQ(run.completed()[0], (shard::range{0, 42}));
  EXPECT_TRUE(work.holds_exactly(run));
}

TEST_F(Stop, IsAMapErrorThatSaysSo) {
  std::stop_source source;
  source.request_stop();
  shard::buffer<int> out(10);
  try {
    shard::map({.stop = source.get_token()}, out, [](std::size_t) { return 1; });
    FAIL() << "nothing was thrown";
  } catch (const shard::map_error& e) {
    EXPECT_TRUE(mentions(e.what(), {"found 0 of 10 indices done", "stopped on request"}));
    EXPECT_THAT(e.result().completed(), IsEmpty());
  }
}

TEST_F(Stop, RequestedAfterTheLastIndexChangesNothing) {
  for (const executor where : everywhere) {
    std::stop_source source;
    job work;
    const shard::report run = work.run({.workers = 2,
                                        .run_on = where,
                                        .on_progress =
                                            [&](const shard::progress& now) {
                                              if (now.done == now.total) source.request_stop();
                                            },
                                        .stop = source.get_token()},
                                       [](std::size_t) {});
    EXPECT_TRUE(run.complete());
    EXPECT_EQ(run.trouble(), "");
    EXPECT_TRUE(work.holds_exactly(run));
  }
}

TEST_F(Stop, WithWorkersThatDieEndsAllTheSame) {
  std::stop_source source;
  const tally told;
  job work;
  const shard::report run =
      work.run({.workers = 3,
                .grain = 1,
                .on_progress =
                    [&](const shard::progress&) {
                      source.request_stop();
                      told[0] = 1;
                    },
                .stop = source.get_token()},
               [&](std::size_t i) {
                 if (i < 30) return;
                 static_cast<void>(eventually([&] { return told[0] != 0; }));
                 raise(SIGKILL);  // in every chunk that runs when the stop comes
               });
  EXPECT_FALSE(run.complete());
  EXPECT_TRUE(work.holds_exactly(run));
  EXPECT_TRUE(mentions(run.trouble(), {"stopped on request"}));
}

TEST_F(Stop, OfOneMapLeavesTheNextAlone) {
  std::stop_source source;
  source.request_stop();
  job stopped;
  EXPECT_FALSE(
      stopped.run({.workers = 2, .stop = source.get_token()}, [](std::size_t) {}).complete());
  job next;
  const shard::report run = next.run({.workers = 2}, [](std::size_t) {});
  EXPECT_TRUE(run.complete());
  EXPECT_TRUE(next.holds_exactly(run));
}

// ---- Signals ----

// As a program started from a shell has them, whatever the tests were started with.
void have_default_signals() {
  for (const int one : {SIGINT, SIGTERM, SIGHUP}) signal(one, SIG_DFL);
}

// Runs `program` in a child that has the default signals, and meanwhile `outside(pid)`; whether the
// program returned true.
template <class Program, class Outside>
bool holds_when_signalled(Program program, Outside outside) {
  const pid_t child = fork();
  if (child == 0) {
    have_default_signals();
    bool fine = false;
    try {
      fine = program();
    } catch (...) {
    }
    _exit(fine ? 0 : 1);
  }
  outside(child);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_FALSE(WIFSIGNALED(status)) << "ended by signal " << WTERMSIG(status);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

template <class Program>
bool holds_with_default_signals(Program program) {
  return holds_when_signalled(program, [](pid_t) {});
}

// What a program, its kernels and its signaller know of each other, wherever they run.
class notes {
 public:
  // For options::on_progress, which is called in turn with looking for signals: whoever has seen
  // `heard` twice knows that the map has seen the signal, too.
  auto copies(const shard::stop_on_signals& guard) const {
    return [this, &guard](const shard::progress&) { note(guard); };
  }
  void note(const shard::stop_on_signals& guard) const {
    if (guard.signal() != 0) ++board_[1];
  }

  void run_a_kernel() const { ++board_[0]; }
  bool kernels_run(int count = 1) const {
    return eventually([&] { return board_[0] >= count; });
  }
  bool heard() const {
    return eventually([&] { return board_[1] >= 2; });
  }
  void send(pid_t to, int signal) const {
    kill(to, signal);
    ++board_[2];
  }
  bool sent(int count) const {
    return eventually([&] { return board_[2] >= count; });
  }

 private:
  tally board_;
};

// The kernel of a program that is signalled once it runs: it returns when the map knows.
void wait_for_the_signal(const notes& all, const shard::stop_on_signals& guard, executor where) {
  all.run_a_kernel();
  if (where == executor::serial) {
    EXPECT_TRUE(eventually([&] { return guard.signal() != 0; }));
  } else {
    EXPECT_TRUE(all.heard());
  }
}

TEST_F(StopOnSignals, TheFirstFinishesWhatRuns) {
  for (const int sent : {SIGINT, SIGTERM}) {
    for (const executor where : everywhere) {
      SCOPED_TRACE("signal " + std::to_string(sent) + ", executor " +
                   std::to_string(static_cast<int>(where)));
      const notes all;
      EXPECT_TRUE(holds_when_signalled(
          [&] {
            const shard::stop_on_signals guard;
            if (guard.signal() != 0) return false;
            job work;
            const shard::report run = work.run(
                {.workers = 2, .grain = 4, .run_on = where, .on_progress = all.copies(guard)},
                [&](std::size_t i) {
                  if (i % 4 != 1 || i < 40) return;
                  wait_for_the_signal(all, guard, where);
                });
            const char* const name = sent == SIGINT ? "SIGINT" : "SIGTERM";
            return guard.signal() == sent && !run.complete() && indices_in(run) != 0 &&
                   indices_in(run) % 4 == 0 && run.failures().empty() && work.holds_exactly(run) &&
                   mentions(run.trouble(), {"stopped by signal", name});
          },
          [&](pid_t program) {
            EXPECT_TRUE(all.kernels_run());
            all.send(program, sent);
          }));
    }
  }
}

TEST_F(StopOnSignals, TheSecondKillsWorkersAtOnce) {
  for (const auto& [first, second] :
       {std::pair(SIGINT, SIGINT), std::pair(SIGTERM, SIGINT), std::pair(SIGTERM, SIGTERM)}) {
    const notes all;
    EXPECT_TRUE(holds_when_signalled(
        [&, one = first] {
          const shard::stop_on_signals guard;
          job work;
          const shard::report run = work.run(
              {.workers = 2, .grain = 4, .on_progress = all.copies(guard)}, [&](std::size_t i) {
                if (i < 40) return;
                all.run_a_kernel();
                for (;;) pause();  // nothing but a kill ends it
              });
          return guard.signal() == one && !run.complete() && indices_in(run) <= 40 &&
                 work.holds_exactly(run) &&
                 mentions(run.trouble(), {"stopped by signal", "killed by a second one"});
        },
        [&, one = first, other = second](pid_t program) {
          EXPECT_TRUE(all.kernels_run(2));
          all.send(program, one);
          EXPECT_TRUE(all.heard());
          all.send(program, other);
        }));
    EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
  }
}

TEST_F(StopOnSignals, TheSecondKillsTheChildrenOfKernelsToo) {
  const notes all;
  EXPECT_TRUE(holds_when_signalled(
      [&] {
        const shard::stop_on_signals guard;
        shard::buffer<int> out(4);
        const shard::report run =
            shard::try_map({.workers = 2, .grain = 1, .on_progress = all.copies(guard)}, out,
                           [&](std::size_t) -> int {
                             if (fork() == 0) setsid();
                             all.run_a_kernel();
                             for (;;) pause();
                           });
        return run.completed().empty();
      },
      [&](pid_t program) {
        EXPECT_TRUE(all.kernels_run(4));
        all.send(program, SIGINT);
        EXPECT_TRUE(all.heard());
        all.send(program, SIGINT);
      }));
  EXPECT_TRUE(eventually([&] { return relatives().living().empty(); }));
}

// Nobody can be killed alone there.
TEST_F(StopOnSignals, TheSecondWaitsForWhatRunsInThisProcess) {
  for (const executor where : {executor::threads, executor::serial}) {
    const notes all;
    EXPECT_TRUE(holds_when_signalled(
        [&] {
          const shard::stop_on_signals guard;
          job work;
          const shard::report run = work.run(
              {.workers = 2, .grain = 4, .run_on = where, .on_progress = all.copies(guard)},
              [&](std::size_t i) {
                if (i % 4 != 1) return;
                wait_for_the_signal(all, guard, where);
                if (where == executor::serial) {
                  all.note(guard);
                  all.note(guard);
                }
                EXPECT_TRUE(all.sent(2));
              });
          return !run.complete() && indices_in(run) >= 4 && indices_in(run) % 4 == 0 &&
                 work.holds_exactly(run);
        },
        [&](pid_t program) {
          EXPECT_TRUE(all.kernels_run());
          all.send(program, SIGINT);
          EXPECT_TRUE(all.heard());
          all.send(program, SIGINT);
        }));
  }
}

TEST_F(StopOnSignals, BeforeAMapAndBetweenTwoStartsNothingMore) {
  for (const executor where : everywhere) {
    EXPECT_TRUE(holds_with_default_signals([&] {
      const shard::stop_on_signals guard;
      job first;
      if (!first.run({.workers = 2, .run_on = where}, [](std::size_t) {}).complete()) return false;
      raise(SIGTERM);
      raise(SIGINT);
      const tally calls;
      for (int times = 0; times < 2; ++times) {
        job next;
        const shard::report run =
            next.run({.workers = 2, .run_on = where}, [&](std::size_t) { ++calls[0]; });
        if (run.complete() || !run.completed().empty() || !next.holds_exactly(run)) return false;
      }
      return calls[0] == 0 && guard.signal() == SIGTERM;
    }));
  }
}

TEST_F(StopOnSignals, MayComeToAnotherThread) {
  if (shard_test::thread_sanitizer) GTEST_SKIP() << "it can't follow a fork beside threads";
  for (const executor where : everywhere) {
    const notes all;
    EXPECT_TRUE(holds_when_signalled(
        [&] {
          const shard::stop_on_signals guard;
          const tally over;
          std::thread other([&] { static_cast<void>(eventually([&] { return over[0] != 0; })); });
          sigset_t both;
          sigemptyset(&both);
          sigaddset(&both, SIGINT);
          sigaddset(&both, SIGTERM);
          pthread_sigmask(SIG_BLOCK, &both, nullptr);
          job work;
          const shard::report run = work.run({.workers = 2,
                                              .grain = 4,
                                              .run_on = where,
                                              .allow_threads = true,
                                              .on_progress = all.copies(guard)},
                                             [&](std::size_t i) {
                                               if (i % 4 == 1)
                                                 wait_for_the_signal(all, guard, where);
                                             });
          over[0] = 1;
          other.join();
          return !run.complete() && indices_in(run) >= 4 && work.holds_exactly(run);
        },
        [&](pid_t program) {
          EXPECT_TRUE(all.kernels_run());
          all.send(program, SIGINT);
        }));
  }
}

// As a terminal would, if it could: workers and supervisors have no use for the key.
TEST_F(StopOnSignals, FromATerminalIsTheCallersBusiness) {
  const notes all;
  EXPECT_TRUE(holds_when_signalled(
      [&] {
        const shard::stop_on_signals guard;
        job work;
        const shard::report run = work.run(
            {.workers = 3, .grain = 4, .on_progress = all.copies(guard)}, [&](std::size_t i) {
              if (i % 4 == 1) wait_for_the_signal(all, guard, executor::processes);
            });
        return guard.signal() == SIGINT && !run.complete() && indices_in(run) >= 4 &&
               run.counts().deaths == 0 && run.counts().takeovers == 0 && work.holds_exactly(run);
      },
      [&](pid_t program) {
        EXPECT_TRUE(all.kernels_run(3));
        for (const shard_test::relative& one : relatives().living()) {
          if (one.pid != program) kill(one.pid, SIGINT);
        }
        all.send(program, SIGINT);
      }));
}

TEST_F(StopOnSignals, ByCtrlCAtARealTerminal) {
  const notes all;
  int terminal = -1;
  const pid_t program = forkpty(&terminal, nullptr, nullptr, nullptr);
  if (program < 0) GTEST_SKIP() << "there are no terminals here: " << std::strerror(errno);
  if (program == 0) {
    have_default_signals();
    const shard::stop_on_signals guard;
    job work;
    const shard::report run =
        work.run({.workers = 2, .grain = 4, .on_progress = all.copies(guard)}, [&](std::size_t i) {
          if (i % 4 == 1) wait_for_the_signal(all, guard, executor::processes);
        });
    _exit(guard.signal() == SIGINT && !run.complete() && run.counts().deaths == 0 &&
                  run.counts().takeovers == 0 && work.holds_exactly(run)
              ? 0
              : 1);
  }
  EXPECT_TRUE(all.kernels_run(2));
  EXPECT_EQ(write(terminal, "\x03", 1), 1);
  EXPECT_TRUE(eventually([&] {
    siginfo_t ended{};
    return waitid(P_PID, static_cast<id_t>(program), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == program;
  }));
  int status = 0;
  waitpid(program, &status, 0);
  close(terminal);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

// The chunk that a map stands in is finished, the map with it.
TEST_F(StopOnSignals, LetsMapsInsideKernelsFinish) {
  for (const executor where : everywhere) {
    for (const executor inner : {executor::processes, executor::serial}) {
      const notes all;
      EXPECT_TRUE(holds_when_signalled(
          [&] {
            const shard::stop_on_signals guard;
            shard::buffer<int> out(40);
            const shard::report run = shard::try_map(
                {.workers = 2, .grain = 1, .run_on = where, .on_progress = all.copies(guard)}, out,
                [&](std::size_t) {
                  wait_for_the_signal(all, guard, where);
                  job work;
                  return work.run({.workers = 2, .run_on = inner}, [](std::size_t) {}).complete()
                             ? 1
                             : 2;
                });
            if (run.complete() || run.completed().empty() || !run.failures().empty()) return false;
            for (const shard::range part : run.completed()) {
              for (const std::size_t i : part) {
                if (out[i] != 1) return false;
              }
            }
            return true;
          },
          [&](pid_t program) {
            EXPECT_TRUE(all.kernels_run());
            all.send(program, SIGINT);
          }));
    }
  }
}

// ---- What a guard leaves alone, and gives back ----

volatile sig_atomic_t handled = 0;
void handle(int) { handled = handled + 1; }
void handle_otherwise(int) { handled = handled + 100; }

void set_handler(int one, void (*to)(int)) {
  struct sigaction action {};
  action.sa_handler = to;
  sigaction(one, &action, nullptr);
}
auto handler_of(int one) {
  struct sigaction now {};
  sigaction(one, nullptr, &now);
  return now.sa_handler;
}

TEST_F(StopOnSignals, ThatAreCaughtHaveTheirFormerActionAgainAfterwards) {
  EXPECT_TRUE(holds_with_default_signals([] {
    set_handler(SIGINT, handle);
    set_handler(SIGUSR1, handle);
    {
      const shard::stop_on_signals guard;
      if (handler_of(SIGINT) == handle || handler_of(SIGTERM) == SIG_DFL) return false;
      raise(SIGINT);
      if (handled != 0 || guard.signal() != SIGINT) return false;
      raise(SIGUSR1);
      if (handled != 1) return false;
    }
    raise(SIGINT);
    return handled == 2 && handler_of(SIGTERM) == SIG_DFL && handler_of(SIGHUP) == SIG_DFL;
  }));
}

TEST_F(StopOnSignals, ThatAreIgnoredStaySo) {
  EXPECT_TRUE(holds_with_default_signals([] {
    signal(SIGINT, SIG_IGN);
    {
      const shard::stop_on_signals guard;
      raise(SIGINT);
      if (guard.signal() != 0 || handler_of(SIGINT) != SIG_IGN) return false;
      raise(SIGTERM);
      if (guard.signal() != SIGTERM) return false;
    }
    return handler_of(SIGINT) == SIG_IGN && handler_of(SIGTERM) == SIG_DFL;
  }));
}

TEST_F(StopOnSignals, KeepAnActionThatWasSetMeanwhile) {
  EXPECT_TRUE(holds_with_default_signals([] {
    {
      const shard::stop_on_signals guard;
      set_handler(SIGINT, handle_otherwise);
    }
    raise(SIGINT);
    return handled == 100 && handler_of(SIGTERM) == SIG_DFL;
  }));
}

TEST_F(StopOnSignals, HaveOneMemoryForAllGuards) {
  EXPECT_TRUE(holds_with_default_signals([] {
    auto first = std::make_unique<shard::stop_on_signals>();
    raise(SIGTERM);
    auto second = std::make_unique<shard::stop_on_signals>();
    if (second->signal() != SIGTERM) return false;
    first.reset();  // the first ends before the second
    raise(SIGINT);  // would end the program
    if (second->signal() != SIGTERM) return false;
    second.reset();
    if (handler_of(SIGINT) != SIG_DFL || handler_of(SIGTERM) != SIG_DFL) return false;
    const shard::stop_on_signals later;  // begins anew
    shard::buffer<int> out(10);
    return later.signal() == 0 && shard::map(out, [](std::size_t) { return 1; }).complete();
  }));
}

TEST_F(StopOnSignals, DoInAForkedChildWhatTheyDidBefore) {
  EXPECT_TRUE(holds_with_default_signals([] {
    const shard::stop_on_signals guard;
    const pid_t child = fork();
    if (child == 0) {
      raise(SIGINT);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGINT && guard.signal() == 0;
  }));
}

TEST_F(StopOnSignals, AreCaughtAnewByAGuardInAForkedChild) {
  EXPECT_TRUE(holds_with_default_signals([] {
    const shard::stop_on_signals guard;
    const bool child_was_right = holds_in_a_child([&] {
      {
        const shard::stop_on_signals own;
        raise(SIGINT);
        shard::buffer<int> out(10);
        const shard::report run = shard::try_map(out, [](std::size_t) { return 1; });
        if (own.signal() != SIGINT || !run.completed().empty() || guard.signal() != 0) return false;
      }
      // Not those of the guard that was inherited.
      return handler_of(SIGINT) == SIG_DFL && handler_of(SIGTERM) == SIG_DFL;
    });
    shard::buffer<int> out(10);
    return child_was_right && guard.signal() == 0 &&
           shard::map(out, [](std::size_t) { return 1; }).complete();
  }));
}

TEST_F(StopOnSignals, ThatNobodyCatchesAreNoneOfShardsBusiness) {
  const tally running;
  EXPECT_TRUE(holds_in_a_child([&] {
    have_default_signals();
    const pid_t program = fork();
    if (program == 0) {
      shard::buffer<int> out(10);
      shard::map({.workers = 2}, out, [&](std::size_t) -> int {
        ++running[0];
        for (;;) pause();
      });
      _exit(0);
    }
    if (!eventually([&] { return running[0] != 0; })) return false;
    kill(program, SIGINT);
    int status = 0;
    waitpid(program, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGINT;
  }));
}

TEST_F(StopOnSignals, NeedTwoDescriptorsOrAreRefused) {
  EXPECT_TRUE(holds_with_default_signals([] {
    const int lowest = dup(STDERR_FILENO);
    close(lowest);
    const rlimit one_more{static_cast<rlim_t>(lowest) + 1, static_cast<rlim_t>(lowest) + 1};
    setrlimit(RLIMIT_NOFILE, &one_more);
    const std::string message = refusal([] { const shard::stop_on_signals guard; });
    return mentions(message, {"cannot catch SIGINT and SIGTERM", "two descriptors"}) &&
           handler_of(SIGINT) == SIG_DFL;
  }));
}

TEST_F(StopOnSignals, ComeAndGoInManyThreads) {
  EXPECT_TRUE(holds_with_default_signals([] {
    {
      const shard::stop_on_signals guard;  // so that none of the signals below ends the program
      std::vector<std::thread> threads;
      for (int k = 0; k < 4; ++k) {
        threads.emplace_back([] {
          for (int round = 0; round < 500; ++round) {
            const shard::stop_on_signals other;
            raise(round % 2 == 0 ? SIGINT : SIGTERM);
          }
        });
      }
      for (std::thread& one : threads) one.join();
      if (guard.signal() == 0) return false;
    }
    return handler_of(SIGINT) == SIG_DFL && handler_of(SIGTERM) == SIG_DFL;
  }));
}

}  // namespace
