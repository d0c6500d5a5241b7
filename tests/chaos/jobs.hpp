// Jobs for shard_chaos: a program that maps in a job is killed with all its processes, and started
// again, until it is done. A loop computes the same, and both must agree.
#pragma once

#include <cstddef>
#include <random>

#include "process/family.hpp"

namespace shard_chaos {

struct job_totals {
  std::size_t jobs = 0, starts = 0, kills = 0, mismatches = 0;
};

// Has a job until it is done. Tells of what is wrong, and counts it.
void have_a_job(std::mt19937& random, const shard_test::family& relatives, job_totals& into);

}  // namespace shard_chaos
