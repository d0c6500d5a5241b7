// What files can do on real file systems: names that can't be replaced, disks that are full, files
// that are cut, layers of a container.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "mounts.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"
#include "shared_names.hpp"

namespace {

namespace fs = std::filesystem;
using shard_test::folder;
using shard_test::mentions;
using shard_test::mount_ext4;
using shard_test::mount_tmpfs;
using shard_test::numpy_agrees;
using shard_test::refusal;
using shard_test::set_flags;
using shard_test::with_own_mounts;
using names = std::set<std::string>;

names names_in(const fs::path& at) {
  names found;
  for (const auto& each : fs::directory_iterator(at)) found.insert(each.path().filename());
  found.erase("lost+found");
  return found;
}

void write_old(const fs::path& to) { shard::save(to, shard::buffer(std::vector<int>{7})); }

long index_of(std::size_t i) { return static_cast<long>(i); }

// Calls `steps(folder)` on an ext4, where every flag works, or else on a tmpfs.
template <class Steps>
[[nodiscard]] bool on_a_disk_with_flags(Steps steps) {
  const folder in;
  const fs::path at = in / "disk";
  fs::create_directory(at);
  return with_own_mounts([&] {
    if (!mount_ext4(at) && !mount_tmpfs(at, "size=16m")) return false;
    std::ofstream(at / "probe").flush();
    if (!set_flags(at / "probe", FS_IMMUTABLE_FL)) return false;
    set_flags(at / "probe", 0);
    fs::remove(at / "probe");
    steps(at);
    return true;
  });
}

struct planted {
  int of_the_file;
  int of_the_folder;
  bool there;  // whether something has the name
  const char* cause;
};
constexpr planted all_planted[] = {{FS_IMMUTABLE_FL, 0, true, "an immutable file"},
                                   {FS_APPEND_FL, 0, true, "only be appended to"},
                                   {0, FS_APPEND_FL, true, "only be added to"},
                                   {0, FS_IMMUTABLE_FL, true, "immutable folder"},
                                   {0, FS_IMMUTABLE_FL, false, "immutable folder"}};

TEST(Create, RefusesBeforeTheMapWhatCouldNotGetItsName) {
  const bool done = on_a_disk_with_flags([](const fs::path& at) {
    for (const planted& each : all_planted) {
      SCOPED_TRACE(each.cause);
      const fs::path path = at / "x.npy";
      if (each.there) write_old(path);
      const names before = names_in(at);
      ASSERT_TRUE(!each.there || set_flags(path, each.of_the_file));
      ASSERT_TRUE(set_flags(at, each.of_the_folder));
      mentions(refusal([&] { shard::create<long>(path, 1000); }), {"cannot create", each.cause});
      mentions(refusal([&] { shard::save(path, shard::buffer<int>(3)); }), {each.cause});
      EXPECT_EQ(names_in(at), before);
      set_flags(at, 0);
      if (each.there) set_flags(path, 0);
      fs::remove(path);
    }
  });
  if (!done) GTEST_SKIP() << "no file systems with flags here";
}

TEST(Create, RefusesToReplaceAMountPoint) {
  const folder in;
  const bool done = with_own_mounts([&] {
    write_old(in / "x.npy");
    write_old(in / "other.npy");
    const fs::path path = in / "x.npy";
    if (mount((in / "other.npy").c_str(), path.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return false;
    mentions(refusal([&] { shard::create<long>(path, 1000); }), {"cannot create", "a mount point"});
    umount(path.c_str());
    return true;
  });
  if (!done) GTEST_SKIP() << "no mounting here";
}

// Folders that can only be added to take new files, and keep no temporary name.
TEST(Create, NeedsOnlyAFreeNameInAFolderThatCanOnlyBeAddedTo) {
  const bool done = on_a_disk_with_flags([](const fs::path& at) {
    ASSERT_TRUE(set_flags(at, FS_APPEND_FL));
    auto made = shard::create<long>(at / "x.npy", 1000);
    shard::map(made, index_of);
    shard::save(at / "y.npy", made);
    shard::create_live<int>(at / "z.npy", 3);
    EXPECT_EQ(shard::open<long>(at / "x.npy")[999], 999);
    EXPECT_EQ(names_in(at), (names{"x.npy", "y.npy", "z.npy"}));
    set_flags(at, 0);
  });
  if (!done) GTEST_SKIP() << "no file systems with flags here";
}

// What is found at the end only: nothing is lost.
TEST(Finish, ThatFailsAfterAMapKeepsTheElementsAndTheReport) {
  const bool done = on_a_disk_with_flags([](const fs::path& at) {
    for (const planted& each : all_planted) {
      SCOPED_TRACE(each.cause);
      const fs::path path = at / "x.npy";
      auto made = shard::create<long>(path, 1000);
      auto other = shard::create<long>(at.parent_path() / "other.npy", 1000);
      if (each.there) write_old(path);
      const names before = names_in(at);
      ASSERT_TRUE(!each.there || set_flags(path, each.of_the_file));
      ASSERT_TRUE(set_flags(at, each.of_the_folder));
      const auto kernel = [](std::size_t i) { return std::tuple(index_of(i), index_of(i)); };
      try {
        shard::map(std::tie(made, other), kernel);
        ADD_FAILURE() << "finished";
      } catch (const shard::map_error& e) {
        EXPECT_TRUE(e.result().complete());
        if (each.there) mentions(e.what(), {each.cause});
        mentions(e.what(), {"cannot finish", "x.npy", "every index is completed"});
        EXPECT_EQ(e.code(), std::errc::operation_not_permitted);
      }
      EXPECT_EQ(made[999], 999);
      EXPECT_EQ(names_in(at), before) << "a temporary name";
      EXPECT_EQ(shard::open<long>(at.parent_path() / "other.npy")[999], 999) << "not to blame";
      set_flags(at, 0);
      if (each.there) set_flags(path, 0);
      made.finish();
      EXPECT_EQ(shard::open<long>(path)[999], 999);
      fs::remove(path);
    }
  });
  if (!done) GTEST_SKIP() << "no file systems with flags here";
}

// As in /tmp: only root can be two users.
TEST(Create, RefusesToReplaceAnotherUsersFileInASharedFolder) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const folder in;
  fs::permissions(in.path(), fs::perms::all | fs::perms::sticky_bit);
  write_old(in / "x.npy");
  EXPECT_TRUE(shard_test::holds_in_a_child([&] {
    constexpr uid_t nobody = 65534;
    if (setresgid(nobody, nobody, nobody) != 0 || setresuid(nobody, nobody, nobody) != 0)
      return false;
    if (!mentions(refusal([&] { shard::create<long>(in / "x.npy", 1000); }),
                  {"another user's file", "mode 1777"})) {
      return false;
    }
    auto made = shard::create<long>(in / "y.npy", 10);
    made.finish();
    shard::create<long>(in / "y.npy", 10).finish();  // its own
    return in.names() == names{"x.npy", "y.npy"};
  }));
}

// A handle that can write needs no more to read than one that can't.
TEST(Reading, NeedsNoRoomOnAFullDisk) {
  const folder in;
  const fs::path at = in / "disk";
  fs::create_directory(at);
  const bool done = with_own_mounts([&] {
    if (!mount_tmpfs(at, "size=128k")) return false;
    shard::save(at / "x.npy", shard::buffer(std::vector<int>{1, 2, 3}));
    std::ofstream filler(at / "filler");
    while (filler << std::string(4096, 'x') << std::flush) {
    }
    const auto size = fs::file_size(at / "x.npy");
    auto whole = shard::open_writable<int>(at / "x.npy");
    std::vector<int> seen(3);
    whole.read({0, 3}, seen);
    whole.read({0, 3}, seen);
    EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
    EXPECT_TRUE(whole.torn().empty());
    EXPECT_FALSE(whole.abandoned());
    EXPECT_EQ(fs::file_size(at / "x.npy"), size);
    mentions(refusal([&] { whole.write({0, 3}, seen); }), {"cannot share", "No space left"});
    fs::remove(at / "filler");
    filler.close();
    seen[0] = 5;
    whole.write({0, 3}, seen);
    whole.read({0, 1}, std::span(seen).last(1));
    EXPECT_EQ(seen[2], 5);
    return true;
  });
  if (!done) GTEST_SKIP() << "no mounting here";
}

TEST(Reading, PassesOverWhatIsBehindTheArray) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
with open('two.npy', 'wb') as f:
    np.save(f, np.arange(3, dtype='i4'))
    np.save(f, np.arange(5, dtype='i4'))
)"));
  auto first = shard::open_writable<std::int32_t>(in / "two.npy");
  std::vector<std::int32_t> seen(3);
  first.read({0, 3}, seen);
  EXPECT_EQ(seen, (std::vector<std::int32_t>{0, 1, 2}));
  mentions(refusal([&] { first.write({0, 3}, seen); }), {"cannot share", "bytes"});
  EXPECT_TRUE(numpy_agrees(in, R"(
with open('two.npy', 'rb') as f: assert len(np.load(f)) == 3 and len(np.load(f)) == 5
)"));
}

TEST(Save, SaysThatItsSourceWasCut) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(100'000));
  const auto whole = shard::open<int>(in / "x.npy");
  fs::resize_file(in / "x.npy", 8192);
  mentions(refusal([&] { shard::save(in / "y.npy", whole); }),
           {"cannot save", "x.npy cut to 8192 bytes", "expected 404096"});
  EXPECT_EQ(in.names(), names{"x.npy"});
}

// docs/buffers.md says this of overlayfs; who opens the file later sees the new elements.
TEST(Overlay, KeepsOldElementsFromWhoOpenedALowerFileBeforeItsFirstWriter) {
  const folder in;
  for (const char* name : {"lower", "upper", "work", "merged"}) fs::create_directory(in / name);
  write_old(in / "lower" / "x.npy");
  const bool done = with_own_mounts([&] {
    // An upper layer is on a file system that has extended attributes.
    if (!mount_tmpfs(in / "upper", "size=16m")) return false;
    fs::create_directory(in / "upper" / "files");
    fs::create_directory(in / "upper" / "work");
    const std::string layers = "lowerdir=" + (in / "lower").string() +
                               ",upperdir=" + (in / "upper").string() +
                               "/files,workdir=" + (in / "upper").string() + "/work,userxattr";
    if (mount("overlay", (in / "merged").c_str(), "overlay", 0, layers.c_str()) != 0) return false;
    const fs::path path = in / "merged" / "x.npy";
    const auto early = shard::open<int>(path);
    auto writer = shard::open_writable<int>(path);
    const auto late = shard::open<int>(path);
    writer.write({0, 1}, std::vector<int>{8});
    std::vector<int> seen(1);
    late.read({0, 1}, seen);
    EXPECT_EQ(seen[0], 8);
    EXPECT_EQ(late[0], 8);
    EXPECT_EQ(early[0], 7) << "if this fails, the kernel has mended it: tell docs/buffers.md";
    early.read({0, 1}, seen);
    EXPECT_EQ(seen[0], 7);
    return true;
  });
  if (!done) GTEST_SKIP() << "no overlay file systems here";
}

}  // namespace
