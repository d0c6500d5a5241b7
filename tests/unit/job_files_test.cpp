#include "journal/job_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "memory/segment.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"

namespace {

using shard::journal::job_files;
using shard_test::mentions;
using shard_test::refusal;

class JobFiles : public testing::Test {
 protected:
  static shard::detail::array make(job_files& all, const std::string& name,
                                   std::size_t count = 10) {
    const std::vector<std::size_t> extents{count};
    return all.create(name, shard::detail::type_of<double>(), extents);
  }

  const shard_test::folder here_;
  const std::filesystem::path place_ = here_ / "job";
  const shard::journal::folder folder_{place_, shard::journal::survives::processes, false};
};

TEST_F(JobFiles, AreKnownInTheNextStart) {
  std::uint64_t number = 0;
  {
    job_files first(folder_, false);
    first.note_start();
    make(first, "a.npy").data[0] = std::byte{7};
    number = first.called("a.npy")->number;
  }
  job_files second(folder_, false);
  EXPECT_EQ(second.starts(), 1U);
  EXPECT_EQ(make(second, "a.npy").data[0], std::byte{7});
  EXPECT_EQ(second.called("a.npy")->number, number);
}

// A file system may give its inode to the next file.
TEST_F(JobFiles, ThatAreMadeAnewAreOtherFiles) {
  job_files all(folder_, false);
  make(all, "a.npy");
  shard::journal::job_file* const file = all.called("a.npy");
  const std::uint64_t number = file->number;
  file->written_by = 3;
  std::filesystem::remove(place_ / "a.npy.part");
  make(all, "a.npy");
  EXPECT_NE(file->number, number);
  EXPECT_EQ(file->written_by, 0U);
}

TEST_F(JobFiles, HaveTheNameOfWhatIsCompleteWhileTheyAre) {
  job_files all(folder_, false);
  const shard::detail::array made = make(all, "a.npy");
  const shard::journal::job_file& file = *all.called("a.npy");
  EXPECT_EQ(all.of(*made.owner), &file);
  EXPECT_TRUE(exists(place_ / "a.npy.part"));
  all.give_final_name(file);
  EXPECT_TRUE(exists(place_ / "a.npy"));
  EXPECT_FALSE(exists(place_ / "a.npy.part"));
  all.take_final_name_away(file);
  EXPECT_FALSE(exists(place_ / "a.npy"));
  EXPECT_TRUE(exists(place_ / "a.npy.part"));
}

TEST_F(JobFiles, AreNotTakenFromOthers) {
  job_files all(folder_, false);
  shard::create_live<double>(place_ / "theirs.npy", 10);
  EXPECT_TRUE(mentions(refusal([&] { make(all, "theirs.npy"); }), {"which this job has not made"}));
  const shard::detail::array mine = make(all, "mine.npy");
  EXPECT_TRUE(mentions(refusal([&] { make(all, "mine.npy"); }), {"another name"}));
  for (const char* const name : {"", ".hidden", "a/b", "\xff"}) {
    EXPECT_TRUE(mentions(refusal([&] { make(all, name); }), {"the name of a file"})) << name;
  }
}

}  // namespace
