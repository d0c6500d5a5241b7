// Every system call between a request and a buffer, made to fail once at each place it is made: an
// error that names the call, or a buffer that works; and nothing left behind either way. And a
// death before and after each: what is found then is whole, or is not found.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <concepts>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fault/dying.hpp"
#include "memory/control.hpp"
#include "memory/granted.hpp"
#include "memory/segment.hpp"
#include "neighbour.hpp"
#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"
#include "refusal.hpp"
#include "restored_calls.hpp"
#include "shard/named.hpp"
#include "shard/npy.hpp"
#include "shared_names.hpp"

namespace {

using shard::os::call_table;
using shard::os::calls;
using shard_test::die_everywhere;
using shard_test::folder;
using shard_test::mentions;
using shard_test::open_descriptors;
using shard_test::refusal;
using shard_test::restored_calls;

// Replaces one entry by a call that fails the n-th time it is made. Entries are plain function
// pointers, so that what they refer to is static.
template <auto Entry>
struct sabotage;

template <class R, class... A, R (*call_table::*Entry)(A...)>
struct sabotage<Entry> {
  static inline R (*real)(A...) = nullptr;
  static inline int countdown = 0;
  static inline int error = 0;
  static inline bool struck = false;

  static void arm(int nth, int with) {
    real = calls().*Entry;
    countdown = nth;
    error = with;
    struck = false;
    calls().*Entry = call;
  }

  template <auto Other>
  static constexpr bool is() {
    if constexpr (std::same_as<decltype(Other), decltype(Entry)>) {
      return Other == Entry;
    } else {
      return false;
    }
  }

  static R call(A... arguments) {
    if (--countdown != 0) return real(arguments...);
    struck = true;
    // These two have done their work even where they report an error.
    if (is<&call_table::close>() || is<&call_table::munmap>()) real(arguments...);
    errno = error;
    if constexpr (std::is_pointer_v<R>) {
      return MAP_FAILED;
    } else {
      return is<&call_table::posix_fallocate>() ? R(error) : R(-1);
    }
  }
};

// Fails one entry at its first place, its second, …, until `use` makes no more of them.
template <auto Entry>
void fail_everywhere(const char* name, int error, const std::function<void(const folder&)>& use) {
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE(std::string(name) + ", call " + std::to_string(nth));
    const folder in;
    const std::size_t descriptors = open_descriptors();
    const std::size_t segments =
        shard::detail::segment::live(shard::detail::segment::hold_live()).size();
    std::string message;
    {
      const restored_calls after;
      sabotage<Entry>::arm(nth, error);
      message = refusal([&] { use(in); });
    }
    // A handle that could not remove its name leaves what a kill would.
    if (shard::memory::folder_of_names() == in.path()) shard::named::reclaim();
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_EQ(shard::detail::segment::live(shard::detail::segment::hold_live()).size(), segments);
    for (const std::string& left : in.names()) EXPECT_EQ(left, "x.npy") << "a temporary name";
    if (!sabotage<Entry>::struck) return;
    if (!message.empty()) mentions(message, {"cannot ", ": found ", "expected "});
  }
}

void fail_everything(const std::function<void(const folder&)>& use) {
  using table = call_table;
  fail_everywhere<&table::openat>("openat", EMFILE, use);
  fail_everywhere<&table::openat>("openat", EACCES, use);
  fail_everywhere<&table::openat>("openat", EOPNOTSUPP, use);
  fail_everywhere<&table::openat>("openat", EINTR, use);
  fail_everywhere<&table::memfd_create>("memfd_create", ENFILE, use);
  fail_everywhere<&table::close>("close", EIO, use);
  fail_everywhere<&table::pread>("pread", EIO, use);
  fail_everywhere<&table::pread>("pread", EINTR, use);
  fail_everywhere<&table::pwrite>("pwrite", ENOSPC, use);
  fail_everywhere<&table::fstat>("fstat", EIO, use);
  fail_everywhere<&table::fstatat>("fstatat", EACCES, use);
  fail_everywhere<&table::fchmod>("fchmod", EPERM, use);
  fail_everywhere<&table::ftruncate>("ftruncate", ENOMEM, use);
  fail_everywhere<&table::fallocate>("fallocate", ENOSPC, use);
  fail_everywhere<&table::fallocate>("fallocate", EOPNOTSUPP, use);
  fail_everywhere<&table::get_flags>("fcntl", EBADF, use);
  fail_everywhere<&table::get_seals>("fcntl", EINVAL, use);
  fail_everywhere<&table::add_seals>("fcntl", EPERM, use);
  fail_everywhere<&table::lock_file>("fcntl", ENOLCK, use);
  fail_everywhere<&table::lock_file>("fcntl", EINTR, use);
  fail_everywhere<&table::fstatfs>("fstatfs", EIO, use);
  fail_everywhere<&table::readlink>("readlink", EACCES, use);
  fail_everywhere<&table::linkat>("linkat", EEXIST, use);
  fail_everywhere<&table::linkat>("linkat", ENOENT, use);
  fail_everywhere<&table::renameat>("rename", EACCES, use);
  fail_everywhere<&table::renameat2>("rename", EACCES, use);
  fail_everywhere<&table::renameat2>("rename", EINVAL, use);
  fail_everywhere<&table::renameat2>("rename", ENOENT, use);
  fail_everywhere<&table::fchown>("fchown", EPERM, use);
  fail_everywhere<&table::getxattr>("getxattr", EACCES, use);
  fail_everywhere<&table::fsetxattr>("fsetxattr", ENOSPC, use);
  fail_everywhere<&table::fremovexattr>("fremovexattr", EPERM, use);
  fail_everywhere<&table::mmap>("mmap", ENOMEM, use);
  fail_everywhere<&table::munmap>("munmap", EINVAL, use);
  fail_everywhere<&table::unlinkat>("unlink", EACCES, use);
  fail_everywhere<&table::fsync>("fsync", EIO, use);
  fail_everywhere<&table::fdatasync>("fdatasync", EIO, use);
  fail_everywhere<&table::msync>("msync", EIO, use);
}

