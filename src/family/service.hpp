// A worker of a pool: goes from run to run, and keeps what it has made for those before.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "board/owner.hpp"
#include "family/run_queue.hpp"
#include "family/worker.hpp"
#include "memory/segment.hpp"

namespace shard::family {

// What a pool is like.
struct service_terms {
  std::chrono::nanoseconds spin{};  // how long a worker looks for the next run before it sleeps
  unsigned processors = 1;          // that workers and caller may use
  unsigned threads_per_worker = 0;  // 0: nobody has said anything
  bool prefix_output = false;
  pid_t caller = 0;
  sigset_t mask{};  // signals that the caller blocks
  int held = -1;    // see crew
};

// What the workers of a pool are given when it begins.
struct service {
  // Makes a task of a packed job: what a worker owns as long as it keeps the job. `data`: where the
  // granted buffers' elements are. Throws shard::error.
  using make_task = std::shared_ptr<const board::task> (*)(std::span<const std::byte> packed,
                                                           std::vector<std::byte*> data,
                                                           unsigned slot);

  const run_queue& runs;
  make_task make;
  service_terms terms;
};

// In a process that was just forked for a pool: gives back what it has of the caller's buffers,
// which may be closed long before it ends. Says where they were.
std::vector<mapped> forsake_buffers(const std::vector<memory::live_segment>& inherited);

// Serves until the pool ends, or a slot that has work needs this worker's place.
void serve(const service& all, const std::vector<mapped>& forsaken, worker& self);

}  // namespace shard::family
