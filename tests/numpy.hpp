// numpy as an oracle, where it is installed.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "refusal.hpp"

namespace shard_test {

// The system's python first: the one in PATH may be another one, without numpy. Empty: none.
inline const std::string& python() {
  static const std::string found = [] {
    for (const char* candidate : {"/usr/bin/python3", "python3"}) {
      const std::string probe = std::string(candidate) + " -c 'import numpy' 2>/dev/null";
      if (std::system(probe.c_str()) == 0) return std::string(candidate);
    }
    return std::string();
  }();
  return found;
}

// Whether a python program ends without an exception. It runs in `in`.
inline bool numpy_agrees(const folder& in, const std::string& program) {
  const std::filesystem::path script = in / "check.py";
  std::ofstream(script) << "import numpy as np\n" << program << "\n";
  const std::string command = "cd '" + in.path().string() + "' && " + python() + " check.py";
  const bool agreed = std::system(command.c_str()) == 0;
  std::filesystem::remove(script);
  return agreed;
}

}  // namespace shard_test

#define SHARD_NEEDS_NUMPY() \
  if (shard_test::python().empty()) GTEST_SKIP() << "no python3 with numpy here"