void without_unnamed_files();

// ---- Death at every call: right before it, and right after it.

void expect_zeros_or_nothing(const std::filesystem::path& path, std::size_t count) {
  if (!std::filesystem::exists(std::filesystem::symlink_status(path))) return;
  const auto found = shard::open<int>(path);
  EXPECT_EQ(found.size(), count);
  EXPECT_TRUE(std::ranges::all_of(found, [](int x) { return x == 0; }));
}

// All that a kill may leave besides is a temporary name.
void expect_no_other_names(const folder& in) {
  for (const std::string& each : in.names()) {
    EXPECT_TRUE(each == "x.npy" || (each.starts_with(".x.npy.") && each.ends_with(".tmp"))) << each;
  }
}

TEST(AKill, OnTheWayToAFileLeavesAWholeOneOrNone) {
  const folder in;
  const auto path = in / "x.npy";
  const auto look = [&] {
    expect_zeros_or_nothing(path, 1000);
    expect_no_other_names(in);
    std::filesystem::remove(path);
    EXPECT_EQ(shard::open_or_create<int>(path, shard::on_mismatch::refuse, 1000).size(), 1000u);
    std::filesystem::remove(path);
  };
  die_everywhere([&] { shard::create<int>(path, 1000).finish(); }, look);
  die_everywhere([&] { shard::create_live<int>(path, 1000); }, look);
  die_everywhere([&] { shard::open_or_create<int>(path, shard::on_mismatch::refuse, 1000); }, look);
}

TEST(AKill, OnTheWayToAFileWithATemporaryNameLeavesAWholeOneOrNone) {
  const restored_calls after;
  without_unnamed_files();
  const folder in;
  const auto path = in / "x.npy";
  die_everywhere([&] { shard::create<int>(path, 1000).finish(); },
                 [&] {
                   expect_zeros_or_nothing(path, 1000);
                   expect_no_other_names(in);
                   std::filesystem::remove(path);
                 });
}

TEST(AKill, OfWhoReplacesAFileLeavesTheOldOneOrTheNew) {
  const folder in;
  const auto path = in / "x.npy";
  const auto begin = [&] { shard::save(path, shard::buffer(std::vector<int>{7, 7})); };
  const auto look = [&] {
    const auto found = shard::open<int>(path);
    EXPECT_TRUE(found.size() == 1000 || (found.size() == 2 && found[1] == 7));
    expect_no_other_names(in);
    begin();
  };
  begin();
  die_everywhere([&] { shard::create<int>(path, 1000).finish(); }, look);
  die_everywhere([&] { shard::save(path, shard::buffer<int>(1000)); }, look);
  const auto replace = [&] { shard::open_or_create<int>(path, shard::on_mismatch::replace, 1000); };
  die_everywhere(replace, look);
  const restored_calls after;
  without_unnamed_files();
  die_everywhere(replace, look);
}

// No name in the folder, a temporary one neither, ever leads to more than both may.
TEST(AKill, OfWhoReplacesAFileLeavesItsPermissions) {
  const folder in;
  const auto path = in / "x.npy";
  const auto begin = [&] {
    shard::save(path, std::filesystem::perms{0644}, shard::buffer<int>(2));
  };
  const auto mode_of = [&](const std::string& name) {
    return static_cast<unsigned>(std::filesystem::status(in / name).permissions());
  };
  unsigned expected = 0644;
  const auto look = [&] {
    for (const std::string& each : in.names()) EXPECT_EQ(mode_of(each) & ~0644u, 0u) << each;
    const unsigned found = mode_of("x.npy");
    const std::size_t size = shard::open<int>(path).size();
    EXPECT_EQ(found, size == 2 ? 0644u : expected);
    expect_no_other_names(in);
    for (const std::string& each : in.names()) std::filesystem::remove(in / each);
    begin();
  };
  const shard::buffer<int> numbers(1000);
  const auto replace = [&] { shard::open_or_create<int>(path, shard::on_mismatch::replace, 1000); };
  const auto both_ways = [&] {
    begin();
    expected = 0644;
    die_everywhere([&] { shard::create<int>(path, 1000).finish(); }, look);
    die_everywhere([&] { shard::save(path, numbers); }, look);
    die_everywhere(replace, look);
    expected = 0640;
    die_everywhere([&] { shard::save(path, std::filesystem::perms{0640}, numbers); }, look);
  };
  both_ways();
  const restored_calls after;
  without_unnamed_files();
  both_ways();
}

