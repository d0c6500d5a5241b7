// Which processors each worker of a family keeps to.
#pragma once

#include <optional>

#include "family/roster.hpp"
#include "os/affinity.hpp"

namespace shard::family {

// Gives each slot its place, among the processors that the calling thread may run on. Where that
// can't be done, the family goes without. threads: that each worker runs; 0: nobody has said
// anything.
void give_places(const roster& family, unsigned threads);

// This process, which is the slot's worker, keeps to its place from now on, if it has one.
void take_place(const roster& family, unsigned slot) noexcept;

// While it lives, the calling thread is at the slot's place, if that has one.
class for_a_while {
 public:
  for_a_while(const roster& family, unsigned slot) noexcept;
  for_a_while(const for_a_while&) = delete;
  for_a_while& operator=(const for_a_while&) = delete;
  ~for_a_while();

 private:
  std::optional<os::processors> before_;  // nothing: it is where it was
};

}  // namespace shard::family
