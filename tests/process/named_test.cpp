// Buffers that processes find by name: who gets one, who is refused, and what is left of it.

#include "shard/named.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "memory/control.hpp"
#include "memory/named.hpp"
#include "memory/segment.hpp"
#include "os/calls.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"
#include "shared_names.hpp"

namespace {

namespace fs = std::filesystem;
namespace named = shard::named;
using shard::on_mismatch;
using shard_test::eventually;
using shard_test::holds_in_a_child;
using shard_test::holds_in_children;
using shard_test::in_a_child_that_is_killed;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::shared_names;

using only_it = std::set<std::string>;

TEST(Named, IsSharedByAllWhoOpenIt) {
  const shared_names names;
  auto mine = named::create<double>("roots", 10, 3);
  EXPECT_TRUE(std::ranges::all_of(mine, [](double x) { return x == 0; }));
  EXPECT_TRUE(holds_in_a_child([] {
    auto theirs = named::open_writable<double, 2>("roots");
    theirs(9, 2) = 1.5;
    return named::open<double, 2>("roots")(9, 2) == 1.5;
  }));
  EXPECT_EQ(mine(9, 2), 1.5);
  EXPECT_EQ(names.in().names(), only_it{"shard.roots"});
}

TEST(Named, GoesWithItsLastHandle) {
  const shared_names names;
  auto first = std::make_unique<shard::buffer<int>>(named::create<int>("x", 3));
  auto second = std::make_unique<shard::buffer<const int>>(named::open<int>("x"));
  auto third =
      std::make_unique<shard::buffer<int>>(shard::buffer<int>::reopen(first->descriptor()));
  auto fourth = std::make_unique<shard::buffer<const int>>(second->read_only());
  (*third)[1] = 7;
  first.reset();
  second.reset();
  EXPECT_EQ(named::open<int>("x")[1], 7) << "one that comes and goes takes nothing along";
  third.reset();
  EXPECT_EQ(names.in().names(), only_it{"shard.x"});
  EXPECT_EQ((*fourth)[1], 7);
  fourth.reset();
  EXPECT_EQ(names.in().names(), only_it{});
  mentions(refusal([] { named::open<int>("x"); }), {"cannot open named buffer x", "no such name"});
}

// Path, name and descriptor are equal ways in.
TEST(Named, KeepsItsRoomForControlWordsHoweverItIsOpened) {
  const shared_names names;
  auto made = named::create<int>("x", 100);
  auto unused = named::open_writable<int>("x");
  const auto size = [&] {
    struct stat found {};
    fstat(made.descriptor(), &found);
    return found.st_size;
  };
  const auto before = size();
  const auto use = [](shard::buffer<int> some) {
    some.lock();
    some.unlock();
  };
  use(shard::open_writable<int>(names / "shard.x"));
  EXPECT_EQ(size(), before);
  made.unlink();
  use(shard::buffer<int>::reopen(made.descriptor()));
  EXPECT_EQ(size(), before);
  made.write({0, 1}, std::vector<int>{1});
  use(std::move(unused));
}

TEST(Named, IsTheOwnersAloneAndHasItsMemoryReserved) {
  const shared_names names;
  const mode_t before = umask(0);
  const auto made = named::create<double>("x", 1 << 17);
  umask(before);
  struct stat found {};
  ASSERT_EQ(stat((names / "shard.x").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  const std::size_t end = shard::memory::control_end(4096 + (8 << 17), 8 << 17);
  EXPECT_EQ(static_cast<std::size_t>(found.st_size), end);
  EXPECT_GE(static_cast<std::size_t>(found.st_blocks) * 512, end);
  EXPECT_EQ(fcntl(made.descriptor(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(Named, IsRefusedWhileAnotherHoldsIt) {
  const shared_names names;
  const auto mine = named::create<int>("x", 3);
  mentions(refusal([] { named::create<int>("x", 3); }), {"cannot create named buffer x", "in use"});
  EXPECT_TRUE(
      holds_in_a_child([] { return !refusal([] { named::create<int>("x", 3); }).empty(); }));
  mentions(refusal([] { named::open<double>("x"); }), {"'<i4'", "'<f8'"});
  mentions(refusal([] { named::open<int, 2>("x"); }), {"(3,)", "2 dimensions"});
  EXPECT_EQ(names.in().names(), only_it{"shard.x"});
}

TEST(Named, ThatAKilledOwnerLeftIsTakenOverAndNeverOpened) {
  const shared_names names;
  for (int round = 0; round < 10; ++round) {
    in_a_child_that_is_killed([] {
      auto made = named::create<int>("x", 3);
      made[1] = 666;
      return made;
    });
    ASSERT_EQ(names.in().names(), only_it{"shard.x"});
    const auto left = named::list();
    ASSERT_EQ(left.size(), 1u);
    EXPECT_EQ(left[0].name, "x");
    EXPECT_FALSE(left[0].held);
    mentions(refusal([] { named::open<int>("x"); }), {"nobody holds", "killed"});
    const auto anew = round % 2 == 0 ? named::create<int>("x", 3)
                                     : named::open_or_create<int>("x", on_mismatch::refuse, 3);
    EXPECT_EQ(anew[1], 0);
    EXPECT_TRUE(named::list()[0].held);
  }
  EXPECT_EQ(names.in().names(), only_it{});
}

TEST(Named, IsReclaimedUnlessSomebodyHoldsIt) {
  const shared_names names;
  const auto held = named::create<int>("held", 3);
  in_a_child_that_is_killed([] { return named::create<int>("left", 3); });
  std::ofstream(names / "shard.foreign") << "not a buffer";
  std::ofstream(names / "other");
  fs::create_symlink("shard.held", names / "shard.link");
  ASSERT_EQ(mkfifo((names / "shard.fifo").c_str(), 0600), 0);
  fs::create_directory(names / "shard.folder");
  EXPECT_EQ(named::reclaim(), std::vector<std::string>{"left"});
  EXPECT_EQ(named::reclaim(), std::vector<std::string>{});
  EXPECT_EQ(named::list().size(), 1u);
  EXPECT_EQ(named::list()[0].size_bytes, shard::memory::control_end(4096 + 12, 12));
  EXPECT_EQ(names.in().names().size(), 6u);
}

TEST(Named, ThatCannotBeReclaimedIsReported) {
  const shared_names names;
  in_a_child_that_is_killed([] { return named::create<int>("left", 3); });
  const auto real = std::exchange(shard::os::calls().unlinkat,
                                  [](int, const char*, int) { return errno = EACCES, -1; });
  const auto found = shard::memory::remove_leftovers();
  shard::os::calls().unlinkat = real;
  EXPECT_TRUE(found.all.empty());
  ASSERT_EQ(found.failures.size(), 1u);
  mentions(found.failures[0].what(),
           {"cannot remove named buffer left", "Permission denied", "unlink"});
  ASSERT_EQ(shard::memory::find_leftovers().all.size(), 1u);
  EXPECT_EQ(shard::memory::find_leftovers().all[0].name, "left");
  EXPECT_EQ(named::reclaim().size(), 1u);
}

// ---- What can't be looked at is an error, and never "there is none".

// Counts down to a call that fails as in a process that may open no more.
struct starved {
  static inline shard::os::call_table genuine;
  static inline int countdown;
  static inline bool struck;

  // Whether `look` throws where its nth call to open something fails; nothing: it makes fewer.
  template <class Look>
  static std::optional<bool> at(int nth, Look look) {
    genuine = shard::os::calls();
    countdown = nth;
    struck = false;
    shard::os::calls().openat = [](int at, const char* path, int flags, mode_t mode) {
      if (--countdown > 0) return genuine.openat(at, path, flags, mode);
      struck = true;
      return errno = EMFILE, -1;
    };
    const std::string message = refusal(look);
    shard::os::calls() = genuine;
    if (!struck) return std::nullopt;
    if (!message.empty()) mentions(message, {"cannot ", "ulimit -n"});
    return !message.empty();
  }
};

TEST(Named, ThatTheProcessCannotLookAtIsAnErrorAndNotNothing) {
  const shared_names names;
  const auto held = named::create<int>("held", 3);
  in_a_child_that_is_killed([] { return named::create<int>("left", 3); });
  const auto all_tell = [](auto look) {
    int nth = 1;
    for (;; ++nth) {
      const auto told = starved::at(nth, look);
      if (!told) break;
      EXPECT_TRUE(*told) << "call " << nth;
    }
    EXPECT_GT(nth, 3) << "too few calls to have looked at anything";
  };
  all_tell([] { named::list(); });
  all_tell([] {
    const auto found = shard::memory::find_leftovers();
    if (!found.failures.empty()) throw found.failures.front();
    EXPECT_EQ(found.all.size(), 1u);
  });
  all_tell([] { named::open<int>("held"); });
  // Whatever the failing call, the name is there until a call succeeds.
  all_tell([] { named::reclaim(); });
  EXPECT_EQ(names.in().names(), only_it{"shard.held"});
}

TEST(Named, InAFolderThatCannotBeReadIsAnErrorAndNotNothing) {
  const shared_names names;
  const auto held = named::create<int>("held", 3);
  EXPECT_TRUE(holds_in_a_child([&] {
    if (geteuid() == 0) {
      if (chown(names.in().path().c_str(), 65534, 65534) != 0) return false;
      if (setresuid(65534, 65534, 65534) != 0) return false;
    }
    fs::permissions(names.in().path(), fs::perms::owner_write | fs::perms::owner_exec);
    const auto refused = [](auto look) {
      return mentions(refusal(look), {"cannot ", "named buffers", "Permission denied"});
    };
    const bool told = refused([] { named::list(); }) && refused([] { named::reclaim(); }) &&
                      refused([] { shard::memory::find_leftovers(); });
    fs::permissions(names.in().path(), fs::perms::owner_all);
    return told;
  }));
}

TEST(Named, AreNoneWhereThereIsNoFolder) {
  const shared_names names;
  shard::memory::folder_of_names() /= "missing";
  EXPECT_TRUE(named::list().empty());
  EXPECT_TRUE(named::reclaim().empty());
}

template <class Steps>
std::error_code code_of(Steps steps) {
  try {
    steps();
  } catch (const shard::error& e) {
    return e.code();
  }
  return {};
}

// Who is too early waits and tries again; the others have something to put right.
TEST(Named, ThatCannotBeOpenedSaysByItsCodeWhy) {
  const shared_names names;
  for (const auto open : {+[](const char* name) { named::open<int>(name); },
                          +[](const char* name) { named::open_writable<int>(name); }}) {
    EXPECT_EQ(code_of([&] { open("missing"); }), std::errc::no_such_file_or_directory);
    in_a_child_that_is_killed([] { return named::create<int>("left", 3); });
    EXPECT_EQ(code_of([&] { open("left"); }), std::errc::owner_dead);
    EXPECT_EQ(named::reclaim().size(), 1u);
    EXPECT_EQ(code_of([&] { open("left"); }), std::errc::no_such_file_or_directory);
    const auto other = named::create<double>("other", 3);
    EXPECT_EQ(code_of([&] { open("other"); }), std::errc::invalid_argument);
    const auto rank = named::create<int>("rank", 3, 3);
    EXPECT_EQ(code_of([&] { open("rank"); }), std::errc::invalid_argument);
    EXPECT_EQ(code_of([&] { open("no name"); }), std::errc::invalid_argument);
    if (geteuid() != 0) continue;
    ASSERT_EQ(chown((names / "shard.rank").c_str(), 65534, 65534), 0);
    EXPECT_EQ(code_of([&] { open("rank"); }), std::errc::permission_denied);
    ASSERT_EQ(chown((names / "shard.rank").c_str(), 0, 0), 0);
  }
}

TEST(Named, SaysWhetherItWasCreatedOrFound) {
  const shared_names names;
  const auto tally = [](on_mismatch then, int n) {
    return named::open_or_create<long>("tally", then, n);
  };
  auto first = tally(on_mismatch::refuse, 3);
  EXPECT_TRUE(first.was_created());
  EXPECT_FALSE(tally(on_mismatch::refuse, 3).was_created());
  EXPECT_FALSE(tally(on_mismatch::take_stored, 4).was_created());
  EXPECT_TRUE(tally(on_mismatch::replace, 4).was_created());
  EXPECT_FALSE(first.read_only().was_created());
  EXPECT_FALSE(shard::buffer<long>::reopen(first.descriptor()).was_created());
  const shard::buffer<const long> moved = std::move(first);
  EXPECT_TRUE(moved.was_created());
  EXPECT_FALSE(first.was_created());  // NOLINT(bugprone-use-after-move)
  in_a_child_that_is_killed([] { return named::create<long>("left", 3); });
  EXPECT_TRUE(named::open_or_create<long>("left", on_mismatch::refuse, 3).was_created());
  EXPECT_TRUE(named::create<long>("new", 3).was_created());
}

// Of many at once exactly one is told that it created the buffer, and so has to fill it.
TEST(Named, SaysToOneOfManyThatItWasCreated) {
  const shared_names names;
  const auto held = named::create<int>("held", 3);
  shard::buffer<int> created(2);
  EXPECT_TRUE(holds_in_children(8, [&](int) {
    const auto own = named::open_or_create<int>("x", on_mismatch::refuse, 3);
    std::atomic_ref(created[0]).fetch_add(own.was_created() ? 1 : 0);
    const std::atomic_ref tried(created[1]);
    tried.fetch_add(1);
    return eventually([&] { return tried.load() == 8; });
  }));
  EXPECT_EQ(created[0], 1);
}

TEST(Named, ThatAnotherHandleOfAKilledOwnerHoldsGoesOn) {
  const shared_names names;
  int ready[2];
  int go[2];
  ASSERT_EQ(pipe(ready) | pipe(go), 0);
  const pid_t owner = fork();
  if (owner == 0) {
    auto made = named::create<int>("x", 3);
    made[1] = 7;
    char byte = 0;
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    if (read(go[0], &byte, 1) == 1) raise(SIGKILL);
    _exit(1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  auto mine = std::make_unique<shard::buffer<const int>>(named::open<int>("x"));
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(owner, &status, 0), owner);
  for (const int end : {ready[0], ready[1], go[0], go[1]}) close(end);
  EXPECT_EQ(named::open<int>("x")[1], 7);
  mine.reset();
  EXPECT_EQ(names.in().names(), only_it{});
}

TEST(Named, IsLeftAloneByAForkedChildThatDropsIt) {
  const shared_names names;
  auto mine = std::make_unique<shard::buffer<int>>(named::create<int>("x", 3));
  EXPECT_TRUE(holds_in_a_child([&] {
    mine.reset();
    return names.in().names() == only_it{"shard.x"} && named::open<int>("x").size() == 3;
  }));
  EXPECT_EQ(named::open<int>("x").size(), 3u);
  EXPECT_TRUE(named::list()[0].held);
  mine.reset();
  EXPECT_EQ(names.in().names(), only_it{});
}

TEST(Named, TakesNamesThatAreFileNamesAndNothingElse) {
  const shared_names names;
  for (const std::string& bad :
       {std::string(), std::string("a/b"), std::string("../x"), std::string("a b"),
        std::string("\xc3\xa4"), std::string("x\0", 2), std::string(201, 'n')}) {
    mentions(refusal([&] { named::create<int>(bad, 3); }), {"cannot name a buffer", "letters"});
    mentions(refusal([&] { named::open<int>(bad); }), {"cannot name a buffer"});
  }
  for (const std::string& good :
       {std::string("."), std::string(".."), std::string("A-b_9.c"), std::string(200, 'n')}) {
    const auto made = named::create<int>(good, 3);
    EXPECT_EQ(named::open<int>(good).size(), 3u);
  }
  EXPECT_EQ(names.in().names(), only_it{});
}

TEST(Named, NeitherFollowsNorRemovesWhatIsNotItsOwn) {
  const shared_names names;
  const auto real = named::create<int>("real", 3);
  fs::create_symlink("shard.real", names / "shard.link");
  std::ofstream(names / "shard.text") << "not a buffer";
  fs::create_directory(names / "shard.folder");
  ASSERT_EQ(mkfifo((names / "shard.fifo").c_str(), 0600), 0);
  for (const char* name : {"link", "text", "folder", "fifo"}) {
    EXPECT_NE(refusal([&] { named::create<int>(name, 3); }), "") << name;
    EXPECT_NE(refusal([&] { named::open<int>(name); }), "") << name;
    EXPECT_NE(refusal([&] { named::open_or_create<int>(name, on_mismatch::replace, 3); }), "")
        << name;
  }
  mentions(refusal([] { named::create<int>("fifo", 3); }), {"a FIFO"});
  EXPECT_EQ(names.in().names().size(), 5u);
}

TEST(Named, OfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to make another user's file";
  const shared_names names;
  const auto made = named::create<int>("x", 3);
  ASSERT_EQ(chown((names / "shard.x").c_str(), 65534, 65534), 0);
  mentions(refusal([] { named::open<int>("x"); }), {"another user's file"});
  mentions(refusal([] { named::create<int>("x", 3); }), {"another user's file"});
  EXPECT_TRUE(named::list().empty());
}

TEST(Named, OfAnotherShapeIsRefusedTakenOrReplacedAsAsked) {
  const shared_names names;
  auto first = named::create<int>("x", 3);
  first[1] = 7;
  EXPECT_EQ(named::open_or_create<int>("x", on_mismatch::refuse, 3)[1], 7);
  mentions(refusal([] { named::open_or_create<int>("x", on_mismatch::refuse, 4); }),
           {"(3,)", "(4,)", "take_stored"});
  EXPECT_EQ(named::open_or_create<int>("x", on_mismatch::take_stored, 4).size(), 3u);
  mentions(refusal([] { named::open_or_create<double>("x", on_mismatch::take_stored, 3); }),
           {"'<i4'", "'<f8'"});
  auto second = named::open_or_create<double>("x", on_mismatch::replace, 4);
  EXPECT_EQ(second.size(), 4u);
  EXPECT_EQ(first[1], 7);
  { const auto gone = std::move(first); }
  EXPECT_EQ(named::open<double>("x").size(), 4u) << "the old handle doesn't take the new name";
}

TEST(Named, GivesExactlyOneOfManyRacingCreatorsTheName) {
  const shared_names names;
  shard::buffer<int> created(21);
  EXPECT_TRUE(holds_in_children(8, [&](int) {
    for (int round = 0; round < 20; ++round) {
      const std::string name = "x" + std::to_string(round);
      try {
        // Kept until the process ends, and not closed then: so each name has one creator.
        new shard::buffer<int>(named::create<int>(name, 1000));
        std::atomic_ref(created[static_cast<std::size_t>(round)]).fetch_add(1);
      } catch (const shard::error& e) {
        if (e.code() != std::errc::file_exists) throw;
      }
    }
    // Nobody may end before all have tried: a name without a holder is free.
    const std::atomic_ref tried(created[20]);
    tried.fetch_add(1);
    return eventually([&] { return tried.load() == 8; });
  }));
  for (std::size_t round = 0; round < 20; ++round) EXPECT_EQ(created[round], 1);
  EXPECT_EQ(named::reclaim().size(), 20u);
}

// All add to what one of them makes; whoever comes after the last has gone begins anew.
TEST(Named, IsOpenedOrCreatedByManyWithoutLoss) {
  const shared_names names;
  shard::buffer<int> lost(1);
  EXPECT_TRUE(holds_in_children(8, [&](int) {
    for (int round = 0; round < 50; ++round) {
      auto tally = named::open_or_create<int>("tally", on_mismatch::refuse, 2);
      std::atomic_ref(tally[0]).fetch_add(1);
      const auto again = named::open<int>("tally");
      if (std::atomic_ref(const_cast<int&>(again[0])).load() < 1) ++lost[0];
    }
    return true;
  }));
  EXPECT_EQ(lost[0], 0);
  EXPECT_EQ(names.in().names(), only_it{}) << "the last of all removed it";
}

TEST(Named, LeavesNothingAfterTwoThousand) {
  const shared_names names;
  const std::size_t descriptors = shard_test::open_descriptors();
  const std::size_t segments =
      shard::detail::segment::live(shard::detail::segment::hold_live()).size();
  for (int i = 0; i < 700; ++i) {
    const auto made = named::create<int>("x", 100);
    EXPECT_NE(refusal([] { named::create<int>("x", 100); }), "");
    EXPECT_NE(refusal([] { named::open<double>("x"); }), "");
  }
  EXPECT_EQ(shard_test::open_descriptors(), descriptors);
  EXPECT_EQ(shard::detail::segment::live(shard::detail::segment::hold_live()).size(), segments);
  EXPECT_EQ(names.in().names(), only_it{});
}

// In a user namespace of its own, where anyone may mount. Returns false if this system won't.
bool mount_small_disk(const fs::path& at) {
  const auto write_to = [](const char* file, const std::string& text) {
    std::ofstream(file) << text;
  };
  const std::string user = std::to_string(geteuid());
  const std::string group = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  write_to("/proc/self/setgroups", "deny");
  write_to("/proc/self/uid_map", user + " " + user + " 1");
  write_to("/proc/self/gid_map", group + " " + group + " 1");
  return mount("tmpfs", at.c_str(), "tmpfs", 0, "size=4m") == 0;
}

TEST(AFullDisk, IsAnErrorAtCreationAndNoFaultLater) {
  const shared_names names;
  const fs::path& folder = names.in().path();
  const pid_t child = fork();
  if (child == 0) {
    if (!mount_small_disk(folder)) _exit(77);
    constexpr int n = 1 << 20;  // 8 MiB
    const auto refused = [](auto create) {
      return mentions(refusal([&] { create(); }), {"cannot create", "No space left on device"});
    };
    const bool clean = refused([] { named::create<double>("x", n); }) &&
                       refused([&] { shard::create<double>(folder / "x.npy", n); }) &&
                       refused([&] { shard::create_live<double>(folder / "x.npy", n); }) &&
                       names.in().names().empty();
    const auto small = named::create<char>("x", n);
    _exit(clean && small[n - 1] == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mounting in a user namespace here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(AMap, FillsNamedAndLiveBuffersAndReadsThemInWorkers) {
  const shared_names names;
  auto squares = named::create<double>("squares", 10000);
  auto roots = shard::create_live<double>(names / "roots.npy", 10000);
  shard::map(squares, [](std::size_t i) { return static_cast<double>(i * i); });
  shard::map(shard::range{0, 10000}, shard::in(named::open<double>("squares")), shard::out(roots),
             [](std::size_t i, shard::view<double> from, shard::slice<double> to) {
               to[i] = std::sqrt(from[i]);
             });
  for (std::size_t i = 0; i < 10000; ++i) ASSERT_EQ(roots[i], static_cast<double>(i));
  EXPECT_EQ(named::list().size(), 1u);
}

TEST(AMap, SaysWhichFileAnotherProcessHasCut) {
  const shared_names names;
  auto from = shard::create_live<double>(names / "x.npy", 1 << 16);
  shard::buffer<double> to(from.size());
  ASSERT_EQ(truncate((names / "x.npy").c_str(), 4096), 0);
  const shard::report run = shard::try_map(
      {.retries = 0}, shard::range{0, to.size()}, shard::in(from), shard::out(to),
      [](std::size_t i, shard::view<double> all, shard::slice<double> out) { out[i] = all[i]; });
  ASSERT_FALSE(run.complete());
  EXPECT_EQ(run.failures()[0].signal, SIGBUS);
  mentions(run.failures()[0].what, {"x.npy"});
}

TEST(Reopen, NeedsNoFolderOfNames) {
  const shared_names names;
  const auto file = shard::create_live<int>(names / "x.npy", 3);
  shard::memory::folder_of_names() = names / "none";
  EXPECT_EQ(shard::buffer<const int>::reopen(file.descriptor()).size(), 3u);
  EXPECT_TRUE(named::list().empty());
  mentions(refusal([] { named::create<int>("x", 3); }), {"No such file"});
}

TEST(Named, IsInDevShm) {
  const std::string name = "test." + std::to_string(getpid());
  {
    const auto made = named::create<int>(name, 3);
    EXPECT_TRUE(fs::exists("/dev/shm/shard." + name));
    EXPECT_EQ(made.stats().kind, shard::backing::named);
    EXPECT_EQ(made.stats().name, name);
  }
  EXPECT_FALSE(fs::exists("/dev/shm/shard." + name));
}

}  // namespace
