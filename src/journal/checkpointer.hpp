// A process that makes checkpoints while a map runs: what they name is on the disk.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "journal/folder.hpp"
#include "journal/live_area.hpp"
#include "journal/record.hpp"
#include "os/descriptor.hpp"
#include "os/process.hpp"

namespace shard::journal {

// One file of the two places. Throws shard::error where it can't be read. Nothing: neither has a
// whole record.
// expected: of which map; null: of whatever map.
std::optional<record::found> last_record(const notes& in, const std::string& note,
                                         const shape* expected);

class checkpointer {
 public:
  // Reserves both places, and starts it. Throws shard::error. Requires: the run is not begun. All
  // of these must outlive it.
  struct orders {
    const folder& in;
    std::string note;
    live_area& of;
    shape expected;
    // What is synced before a record is written: open file descriptions that nobody else syncs by.
    // The system tells each of them of an error, once.
    std::vector<os::descriptor> files;
    std::chrono::nanoseconds interval{};
  };
  explicit checkpointer(orders what);
  checkpointer(const checkpointer&) = delete;
  checkpointer& operator=(const checkpointer&) = delete;
  // Waits until it has done what it is at, and ends it. False: somebody has killed it.
  bool end() noexcept;
  ~checkpointer() { end(); }

 private:
  [[noreturn]] void work() noexcept;
  bool make_one();

  orders what_;
  std::size_t place_bytes_ = 0;
  os::descriptor log_;
  pid_t parent_;
  std::uint64_t sequence_ = 0;  // of the last record
  std::uint64_t last_count_ = 0;
  os::descriptor end_;  // readable when it is to end
  os::process process_;
};

}  // namespace shard::journal
