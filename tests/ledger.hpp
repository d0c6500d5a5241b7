// A run on a board whose every effect can be checked against what the board says of it, at any
// moment.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "board/board.hpp"
#include "board/owner.hpp"
#include "os/anonymous.hpp"

namespace shard_test {

struct errand {
  std::size_t chunks = 0;
  unsigned slots = 1;
  bool accumulates = true;  // false: outputs and partials only
  shard::board::policy policy{.allowed = {}, .keep_going = false, .park = false};
  std::vector<unsigned> throws{};               // how often chunk k throws, as its verdict counts
  std::function<void(std::size_t)> on_chunk{};  // called inside the kernel
};

// The board of one run and, behind it in the same shared memory, the outputs.
//
// Chunk k writes two words of output and two of its ordered partial, and adds to the accumulators:
// k + 1 to word 0, and one to the k-th group of four bits in the words after it. So an accumulator
// says exactly of which chunks it is the reduction.
class ledger {
 public:
  using word = std::atomic<std::uint64_t>;

  explicit ledger(errand what)
      : what_(std::move(what)),
        size_{what_.chunks, what_.slots, 2 * sizeof(std::uint64_t),
              what_.accumulates ? words() * sizeof(std::uint64_t) : 0},
        memory_(shard::board::board::size_bytes(size_) + outputs_bytes(),
                shard::os::sharing::with_children),
        board_(memory_.base(), size_),
        outputs_(reinterpret_cast<word*>(memory_.base() + shard::board::board::size_bytes(size_))) {
    for (unsigned slot = 0; slot < what_.slots; ++slot) desks_.push_back({this, slot});
  }
  ledger(const ledger&) = delete;
  ledger& operator=(const ledger&) = delete;

  const shard::board::board& board() const { return board_; }
  const errand& what() const { return what_; }
  const shard::os::anonymous_memory& memory() const { return memory_; }
  std::span<word> outputs() const { return {outputs_, 2 * what_.chunks}; }
  std::span<word> inside() const { return {outputs_ + 2 * what_.chunks, what_.slots}; }

  // The chunk whose kernel runs in a slot, + 1; 0: none.
  std::uint64_t inside(unsigned slot) const {
    return inside()[slot].load(std::memory_order_relaxed);
  }

  // What a slot's worker is started with.
  class worker {
   public:
    worker(const ledger& of, unsigned slot)
        : accumulators_((of.size_.accumulator_bytes + 7) / 8),
          owner_(of.board_, slot, of.task_of(slot), of.what_.policy,
                 reinterpret_cast<std::byte*>(accumulators_.data())) {}
    shard::board::owner* operator->() { return &owner_; }

   private:
    std::vector<std::uint64_t> accumulators_;
    shard::board::owner owner_;
  };

  void work(unsigned slot) const { worker(*this, slot)->work(); }

  // What is wrong with what slot has published; empty: nothing is. Safe while owners work.
  std::string fault_in(unsigned slot) const {
    std::vector<std::uint64_t> found(size_.accumulator_bytes / sizeof(std::uint64_t));
    std::uint64_t covered = 0;
    if (!board_.snapshot(slot, found, covered)) return {};
    if (covered > board_.at(slot).length.load(std::memory_order_acquire))
      return "covers more than its log";
    std::vector<std::uint64_t> expected(found.size());
    for (std::uint64_t k = 0; k < covered; ++k) {
      const std::uint64_t chunk = board_.log(slot)[k].load(std::memory_order_relaxed);
      if (chunk >= what_.chunks) return "has chunk " + std::to_string(chunk) + " in its log";
      if (condemned(chunk)) continue;
      if (!expected.empty()) add(expected.data(), chunk);
      if (!written(chunk))
        return "covers chunk " + std::to_string(chunk) + ", which is not written";
    }
    if (found == expected) return {};
    return "has published accumulators that are not the reduction of the " +
           std::to_string(covered) + " entries that they cover: total " + std::to_string(found[0]) +
           ", expected " + std::to_string(expected[0]);
  }

  // The same for all slots, and for the word that says that the run is done.
  std::string fault() const {
    const bool done = (board_.controls() & shard::board::done) != 0;
    if (done && board_.settled() != what_.chunks) return "done is raised too early";
    for (unsigned slot = 0; slot < what_.slots; ++slot) {
      const std::string found = fault_in(slot);
      if (!found.empty()) return "slot " + std::to_string(slot) + " " + found;
    }
    return {};
  }

