// One worker process.
#pragma once

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "family/crash_handlers.hpp"
#include "family/crew.hpp"
#include "family/door.hpp"
#include "family/memory_limit.hpp"
#include "family/own_account.hpp"
#include "family/staff.hpp"
#include "memory/segment.hpp"
#include "os/output.hpp"

namespace shard::family {

// What a worker begins with.
struct worker_start {
  const roster& family;
  std::span<std::byte> memory;  // that the family shares, and children of a worker must not have
  const sigset_t& mask;         // signals that the caller blocks
  const newcomer& self;
  unsigned threads;  // that it may run; 0: nobody has said anything
  bool for_one_run;
};

// A worker as what it works on sees it.
class worker final : public board::workplace {
 public:
  worker(const worker_start& start, crash_context& crash);

  unsigned slot() const noexcept { return start_.self.slot; }
  const roster& family() const noexcept { return start_.family; }

  // Once it has what it needs: signals may come.
  void unblock_signals() const noexcept;
  // Where a fault may be. `these` must outlive the next call.
  void has_mapped(const std::vector<mapped>& these) noexcept { crash_.mappings = &these; }
  // How much memory it may take. 0: as much as it wants.
  void limit_memory(std::size_t bytes) noexcept { limit_.set(bytes); }
  // Calls `enter`, which may run code of the user's that makes a worker_state.
  std::shared_ptr<const board::task> prepare(
      bool has_state, const std::function<std::shared_ptr<const board::task>()>& enter) const;
  // Not all workers were woken for the run at this door. From now on all are if it takes longer
  // than that is worth. Null: it is over.
  void may_call_others(const door* at) noexcept;
  // Flushes what was printed, and waits until the supervisor has read it.
  void finish_printing() const;

  bool wants_a_change() override;
  void testify(board::failure_facts& to, board::evidence& left) noexcept override;
  std::optional<board::account> give_account() noexcept override { return account_.give(); }
  bool is_of_this_run() const noexcept override { return start_.for_one_run; }

 private:
  void wait_for_reader(const std::optional<os::writing_end>& pipe, const reading& of) const;

  const worker_start& start_;
  crash_context& crash_;
  member& own_;
  // Its streams, whatever the kernel makes of them; nullopt: nobody reads them.
  std::optional<os::writing_end> output_;
  std::optional<os::writing_end> errors_;
  memory_limit limit_;
  own_account account_;
  const door* asleep_ = nullptr;  // where others are
  std::chrono::steady_clock::time_point call_at_{};
  std::array<char, tail::capacity> tail_;
};

// The life of a worker, from the moment it was forked: does `work`, and exits. What `work` throws
// is its last words.
[[noreturn]] void be_worker(const worker_start& start,
                            const std::function<void(worker&)>& work) noexcept;

// The work of one run. Takes the narrowest view of memory it can work with, and owns its slot of
// the board until nothing is left to do. inherited: the caller's mappings, which become read-only.
void work_on(const crew& all, const std::vector<memory::live_segment>& inherited, worker& self);

}  // namespace shard::family
