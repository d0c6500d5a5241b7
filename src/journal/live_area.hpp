// The board of a map under way, in a file of the job's folder: what a start of a job has achieved,
// also if all its processes are killed at once.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "board/board.hpp"
#include "board/owner.hpp"
#include "journal/folder.hpp"
#include "journal/record.hpp"
#include "mapping/board_keeper.hpp"
#include "os/anonymous.hpp"
#include "os/mapping.hpp"
#include "plan/partition.hpp"
#include "shard/range.hpp"

namespace shard::journal {

// A chunk that ran when everything was killed, and how often that was so.
struct suspect {
  std::uint64_t chunk = 0;
  std::uint64_t times = 0;
};
// From so many times on a chunk comes last; one more, and it is given up.
inline constexpr std::uint64_t times_until_last = 3;
inline constexpr std::size_t most_suspects = 64;

// The first page of a live area. The board follows.
inline constexpr std::size_t live_page = 4096;
struct live_header {
  std::array<char, 8> begins{};
  std::array<char, 40> boot{};
  std::uint64_t map = 0;  // see shape
  std::uint64_t layout =
      0;  // sizes of what a board consists of: of another version, they may differ
  board::dimensions size;
  std::uint64_t state_words = 0;   // of one state, without what is aside
  std::uint64_t carried_over = 0;  // chunks that an earlier start had committed
  range indices{};                 // of the map
  std::uint64_t grain = 0;         // 0: chunks differ
  std::uint64_t start = 0;         // of the job
  std::int64_t began = 0;          // seconds since 1970
  // 1: somebody syncs, or has died in it, or a sync has failed. The system tells an error once. Who
  // was told may have died before he could note it. So if it is still 1, nobody knows what is on
  // the disk beyond the last record.
  std::atomic<std::uint64_t> syncing;
  std::atomic<std::uint64_t> told;  // 1: its failures stand in failures.jsonl
  std::array<suspect, most_suspects> suspects{};
};
static_assert(sizeof(live_header) <= live_page);
bool is_of_boot(const live_header& of, const std::string& boot) noexcept;

// Waits until the bytes of all these are on the disk. False: they may not be. Requires: nobody else
// syncs.
[[nodiscard]] bool sync(live_header& in, std::span<const os::descriptor> files);

// What is in it to be read, by whoever may read the folder.
class live_view {
 public:
  // Nothing: there is none, or it is another version's. Throws shard::error.
  static std::optional<live_view> open(const notes& in, const std::string& note,
                                       os::protection rights);

  live_header& header() const noexcept;  // to be written to if it was opened for that
  const board::board& board() const noexcept { return board_; }

 private:
  live_view(os::mapping mapped, const board::dimensions& size)
      : mapped_(std::move(mapped)), board_(mapped_.base() + live_page, size) {}

  os::mapping mapped_;
  board::board board_;
};

// What is believed of a run that ended with all its processes.
struct harvest {
  record achieved;
  std::vector<suspect> suspects;
};
// Old values come back first. Throws shard::error where a chunk can be neither counted nor run
// again: it was changed in place, and has given up an index. Requires: nobody works on the board.
harvest harvest_of(const live_view& from, const shape& expected, const board::undo& old_values);

// Of which chunks such a cut consists.
record committed_of(const board::board& from, const shape& of);

// A consistent cut of a run that goes on, of whole chunks that never failed.
record cut_of(const board::board& from, const shape& of);
// What a complete map has, with what is aside.
record result_of(const board::board& from, const shape& of);

class live_area final : public mapping::board_keeper {
 public:
  // what: with which it begins. start: of the job.
  live_area(const folder& in, std::string note, const shape& of, std::optional<harvest> what,
            const plan::partition& chunks, std::size_t start, bool for_a_pool);

  board::dimensions with_inheritance(board::dimensions of) override;
  std::byte* make(const board::dimensions& of, std::size_t bytes) override;
  void begin(const board::board& on, std::span<const std::uint64_t> identity) override;
  family::kept_board place_for_others() const override;
  int held_descriptor() const noexcept override { return folder_.lock_descriptor(); }

  // Of whatever is under way, nobody says that it has taken everything down.
  void blame_none() const noexcept;

  live_header& header() const noexcept;
  board::board board() const noexcept { return {memory_.base() + live_page, size_}; }
  std::uint64_t carried_over() const noexcept { return header().carried_over; }

 private:
  std::vector<std::uint64_t> schedule() const;
  bool is_last(std::uint64_t chunk) const noexcept;

  const folder& folder_;
  std::string note_;
  shape shape_;
  std::optional<harvest> inherited_;
  const plan::partition& chunks_;
  std::vector<std::uint64_t> order_;  // of what is left to be done
  std::size_t start_;
  bool for_a_pool_;  // whose processes map it for themselves
  board::dimensions size_{};
  os::descriptor file_;
  os::anonymous_memory memory_;
};

}  // namespace shard::journal