TEST(AKill, OnTheWayToAFileLeavesNoMorePermissionsThanWereAsked) {
  const folder in;
  const auto path = in / "x.npy";
  constexpr auto asked = std::filesystem::perms{0640};
  const auto look = [&] {
    for (const std::string& each : in.names()) {
      const auto found = std::filesystem::status(in / each).permissions();
      EXPECT_EQ(found & ~asked, std::filesystem::perms::none) << each;
      EXPECT_TRUE(each != "x.npy" || found == asked);
      std::filesystem::remove(in / each);
    }
  };
  const auto all_ways = [&] {
    die_everywhere([&] { shard::create<int>(path, asked, 1000).finish(); }, look);
    die_everywhere([&] { shard::create_live<int>(path, asked, 1000); }, look);
    die_everywhere(
        [&] { shard::open_or_create<int>(path, asked, shard::on_mismatch::refuse, 1000); }, look);
  };
  all_ways();
  const restored_calls after;
  without_unnamed_files();
  all_ways();
}

TEST(AKill, OnTheWayToANamedBufferLeavesNothingThatOpens) {
  using shard::on_mismatch;
  const shard_test::shared_names names;
  const auto look = [&] {
    EXPECT_NE(refusal([] { shard::named::open<int>("x"); }), "");
    {
      const auto anew = shard::named::create<int>("x", 500);
      EXPECT_EQ(shard::named::open<int>("x").size(), 500u);
    }
    EXPECT_TRUE(shard::named::reclaim().empty());
    EXPECT_TRUE(names.in().names().empty());
  };
  die_everywhere([&] { shard::named::create<int>("x", 1000); }, look);
  die_everywhere([&] { shard::named::open_or_create<int>("x", on_mismatch::refuse, 1000); }, look);
}

TEST(AKill, OfOneWhoOpensOrReplacesANamedBufferLeavesItsHolderInPeace) {
  using shard::on_mismatch;
  const shard_test::shared_names names;
  auto mine = std::make_unique<shard::buffer<int>>(shard::named::create<int>("x", 1000));
  (*mine)[1] = 7;
  const auto look = [&] {
    EXPECT_EQ((*mine)[1], 7);
    EXPECT_EQ(shard::named::open<int>("x")[1], 7);
    EXPECT_TRUE(shard::named::reclaim().empty());
  };
  die_everywhere([&] { shard::named::open<int>("x"); }, look);
  die_everywhere([&] { shard::named::open_or_create<int>("x", on_mismatch::refuse, 1000); }, look);
  die_everywhere([&] { shard::named::reclaim(); }, look);
  die_everywhere([&] { shard::named::open_or_create<double>("x", on_mismatch::replace, 10); },
                 [&] {
                   EXPECT_EQ((*mine)[1], 7);
                   shard::named::reclaim();
                   mine.reset();
                   EXPECT_TRUE(names.in().names().empty());
                   mine =
                       std::make_unique<shard::buffer<int>>(shard::named::create<int>("x", 1000));
                   (*mine)[1] = 7;
                 });
}

// Attaching, writing and detaching.
TEST(AKill, OfOneWhoSharesAFileLeavesItUsable) {
  const folder in;
  const auto path = in / "x.npy";
  shard::save(path, shard::buffer<int>(1000));
  const auto plain = std::filesystem::file_size(path);
  die_everywhere(
      [&] {
        auto some = shard::open_writable<int>(path);
        some.fill({0, 1000}, 1);
        const auto watching = some.read_only();
        static_cast<void>(watching.torn());
      },
      [&] {
        std::vector<int> seen(1000);
        shard::open<int>(path).read({0, 1000}, seen);
        EXPECT_TRUE(seen == std::vector<int>(1000, 0) || seen == std::vector<int>(1000, 1));
        auto some = shard::open_writable<int>(path);
        EXPECT_TRUE(some.torn().empty()) << "nobody dies while it writes here";
        EXPECT_TRUE(some.try_lock_for(std::chrono::minutes(1)));
        EXPECT_FALSE(some.abandoned());
        some.fill({0, 1000}, 0);
        some.close();
        EXPECT_EQ(std::filesystem::file_size(path), plain);
      });
}

