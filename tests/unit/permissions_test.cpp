// Who may use the files that shard makes: what the program asks for, and what a replaced file had.

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "os/calls.hpp"
#include "refusal.hpp"
#include "restored_calls.hpp"
#include "shard/shard.hpp"

namespace {

namespace fs = std::filesystem;
using shard::on_mismatch;
using shard::os::call_table;
using shard::os::calls;
using shard_test::folder;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;
using shard_test::restored_calls;

constexpr uid_t nobody = 65534;
constexpr gid_t some_group = 4321;

unsigned mode_of(const fs::path& path) {
  struct stat found {};
  EXPECT_EQ(lstat(path.c_str(), &found), 0) << path;
  return found.st_mode & 07777;
}

gid_t group_of(const fs::path& path) {
  struct stat found {};
  EXPECT_EQ(lstat(path.c_str(), &found), 0) << path;
  return found.st_gid;
}

bool become_nobody() {
  return setgroups(0, nullptr) == 0 && setresgid(nobody, nobody, nobody) == 0 &&
         setresuid(nobody, nobody, nobody) == 0;
}

// A way to make x.npy, with permissions or without.
using asked = std::optional<fs::perms>;
struct way {
  const char* name;
  std::function<void(const fs::path&, asked)> make;
  bool live = false;     // used while it is being filled
  bool replaces = true;  // what is there
};

void collect_into(const fs::path& path, asked mode) {
  shard::collect<int> some = mode ? shard::collect<int>(path, *mode) : shard::collect<int>(path);
  shard::map(10, shard::reduce(some), [](std::size_t i, auto& to) { to.push_back(int(i)); });
}

std::vector<way> all_ways() {
  return {
      {"create",
       [](const fs::path& path, asked mode) {
         mode ? shard::create<int>(path, *mode, 5).finish() : shard::create<int>(path, 5).finish();
       }},
      {"create, by a map",
       [](const fs::path& path, asked mode) {
         auto made = mode ? shard::create<int>(path, *mode, 500) : shard::create<int>(path, 500);
         shard::map(made, [](std::size_t i) { return static_cast<int>(i); });
       }},
      {"save",
       [](const fs::path& path, asked mode) {
         const shard::buffer<int> some(5);
         mode ? shard::save(path, *mode, some) : shard::save(path, some);
       }},
      {"create_live",
       [](const fs::path& path, asked mode) {
         mode ? shard::create_live<int>(path, *mode, 5) : shard::create_live<int>(path, 5);
       },
       true, false},
      {"open_or_create",
       [](const fs::path& path, asked mode) {
         mode ? shard::open_or_create<int>(path, *mode, on_mismatch::replace, 7)
              : shard::open_or_create<int>(path, on_mismatch::replace, 7);
       },
       true},
      {"collect", collect_into},
      {"histogram",
       [](const fs::path& path, asked mode) {
         const shard::histogram bins{shard::axis::regular(4, 0.0, 1.0)};
         mode ? shard::save(path, *mode, bins) : shard::save(path, bins);
       }},
      {"histogram as JSON",
       [](const fs::path& path, asked mode) {
         const shard::histogram bins{shard::axis::regular(4, 0.0, 1.0)};
         mode ? shard::save_json(path, *mode, bins) : shard::save_json(path, bins);
       }},
      {"histogram as SVG",
       [](const fs::path& path, asked mode) {
         const shard::histogram bins{shard::axis::regular(4, 0.0, 1.0)};
         mode ? shard::save_svg(path, *mode, bins) : shard::save_svg(path, bins);
       }},
  };
}

// A file of another shape, with that mode.
void make_old(const fs::path& path, unsigned mode) {
  fs::remove(path);
  shard::save(path, shard::buffer<int>(2));
  ASSERT_EQ(chmod(path.c_str(), mode), 0);
}

TEST(Permissions, AskedForAreExactlyThoseUnderAnyUmask) {
  const folder in;
  const fs::path path = in / "x.npy";
  for (const way& each : all_ways()) {
    for (const unsigned mode : {0640u, 0666u, 0755u, 0600u, 0444u, 0400u, 0000u}) {
      if (each.live && (mode & 0600) != 0600) continue;
      for (const mode_t mask : {0000u, 0077u, 0777u}) {
        SCOPED_TRACE(std::string(each.name) + ", umask " + std::to_string(mask));
        const mode_t before = umask(mask);
        each.make(path, fs::perms{mode});
        umask(before);
        EXPECT_EQ(mode_of(path), mode);
        fs::remove(path);
      }
    }
  }
}

TEST(Permissions, AreTheOwnersAloneWhereNobodyAsks) {
  const folder in;
  for (const way& each : all_ways()) {
    SCOPED_TRACE(each.name);
    const mode_t before = umask(0);
    each.make(in / "x.npy", {});
    umask(before);
    EXPECT_EQ(mode_of(in / "x.npy"), 0600u);
    fs::remove(in / "x.npy");
  }
}

TEST(Permissions, OfAReplacedFileAreKept) {
  const folder in;
  const fs::path path = in / "x.npy";
  for (const way& each : all_ways()) {
    if (!each.replaces) continue;
    for (const unsigned mode : {0644u, 0600u, 0660u, 0604u, 0440u, 0400u, 0755u}) {
      if (each.live && (mode & 0600) != 0600 && geteuid() != 0) continue;
      SCOPED_TRACE(std::string(each.name) + ", mode " + std::to_string(mode));
      make_old(path, mode);
      each.make(path, {});
      EXPECT_EQ(mode_of(path), mode);
      for (const std::string& name : in.names()) EXPECT_FALSE(name.ends_with(".tmp")) << name;
    }
  }
}

TEST(Permissions, AskedForWinOverThoseOfAReplacedFile) {
  const folder in;
  const fs::path path = in / "x.npy";
  for (const way& each : all_ways()) {
    if (!each.replaces) continue;
    SCOPED_TRACE(each.name);
    make_old(path, 0644);
    each.make(path, fs::perms{0600});
    EXPECT_EQ(mode_of(path), 0600u);
    make_old(path, 0600);
    each.make(path, fs::perms{0664});
    EXPECT_EQ(mode_of(path), 0664u);
  }
}

TEST(Permissions, OfAFileThatIsOpenedStayAsTheyAre) {
  const folder in;
  make_old(in / "x.npy", 0644);
  const auto same =
      shard::open_or_create<int>(in / "x.npy", fs::perms{0600}, on_mismatch::refuse, 2);
  EXPECT_FALSE(same.was_created());
  EXPECT_EQ(mode_of(in / "x.npy"), 0644u);
}

TEST(Permissions, BeyondReadingWritingAndExecutingAreRefused) {
  const folder in;
  for (const way& each : all_ways()) {
    SCOPED_TRACE(each.name);
    for (const unsigned mode : {04755u, 02755u, 01777u, 010000u}) {
      try {
        each.make(in / "x.npy", fs::perms{mode});
        ADD_FAILURE() << "made it";
      } catch (const shard::error& e) {
        EXPECT_EQ(e.code(), std::errc::invalid_argument);
        mentions(e.what(), {"cannot create", "found permissions 0", "expected", "0777"});
      }
    }
    mentions(refusal([&] { each.make(in / "x.npy", fs::perms::unknown); }), {"are not known"});
    EXPECT_TRUE(in.names().empty());
  }
}

TEST(Permissions, OfALiveFileLetItsOwnerReadAndWrite) {
  const folder in;
  for (const way& each : all_ways()) {
    if (!each.live) continue;
    for (const unsigned mode : {0440u, 0244u, 0000u}) {
      mentions(refusal([&] { each.make(in / "x.npy", fs::perms{mode}); }),
               {"cannot create", "found permissions 0", "0600"});
    }
  }
  EXPECT_TRUE(in.names().empty());
}

TEST(Permissions, ThatRunAProgramAsAnotherAreNotKept) {
  const folder in;
  for (const unsigned mode : {04755u, 02755u, 01755u}) {
    make_old(in / "x.npy", mode);
    shard::save(in / "x.npy", shard::buffer<int>(3));
    EXPECT_EQ(mode_of(in / "x.npy"), 0755u);
  }
}

TEST(Permissions, AreNotTakenFromASymlinkNorFromWhatItLeadsTo) {
  const folder in;
  make_old(in / "precious.npy", 0644);
  fs::create_symlink("precious.npy", in / "x.npy");
  shard::save(in / "x.npy", shard::buffer<int>(3));
  EXPECT_EQ(mode_of(in / "x.npy"), 0600u);
  EXPECT_EQ(mode_of(in / "precious.npy"), 0644u);
}

// The owner may not open it, and yet everything that fills it does.
TEST(Permissions, WithoutTheOwnersOwnLetAMapFillTheFile) {
  const folder in;
  fs::permissions(in.path(), fs::perms::all);
  EXPECT_TRUE(holds_in_a_child([&] {
    if (geteuid() == 0 && !become_nobody()) return false;
    for (const unsigned mode : {0400u, 0440u, 0000u}) {
      const fs::path path = in / ("x" + std::to_string(mode) + ".npy");
      auto made = shard::create<long>(path, fs::perms{mode}, 1000);
      shard::map(made, [](std::size_t i) { return static_cast<long>(i); });
      if (made[999] != 999 || mode_of(path) != mode) return false;
      // Again, in the place of one that nobody may write to.
      shard::save(path, made);
      if (mode_of(path) != mode) return false;
      shard::create<long>(path, 10).finish();
      if (mode_of(path) != mode) return false;
    }
    return shard::open<long>(in / "x256.npy").size() == 10;
  }));
}

TEST(Permissions, AreTheOwnersAloneUntilTheFileHasItsName) {
  const folder in;
  const auto made = shard::create<int>(in / "x.npy", fs::perms{0666}, 3);
  struct stat found {};
  ASSERT_EQ(fstat(made.descriptor(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
}

// ---- Groups.

TEST(Group, OfAReplacedFileIsKeptByWhoMayGiveIt) {
  if (geteuid() != 0) GTEST_SKIP() << "only root has groups to give";
  const folder in;
  for (const way& each : all_ways()) {
    if (!each.replaces) continue;
    SCOPED_TRACE(each.name);
    make_old(in / "x.npy", 0660);
    ASSERT_EQ(chown((in / "x.npy").c_str(), static_cast<uid_t>(-1), some_group), 0);
    each.make(in / "x.npy", {});
    EXPECT_EQ(mode_of(in / "x.npy"), 0660u);
    EXPECT_EQ(group_of(in / "x.npy"), some_group);
    // What was asked for is of the program's own group.
    make_old(in / "x.npy", 0660);
    ASSERT_EQ(chown((in / "x.npy").c_str(), static_cast<uid_t>(-1), some_group), 0);
    each.make(in / "x.npy", fs::perms{0640});
    EXPECT_EQ(group_of(in / "x.npy"), getegid());
  }
}

TEST(Group, ThatCannotBeGivenCostsWhatNotEverybodyHad) {
  if (geteuid() != 0) GTEST_SKIP() << "only root has groups to give";
  const folder in;
  fs::permissions(in.path(), fs::perms::all);
  const std::pair<unsigned, unsigned> cases[] = {{0660, 0600}, {0664, 0644}, {0666, 0666},
                                                 {0604, 0600}, {0640, 0600}, {0755, 0755}};
  for (const auto& [mode, expected] : cases) {
    SCOPED_TRACE(mode);
    make_old(in / "x.npy", mode);
    ASSERT_EQ(chown((in / "x.npy").c_str(), nobody, some_group), 0);
    EXPECT_TRUE(holds_in_a_child([&] {
      if (!become_nobody()) return false;
      shard::save(in / "x.npy", shard::buffer<int>(3));
      return true;
    }));
    EXPECT_EQ(mode_of(in / "x.npy"), expected);
    EXPECT_EQ(group_of(in / "x.npy"), nobody);
  }
}

// ---- Access control lists.

// One that lets a user do `rights`, beside the mode 06M0, where M is the mask.
std::vector<std::byte> list_for(uid_t user, unsigned rights, unsigned of_group, unsigned mask) {
  struct entry {
    std::uint16_t tag;
    std::uint16_t rights;
    std::uint32_t id;
  };
  constexpr std::uint32_t none = 0xFFFFFFFF;
  const auto bits = [](unsigned some) { return static_cast<std::uint16_t>(some); };
  const std::array<entry, 5> entries{entry{0x01, 6, none}, entry{0x02, bits(rights), user},
                                     entry{0x04, bits(of_group), none},
                                     entry{0x10, bits(mask), none}, entry{0x20, 0, none}};
  const std::uint32_t version = 2;
  std::vector<std::byte> all;
  const auto add = [&](const void* from, std::size_t bytes) {
    const auto* const first = static_cast<const std::byte*>(from);
    all.insert(all.end(), first, first + bytes);
  };
  add(&version, sizeof version);
  add(entries.data(), sizeof entries);
  return all;
}

constexpr const char* own_list = "system.posix_acl_access";
constexpr const char* default_list = "system.posix_acl_default";

bool set_list(const fs::path& of, const char* name, const std::vector<std::byte>& to) {
  return setxattr(of.c_str(), name, to.data(), to.size(), 0) == 0;
}

std::vector<std::byte> list_of(const fs::path& of) {
  std::vector<std::byte> found(1024);
  const ssize_t bytes = getxattr(of.c_str(), own_list, found.data(), found.size());
  found.resize(bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
  return found;
}

bool user_may_read(uid_t user, const fs::path& path) {
  return holds_in_a_child([&] {
    return setgroups(0, nullptr) == 0 && setresgid(user, user, user) == 0 &&
           setresuid(user, user, user) == 0 && access(path.c_str(), R_OK) == 0;
  });
}

TEST(AccessList, OfAReplacedFileIsKept) {
  const folder in;
  make_old(in / "x.npy", 0600);
  const auto list = list_for(nobody, 4, 0, 4);
  if (!set_list(in / "x.npy", own_list, list)) GTEST_SKIP() << "no access control lists here";
  ASSERT_EQ(mode_of(in / "x.npy"), 0640u) << "the mask, in the place of the group";
  const auto kept = list_of(in / "x.npy");
  for (const way& each : all_ways()) {
    if (!each.replaces) continue;
    SCOPED_TRACE(each.name);
    each.make(in / "x.npy", {});
    EXPECT_EQ(list_of(in / "x.npy"), kept);
    EXPECT_EQ(mode_of(in / "x.npy"), 0640u);
    make_old(in / "x.npy", 0600);
    ASSERT_TRUE(set_list(in / "x.npy", own_list, list));
  }
  if (geteuid() != 0) return;
  fs::permissions(in.path(), fs::perms{0755});
  shard::save(in / "x.npy", shard::buffer<int>(3));
  EXPECT_TRUE(user_may_read(nobody, in / "x.npy"));
  EXPECT_FALSE(user_may_read(nobody - 1, in / "x.npy"));
}

// Its mode alone would let the group read, which its list does not.
TEST(AccessList, ThatCannotBeKeptLeavesTheFileToItsOwner) {
  const restored_calls after;
  const folder in;
  make_old(in / "x.npy", 0600);
  if (!set_list(in / "x.npy", own_list, list_for(nobody, 6, 0, 6))) {
    GTEST_SKIP() << "no access control lists here";
  }
  calls().fsetxattr = [](int, const char*, const void*, std::size_t, int) {
    return errno = EPERM, -1;
  };
  shard::save(in / "x.npy", shard::buffer<int>(3));
  EXPECT_EQ(mode_of(in / "x.npy"), 0600u);
  EXPECT_TRUE(list_of(in / "x.npy").empty());
}

TEST(AccessList, ThatCannotBeReadIsTakenForOne) {
  const restored_calls after;
  const folder in;
  make_old(in / "x.npy", 0644);
  calls().getxattr = [](const char*, const char*, void*, std::size_t) {
    return errno = EACCES, ssize_t{-1};
  };
  shard::save(in / "x.npy", shard::buffer<int>(3));
  EXPECT_EQ(mode_of(in / "x.npy"), 0600u);
}

// The folder's list lets a user read every new file. The old file was older than that list.
TEST(AccessList, OfTheFolderGivesNobodyWhatTheReplacedFileDidNot) {
  const folder in;
  make_old(in / "x.npy", 0640);
  if (!set_list(in.path(), default_list, list_for(nobody, 7, 5, 7))) {
    GTEST_SKIP() << "no access control lists here";
  }
  if (geteuid() == 0) fs::permissions(in.path(), fs::perms{0755});
  shard::save(in / "new.npy", shard::buffer<int>(3));
  EXPECT_EQ(mode_of(in / "new.npy"), 0600u);
  shard::save(in / "x.npy", shard::buffer<int>(3));
  EXPECT_EQ(mode_of(in / "x.npy"), 0640u);
  EXPECT_TRUE(list_of(in / "x.npy").empty());
  shard::save(in / "asked.npy", fs::perms{0640}, shard::buffer<int>(3));
  EXPECT_EQ(mode_of(in / "asked.npy"), 0640u);
  if (geteuid() != 0) return;
  EXPECT_FALSE(user_may_read(nobody, in / "new.npy"));
  EXPECT_FALSE(user_may_read(nobody, in / "x.npy"));
  EXPECT_TRUE(user_may_read(nobody, in / "asked.npy")) << "as of any new file there";
}

// ---- Others who change the replaced file at the same moment.

// Runs `meddle` right before the file gets the name of the old one.
struct meddler {
  static inline call_table real;
  static inline std::function<void()> meddle;

  static void arm(std::function<void()> steps) {
    real = calls();
    meddle = std::move(steps);
    calls().renameat2 = [](int from, const char* old_path, int to, const char* new_path,
                           unsigned flags) {
      const auto once = std::exchange(meddle, {});
      if (once) once();
      return real.renameat2(from, old_path, to, new_path, flags);
    };
  }
};

TEST(Permissions, OfAFileThatIsClosedToOthersMeanwhileAreTheOwnersAlone) {
  const folder in;
  const fs::path path = in / "x.npy";
  const std::function<void()> meddling[] = {
      [&] { chmod(path.c_str(), 0600); },                        // another mode
      [&] { make_old(path, 0640); },                             // another file
      [&] { fs::remove(path), fs::create_symlink("y", path); },  // no file at all
  };
  for (const auto& meddle : meddling) {
    const restored_calls after;
    make_old(path, 0644);
    meddler::arm(meddle);
    shard::save(path, shard::buffer<int>(3));
    EXPECT_FALSE(meddler::meddle) << "it had no part";
    EXPECT_EQ(mode_of(path), 0600u);
    EXPECT_EQ(shard::open<int>(path).size(), 3u);
    EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
  }
}

// An exchange of names would take a directory's, too, which no rename takes.
TEST(Permissions, OfAFileWhoseOldOneIsADirectoryMeanwhileAreTheOwnersAlone) {
  const folder in;
  const fs::path path = in / "x.npy";
  make_old(path, 0644);
  auto made = shard::create<int>(path, 3);
  {
    const restored_calls after;
    meddler::arm([&] { fs::remove(path), fs::create_directories(path / "inside"); });
    mentions(refusal([&] { made.finish(); }), {"cannot finish", "a directory"});
    EXPECT_FALSE(meddler::meddle);
  }
  EXPECT_TRUE(fs::is_directory(path / "inside"));
  struct stat found {};
  ASSERT_EQ(fstat(made.descriptor(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  fs::remove_all(path);
  made.finish();
  EXPECT_EQ(shard::open<int>(path).size(), 3u);
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(Permissions, OfAFileWhoseOldOneIsGoneAreTheOwnersAlone) {
  const restored_calls after;
  const folder in;
  make_old(in / "x.npy", 0644);
  meddler::arm([&] { fs::remove(in / "x.npy"); });
  shard::save(in / "x.npy", shard::buffer<int>(3));
  EXPECT_FALSE(meddler::meddle);
  EXPECT_EQ(mode_of(in / "x.npy"), 0600u);
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(Permissions, AreKeptWhereFilesCannotExchangeTheirNames) {
  const restored_calls after;
  const folder in;
  make_old(in / "x.npy", 0644);
  calls().renameat2 = [](int, const char*, int, const char*, unsigned) {
    return errno = EINVAL, -1;
  };
  shard::save(in / "x.npy", shard::buffer<int>(3));
  EXPECT_EQ(mode_of(in / "x.npy"), 0644u);
  EXPECT_EQ(shard::open<int>(in / "x.npy").size(), 3u);
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

// And can be tried again.
TEST(Permissions, OfAFileThatCannotHaveItsNameAreTheOwnersAlone) {
  const folder in;
  for (const asked mode : {asked{}, asked{fs::perms{0644}}}) {
    make_old(in / "x.npy", 0644);
    auto made =
        mode ? shard::create<int>(in / "x.npy", *mode, 3) : shard::create<int>(in / "x.npy", 3);
    {
      const restored_calls after;
      calls().renameat = [](int, const char*, int, const char*) { return errno = EACCES, -1; };
      calls().renameat2 = [](int, const char*, int, const char*, unsigned) {
        return errno = EACCES, -1;
      };
      mentions(refusal([&] { made.finish(); }), {"cannot finish", "rename"});
    }
    struct stat found {};
    ASSERT_EQ(fstat(made.descriptor(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0600u);
    EXPECT_EQ(shard::open<int>(in / "x.npy").size(), 2u);
    made.finish();
    EXPECT_EQ(mode_of(in / "x.npy"), 0644u);
    EXPECT_EQ(shard::open<int>(in / "x.npy").size(), 3u);
  }
}

}  // namespace