  // What is wrong with a run that is over and was not stopped. Requires: nobody works on it.
  std::string fault_at_end() const {
    const std::string found = fault();
    if (!found.empty()) return found;
    std::vector<unsigned> logged(what_.chunks);
    for (unsigned slot = 0; slot < what_.slots; ++slot) {
      const std::uint64_t length = board_.at(slot).length.load();
      if (board_.covered(slot) != length) return "slot " + std::to_string(slot) + " has a tail";
      for (std::uint64_t k = 0; k < length; ++k) ++logged[board_.log(slot)[k].load()];
    }
    for (std::size_t chunk = 0; chunk < what_.chunks; ++chunk) {
      if (logged[chunk] == 1) continue;
      return "chunk " + std::to_string(chunk) + " is in " + std::to_string(logged[chunk]) + " logs";
    }
    if (board_.settled() != what_.chunks) return "not all chunks are settled";
    return fault_in_verdicts();
  }

  bool condemned(std::size_t chunk) const { return verdict_on(chunk).condemned; }
  shard::board::verdict verdict_on(std::size_t chunk) const {
    return board_.verdict_on(chunk).load(std::memory_order_relaxed);
  }

 private:
  struct desk {
    const ledger* of;
    unsigned slot;
  };

  std::size_t words() const { return 1 + (what_.chunks + 15) / 16; }
  std::size_t outputs_bytes() const {
    const std::size_t bytes = (2 * what_.chunks + what_.slots) * sizeof(word);
    return (bytes + 4095) / 4096 * 4096;
  }

  static void add(std::uint64_t* accumulators, std::uint64_t chunk) {
    accumulators[0] += chunk + 1;
    accumulators[1 + chunk / 16] += std::uint64_t{1} << (chunk % 16 * 4);
  }

  shard::board::task task_of(unsigned slot) const {
    return {[](const void* given, std::size_t chunk, std::byte* partial, std::byte* accumulators,
               shard::board::description& what) noexcept {
              const auto& at = *static_cast<const desk*>(given);
              return at.of->run(at.slot, chunk, partial, accumulators, what);
            },
            [](const void*, std::byte*) {}, &desks_[slot]};
  }

  // The kernel. A chunk that throws has spoilt the accumulators and half its output before.
  bool run(unsigned slot, std::size_t chunk, std::byte* partial, std::byte* accumulators,
           shard::board::description& what) const {
    inside()[slot].store(chunk + 1, std::memory_order_relaxed);
    const auto sums = reinterpret_cast<std::uint64_t*>(accumulators);
    const auto ordered = reinterpret_cast<word*>(partial);
    outputs_[2 * chunk].store(chunk + 1, std::memory_order_relaxed);
    ordered[0].store(chunk + 2, std::memory_order_relaxed);
    if (what_.accumulates) add(sums, chunk);
    if (what_.on_chunk) what_.on_chunk(chunk);
    const bool throws = verdict_on(chunk).errors < throws_of(chunk);
    if (throws) {
      std::snprintf(what, sizeof what, "chunk %zu threw", chunk);
    } else {
      outputs_[2 * chunk + 1].store(chunk + 3, std::memory_order_relaxed);
      ordered[1].store(chunk + 4, std::memory_order_relaxed);
    }
    inside()[slot].store(0, std::memory_order_relaxed);
    return !throws;
  }

  bool written(std::size_t chunk) const {
    const auto ordered = reinterpret_cast<const word*>(board_.partial(chunk));
    return outputs_[2 * chunk].load(std::memory_order_relaxed) == chunk + 1 &&
           outputs_[2 * chunk + 1].load(std::memory_order_relaxed) == chunk + 3 &&
           ordered[0].load(std::memory_order_relaxed) == chunk + 2 &&
           ordered[1].load(std::memory_order_relaxed) == chunk + 4;
  }

  unsigned throws_of(std::size_t chunk) const {
    return chunk < what_.throws.size() ? what_.throws[chunk] : 0;
  }

  // A chunk is condemned exactly when it failed more often than it may.
  std::string fault_in_verdicts() const {
    const shard::board::budgets& allowed = what_.policy.allowed;
    for (std::size_t chunk = 0; chunk < what_.chunks; ++chunk) {
      const shard::board::verdict judged = verdict_on(chunk);
      const bool expected = judged.errors > allowed.errors || judged.kills > allowed.kills ||
                            judged.crashes > allowed.crashes;
      const bool threw_out = judged.condemned || judged.errors == throws_of(chunk);
      if (judged.condemned == expected && threw_out) continue;
      return "chunk " + std::to_string(chunk) +
             " has a wrong verdict: " + std::to_string(judged.errors) + " errors, " +
             std::to_string(judged.kills) + " kills, " +
             (judged.condemned ? "condemned" : "not condemned");
    }
    return {};
  }

  errand what_;
  shard::board::dimensions size_;
  shard::os::anonymous_memory memory_;
  shard::board::board board_;
  word* outputs_;
  std::deque<desk> desks_;
};

}  // namespace shard_test