// Where the file system has no unnamed files: the second of the two ways to a file.
void without_unnamed_files() {
  static int (*real)(int, const char*, int, mode_t) = nullptr;
  real = calls().openat;
  calls().openat = [](int directory, const char* path, int flags, mode_t mode) {
    if ((flags & O_TMPFILE) == O_TMPFILE) return errno = EOPNOTSUPP, -1;
    return real(directory, path, flags, mode);
  };
}

void without_reservation() {
  calls().fallocate = [](int, int, off_t, off_t) { return errno = EOPNOTSUPP, -1; };
}

TEST(Creation, OfMemorySurvivesEveryFailingCall) {
  fail_everything([](const folder&) {
    shard::buffer<int> numbers(1000);
    numbers[999] = 1;
  });
}

TEST(Creation, OfAFileSurvivesEveryFailingCall) {
  fail_everything([](const folder& in) {
    auto numbers = shard::create<int>(in / "x.npy", 1000);
    numbers[999] = 1;
    numbers.finish();
    if (!std::filesystem::exists(in / "x.npy")) ADD_FAILURE() << "finished and not there";
  });
}

// The old file, of this mode, or the new one; and the new one has no more than the old.
TEST(Replacing, OfAFileThatOthersMayReadSurvivesEveryFailingCall) {
  const shard::buffer<int> numbers(1000);
  static const call_table genuine = calls();
  const auto use = [&](const folder& in) {
    const auto path = in / "x.npy";
    {
      const restored_calls armed;
      calls() = genuine;
      shard::save(path, std::filesystem::perms{0644}, shard::buffer<int>(2));
    }
    const std::string message = refusal([&] { shard::save(path, numbers); });
    const restored_calls armed;
    calls() = genuine;
    const auto mode = static_cast<unsigned>(std::filesystem::status(path).permissions());
    EXPECT_EQ(shard::open<int>(path).size(), message.empty() ? 1000u : 2u);
    EXPECT_TRUE(mode == 0644 || (message.empty() && mode == 0600)) << mode << message;
    if (!message.empty()) mentions(message, {"cannot ", ": found ", "expected "});
  };
  fail_everything(use);
  const restored_calls after;
  without_unnamed_files();
  fail_everything([&](const folder& in) {
    shard::save(in / "x.npy", std::filesystem::perms{0644}, shard::buffer<int>(2));
    shard::save(in / "x.npy", numbers);
  });
}

// What is there keeps its elements and its permissions.
TEST(Replacing, OnAFullDiskLeavesTheOldFileAsItWas) {
  const restored_calls after;
  const folder in;
  const shard::buffer<int> numbers(1000);
  shard::save(in / "x.npy", std::filesystem::perms{0644}, shard::buffer<int>(2));
  calls().pwrite = [](int, const void*, std::size_t, off_t) { return errno = ENOSPC, ssize_t{-1}; };
  calls().fallocate = [](int, int, off_t, off_t) { return errno = ENOSPC, -1; };
  for (const auto mode : {std::filesystem::perms{0600}, std::filesystem::perms{0666}}) {
    mentions(refusal([&] { shard::save(in / "x.npy", mode, numbers); }),
             {"cannot save", "No space left"});
    mentions(refusal([&] { shard::create<int>(in / "x.npy", mode, 1000); }), {"No space left"});
    EXPECT_EQ(std::filesystem::status(in / "x.npy").permissions(), std::filesystem::perms{0644});
    EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
  }
}

TEST(Creation, OfHugePagesSurvivesEveryFailingCall) {
  fail_everything([](const folder&) {
    shard::buffer<int> numbers(shard::pages::huge, 1000);
    numbers[999] = 1;
    shard::buffer<char> pages(shard::pages::huge, std::size_t{4} << 20);
    pages[0] = pages[pages.size() - 1] = 1;
  });
}

TEST(Creation, OfALiveFileSurvivesEveryFailingCall) {
  fail_everything([](const folder& in) { shard::create_live<int>(in / "x.npy", 1000)[999] = 1; });
}

TEST(OpenOrCreate, OfAFileSurvivesEveryFailingCall) {
  using shard::on_mismatch;
  fail_everything([](const folder& in) {
    shard::open_or_create<int>(in / "x.npy", on_mismatch::refuse, 1000)[999] = 1;
    EXPECT_EQ(shard::open_or_create<int>(in / "x.npy", on_mismatch::refuse, 1000)[999], 1);
    EXPECT_EQ(shard::open_or_create<int>(in / "x.npy", on_mismatch::replace, 500)[499], 0);
  });
}

TEST(Creation, OfANamedBufferSurvivesEveryFailingCall) {
  const shard_test::shared_names after;
  fail_everything([](const folder& in) {
    shard::memory::folder_of_names() = in.path();
    auto made = shard::named::create<int>("x", 1000);
    made[999] = 1;
    EXPECT_EQ(shard::named::open<int>("x")[999], 1);
    EXPECT_EQ(shard::buffer<int>::reopen(made.descriptor())[999], 1);
  });
}

