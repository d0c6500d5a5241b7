// One side of a budget, in a process of its own.
//
// The harness starts a fresh copy of this program for each side and asks it for one measurement at
// a time. shard therefore forks from a caller without threads, as its users' jobs do, and a rival's
// idle threads, heap and page tables are nowhere near it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "budget.hpp"

namespace bench {

enum class role { ours, theirs };

class side_process {
 public:
  // Starts the side `who` of the budget with this number (of the whole list, before any filter).
  // variable: "NAME=value", set for it alone; empty: none.
  side_process(std::size_t budget_number, role who, const settings&, std::string variable = {});
  ~side_process();  // ends the process
  side_process(const side_process&) = delete;
  side_process& operator=(const side_process&) = delete;

  std::uint64_t check();  // both throw std::runtime_error if the side has failed, or hangs
  double measure();

 private:
  std::uint64_t ask(char command);

  pid_t pid_ = -1;
  int to_side_ = -1;
  int from_side_ = -1;
};

// The other end: answers the harness until it hangs up. Returns the exit status.
int serve(const make_workload&, const settings&);

}  // namespace bench
