// Whether a thread waits: what it waits for, it has found not to be there yet.
#pragma once

#include <sys/types.h>

#include <fstream>
#include <string>
#include <thread>

namespace shard_test {

inline bool sleeps(const std::string& stat_file) {
  std::string stat;
  std::getline(std::ifstream(stat_file), stat);
  return stat.at(stat.rfind(')') + 2) == 'S';
}

inline bool is_asleep(pid_t thread) {
  return sleeps("/proc/self/task/" + std::to_string(thread) + "/stat");
}

// Until a thread of this process sleeps.
inline void wait_until_asleep(pid_t thread) {
  while (!is_asleep(thread)) std::this_thread::yield();
}

// Until another process, of one thread, sleeps.
inline void wait_until_process_asleep(pid_t process) {
  const std::string stat_file = "/proc/" + std::to_string(process) + "/stat";
  while (!sleeps(stat_file)) std::this_thread::yield();
}

}  // namespace shard_test