TEST(OpenOrCreate, OfANamedBufferSurvivesEveryFailingCall) {
  using shard::on_mismatch;
  const shard_test::shared_names after;
  fail_everything([](const folder& in) {
    shard::memory::folder_of_names() = in.path();
    const auto made = shard::named::open_or_create<int>("x", on_mismatch::refuse, 1000);
    const auto again = shard::named::open_or_create<int>("x", on_mismatch::refuse, 1000);
    const auto other = shard::named::open_or_create<int>("x", on_mismatch::replace, 500);
    EXPECT_EQ(other.size(), 500u);
  });
}

TEST(Handles, SurviveEveryFailingCall) {
  const auto use = [](const folder&) {
    shard::buffer<int> numbers(1000);
    numbers[999] = 1;
    EXPECT_EQ(numbers.read_only()[999], 1);
    numbers.sync();
    EXPECT_EQ(std::move(numbers).freeze()[999], 1);
  };
  fail_everything(use);
  fail_everywhere<&call_table::msync>("msync", EIO, use);
  fail_everywhere<&call_table::fsync>("fsync", EIO, use);
}

TEST(Freeze, LeavesTheBufferAsItWasWhenSealingFails) {
  const restored_calls after;
  shard::buffer<int> numbers(1000);
  sabotage<&call_table::add_seals>::arm(1, EBUSY);
  EXPECT_NE(refusal([&] { auto frozen = std::move(numbers).freeze(); }), "");
  numbers[999] = 1;  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(shard::buffer<int>::reopen(numbers.descriptor())[999], 1);
}

TEST(Descriptors, SurviveEveryFailingCallOnTheirWay) {
  shard::buffer<int> numbers(1000);
  const shard::buffer<const int> view = std::move(numbers);
  const auto use = [&](const folder&) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const shard::os::descriptor here(ends[0]);
    const shard::os::descriptor there(ends[1]);
    view.send_descriptor(ends[0]);
    EXPECT_EQ(shard::buffer<const int>::receive(ends[1]).size(), 1000u);
  };
  fail_everything(use);
  fail_everywhere<&call_table::sendmsg>("sendmsg", EPIPE, use);
  fail_everywhere<&call_table::recvmsg>("recvmsg", EINTR, use);
  fail_everywhere<&call_table::recvmsg>("recvmsg", ECONNRESET, use);
}

TEST(Creation, OfATemporaryNameSurvivesEveryFailingCall) {
  const restored_calls after;
  without_unnamed_files();
  without_reservation();
  const auto use = [](const folder& in) { shard::create<int>(in / "x.npy", 1000).finish(); };
  fail_everything(use);
  fail_everywhere<&call_table::posix_fallocate>("posix_fallocate", ENOSPC, use);
}

// A transfer, the lock and a notice, from the first that attaches to the last that detaches.
TEST(Sharing, SurvivesEveryFailingCall) {
  static const call_table genuine = calls();
  fail_everything([](const folder& in) {
    const auto path = in / "x.npy";
    shard::save(path, shard::buffer<int>(1000));
    const auto plain = std::filesystem::file_size(path);
    std::string message;
    {
      auto some = shard::open_writable<int>(path);
      some[5] = 7;
      message = refusal([&] {
        some.fill({0, 5}, 1);
        some.lock();
        some.unlock();
        some.notify();
        std::vector<int> seen(5);
        some.read_only().read({0, 5}, seen);
        EXPECT_EQ(seen, std::vector<int>(5, 1));
      });
      EXPECT_EQ(some[5], 7) << "plain accesses need no control words";
    }
    if (!message.empty()) mentions(message, {"cannot ", ": found ", "expected "});
    // Either cut, or as long as a kill would leave it; and the next one can use it.
    const restored_calls after;
    calls() = genuine;
    const auto size = std::filesystem::file_size(path);
    EXPECT_TRUE(size == plain || size == shard::memory::control_end(plain, 4000)) << size;
    auto next = shard::open_writable<int>(path);
    EXPECT_EQ(refusal([&] { next.fill({0, 5}, 2); }), "");
    next.close();
  });
}

TEST(Sharing, OfAMemoryBufferSurvivesEveryFailingCall) {
  fail_everything([](const folder&) {
    shard::buffer<int> some(1000);
    some.fill({0, 5}, 1);
    some.lock();
    some.unlock();
    std::vector<int> seen(5);
    shard::buffer<const int>::reopen(some.descriptor()).read({0, 5}, seen);
    EXPECT_EQ(seen, std::vector<int>(5, 1));
  });
}

