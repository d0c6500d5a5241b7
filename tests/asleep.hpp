// Whether a thread waits: what it waits for, it has found not to be there yet.
#pragma once

#include <sys/types.h>

#include <fstream>
#include <string>
#include <thread>

namespace shard_test {

// Until a thread of this process sleeps.
inline void wait_until_asleep(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
  for (char state = 'R'; state != 'S';) {
    std::string stat;
    std::getline(std::ifstream(path), stat);
    state = stat.at(stat.rfind(')') + 2);
    std::this_thread::yield();
  }
}

}  // namespace shard_test
