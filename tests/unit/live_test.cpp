// Files that are there, under their names, while they are filled.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <string>

#include "refusal.hpp"
#include "shard/named.hpp"
#include "shard/npy.hpp"
#include "shared_names.hpp"

namespace {

namespace fs = std::filesystem;
using shard::on_mismatch;
using shard_test::folder;
using shard_test::holds_in_a_child;
using shard_test::holds_in_children;
using shard_test::in_a_child_that_is_killed;
using shard_test::mentions;
using shard_test::refusal;

TEST(CreateLive, IsThereAtOnceAndStays) {
  const folder in;
  {
    auto numbers = shard::create_live<int>(in / "x.npy", 3, 4);
    EXPECT_EQ((shard::open<int, 2>(in / "x.npy")(2, 3)), 0);
    numbers(2, 3) = 7;
    EXPECT_EQ((shard::open<int, 2>(in / "x.npy")(2, 3)), 7);
    numbers.finish();
  }
  EXPECT_EQ((shard::open<int, 2>(in / "x.npy")(2, 3)), 7);
  EXPECT_EQ(fs::file_size(in / "x.npy"), 4096u + 48) << "a file has its control area on demand";
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(CreateLive, ReplacesNothing) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(5));
  fs::create_symlink("none", in / "link.npy");
  fs::create_directory(in / "folder");
  for (const char* name : {"x.npy", "link.npy", "folder"}) {
    EXPECT_NE(refusal([&] { shard::create_live<int>(in / name, 3); }), "") << name;
  }
  mentions(refusal([&] { shard::create_live<int>(in / "x.npy", 3); }),
           {"cannot create", "found something of that name"});
  EXPECT_EQ(shard::open<int>(in / "x.npy").size(), 5u);
  EXPECT_EQ(in.names(), (std::set<std::string>{"x.npy", "link.npy", "folder"}));
}

// All that takes a path.
std::string refusals_of(const fs::path& path) {
  const shard::buffer<int> some(3);
  std::string all = refusal([&] { shard::open<int>(path); });
  for (const std::string& other : {
           refusal([&] { shard::open_writable<int>(path); }),
           refusal([&] { shard::load<int>(path); }),
           refusal([&] { shard::create<int>(path, 3); }),
           refusal([&] { shard::create_live<int>(path, 3); }),
           refusal([&] { shard::open_or_create<int>(path, on_mismatch::refuse, 3); }),
           refusal([&] { shard::save(path, some); }),
       }) {
    EXPECT_EQ(other, all);
  }
  return all;
}

TEST(Files, RefusePathsThatNoFileCanHave) {
  const folder in;
  EXPECT_EQ(refusals_of(""),
            "cannot name a file: found '' of 0 bytes, expected 1 or more without a NUL");
  mentions(refusals_of(in / std::string("x.npy\0y", 7)), {"x.npy' of", "without a NUL"});
  EXPECT_TRUE(in.names().empty());
}