TEST(Sharing, OnAFullDiskIsAnErrorAndLeavesTheFileAsItWas) {
  const restored_calls after;
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(1000));
  const auto plain = std::filesystem::file_size(in / "x.npy");
  calls().fallocate = [](int, int, off_t, off_t) { return errno = ENOSPC, -1; };
  auto some = shard::open_writable<int>(in / "x.npy");
  mentions(refusal([&] { some.fill({0, 5}, 1); }), {"cannot share", "No space left", "fallocate"});
  some[5] = 7;
  some.close();
  EXPECT_EQ(std::filesystem::file_size(in / "x.npy"), plain);
  EXPECT_EQ(shard::open<int>(in / "x.npy")[5], 7);
}

// ---- A child that another thread forks in the middle, and that lives on.

// It has every description that is open then, and so every lock of theirs.
struct forked_amid {
  static inline call_table genuine;
  static inline int countdown = 0;
  static inline std::optional<shard_test::neighbour> child;

  static void arm(int nth) {
    genuine = calls();
    countdown = nth;
    calls().lock_file = [](int descriptor, int command, struct flock* lock) {
      const int result = genuine.lock_file(descriptor, command, lock);
      if (--countdown == 0) child.emplace([] { return true; });
      return result;
    };
  }
};

// Forks one after the first call for a lock that `use` makes, after the second, …. In none of them
// may a lock stay that keeps others out: shared ones say that the child has the handle, too.
// `use` closes what it opens, and returns the file once more, which was opened without locks.
void fork_everywhere(const std::function<shard::os::descriptor(const folder&)>& use) {
  for (int nth = 1;; ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth));
    const folder in;
    const restored_calls after;
    forked_amid::arm(nth);
    const shard::os::descriptor file = use(in);
    calls() = forked_amid::genuine;
    using shard::os::hold;
    const auto others_get = [&](std::uint64_t byte, hold how) {
      const shard::os::descriptor others =
          shard::os::open_again(file.get(), shard::os::protection::write);
      return shard::os::try_lock_byte(others, byte, how);
    };
    EXPECT_TRUE(others_get(shard::memory::attaching_byte, hold::exclusive));
    EXPECT_TRUE(others_get(shard::memory::writers_byte, hold::shared));
    EXPECT_TRUE(others_get(shard::memory::readers_byte, hold::shared));
    EXPECT_TRUE(others_get(shard::memory::named_byte, hold::shared));
    if (!forked_amid::child) {
      EXPECT_GT(nth, 4) << "too few calls to have shared anything";
      return;
    }
    forked_amid::child.reset();
  }
}

shard::os::descriptor once_more(int descriptor) {
  return shard::os::open_again(descriptor, shard::os::protection::write);
}

TEST(AForkedChild, KeepsNobodyFromSharingAFile) {
  fork_everywhere([](const folder& in) {
    shard::save(in / "x.npy", shard::buffer<int>(1000));
    auto some = shard::open_writable<int>(in / "x.npy");
    some.fill({0, 5}, 1);
    auto view = some.read_only();
    std::vector<int> seen(5);
    view.read({0, 5}, seen);
    view.close();
    return once_more(some.descriptor());
  });
}

TEST(AForkedChild, KeepsNobodyFromAFileThatCannotBeShared) {
  fork_everywhere([](const folder& in) {
    shard::save(in / "x.npy", shard::buffer<int>(1000));
    std::filesystem::resize_file(in / "x.npy", 20'000);
    auto some = shard::open_writable<int>(in / "x.npy");
    mentions(refusal([&] { some.fill({0, 5}, 1); }), {"cannot share", "20000 bytes"});
    return once_more(some.descriptor());
  });
}

TEST(AForkedChild, KeepsNobodyFromAFileOnAFullDisk) {
  fork_everywhere([](const folder& in) {
    shard::save(in / "x.npy", shard::buffer<int>(1000));
    auto some = shard::open_writable<int>(in / "x.npy");
    calls().fallocate = [](int, int, off_t, off_t) { return errno = ENOSPC, -1; };
    mentions(refusal([&] { some.fill({0, 5}, 1); }), {"cannot share", "fallocate"});
    return once_more(some.descriptor());
  });
}

TEST(AForkedChild, KeepsNobodyFromANamedBuffer) {
  fork_everywhere([](const folder&) {
    const shard_test::shared_names names;
    auto some = shard::named::create<int>("x", 1000);
    shard::os::descriptor file = once_more(some.descriptor());
    some.fill({0, 5}, 1);
    auto other = shard::named::open<int>("x");
    other.close();
    some.close();
    return file;
  });
}

// Its name stays, and the next of that name takes it over.
TEST(AForkedChild, KeepsNobodyFromANameThatCannotBeRemoved) {
  fork_everywhere([](const folder&) {
    const shard_test::shared_names names;
    auto some = shard::named::create<int>("x", 1000);
    shard::os::descriptor file = once_more(some.descriptor());
    calls().unlinkat = [](int, const char*, int) { return errno = EACCES, -1; };
    some.close();
    calls().unlinkat = forked_amid::genuine.unlinkat;
    return file;
  });
}

TEST(Saving, SurvivesEveryFailingCall) {
  const shard::buffer<int> numbers(1000);
  fail_everything([&](const folder& in) { shard::save(in / "x.npy", numbers); });
}

TEST(Opening, SurvivesEveryFailingCall) {
  fail_everything([](const folder& in) {
    shard::save(in / "x.npy", shard::buffer<int>(1000));
    EXPECT_EQ(shard::open<int>(in / "x.npy").size(), 1000u);
  });
}

TEST(Loading, SurvivesEveryFailingCall) {
  fail_everything([](const folder& in) {
    shard::save(in / "x.npy", shard::buffer<int>(1000));
    EXPECT_EQ(shard::load<int>(in / "x.npy").size(), 1000u);
  });
}

// Another process may cut it after its size was checked.
TEST(Loading, OfAFileThatBecomesShorterIsAnError) {
  const restored_calls after;
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(1000));
  static ssize_t (*real)(int, void*, std::size_t, off_t) = nullptr;
  real = calls().pread;
  calls().pread = [](int descriptor, void* to, std::size_t bytes, off_t offset) {
    return offset < 4096 ? real(descriptor, to, bytes, offset) : 0;
  };
  mentions(refusal([&] { shard::load<int>(in / "x.npy"); }), {"cannot load", "became shorter"});
}

