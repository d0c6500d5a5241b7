// A run that is done a second time, by workers that are started for it: SHARD_CHECK_POOL. Whoever
// reads what the program has changed since its pool was made, or what earlier runs have left in a
// worker, gets other results then.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "family/warm_family.hpp"
#include "mapping/flight.hpp"
#include "os/anonymous.hpp"
#include "shard/detail/job.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

class second_run {
 public:
  // Does the run, keeps its results, and puts back what was in the buffers. Job and order must
  // outlive it. Throws shard::error if it can't be done.
  second_run(const detail::job& what, options given, const order& settled,
             const family::warm_family::order& fresh);

  // Throws shard::error unless the outputs and reducers hold what this run gave, bit by bit.
  // of_pool: the report of the run that filled them. One that is not complete is not looked at.
  void compare(const report& of_pool) const;

 private:
  void do_it(const options& given, const family::warm_family::order& fresh);
  std::string unequal_output() const;
  std::string unequal_reducer() const;

  const detail::job& job_;
  const order& order_;
  std::vector<os::anonymous_memory> outputs_;    // of each grant; empty: not compared
  std::vector<std::shared_ptr<void>> reducers_;  // null: can't be compared
  bool complete_ = false;
  std::string trouble_;
};

}  // namespace shard::mapping
