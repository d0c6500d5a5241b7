// Starting a program, where a fork would cost too much, or take along too much.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "os/descriptor.hpp"
#include "os/process.hpp"

namespace shard::os {

// The numbers of the descriptors that a started program gets, from here on. Whatever is moved to
// one of them must have come from above.
constexpr int first_handed_down = 3;
constexpr int most_handed_down = 16;

// The same open file under a number that no other is moved to. Throws call_failed.
descriptor above_handed_down(int descriptor);

// In a program that was started so. Throws call_failed.
descriptor take_handed_down(int number);

struct program {
  std::string path;
  std::vector<std::string> arguments;    // the first one is its name
  std::vector<std::string> environment;  // NAME=value
  // Requires, of all these descriptors: above_handed_down().
  int directory = -1;  // where it works; -1: where this process does
  // It has these, beside the standard streams, and no others.
  std::span<const int> descriptors = {};
};

// Starts it, without a copy of this process's memory: its size, and locks that other threads hold,
// make no difference. All signals are blocked in it. Throws call_failed.
process start_program(const program& what);

}  // namespace shard::os
