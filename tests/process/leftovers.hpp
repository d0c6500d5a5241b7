// The fixture of every test that maps in processes: after the test, nothing of it may be left.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>

#include "process/family.hpp"
#include "refusal.hpp"

namespace shard_test {

// Checks: no child, dead or alive; no living descendant, whoever has adopted it; as many open
// descriptors as before; nothing of ours in /dev/shm.
class leaves_nothing : public testing::Test {
 protected:
  const family& relatives() const { return family_; }

  void SetUp() override {
    descriptors_ = open_descriptors();
    shm_ = shared_memory();
  }

  void TearDown() override {
    errno = 0;
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child is left";
    EXPECT_EQ(errno, ECHILD);
    EXPECT_TRUE(eventually([&] { return family_.living().empty(); })) << "a descendant lives on";
    EXPECT_EQ(open_descriptors(), descriptors_);
    std::set<std::string> left;
    EXPECT_TRUE(eventually([&] {
      left = shared_memory();
      std::erase_if(left, [&](const std::string& name) { return shm_.contains(name); });
      return left.empty();
    })) << "left in /dev/shm: "
        << (left.empty() ? "" : *left.begin());
  }

 private:
  // Other programs come and go there as they like, other tests among them; what is made here would
  // be called after shard, and stay.
  static std::set<std::string> shared_memory() {
    std::set<std::string> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/dev/shm", ignored)) {
      const std::string name = entry.path().filename().string();
      if (name.find("shard") != std::string::npos) found.insert(name);
    }
    return found;
  }

  family family_;
  std::size_t descriptors_ = 0;
  std::set<std::string> shm_;
};

}  // namespace shard_test
