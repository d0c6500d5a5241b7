// A machine whose power fails: runs a program that works in a folder, ends all of its processes at
// a point, and makes of the folder what a disk would have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "process/family.hpp"

namespace shard_test::power {

// What of the changes that were not synced the disk has. Of pages, and of entries in folders, each
// is there or not. A rename is one change of its folder.
struct luck {
  enum class of { all, none, some };
  of pages = of::some;
  of entries = of::some;
  std::uint32_t seed = 1;
  std::string whole = {};  // files whose names end so have all of their pages; "": none does
};

// All and none of each kind, and so many mixtures of both.
std::vector<luck> every_luck(std::uint32_t mixtures, std::uint32_t seed);
std::string text_of(const luck& luck);

class machine {
 public:
  // Works in a new folder under `home`, which the program is told in place of "{}", with which an
  // argument may begin.
  // Whatever runs must have been forked by this process, which it makes a family of.
  explicit machine(std::filesystem::path home);

  const std::filesystem::path& disk() const { return disk_; }
  // The disk as it was in the beginning: nothing on it. In the first boot again.
  void reset();

  struct outcome {
    bool cut = false;          // all processes were ended at the point
    std::uint64_t points = 0;  // so many calls were about to be made
    int status = 0;            // the exit status, if it was not cut; -1: a signal
    std::string output;        // of both streams
    std::string last_point;    // what was about to be called
  };
  // Where a program is to be cut: before so many calls that change the disk, or before the
  // `number`th one of a name (as it is for the system, without "at") whose path ends so.
  struct point {
    std::uint64_t at = 0;  // 0 and no call: it is not cut
    std::string call = {};
    std::string path = {};
    std::uint64_t number = 1;
    std::uint64_t later = 0;  // so many calls behind that one
  };
  // Runs it until it is over or comes to that point. Then all of its processes are stopped, and
  // after that killed, so that none of them sees another die.
  outcome run(const std::vector<std::string>& program, const point& cut);
  outcome run(const std::vector<std::string>& program) { return run(program, point{}); }
  // In the next run, its so-manieth sync of a file fails with EIO.
  void fail_sync(std::uint64_t number) { failing_sync_ = number; }

  // After a run: the disk has lost what was not synced, as luck has it, and the boot is another
  // one.
  void lose_power(const luck& luck);
  // The same without a loss.
  void reboot();

 private:
  std::filesystem::path disk_, record_, boot_id_;
  family family_;
  std::uint64_t boots_ = 0;
  std::uint64_t failing_sync_ = 0;
  bool is_fresh_ = true;     // nothing has run in this boot
  std::uint64_t syncs_ = 0;  // in this boot

  void begin_record();
};

}  // namespace shard_test::power
