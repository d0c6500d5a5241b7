// What a family has to do at its slots: what its supervisor asks, and what it tells. Of one run
// that is supervised_run.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "family/staff.hpp"
#include "os/poll_set.hpp"

namespace shard::family {

class agenda {
 public:
  using clock = std::chrono::steady_clock;

  agenda() = default;
  agenda(const agenda&) = delete;
  agenda& operator=(const agenda&) = delete;
  virtual ~agenda() = default;

  virtual bool wants_worker(unsigned slot) const = 0;

  // A worker is about to be started there.
  virtual void prepare(unsigned slot) = 0;
  // A slot that wants a worker can't get one now: the place of the next who leaves is its own.
  virtual void ask_for_a_place() const = 0;
  virtual void has_a_place() const = 0;

  // Kills who takes too long. Returns when to do so next; nullopt: any time.
  virtual std::optional<clock::duration> enforce_timeouts() = 0;

  // What becomes of what a dead worker was at.
  virtual void worker_ended(unsigned slot, const departure& dead) = 0;
  // The slot's worker died with its supervisor, and is innocent.
  virtual void acquit(unsigned slot) = 0;
  // Makes a dead worker's slot ready for the next one. False: it can't be now; try again.
  [[nodiscard]] virtual bool mend(unsigned slot) = 0;

  // There can be no workers.
  virtual void give_up(const std::string& trouble) = 0;

  // Adds what else is to be waited for; serve() is called after the wait.
  virtual void watch(os::poll_set&) {}
  virtual void serve(const os::poll_set&) {}
};

}  // namespace shard::family
