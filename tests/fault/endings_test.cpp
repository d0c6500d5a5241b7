// The ends of handles in a process that can open, map and allocate nothing any more, has no folder
// to look into, or has become another user's: what a handle has to take away goes all the same.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "memory/control.hpp"
#include "os/calls.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/named.hpp"
#include "shard/npy.hpp"
#include "shared_names.hpp"

namespace {

namespace fs = std::filesystem;
namespace named = shard::named;
using shard::on_mismatch;
using shard_test::folder;
using shard_test::shared_names;

constexpr int rows = 1000;
constexpr int skipped = 77;

// ---- What a process may be short of when its handles end.

struct shortage {
  const char* name;
  void (*begin)();
};

void forbid(int limit, rlim_t most) {
  rlimit now{};
  getrlimit(static_cast<__rlimit_resource>(limit), &now);
  now.rlim_cur = most;
  setrlimit(static_cast<__rlimit_resource>(limit), &now);
}

void allow_no_descriptors() { forbid(RLIMIT_NOFILE, 0); }

void allow_no_memory() {
  if (shard_test::sanitized) return;  // which map what they like, and take it ill
  forbid(RLIMIT_AS, 1);
  // What the C library still has in stock goes, too; never to be freed.
  for (std::size_t size = std::size_t{1} << 20; size >= 16; size /= 2) {
    while (volatile void* const taken = std::malloc(size)) static_cast<void>(taken);
  }
}

void allow_neither() {
  allow_no_descriptors();
  allow_no_memory();
}

// Not by real limits, so that no sanitizer minds: all that is opened, mapped and looked up fails.
void refuse_calls() {
  shard::os::calls().openat = [](int, const char*, int, mode_t) { return errno = EMFILE, -1; };
  shard::os::calls().mmap = [](void*, std::size_t, int, int, int, off_t) {
    return errno = ENOMEM, MAP_FAILED;
  };
  shard::os::calls().readlink = [](const char*, char*, std::size_t) {
    return errno = ENOENT, ssize_t{-1};
  };
}

void become_another_user() {
  if (geteuid() != 0 || setresuid(65534, 65534, 65534) != 0) _exit(skipped);
}

const std::vector<shortage> shortages = {{"no descriptors", allow_no_descriptors},
                                         {"no memory", allow_no_memory},
                                         {"neither", allow_neither},
                                         {"no calls that take anything", refuse_calls},
                                         {"another user", become_another_user}};

// ---- Handles of all kinds. Each gives one that is the last of its buffer, in a folder with a
// whole file "there.npy".

using handle = shard::buffer<int>;

struct kind {
  const char* name;
  handle (*make)(const fs::path& in);
};

const std::vector<kind> kinds = {
    {"memory", [](const fs::path&) { return handle(rows); }},
    {"an unfinished file", [](const fs::path& in) { return shard::create<int>(in / "x", rows); }},
    {"a file with a temporary name",
     [](const fs::path& in) {
       const auto real = shard::os::calls().openat;
       shard::os::calls().openat = [](int at, const char* path, int flags, mode_t mode) {
         if ((flags & O_TMPFILE) == O_TMPFILE) return errno = EOPNOTSUPP, -1;
         return shard::os::above_standard_streams(openat(at, path, flags, mode));
       };
       handle made = shard::create<int>(in / "x", rows);
       shard::os::calls().openat = real;
       return made;
     }},
    {"a file that is opened",
     [](const fs::path& in) { return shard::open_writable<int>(in / "there.npy"); }},
    {"a file that is opened or created",
     [](const fs::path& in) {
       return shard::open_or_create<int>(in / "there.npy", on_mismatch::refuse, rows);
     }},
    {"a file that is reopened",
     [](const fs::path& in) {
       return handle::reopen(shard::open_writable<int>(in / "there.npy").descriptor());
     }},
    {"a named one", [](const fs::path&) { return named::create<int>("x", rows); }},
    {"a named one that is opened",
     [](const fs::path&) {
       const auto first = named::create<int>("x", rows);
       return named::open_writable<int>("x");
     }},
    {"a named one that is opened or created",
     [](const fs::path&) {
       const auto first = named::open_or_create<int>("x", on_mismatch::refuse, rows);
       return named::open_or_create<int>("x", on_mismatch::refuse, rows);
     }},
    {"a named one that is reopened",
     [](const fs::path&) {
       const auto first = named::create<int>("x", rows);
       return handle::reopen(first.descriptor());
     }},
    {"a named one in the place of another", [](const fs::path&) {
       const auto first = named::create<int>("x", 3);
       return named::open_or_create<int>("x", on_mismatch::replace, rows);
     }}};

void prepare(const folder& in) {
  shard::save(in / "there.npy", shard::buffer<int>(rows));
  // Who becomes another user may still change the folder, as its owner lets it.
  fs::permissions(in.path(), fs::perms::all);
}

// Ends handles in a child that runs short first; false: they can't run short of that here. What is
// left in the folder is what was there, as long as it was.
bool nothing_is_left(const folder& in, const shortage& of, const std::function<void()>& steps) {
  prepare(in);
  const auto length = fs::file_size(in / "there.npy");
  const pid_t child = fork();
  if (child == 0) {
    steps();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == skipped) return false;
  EXPECT_EQ(status, 0) << of.name;
  EXPECT_EQ(in.names(), std::set<std::string>{"there.npy"});
  EXPECT_EQ(fs::file_size(in / "there.npy"), length);
  return true;
}

void for_each_shortage(const std::function<void(const shortage&, const kind&)>& check) {
  for (const shortage& of : shortages) {
    for (const kind& what : kinds) {
      SCOPED_TRACE(std::string(what.name) + ", " + of.name);
      check(of, what);
    }
  }
}

TEST(Endings, TakeTheNameAndNothingElseWhateverTheProcessIsShortOf) {
  for_each_shortage([](const shortage& of, const kind& what) {
    const shared_names names;
    nothing_is_left(names.in(), of, [&] {
      handle one = what.make(names.in().path());
      of.begin();
      one.close();
    });
  });
}

TEST(Endings, TakeTheControlWordsWhateverTheProcessIsShortOf) {
  for_each_shortage([](const shortage& of, const kind& what) {
    const shared_names names;
    nothing_is_left(names.in(), of, [&] {
      handle one = what.make(names.in().path());
      one.notify();
      one.lock();
      of.begin();
      one.close();  // and unlocks
    });
  });
}

TEST(Endings, OfReadOnlyHandlesTakeTheNameWhateverTheProcessIsShortOf) {
  for_each_shortage([](const shortage& of, const kind& what) {
    const shared_names names;
    nothing_is_left(names.in(), of, [&] {
      handle one = what.make(names.in().path());
      one.notify();
      shard::buffer<const int> view = one.read_only();
      one.close();
      of.begin();
      view.close();
    });
  });
}

// In the other order: the end of the first leaves what the second still needs.
TEST(Endings, LeaveWhatOthersHoldWhateverTheProcessIsShortOf) {
  for (const shortage& of : shortages) {
    SCOPED_TRACE(of.name);
    const shared_names names;
    const auto held = named::create<int>("held", rows);
    fs::permissions(names.in().path(), fs::perms::all);
    const pid_t child = fork();
    if (child == 0) {
      handle one = named::open_writable<int>("held");
      of.begin();
      one.close();
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(names.in().names(), std::set<std::string>{"shard.held"});
    EXPECT_EQ(named::open<int>("held").size(), std::size_t{rows});
  }
}

// A file that can't be shared after all is as long as it was.
TEST(Endings, OfWhoCouldNotMapTheControlWordsTakeThemAway) {
  const folder in;
  shard::save(in / "there.npy", shard::buffer<int>(rows));
  const auto length = fs::file_size(in / "there.npy");
  auto one = shard::open_writable<int>(in / "there.npy");
  const auto real = std::exchange(
      shard::os::calls().mmap,
      [](void*, std::size_t, int, int, int, off_t) { return errno = ENOMEM, MAP_FAILED; });
  EXPECT_NE(shard_test::refusal([&] { one.notify(); }), "");
  shard::os::calls().mmap = real;
  EXPECT_EQ(fs::file_size(in / "there.npy"), length);
  EXPECT_EQ(shard_test::refusal([&] { one.notify(); }), "");
}

TEST(Endings, FindTheNameWhereverTheProcessIsLed) {
  const shared_names names;
  EXPECT_TRUE(shard_test::holds_in_a_child([&] {
    handle one = named::create<int>("x", rows);
    fs::rename(names.in().path(), names.in().path().string() + ".moved");
    one.close();
    fs::rename(names.in().path().string() + ".moved", names.in().path());
    return names.in().names().empty();
  }));
}

// A program may have as many named buffers as it has descriptors for two each.
TEST(Endings, CostTwoDescriptorsForEachNamedBuffer) {
  const shared_names names;
  const handle first = named::create<int>("first", 3);
  const std::size_t before = shard_test::open_descriptors();
  std::vector<handle> more;
  for (int i = 0; i < 10; ++i) {
    more.push_back(named::create<int>("more" + std::to_string(i), 3));
  }
  EXPECT_EQ(shard_test::open_descriptors(), before + 20);
}

}  // namespace
