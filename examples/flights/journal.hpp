// How the maps of a run are run, and what they did.
#pragma once

#include <string_view>
#include <utility>

#include <shard/shard.hpp>

namespace flights {

class journal {
 public:
  explicit journal(shard::options how) : how_(std::move(how)) {}

  // Options for one map: they show its progress under this name.
  shard::options stage(std::string_view name);

  void add(const shard::report& map);

  // Sums over the maps; of workers and grains the largest.
  const shard::run_counts& counts() const noexcept { return counts_; }
  int maps() const noexcept { return maps_; }

  // Of the map that took longest.
  const shard::report& longest() const noexcept { return longest_; }

 private:
  shard::options how_;
  shard::run_counts counts_;
  shard::report longest_;
  int maps_ = 0;
};

}  // namespace flights
