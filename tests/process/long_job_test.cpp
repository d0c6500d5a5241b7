// The example long_job as a queue with a time limit treats it: all its processes are killed again
// and again. LONG_JOB_PROGRAM is its path, SHARD_PROGRAM that of the command.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"

namespace {

using nlohmann::json;
using shard_test::folder;
using testing::HasSubstr;

constexpr int kills = 20;
constexpr const char* tasks = shard_test::sanitized ? "2000" : "10000";

std::string contents(const std::filesystem::path& of) {
  std::ifstream file(of, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class LongJob : public shard_test::leaves_nothing {
 protected:
  // Returns its pid. What it prints goes to a file.
  pid_t start(const std::vector<std::string>& words, const std::string& prints) const {
    const pid_t child = fork();
    if (child != 0) return child;
    const int file = open((here_ / prints).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    setenv("SHARD_WORKERS", "12", 1);
    std::vector<char*> arguments;
    for (const std::string& each : words) arguments.push_back(const_cast<char*>(each.c_str()));
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  static int status_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }
  pid_t start_job(const std::string& at) const {
    return start({LONG_JOB_PROGRAM, (here_ / at).string(), tasks}, at + ".text");
  }
  json status(const std::string& at) const {
    EXPECT_EQ(
        status_of(start({SHARD_PROGRAM, "status", "--json", (here_ / at).string()}, "status")), 0);
    return json::parse(contents(here_ / "status"));
  }
  void kill_all(pid_t caller) const {
    for (auto living = relatives().living(); !living.empty(); living = relatives().living()) {
      for (const auto& each : living) ::kill(each.pid, SIGKILL);
    }
    status_of(caller);
  }

  folder here_;
};

TEST_F(LongJob, EndsWithTheSameBytesWheneverItWasKilled) {
  status_of(start_job("undisturbed"));
  const std::string expected = contents(here_ / "undisturbed.text");
  EXPECT_THAT(expected, HasSubstr("sum of the results: "));
  const std::string sum = expected.substr(expected.find("sum of the results: "));

  std::mt19937 random(11);
  std::uint64_t committed = 0;
  for (int k = 0; k < kills; ++k) {
    const pid_t caller = start_job("killed");
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 400));
    kill_all(caller);
    if (!std::filesystem::exists(here_ / "killed" / ".shard" / "lock")) continue;
    const json told = status("killed");
    EXPECT_FALSE(told["in_use"]);
    if (told["maps"].empty() || !told["maps"][0]["known"]) continue;
    const json& map = told["maps"][0];
    // A start that was killed before it had a board of its own has left that of the one before.
    EXPECT_GE(map["committed"].get<std::uint64_t>(), committed);
    EXPECT_GE(map["committed"].get<std::uint64_t>(), map["carried_over"].get<std::uint64_t>());
    committed = map["committed"];
  }
  EXPECT_GT(committed, 0U);
  status_of(start_job("killed"));
  EXPECT_EQ(status("killed")["maps"][0]["carried_over"], committed);
  const std::string text = contents(here_ / "killed.text");
  EXPECT_EQ(text.substr(text.find("sum of the results: ")), sum);
  EXPECT_EQ(contents(here_ / "killed" / "results.npy.part"),
            contents(here_ / "undisturbed" / "results.npy.part"));
}

}  // namespace
