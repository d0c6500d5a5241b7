// What a family that carries out many runs shares: its roster, its door, and for each run that is
// under way, or waits for its turn, an assignment and a board.
//
// A board lies in one of many places. Each place is much address space, of which only what a run
// uses is ever touched. So no run needs to map anything, and boards are used again: what must be
// zeros is cleared, or, if the board had another shape or a failure, the place is emptied.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "board/board.hpp"
#include "family/assignment.hpp"
#include "family/door.hpp"
#include "family/roster.hpp"
#include "os/anonymous.hpp"
#include "os/descriptor.hpp"
#include "os/mapping.hpp"

namespace shard::family {

class run_queue;

// A place that is taken.
class lease {
 public:
  lease() noexcept = default;
  lease(run_queue& of, unsigned place) noexcept : of_(&of), place_(place) {}
  lease(lease&& from) noexcept : of_(std::exchange(from.of_, nullptr)), place_(from.place_) {}
  lease& operator=(lease&& from) noexcept {
    std::swap(of_, from.of_);
    std::swap(place_, from.place_);
    return *this;
  }
  ~lease();

  unsigned place() const noexcept { return place_; }

 private:
  run_queue* of_ = nullptr;
  unsigned place_ = 0;
};

class run_queue {
 public:
  static constexpr unsigned capacity = door::most_ahead;  // runs that are not over

  // Who is to see it, beside the process that makes it: what is forked from there, or a program
  // that is started.
  enum class audience { children, programs };
  // Throws shard::error if there is no memory for it.
  run_queue(unsigned slots, audience others);

  // What another program needs to see it, too.
  struct handles {
    os::descriptor memory;
    os::descriptor event;
    os::descriptor calls;
    std::size_t place_bytes = 0;
  };
  // In that program. Throws os::call_failed.
  run_queue(unsigned slots, handles from);

  run_queue(const run_queue&) = delete;
  run_queue& operator=(const run_queue&) = delete;

  const roster& family() const noexcept { return roster_; }
  const door& entrance() const noexcept { return door_; }
  unsigned slots() const noexcept { return roster_.size(); }
  std::span<std::byte> memory() const noexcept { return {memory_.base(), memory_.size_bytes()}; }
  const os::descriptor& file() const noexcept { return handles_.memory; }  // empty: for children
  std::size_t place_bytes() const noexcept { return handles_.place_bytes; }

  // ---- Runs. A run's number is taken for its assignment until `capacity` runs later.

  assignment& of(door::run number) const noexcept { return assignments_[number % capacity]; }
  // Throws os::call_failed if it is kept in a file which this process has not mapped yet, and
  // can't map.
  board::board board_of(const assignment& what) const {
    return {what.kept ? kept_memory(what.kept) : place(what.place), what.size};
  }
  // Behind its board: first the grants.
  std::span<std::byte> packed(const assignment& what) const noexcept;

  // ---- The caller's part.

  // Readable when the run that is awaited at the door is over.
  const os::descriptor& event() const noexcept { return handles_.event; }

  // Finds a place for a run, with its board ready for it, and puts its packed bytes there. Throws
  // shard::error if a run needs more than a place has. Requires: fewer than `capacity` places are
  // taken.
  lease take_place(const board::dimensions& size, std::span<const std::byte> packed);
  void give_back(unsigned place) noexcept;
  std::byte* memory_of(const lease& of) const noexcept { return place(of.place()); }

  // For how many workers there is enough to do, by what the last run with the same bytes took; if
  // that isn't known, all.
  unsigned workers_for(const assignment& what) const noexcept;
  // How long so many workers take; 0: that isn't known.
  std::chrono::nanoseconds expected(const assignment& what, unsigned workers) const noexcept;
  void learn_from(door::run number) noexcept;
  // Fewer are awake for it, or woken, than it has chunks for.
  bool is_for_few(door::run number) const noexcept {
    return door_.wanted(number) < most_workers(of(number));
  }

  // A buffer was closed: no worker is to keep it.
  void close_buffer(std::uint64_t number) const noexcept;
  // Workers that find no run leave, and no more are wanted.
  void end() const noexcept;