TEST(Files, SayThatTheWorkingDirectoryIsGone) {
  const folder in;
  EXPECT_TRUE(holds_in_a_child([&] {
    shard::save(in / "x.npy", shard::buffer<int>(3));
    fs::create_directory(in / "gone");
    fs::current_path(in / "gone");
    fs::remove(in / "gone");
    const auto refuse = on_mismatch::refuse;
    return mentions(refusal([&] { shard::open_or_create<int>("y.npy", refuse, 3); }),
                    {"cannot open or create y.npy", "No such file", "a working directory"}) &&
           mentions(refusal([&] { shard::open<int>("../x.npy"); }), {"No such file"}) &&
           mentions(refusal([&] { shard::create<int>("../y.npy", 3); }), {"No such file"});
  }));
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(CreateLive, IsTheOwnersAlone) {
  const folder in;
  for (const mode_t mask : {0000u, 0777u}) {
    const mode_t before = umask(mask);
    auto made = shard::create_live<int>(in / "x.npy", 3);
    umask(before);
    struct stat found {};
    ASSERT_EQ(stat((in / "x.npy").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0600u);
    made.unlink();
  }
}

TEST(OpenOrCreate, OpensWhatFits) {
  const folder in;
  shard::open_or_create<int>(in / "x.npy", on_mismatch::refuse, 3)[1] = 7;
  EXPECT_EQ(shard::open_or_create<int>(in / "x.npy", on_mismatch::refuse, 3)[1], 7);
  EXPECT_EQ(shard::open_or_create<int>(in / "x.npy", on_mismatch::replace, 3)[1], 7);
  EXPECT_TRUE(holds_in_a_child([&] {
    fs::current_path(in.path());
    return shard::open_or_create<int>("x.npy", on_mismatch::refuse, 3)[1] == 7 &&
           shard::open_or_create<int>("y.npy", on_mismatch::refuse, 3)[1] == 0;
  }));
}

TEST(OpenOrCreate, SaysWhichOfTheTwoItDid) {
  const folder in;
  const auto tally = [&](on_mismatch then, int n) {
    return shard::open_or_create<int>(in / "x.npy", then, n).was_created();
  };
  EXPECT_TRUE(tally(on_mismatch::refuse, 3));
  EXPECT_FALSE(tally(on_mismatch::refuse, 3));
  EXPECT_FALSE(tally(on_mismatch::take_stored, 4));
  EXPECT_TRUE(tally(on_mismatch::replace, 4));
  EXPECT_FALSE(tally(on_mismatch::replace, 4));
  EXPECT_FALSE(shard::open<int>(in / "x.npy").was_created());
  EXPECT_FALSE(shard::open_writable<int>(in / "x.npy").was_created());
  EXPECT_TRUE(shard::create_live<int>(in / "y.npy", 3).was_created());
  EXPECT_TRUE(shard::create<int>(in / "z.npy", 3).was_created());
  EXPECT_TRUE(shard::load<int>(in / "x.npy").was_created());
  EXPECT_TRUE(shard::buffer<int>(3).was_created());
  EXPECT_FALSE(shard::buffer<int>(3).read_only().was_created());
}

TEST(OpenOrCreate, RefusesTakesOrReplacesAnotherShapeAsAsked) {
  const folder in;
  const auto path = in / "x.npy";
  auto first = shard::create_live<int>(path, 3);
  first[1] = 7;
  mentions(refusal([&] { shard::open_or_create<int>(path, on_mismatch::refuse, 4); }),
           {"cannot open or create", "(3,)", "(4,)", "take_stored"});
  EXPECT_EQ(shard::open_or_create<int>(path, on_mismatch::take_stored, 4).size(), 3u);
  mentions(refusal([&] { shard::open_or_create<double>(path, on_mismatch::take_stored, 3); }),
           {"'<i4'", "'<f8'"});
  EXPECT_EQ(shard::open_or_create<int>(path, on_mismatch::replace, 4).size(), 4u);
  EXPECT_EQ(shard::open<int>(path).size(), 4u);
  EXPECT_EQ(first[1], 7) << "who has the old one open keeps it";
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(OpenOrCreate, RejectsWhatIsNoArrayAndRepairsNothing) {
  const folder in;
  std::ofstream(in / "x.npy") << std::string(64, '\0');
  for (const auto then : {on_mismatch::refuse, on_mismatch::take_stored}) {
    EXPECT_NE(refusal([&] { shard::open_or_create<int>(in / "x.npy", then, 3); }), "");
    EXPECT_EQ(fs::file_size(in / "x.npy"), 64u);
  }
  EXPECT_EQ(shard::open_or_create<int>(in / "x.npy", on_mismatch::replace, 3).size(), 3u);
}

TEST(OpenOrCreate, FollowsNoSymlinkAndOpensNothingElse) {
  const folder in;
  shard::save(in / "real.npy", shard::buffer<int>(3));
  fs::create_symlink("real.npy", in / "link");
  fs::create_symlink("none", in / "dangling");
  fs::create_directory(in / "folder");
  ASSERT_EQ(mkfifo((in / "fifo").c_str(), 0600), 0);
  const auto names = in.names();
  for (const char* name : {"link", "dangling", "folder", "fifo", "none/x"}) {
    EXPECT_NE(refusal([&] { shard::open_or_create<int>(in / name, on_mismatch::replace, 3); }), "")
        << name;
  }
  mentions(refusal([] { shard::open_or_create<int>("/dev/null", on_mismatch::replace, 3); }),
           {"a character device"});
  EXPECT_EQ(in.names(), names);
}

TEST(OpenOrCreate, LeavesNothingOfACreatorThatIsKilledHalfWay) {
  const folder in;
  in_a_child_that_is_killed([&] { return shard::create<int>(in / "x.npy", 1000); });
  EXPECT_EQ(in.names(), std::set<std::string>{});
  EXPECT_EQ(shard::open_or_create<int>(in / "x.npy", on_mismatch::refuse, 3).size(), 3u);
}

// Each adds to the file that all get. A file created twice would have lost what was added between.
TEST(OpenOrCreate, ByManyRacingProcessesCreatesOnceAndLosesNothing) {
  const folder in;
  for (const bool stale : {false, true}) {
    SCOPED_TRACE(stale);
    for (int round = 0; round < 20; ++round) {
      const auto path = in / (std::to_string(stale) + std::to_string(round) + ".npy");
      if (stale) shard::save(path, shard::buffer<int>(5));
      EXPECT_TRUE(holds_in_children(8, [&](int) {
        auto all = shard::open_or_create<int>(path, on_mismatch::replace, 3);
        std::atomic_ref(all[1]).fetch_add(1);
        return true;
      }));
      EXPECT_EQ(shard::open<int>(path)[1], 8);
    }
  }
}

TEST(CreateLive, OfManyRacingProcessesSucceedsInOne) {
  const folder in;
  shard::buffer<int> created(1);
  for (int round = 0; round < 20; ++round) {
    const auto path = in / std::to_string(round);
    EXPECT_TRUE(holds_in_children(8, [&](int c) {
      try {
        shard::create_live<int>(path, 3)[1] = c + 1;
        std::atomic_ref(created[0]).fetch_add(1);
      } catch (const shard::error& e) {
        return e.code() == std::errc::file_exists;
      }
      return true;
    }));
    EXPECT_GE(shard::open<int>(path)[1], 1);
  }
  EXPECT_EQ(created[0], 20);
}

TEST(CreateLive, RefusesMoreThanTheFileSizeLimit) {
  const folder in;
  const shard_test::shared_names names;
  EXPECT_TRUE(holds_in_a_child([&] {
    const rlimit limit{4096, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    constexpr int n = 1 << 20;
    return mentions(refusal([&] { shard::create_live<double>(in / "x.npy", n); }),
                    {"8388608 bytes", "4096 available (RLIMIT_FSIZE)"}) &&
           mentions(refusal([] { shard::named::create<double>("x", n); }), {"RLIMIT_FSIZE"}) &&
           mentions(refusal([] { shard::buffer<double> memory(n); }), {"RLIMIT_FSIZE"});
  }));
  EXPECT_TRUE(in.names().empty());
  EXPECT_TRUE(names.in().names().empty());
}

}  // namespace
