// Where a buffer's bytes are, what they take, and what is wanted of them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "shard/range.hpp"

namespace shard {

enum class backing { memory, file, named };

// What a buffer in memory is made of. huge: pages of 2 MiB or so, which cost fewer misses where
// accesses jump around in much memory. They are had if the system has enough of them in reserve
// (/proc/sys/vm/nr_hugepages), or may form them as they are needed (shmem_enabled, in
// /sys/kernel/mm/transparent_hugepage); if not, the buffer is made of normal ones, and stats() says
// so.
enum class pages { normal, huge };

// What open_or_create does with an array of another shape under that name.
enum class on_mismatch {
  refuse,       // throws, naming both shapes
  take_stored,  // opens it with its own shape; another type or rank is refused
  replace  // makes a new one in its place, whatever it was; who has the old one open keeps that
};

// What a buffer is and takes, at the moment it was asked.
struct buffer_stats {
  backing kind = backing::memory;
  std::string name;  // "memory", its path, or its name
  std::vector<std::size_t> shape;
  std::size_t data_bytes = 0;       // of the elements
  std::size_t allocated_bytes = 0;  // of memory or disk that are taken, header and all
  std::size_t resident_bytes = 0;   // that are in memory, whichever process touched them
  std::size_t huge_bytes = 0;       // that this process reaches through huge pages
  std::size_t page_bytes = 0;       // size of the pages it is made of

  // Who shares it, and what deaths have left. A handle that its forked copies have, too, is one;
  // threads go by their number in the kernel (gettid(2)), as in the PID namespace that all who
  // write and lock must share. Without control words, which the first transfer, lock or
  // notification of a handle that can write makes, nobody holds the lock, and nothing is torn. What
  // is counted is so since they were made: a file's go with its last writer, unless something is
  // torn or abandoned.
  bool control_words = false;
  std::size_t handles = 0;     // all of a named buffer; of others, those attached to control words
  std::size_t writers = 0;     // handles that can write and are attached
  std::size_t recoveries = 0;  // how often locks of the dead were put right
  std::size_t notifications = 0;  // modulo 2^32
  int exclusive_holder = 0;       // the thread that holds the lock; 0: none does exclusively
  std::vector<int> shared_holders;
  bool abandoned = false;   // by an exclusive holder that died
  std::vector<range> torn;  // the elements that writers who died may have left half written
};

}  // namespace shard