TEST(Reopening, SurvivesEveryFailingCall) {
  const shard::buffer<int> numbers(1000);
  fail_everything([&](const folder&) {
    shard::buffer<int>::reopen(numbers.descriptor())[1] = 1;
    shard::memory::map_again(*shard::detail::owner_of(numbers), shard::detail::access::read);
  });
}

TEST(Creation, OnAFullDiskIsAnErrorThatSaysSo) {
  const restored_calls after;
  const folder in;
  calls().fallocate = [](int, int, off_t, off_t) { return errno = ENOSPC, -1; };
  mentions(refusal([&] { shard::create<double>(in / "x.npy", 1 << 20); }),
           {"cannot create", "8388608 bytes", "No space left on device", "fallocate"});
  EXPECT_TRUE(in.names().empty());
}

TEST(Creation, WithoutUnnamedFilesUsesATemporaryNameBesideTheTarget) {
  const restored_calls after;
  without_unnamed_files();
  const folder in;
  {
    auto numbers = shard::create<int>(in / "x.npy", 3);
    ASSERT_EQ(in.names().size(), 1u);
    const std::string temporary = *in.names().begin();
    EXPECT_TRUE(temporary.starts_with(".x.npy.") && temporary.ends_with(".tmp")) << temporary;
    EXPECT_TRUE(shard_test::holds_in_a_child([&] {
      auto dropped = std::move(numbers);
      return true;
    }));
    EXPECT_TRUE(shard_test::holds_in_a_child([&] {
      { auto dropped = std::move(numbers); }
      return in.names().size() == 1;
    })) << "a child that drops its handle leaves the parent's file";
    numbers[1] = 5;
    numbers.finish();
  }
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
  EXPECT_EQ(shard::open<int>(in / "x.npy")[1], 5);
  { auto dropped = shard::create<int>(in / "y.npy", 3); }
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(Creation, TriesAnotherTemporaryNameWhereOneIsTaken) {
  const restored_calls after;
  const folder in;
  sabotage<&call_table::linkat>::arm(1, EEXIST);
  shard::create<int>(in / "x.npy", 3).finish();
  EXPECT_TRUE(sabotage<&call_table::linkat>::struck);
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(Finishing, CanBeTriedAgain) {
  const restored_calls after;
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(2));
  auto numbers = shard::create<int>(in / "x.npy", 3);
  sabotage<&call_table::renameat>::arm(1, EACCES);
  mentions(refusal([&] { numbers.finish(); }), {"cannot finish", "rename"});
  numbers.finish();
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

// ---- On the disk.

TEST(EveryFailingCall, OnTheWayToTheDiskIsAnErrorOrHarmless) {
  const shard::buffer<int> numbers(3);
  fail_everything([&](const folder& in) {
    shard::create<int>(in / "x.npy", 1000).finish(shard::durability::disk);
    shard::save(in / "x.npy", numbers, shard::durability::disk);
    shard::open<int>(in / "x.npy").finish(shard::durability::disk);
  });
}

// The calls that make a file last, in their order: "fsync file", "link", "rename", "fsync folder".
struct recorder {
  static inline std::vector<std::string> made;
  static inline call_table real;

  static void arm() {
    made.clear();
    real = calls();
    calls().fsync = [](int descriptor) {
      made.emplace_back(shard::os::status(descriptor).regular ? "fsync file" : "fsync folder");
      return real.fsync(descriptor);
    };
    calls().linkat = [](int from, const char* old_path, int to, const char* new_path, int flags) {
      made.emplace_back("link");
      return real.linkat(from, old_path, to, new_path, flags);
    };
    calls().renameat = [](int from, const char* old_path, int to, const char* new_path) {
      made.emplace_back("rename");
      return real.renameat(from, old_path, to, new_path);
    };
  }
};

// First the bytes, then the name, then the folder that has the name.
TEST(Finish, PutsBytesAndNameOnTheDiskInThisOrder) {
  using strings = std::vector<std::string>;
  constexpr auto disk = shard::durability::disk;
  const restored_calls after;
  const folder in;
  auto first = shard::create<int>(in / "x.npy", 3);
  const auto second = shard::buffer<int>(3);
  recorder::arm();
  first.finish(disk);
  EXPECT_EQ(recorder::made, (strings{"fsync file", "link", "fsync folder"}));
  recorder::made.clear();
  shard::save(in / "x.npy", second, disk);
  EXPECT_EQ(recorder::made, (strings{"fsync file", "link", "link", "rename", "fsync folder"}));
  recorder::made.clear();
  shard::open<int>(in / "x.npy").finish(disk);  // a file that a map has finished, for example
  EXPECT_EQ(recorder::made, (strings{"fsync file", "fsync folder"}));
  recorder::made.clear();
  shard::create<int>(in / "y.npy", 3).finish();
  shard::buffer<int>(3).finish(disk);
  EXPECT_EQ(recorder::made, strings{"link"});
}

TEST(Finish, ThatCannotReachTheDiskSaysSoAndCanBeTriedAgain) {
  const restored_calls after;
  const folder in;
  auto made = shard::create<int>(in / "x.npy", 3);
  made[2] = 7;
  for (const int nth : {1, 2}) {  // the file's bytes, and its folder
    sabotage<&call_table::fsync>::arm(nth, EIO);
    mentions(refusal([&] { made.finish(shard::durability::disk); }),
             {"cannot finish", "Input/output error", "fsync", "a disk that takes it"});
    EXPECT_TRUE(sabotage<&call_table::fsync>::struck);
    calls().fsync = sabotage<&call_table::fsync>::real;
    EXPECT_EQ(in.names().size(), nth == 1 ? 0u : 1u);
  }
  made.finish(shard::durability::disk);
  EXPECT_EQ(shard::open<int>(in / "x.npy")[2], 7);
}

TEST(MapAgain, SaysThatProcIsMissing) {
  const restored_calls after;
  const shard::buffer<int> numbers(3);
  calls().openat = [](int, const char*, int, mode_t) { return errno = ENOENT, -1; };
  mentions(refusal([&] {
             shard::memory::map_again(*shard::detail::owner_of(numbers),
                                      shard::detail::access::read);
           }),
           {"cannot map memory again", "No such file", "/proc"});
}

TEST(Save, SaysThatProcIsMissing) {
  const restored_calls after;
  const folder in;
  const shard::buffer<int> numbers(3);
  sabotage<&call_table::linkat>::arm(1, ENOENT);
  mentions(refusal([&] { shard::save(in / "x.npy", numbers); }), {"linkat", "/proc mounted"});
  EXPECT_TRUE(in.names().empty());
}

TEST(Unlink, SaysThatItIsTheFileThatCannotBeWrittenTo) {
  const restored_calls after;
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(3));
  auto numbers = shard::open<int>(in / "x.npy");
  sabotage<&call_table::openat>::arm(1, EACCES);
  mentions(refusal([&] { numbers.unlink(); }),
           {"Permission denied", "expected one that this user may write to"});
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(Open, SaysThatThereAreTooFewAddresses) {
  const restored_calls after;
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(3));
  sabotage<&call_table::mmap>::arm(1, ENOMEM);
  mentions(refusal([&] { shard::open<int>(in / "x.npy"); }), {"mmap", "address space (ulimit -v)"});
}

TEST(Named, SaysThatTheNameIsAnotherUsers) {
  const restored_calls after;
  const shard_test::shared_names names;
  const auto theirs = shard::named::create<int>("x", 3);
  static call_table real;
  real = calls();
  calls().openat = [](int directory, const char* path, int flags, mode_t mode) {
    const bool named = std::string_view(path) == "shard.x";
    return named ? (errno = EACCES, -1) : real.openat(directory, path, flags, mode);
  };
  calls().fstatat = [](int directory, const char* path, struct stat* found, int flags) {
    const int result = real.fstatat(directory, path, found, flags);
    ++found->st_uid;
    return result;
  };
  const auto refuse = shard::on_mismatch::refuse;
  for (const std::string& message : {
           refusal([] { shard::named::create<int>("x", 3); }),
           refusal([] { shard::named::open<int>("x"); }),
           refusal([&] { shard::named::open_or_create<int>("x", refuse, 3); }),
       }) {
    mentions(message, {"named buffer x: found another user's file"});
  }
}

}  // namespace
