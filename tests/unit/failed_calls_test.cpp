#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <new>
#include <string>
#include <system_error>

#include "board/run_memory.hpp"
#include "family/attempt.hpp"
#include "memory/attempt.hpp"
#include "os/calls.hpp"
#include "os/process.hpp"
#include "refusal.hpp"

namespace {

using shard::os::call_failed;
using shard_test::refusal;

std::string told(int error, const char* call) {
  return refusal([&] { shard::family::attempt([&] { throw call_failed(error, call); }); });
}

TEST(FailedCalls, AreThrownAsTheirErrnoAndNameBelowAllThatKnowsWhatTheyAreFor) {
  try {
    shard::os::watch_process(std::numeric_limits<pid_t>::max());
    FAIL() << "there is a process of the largest number";
  } catch (const call_failed& e) {
    EXPECT_EQ(e.code(), std::errc::no_such_process);
    EXPECT_STREQ(e.call(), "pidfd_open");
  }
  EXPECT_THROW(shard::os::anonymous_memory(SIZE_MAX / 2, shard::os::sharing::none), call_failed);
}

TEST(FailedCalls, OfAFamilySayWhatTheyWereForAndWhatWouldHelp) {
  EXPECT_EQ(
      told(EMFILE, "pipe2"),
      "cannot make a pipe: found 'Too many open files', expected more descriptors (ulimit -n)");
  EXPECT_EQ(told(EAGAIN, "fork"),
            "cannot start a process: found 'Resource temporarily unavailable', expected room for "
            "more (ulimit -u, or pids.max of the control group)");
  EXPECT_EQ(told(EPERM, "pidfd_open"),
            "cannot watch a process: found 'Operation not permitted', "
            "expected " +
                std::string(shard::os::remedy_for_denial));
  EXPECT_EQ(told(EINVAL, "poll"), "cannot wait for processes: found 'Invalid argument'");
  EXPECT_EQ(told(EINVAL, "sigprocmask"),
            "cannot block signals around a fork: found 'Invalid argument'");
  try {
    shard::family::attempt([] { throw call_failed(EMFILE, "pipe2"); });
    FAIL() << "nothing was thrown";
  } catch (const shard::error& e) {
    EXPECT_EQ(e.code(), std::error_code(EMFILE, std::generic_category()));
  }
}

TEST(FailedCalls, OfAFamilyLeaveWhatWorksAndWhatElseIsThrown) {
  EXPECT_EQ(shard::family::attempt([] { return 7; }), 7);
  EXPECT_THROW(shard::family::attempt([] { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST(FailedCalls, OfTheMemoryOfARunSayHowMuchWasNeeded) {
  constexpr std::size_t bytes = SIZE_MAX / 2;
  EXPECT_EQ(refusal([] { shard::board::run_memory(bytes, shard::os::sharing::with_children); }),
            "cannot map " + std::to_string(bytes) +
                " bytes of memory for the run: found 'Cannot allocate memory', expected more "
                "memory, or address space (ulimit -v): use fewer workers, or smaller reducers");
}

TEST(FailedCalls, OnTheWayToABufferSayWhichCall) {
  EXPECT_EQ(
      refusal([] {
        shard::memory::attempt("open a.npy", "a readable .npy file",
                               [] { throw call_failed(EACCES, "open"); });
      }),
      "cannot open a.npy: found 'Permission denied' from open, expected a readable .npy file");
}

}  // namespace
