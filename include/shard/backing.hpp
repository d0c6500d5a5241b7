// Where the bytes of a buffer are, how they are made, and what stats() tells of them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "shard/range.hpp"

namespace shard {

enum class backing { memory, file, named };

// The pages that a buffer in memory is made of. Huge pages (usually 2 MiB) save TLB misses where
// accesses jump around in much memory, and page faults at first writes. A buffer of huge pages
// takes all of its memory when it is made, which takes about as long as writing to it would.
//
// shard takes huge pages that the system has in reserve (/proc/sys/vm/nr_hugepages), if those are
// enough. Otherwise shard asks the kernel to join normal pages to huge ones (MADV_COLLAPSE, Linux
// 6.1): that needs no privilege and no setting. What cannot be joined, and the rest behind the last
// whole huge page, is in normal pages. stats() says how much of the buffer is in huge pages.
enum class pages { normal, huge };

// What open_or_create does if there is an array of another shape.
enum class on_mismatch {
  refuse,       // throws; the message names both shapes
  take_stored,  // opens the array with the shape it has; refuses another type or rank
  replace       // makes a new array in its place, also if the type differs. Processes that have the
                // old array open keep the old array
};

// What a finished file survives. memory: every death of a process; the system writes the file to
// its disk later, as it sees fit. disk: also a power cut, or a crash of the system.
enum class durability { memory, disk };

// What a buffer is, and what it takes, at the moment of the call to stats().
struct buffer_stats {
  backing kind = backing::memory;
  std::string name;  // "memory", the path of the file, or the name of the named buffer
  std::vector<std::size_t> shape;
  std::size_t data_bytes = 0;       // size of the elements
  std::size_t allocated_bytes = 0;  // memory or disk space that the whole file takes
  std::size_t resident_bytes = 0;   // the part that is in memory, whichever process touched it
  std::size_t huge_bytes = 0;       // the part that this process has reached through huge pages
  std::size_t page_bytes = 0;       // size of the pages that the buffer is made of

  // The control words say who shares the buffer, and what dead processes have left. The first
  // transfer, lock or notification by a handle that can write makes the control words. While there
  // are none, nobody holds the lock, and nothing is torn. A file loses its control words, and with
  // them the counts, when its last writer closes it, unless something is torn or abandoned.
  // A handle that was inherited through fork counts once. Threads are given by their number in the
  // kernel (gettid(2)), as seen in the PID namespace that all writers and lockers share.
  bool control_words = false;
  std::size_t handles = 0;  // of a named buffer: all; of others: those that use the control words
  std::size_t writers = 0;  // handles that can write and use the control words
  std::size_t recoveries = 0;     // how often a lock of a dead thread was put right
  std::size_t notifications = 0;  // modulo 2^32
  int exclusive_holder = 0;       // the thread that holds the lock exclusively; 0: none
  std::vector<int> shared_holders;
  bool abandoned = false;   // an exclusive holder died; see buffer::abandoned()
  std::vector<range> torn;  // elements that dead writers may have left half written
};

}  // namespace shard
