// Where the processors of a machine are, and how workers are spread over them: what hwloc knows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "os/affinity.hpp"

struct hwloc_topology;

namespace shard::os {

class topology {
 public:
  // This machine's. Looked for at the first call, which takes some milliseconds. Null: it can't be
  // found out.
  static const topology* of_this_machine() noexcept;
  // One that is described as hwloc does it: "pack:2 core:8 pu:2". Throws call_failed.
  explicit topology(const std::string& description);

  // The processors that each of so many workers, one at least, is to run on: never others than the
  // allowed ones, and never none. The same arguments have the same answer.
  //
  //  - If there are enough cores, each worker has as many as it has threads, whole and to itself.
  //    Workers are spread over packages and caches, and the cores of one worker are close together.
  //  - If there are not, each has its share of the processors to itself.
  //  - If there are more workers than processors, each runs on all processors of a NUMA node.
  //
  // Throws call_failed if none of the allowed processors are known, or std::bad_alloc.
  std::vector<processors> distribute(const processors& allowed, unsigned workers,
                                     unsigned threads) const;

  struct counts {
    unsigned packages = 0;
    unsigned cores = 0;
    unsigned processors = 0;
    unsigned nodes = 0;  // of memory, with processors
  };
  // Of what is allowed. Throws as distribute().
  counts count(const processors& allowed) const;

  // All its processors.
  processors all() const;

 private:
  struct ending {
    void operator()(hwloc_topology* one) const noexcept;
  };
  using handle = std::unique_ptr<hwloc_topology, ending>;

  explicit topology(handle loaded) noexcept : loaded_(std::move(loaded)) {}
  static handle load(const char* description);
  handle restricted(const processors& allowed) const;

  handle loaded_;
};

}  // namespace shard::os