  // Asks the supervisor to look at what there is for it to do: a run with a timeout, or stacks to
  // be named. Requires nothing.
  void call_supervisor() const noexcept;
  // The last run whose stacks are to be named, and the last one whose are.
  std::atomic<door::run>& to_be_named() const noexcept { return shared_->to_be_named; }
  std::atomic<door::run>& named() const noexcept { return shared_->named; }

  // ---- The supervisor's part.

  const os::descriptor& calls() const noexcept { return handles_.calls; }
  // A slot with work can't get a process: who finds no run leaves.
  void want_room(bool wanted) const noexcept;

  // ---- A worker's part.

  bool is_ending() const noexcept { return shared_->ending.load() != 0; }
  // Children of this process don't have the board that board_of() has mapped last, if that is kept
  // in a file.
  void hide_kept_board() const;
  bool wants_room() const noexcept { return shared_->room_wanted.load() != 0; }
  // Calls close(number) for each buffer that was closed since `seen` of them were; or close_all(),
  // if it is not known any more which. Sets `seen`.
  template <class Close, class CloseAll>
  void each_closed(std::uint64_t& seen, Close close, CloseAll close_all) const;

 private:
  static constexpr std::size_t closed_capacity = 1024;

  struct shared_part {
    alignas(64) std::atomic<std::uint32_t> ending;
    std::atomic<std::uint32_t> room_wanted;
    std::atomic<door::run> to_be_named;
    std::atomic<door::run> named;
    std::atomic<std::uint64_t> closed;  // so many buffers were; the last ones are:
    std::atomic<std::uint64_t> closed_numbers[closed_capacity];
  };

  // Of the caller's: what is known of a place.
  struct tenancy {
    bool empty = true;  // all zeros
    board::dimensions size{};
    std::size_t used_bytes = 0;     // behind these all is zeros
    std::size_t touched_bytes = 0;  // at most, but for what failures take
    std::size_t packed_bytes = 0;
    std::size_t likeness = 0;  // a hash of the packed bytes
  };

  // What a run took.
  struct experience {
    bool any = false;
    std::size_t likeness = 0;
    std::chrono::nanoseconds took{};
  };

  struct parts;
  std::byte* kept_memory(const kept_board& what) const;
  std::byte* place(unsigned number) const noexcept { return places_ + number * place_bytes(); }
  void empty(unsigned number) noexcept;
  unsigned most_workers(const assignment& what) const noexcept;
  const experience* last_like(const assignment& what) const noexcept;
  unsigned take_best_place(const board::dimensions& size);
  void put(std::span<const std::byte> packed, const board::dimensions& size, unsigned number);

  run_queue(unsigned slots, std::pair<handles, os::anonymous_memory> from);

  handles handles_;
  os::anonymous_memory memory_;
  roster roster_;
  door door_;
  shared_part* shared_;
  assignment* assignments_;
  std::byte* places_;
  // Of this process: the last board that was kept in a file.
  mutable std::uint64_t kept_number_ = 0;
  mutable std::uint64_t hidden_number_ = 0;  // for which children don't have it
  mutable os::mapping kept_;
  std::array<tenancy, capacity> tenancies_{};
  std::array<experience, capacity> known_{};
  std::size_t touched_bytes_ = 0;  // of all places
  std::vector<unsigned> free_;     // places, the last one that was given back behind the others
};

template <class Close, class CloseAll>
void run_queue::each_closed(std::uint64_t& seen, Close close, CloseAll close_all) const {
  const std::uint64_t count = shared_->closed.load();
  if (count == seen) return;
  bool known = count - seen < closed_capacity;
  for (std::uint64_t k = seen; known && k < count; ++k) {
    close(shared_->closed_numbers[k % closed_capacity].load());
  }
  // Others may have been written over meanwhile; and of one more, the number comes first.
  known = known && shared_->closed.load() - seen < closed_capacity;
  if (!known) close_all();
  seen = count;
}

}  // namespace shard::family
