// What the recorder in a program and the test that watches the program have in common.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace shard_test::power {

// The folder that stands for a disk; the folder of the recorder; and a file that stands for
// /proc/sys/kernel/random/boot_id. All are absolute paths without symlinks.
inline constexpr const char* folder_variable = "POWER_FOLDER";
inline constexpr const char* record_variable = "POWER_RECORD";
inline constexpr const char* boot_variable = "POWER_BOOT_ID";

// In the recorder's folder:
//   state      the struct below, in memory that all processes share
//   lock       who holds it (flock) is the only one who changes the disk
//   log        one line for each event, see below
//   synced/K.n content of the file K, as it was when it was synced for the n-th time
//   kept/K     content of the file K, as it was when its last name was removed
//
// A file is called by its inode and the time of its birth: inodes are used again. The fields of a
// line are separated by tabs:
//   P n what         a point: a call that is about to be made
//   D d name K t     an entry that was there before; t: 'f' a file, 'd' a folder
//   C d name K t     the folder d has a new entry
//   R d name d name K  the file K was renamed
//   X d name K d name K  two files have got each other's names
//   U d name K       an entry was removed
//   S d              the folder d was synced
//   F K n            the file K was synced

struct state {
  std::atomic<std::uint64_t> points;        // so many calls were about to be made
  std::atomic<std::uint64_t> cut_at;        // the power fails before this one; 0: it doesn't
  std::atomic<std::uint64_t> matches_left;  // or before so many of those that match; 0: none does
  std::atomic<std::uint64_t> later;         // and so many calls behind that one
  std::atomic<std::uint32_t> cut;           // it has failed: nobody goes on
  std::atomic<std::uint64_t> syncs;         // of files
  std::atomic<std::uint64_t> failing_sync;  // this one fails with EIO; 0: none does
  std::array<char, 32> call;                // a call matches that has this name
  std::array<char, 128> object;             // and whose path ends so
};

}  // namespace shard_test::power
