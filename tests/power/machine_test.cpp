// What the machine whose power fails does with programs that are safe, and with others.
#include "power/machine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace {

using namespace shard_test::power;
using testing::HasSubstr;
namespace fs = std::filesystem;

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class PowerCut : public testing::Test {
 protected:
  PowerCut() { fs::create_directories(home_); }
  ~PowerCut() override { fs::remove_all(home_); }

  machine::outcome run(const std::string& how, std::uint64_t cut_at = 0) {
    return machine_.run({POWER_WRITER, how, "{}", acknowledged_.string()}, {.at = cut_at});
  }

  void begin_anew() {
    machine_.reset();
    fs::remove(acknowledged_);
  }

  // What is wrong with the disk.
  std::optional<std::string> problem() const {
    const std::string known = content_of(acknowledged_);
    const fs::path value = machine_.disk() / "value";
    if (!fs::exists(value)) {
      if (known.empty()) return std::nullopt;
      return "the value is lost";
    }
    const std::string found = content_of(value);
    if (found.size() != 10'000) return "the value is cut short";
    if (std::count(found.begin(), found.end(), found[0]) != 10'000) return "the value is torn";
    if (!known.empty() && found[0] < known.back()) return "an older value is back";
    return std::nullopt;
  }

  // All problems after a cut before each call, with all kinds of luck.
  std::vector<std::string> problems(const std::string& how) {
    std::vector<std::string> found;
    const std::uint64_t points = run(how).points;
    EXPECT_GT(points, 9U);
    for (std::uint64_t cut = 1; cut <= points; ++cut) {
      for (const luck& luck : every_luck(1, static_cast<std::uint32_t>(cut))) {
        begin_anew();
        const machine::outcome outcome = run(how, cut);
        EXPECT_TRUE(outcome.cut) << outcome.output;
        machine_.lose_power(luck);
        if (const auto wrong = problem()) found.push_back(*wrong);
      }
    }
    begin_anew();
    return found;
  }

  fs::path home_ = fs::path(testing::TempDir()) / ("power_cut_" + std::to_string(::getpid()));
  fs::path acknowledged_ = home_ / "acknowledged";
  machine machine_ = (fs::create_directories(home_), machine(home_));
};

TEST_F(PowerCut, FindsNothingWrongWithASafeReplacement) {
  EXPECT_THAT(problems("safely"), testing::IsEmpty());
}

TEST_F(PowerCut, SeesWhatIsWrittenThroughAMapping) {
  EXPECT_THAT(problems("mapped"), testing::IsEmpty());
}

TEST_F(PowerCut, CountsThePointsOfAllProcesses) {
  const std::uint64_t alone = run("safely").points;
  begin_anew();
  EXPECT_EQ(run("in a child").points, alone);
  EXPECT_THAT(problems("in a child"), testing::IsEmpty());
}

TEST_F(PowerCut, FindsARenameBeforeTheSync) {
  EXPECT_THAT(problems("without a sync"), testing::Contains(HasSubstr("cut short")));
  EXPECT_THAT(problems("synced early"), testing::Contains(HasSubstr("cut short")));
}

TEST_F(PowerCut, FindsAFolderThatIsNotSynced) {
  EXPECT_THAT(problems("without the folder"), testing::Contains(HasSubstr("older value")));
}

TEST_F(PowerCut, FindsWhatIsWrittenInPlace) {
  EXPECT_THAT(problems("in place"),
              testing::Contains(testing::AnyOf(HasSubstr("torn"), HasSubstr("cut short"))));
}

TEST_F(PowerCut, LosesNothingThatWasSyncedOrIsNotToBeLost) {
  using enum luck::of;
  ASSERT_FALSE(run("safely").cut);
  machine_.lose_power({none, none, 0, {}});
  EXPECT_EQ(content_of(machine_.disk() / "value"), std::string(10'000, 'c'));
  begin_anew();
  ASSERT_FALSE(run("without a sync").cut);
  machine_.lose_power({all, all, 0, {}});
  EXPECT_EQ(content_of(machine_.disk() / "value"), std::string(10'000, 'c'));
}

TEST_F(PowerCut, BringsBackWhatWasRemovedAndNotSynced) {
  using enum luck::of;
  const std::uint64_t points = run("removes").points;
  begin_anew();
  ASSERT_TRUE(run("removes", points).cut);
  EXPECT_FALSE(fs::exists(machine_.disk() / "value"));
  machine_.lose_power({all, none, 0, {}});
  EXPECT_EQ(content_of(machine_.disk() / "value"), std::string(10'000, 'c'));
}

TEST_F(PowerCut, LeavesFilesWhatTheyAre) {
  using enum luck::of;
  ASSERT_FALSE(run("safely").cut);
  const auto inode = [&] {
    struct stat found {};
    EXPECT_EQ(stat((machine_.disk() / "value").c_str(), &found), 0);
    return found.st_ino;
  };
  const ino_t before = inode();
  machine_.lose_power({none, none, 0, {}});
  EXPECT_EQ(inode(), before);
}

TEST_F(PowerCut, IsAnotherBoot) {
  const std::string first = run("boot").output;
  EXPECT_EQ(first.substr(0, 36), first.substr(37, 36));  // by whatever call
  EXPECT_EQ(run("boot").output, first);
  machine_.lose_power({});
  EXPECT_NE(run("boot").output, first);
}

TEST_F(PowerCut, ComesBeforeACallThatIsNamed) {
  const machine::outcome outcome =
      machine_.run({POWER_WRITER, "safely", "{}", acknowledged_.string()},
                   {.call = "rename", .path = "/value", .number = 2});
  EXPECT_TRUE(outcome.cut);
  EXPECT_THAT(outcome.last_point, HasSubstr("rename"));
  EXPECT_EQ(content_of(acknowledged_), "a");
  EXPECT_TRUE(fs::exists(machine_.disk() / "next"));
}

TEST_F(PowerCut, TellsOneSyncThatItFailed) {
  machine_.fail_sync(2);
  const machine::outcome outcome = run("safely");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.output, HasSubstr("Input/output error"));
  EXPECT_EQ(content_of(acknowledged_), "a");
  EXPECT_EQ(run("safely").status, 0);
}

}  // namespace
