// A run under way, as its handle has it.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <vector>

#include "family/warm_family.hpp"
#include "mapping/execute.hpp"
#include "mapping/flight.hpp"
#include "mapping/second_run.hpp"
#include "mapping/settings.hpp"
#include "os/file.hpp"
#include "os/own_pid.hpp"
#include "shard/detail/job.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"
#include "shard/run.hpp"

namespace shard::detail {

class run_state {
 public:
  // pool: whose family works on it; null: processes of its own. It begins at once. fresh: who does
  // it a second time, before; null: nobody.
  run_state(job&& what, options how, const mapping::settings& decided, family::warm_family* pool,
            const family::warm_family::order* fresh = nullptr);
  run_state(const run_state&) = delete;
  run_state& operator=(const run_state&) = delete;
  ~run_state();

  // Waits for the end, and completes the reductions. Does nothing the second time.
  const report& conclude();
  // The same; what it would throw, the next conclude() throws.
  void conclude_quietly() noexcept;
  // Ends the run, if it is not over: nobody waits for it any more.
  void abandon() noexcept { flight_.reset(); }
  bool wait_for(seconds limit);
  void cancel();

  progress status() const;
  std::vector<worker_status> workers() const;
  std::vector<range> completed() const;
  void merge_now(const void* reducer, void* into) const;
  // Null: it is concluded.
  const mapping::flight* flight() const noexcept { return flight_.get(); }
  const plan::partition& chunks() const noexcept { return settled_.chunks; }

  // Of a run in a pool: its calls and the pool's are apart. `pool` is kept as long as this.
  void belong_to(std::shared_ptr<pool_state> pool) { pool_ = std::move(pool); }
  const std::shared_ptr<pool_state>& pool() const noexcept { return pool_; }

 private:
  std::shared_ptr<pool_state> pool_;
  job what_;
  options given_;
  mapping::order settled_;
  std::unique_ptr<mapping::second_run> expected_;
  std::unique_ptr<mapping::flight> flight_;
  pid_t owner_ = os::own_pid();
  progress last_;
  report told_;
  std::exception_ptr failure_;
};

}  // namespace shard::detail
