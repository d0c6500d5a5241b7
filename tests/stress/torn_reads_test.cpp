// Reads of what others write meanwhile: none may be a mixture of two writes. Every way to read
// meets every way to write, between processes whose writers are killed now and then, and between
// threads, which ThreadSanitizer sees. A reading thread makes a few reads, or goes on until it has
// used TORN_SECONDS of processor time.

#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

#include "process/family.hpp"
#include "process/leftovers.hpp"
#include "shard/buffer.hpp"
#include "shard/text.hpp"

namespace {

using shard::range;
using shard_test::bystander;
using shard_test::eventually;
using shard_test::tally;

// ---- What is written. The first word of an element is the tag of its write. The other words
// follow from the tag and from the element's index, or from the tag alone, if the write was a fill.

constexpr std::uint32_t is_fill = 1;

std::uint32_t word_of(std::uint32_t tag, std::size_t index, std::size_t k) {
  std::uint64_t mixed = tag;
  if ((tag & is_fill) == 0) mixed += std::uint64_t{index + 1} << 32;
  mixed = (mixed + k) * 0x9E3779B97F4A7C15;
  return static_cast<std::uint32_t>(mixed >> 32 ^ mixed);
}

struct record {  // lies across words, lines and the borders of stripes
  std::array<std::uint32_t, 25> words;
};

template <class T>
T made(std::uint32_t tag, std::size_t index) {
  std::array<std::uint32_t, sizeof(T) / sizeof(std::uint32_t)> words{tag};
  for (std::size_t k = 1; k < words.size(); ++k) words[k] = word_of(tag, index, k);
  return std::bit_cast<T>(words);
}

template <class T>
std::uint32_t tag_of(const T& element) {
  std::uint32_t tag = 0;
  std::memcpy(&tag, &element, sizeof tag);
  return tag;
}

// The tag of the one write that all of these are of. Nothing: there is none.
template <class T>
std::optional<std::uint32_t> one_write(std::span<const T> seen,
                                       std::span<const std::size_t> indices) {
  const std::uint32_t tag = tag_of(seen[0]);
  for (std::size_t k = 0; k < seen.size(); ++k) {
    const T expected = made<T>(tag, indices[k]);
    if (std::memcmp(&seen[k], &expected, sizeof expected) != 0) return std::nullopt;
  }
  return tag;
}

std::vector<std::size_t> indices_of(range elements) {
  std::vector<std::size_t> indices(elements.size());
  std::iota(indices.begin(), indices.end(), elements.first);
  return indices;
}

// ---- Where. A block is what one write writes: in a word, a line, a stripe, or across several.

constexpr std::array<std::size_t, 6> lengths{1, 2, 9, 100, 333, 900};
constexpr std::size_t all_elements =
    std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});

range block(std::size_t b) {
  const std::size_t first = std::accumulate(lengths.begin(), lengths.begin() + b, std::size_t{0});
  return {first, first + lengths[b]};
}

// Of a table: some of its columns, so many strides.
constexpr std::size_t table_rows = 40;
constexpr std::size_t table_columns = 96;
constexpr std::size_t bands = 3;
constexpr std::size_t band_columns = table_columns / bands;
using part_of_table = std::array<range, 2>;

part_of_table band(std::size_t b) {
  return {range{0, table_rows}, range{b * band_columns, (b + 1) * band_columns}};
}
std::vector<std::size_t> indices_of(const part_of_table& part) {
  std::vector<std::size_t> indices;
  for (const std::size_t row : part[0]) {
    for (const std::size_t column : part[1]) indices.push_back(row * table_columns + column);
  }
  return indices;
}

constexpr std::size_t counters = 700;
constexpr std::size_t guarded_numbers = 300;

// One set of handles. Those that only read can't lock.
template <bool Writes>
struct handles {
  template <class T, std::size_t Rank = 1>
  using of = shard::buffer<std::conditional_t<Writes, T, const T>, Rank>;

  of<std::int64_t> numbers;
  of<shard::text<16>> names;
  of<shard::text<24>> lines;
  of<record> records;
  of<std::int64_t, 2> table;
  of<std::int64_t> counts;   // all equal
  of<std::int64_t> guarded;  // by the lock

  template <bool OthersWrite>
  static handles of_the_same(const handles<OthersWrite>& others) {
    return {of<std::int64_t>::reopen(others.numbers.descriptor()),
            of<shard::text<16>>::reopen(others.names.descriptor()),
            of<shard::text<24>>::reopen(others.lines.descriptor()),
            of<record>::reopen(others.records.descriptor()),
            of<std::int64_t, 2>::reopen(others.table.descriptor()),
            of<std::int64_t>::reopen(others.counts.descriptor()),
            of<std::int64_t>::reopen(others.guarded.descriptor())};
  }
};

handles<true> new_buffers() {
  return {handles<true>::of<std::int64_t>(all_elements),
          handles<true>::of<shard::text<16>>(all_elements),
          handles<true>::of<shard::text<24>>(all_elements),
          handles<true>::of<record>(all_elements),
          handles<true>::of<std::int64_t, 2>(table_rows, table_columns),
          handles<true>::of<std::int64_t>(counters),
          handles<true>::of<std::int64_t>(guarded_numbers)};
}

// ---- What all count on the board.

enum count : std::size_t {
  thousands,  // of reads
  changes,    // reads that found another write than the one before
  mixtures,   // reads that were of no single write
  told_torn,  // reads that were told of a dead writer
  told_busy,  // reads that were told to try again
  writes,
  deaths,
  failures,  // threads and processes that others' writes or deaths have ended
  finished,  // processes that read
  seconds,   // processor time of who reads
  stop,      // no count: writers may end
};
// Behind them: how often the mending of a buffer began or ended.
enum kind : std::size_t { numbers = stop + 1, names, lines, records, table, counts, guarded };

// Of processor time, for each reading thread.
int wanted_seconds() {
  const char* const asked = std::getenv("TORN_SECONDS");
  return asked != nullptr ? std::atoi(asked) : 0;
}

// ---- Readers and writers draw what they do. Most of the time they meet: what they read and write
// is the same for all, for as long as so many writes take.

class draws {
 public:
  draws(const tally& board, std::uint32_t seed) : board_(board), random_(seed) {}

  std::size_t below(std::size_t end) { return random_() % end; }

  // Where all of them go, as a rule. `what` is meant by the number.
  std::size_t meet_below(std::size_t end, unsigned what) {
    constexpr int writes_at_one_place = 100;
    if (below(4) == 0) return below(end);
    const int period = board_[writes] / writes_at_one_place;
    return word_of(what, static_cast<std::size_t>(period), 1) % end;
  }

  range part_of(range all) {
    const std::size_t first = all.first + below(all.size());
    return {first, first + 1 + below(all.last - first)};
  }

 protected:
  const tally& board_;

 private:
  std::mt19937 random_;
};

constexpr unsigned the_kind = 2;
constexpr unsigned the_block = 4;

// ---- Readers.

class reader : draws {
 public:
  using draws::draws;

  template <bool Writes>
  void read_something(handles<Writes>& from) {
    switch (meet_below(7, the_kind)) {
      case 0: return read_block(numbers, from.numbers);
      case 1: return read_block(names, from.names);
      case 2: return read_block(lines, from.lines);
      case 3: return read_block(records, from.records);
      case 4: return read_table(from.table);
      case 5: return read_counts(from.counts);
      default:
        if constexpr (Writes) read_guarded(from.guarded);
    }
  }

 private:
  using found = std::optional<std::uint32_t>;  // the tag of a write

  // A buffer that is being mended holds anything.
  template <class Read>
  void look(kind in, std::size_t at, Read read) {
    const int mendings = board_[in];
    if (++reads_ % 1000 == 0) ++board_[thousands];
    found write;
    try {
      write = read();
    } catch (const shard::torn_error&) {
      ++board_[told_torn];
      return;
    } catch (const shard::error& e) {
      if (e.code() != std::errc::device_or_resource_busy) throw;
      ++board_[told_busy];
      return;
    }
    if (mendings % 2 != 0 || board_[in] != mendings) return;
    if (!write) {
      ++board_[mixtures];
    } else if (std::exchange(last_[in][at], *write) != *write) {
      ++board_[changes];
    }
  }

  template <class Handle>
  void read_block(kind in, const Handle& from) {
    using T = typename Handle::value_type;
    const std::size_t b = meet_below(lengths.size(), the_block);
    const range all = block(b);
    look(in, b, [&] {
      switch (below(5)) {
        case 0: return read_range<T>(from, all);
        case 1: return read_range<T>(from, part_of(all));
        case 2: {
          const std::size_t one = all.first + below(all.size());
          return read_range<T>(from, {one, one + 1});
        }
        case 3: return try_range<T>(from, all);
        default: return gather<T>(from, all);
      }
    });
  }

  template <class T, class Handle>
  static found read_range(const Handle& from, range elements) {
    std::vector<T> seen(elements.size());
    from.read(elements, seen);
    return one_write<T>(seen, indices_of(elements));
  }
  template <class T, class Handle>
  static found try_range(const Handle& from, range elements) {
    std::vector<T> seen(elements.size());
    const shard::transfer tried = from.try_read(elements, seen);
    if (tried) return one_write<T>(seen, indices_of(elements));
    if (tried.state == shard::transfer_state::torn) {
      throw shard::torn_error("read", tried.torn, from.name());
    }
    throw shard::error(std::errc::device_or_resource_busy, "others were writing");
  }
  template <class T, class Handle>
  found gather(const Handle& from, range all) {
    std::vector<std::size_t> indices(1 + below(20));
    for (std::size_t& each : indices) each = all.first + below(all.size());
    std::vector<T> seen(indices.size());
    from.gather(indices, seen);
    return one_write<T>(seen, indices);
  }

  template <class Handle>
  void read_table(const Handle& from) {
    const std::size_t b = meet_below(bands, the_block);
    const part_of_table all = band(b);
    look(table, b, [&] {
      const part_of_table part =
          below(2) == 0 ? all : part_of_table{part_of(all[0]), part_of(all[1])};
      const std::vector<std::size_t> indices = indices_of(part);
      std::vector<std::int64_t> seen(indices.size());
      from.read_slab(part, seen);
      return one_write<std::int64_t>(seen, indices);
    });
  }

  template <class Handle>
  void read_counts(const Handle& from) {
    look(counts, 0, [&] {
      const range elements = part_of({0, counters});
      std::vector<std::int64_t> seen(elements.size());
      from.read(elements, seen);
      const bool equal = std::ranges::count(seen, seen[0]) == std::ssize(seen);
      return equal ? found(tag_of(seen[0])) : std::nullopt;
    });
  }

  void read_guarded(shard::buffer<std::int64_t>& from) {
    look(guarded, 0, [&] {
      from.lock_shared();
      const std::vector<std::int64_t> seen(from.begin(), from.end());
      const bool half_changed = from.abandoned();
      from.unlock_shared();
      if (half_changed) throw shard::torn_error("read", {0, guarded_numbers}, from.name());
      return one_write<std::int64_t>(seen, indices_of(range{0, guarded_numbers}));
    });
  }

  std::array<std::array<std::uint32_t, lengths.size()>, guarded + 1> last_{};  // tags, by kind
  std::uint64_t reads_ = 0;
};

// ---- Writers.

class writer : draws {
 public:
  using draws::below;
  writer(const tally& board, std::uint32_t seed) : draws(board, seed), next_(seed << 20) {}

  void write_something(handles<true>& to) {
    try {
      switch (meet_below(7, the_kind)) {
        case 0: write_block(to.numbers); break;
        case 1: write_block(to.names); break;
        case 2: write_block(to.lines); break;
        case 3: write_block(to.records); break;
        case 4: write_band(to.table, meet_below(bands, the_block)); break;
        case 5: to.counts.add({0, counters}, std::vector<std::int64_t>(counters, 1)); break;
        default: write_guarded(to.guarded);
      }
      ++board_[writes];
    } catch (const shard::torn_error&) {  // until that is mended
    }
  }

  // Where a writer has died: all of the buffer, though others write to it.
  void write_all(handles<true>& to) {
    mend(numbers, to.numbers, [&] { write_blocks(to.numbers); });
    mend(names, to.names, [&] { write_blocks(to.names); });
    mend(lines, to.lines, [&] { write_blocks(to.lines); });
    mend(records, to.records, [&] { write_blocks(to.records); });
    mend(table, to.table, [&] {
      for (std::size_t b = 0; b < bands; ++b) write_band(to.table, b);
    });
    mend(counts, to.counts, [&] { to.counts.fill({0, counters}, 0); });
    to.guarded.lock();
    store(to.guarded);
    to.guarded.clear_abandoned();
    to.guarded.unlock();
  }

 private:
  std::uint32_t new_tag() { return next_ += 2; }

  template <class Handle, class Write>
  void mend(kind which, Handle& to, Write write) {
    if (board_[writes] > 0 && to.torn().empty()) return;
    ++board_[which];
    to.clear_torn({0, to.size()});
    write();
    ++board_[which];
  }

  template <class T>
  static std::vector<T> values(std::uint32_t tag, const std::vector<std::size_t>& indices) {
    std::vector<T> made_of_it;
    made_of_it.reserve(indices.size());
    for (const std::size_t each : indices) made_of_it.push_back(made<T>(tag, each));
    return made_of_it;
  }

  template <class T>
  void write_block(shard::buffer<T>& to) {
    const range all = block(meet_below(lengths.size(), the_block));
    const std::uint32_t tag = new_tag();
    if (below(3) == 0) return to.fill(all, made<T>(tag | is_fill, 0));
    const std::vector<std::size_t> indices = indices_of(all);
    const std::vector<T> from = values<T>(tag, indices);
    switch (below(3)) {
      case 0: return to.write(all, from);
      case 1: return to.scatter(indices, from);
      default: static_cast<void>(to.try_write(all, from));
    }
  }
  template <class T>
  void write_blocks(shard::buffer<T>& to) {
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      to.write(block(b), values<T>(new_tag(), indices_of(block(b))));
    }
  }
  void write_band(shard::buffer<std::int64_t, 2>& to, std::size_t b) {
    to.write_slab(band(b), values<std::int64_t>(new_tag(), indices_of(band(b))));
  }
  void write_guarded(shard::buffer<std::int64_t>& to) {
    to.lock();
    if (!to.abandoned()) store(to);
    to.unlock();
  }
  void store(shard::buffer<std::int64_t>& to) {
    const std::uint32_t tag = new_tag();
    for (std::size_t i = 0; i < guarded_numbers; ++i) to[i] = made<std::int64_t>(tag, i);
  }

  std::uint32_t next_;  // even, and of another writer's only by chance
};

// Nothing may end a reader or a writer but a kill.
template <class Steps>
bool counted_if_it_fails(const tally& board, Steps steps) {
  try {
    steps();
    return true;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    ++board[failures];
    return false;
  }
}

bool write_until_all_is_read(const tally& board, const handles<true>& of, std::uint32_t seed) {
  return counted_if_it_fails(board, [&] {
    auto own = handles<true>::of_the_same(of);
    writer one(board, seed);
    while (board[stop] == 0) one.write_something(own);
  });
}

int seconds_of_this_thread() {
  timespec used{};
  EXPECT_EQ(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
  return static_cast<int>(used.tv_sec);
}

// What a reading thread must have done and met before it ends.
struct wanted {
  int reads = 0;
  int changes = 10;
  int deaths = 0;
};

template <bool Writes>
bool read_many(const tally& board, const handles<true>& of, std::uint32_t seed, wanted end) {
  return counted_if_it_fails(board, [&] {
    auto own = handles<Writes>::of_the_same(of);
    reader one(board, seed);
    const auto is_enough = [&] {
      return board[changes] >= end.changes && board[deaths] >= end.deaths &&
             seconds_of_this_thread() >= wanted_seconds();
    };
    do {
      for (int i = 0; i < end.reads; ++i) one.read_something(own);
    } while (!is_enough());
    board[seconds] += seconds_of_this_thread();
  });
}

// Two threads, of which one only reads.
void read_many_twice(const tally& board, const handles<true>& of, std::uint32_t seed, wanted end) {
  std::thread beside([&] { read_many<false>(board, of, seed, end); });
  read_many<true>(board, of, seed + 1, end);
  beside.join();
  ++board[finished];
}

void expect_no_mixture(const tally& board) {
  EXPECT_EQ(board[mixtures], 0);
  EXPECT_EQ(board[failures], 0);
  if (wanted_seconds() == 0) return;
  std::printf(
      "%d 000 reads in %d s of processor time, %d told of a dead writer and %d to try again; "
      "%d mixtures\n"
      "%d writes, %d changes seen, %d writers killed\n",
      board[thousands].load(), board[seconds].load(), board[told_torn].load(),
      board[told_busy].load(), board[mixtures].load(), board[writes].load(), board[changes].load(),
      board[deaths].load());
}

// ---- Processes. The test itself kills writers, and mends what they leave. Nobody else does.

class TornReads : public shard_test::leaves_nothing {};

TEST_F(TornReads, AreNoneBetweenProcessesWhoseWritersAreKilled) {
  if (shard_test::thread_sanitizer) GTEST_SKIP() << "it sees threads of one process only";
  const wanted end{.reads = 10'000, .deaths = 40};
  const tally board;
  handles<true> all = new_buffers();
  writer keeper(board, 1);
  keeper.write_all(all);

  std::uint32_t seed = 2;
  const auto start_writer = [&](std::optional<bystander>& in) {
    in.emplace([&] { return write_until_all_is_read(board, all, seed); });
    ++seed;
  };
  std::array<std::optional<bystander>, 2> writers;
  for (auto& one : writers) start_writer(one);
  std::array<std::optional<bystander>, 2> readers;
  for (auto& one : readers) {
    one.emplace([&] { return read_many_twice(board, all, 100 * seed, end), true; });
    ++seed;
  }

  // Readers meet what a dead writer has left, for a while.
  const auto wait_for_writes = [&](std::size_t most) {
    const int goal = board[writes] + 1 + static_cast<int>(keeper.below(most));
    return eventually([&] { return board[writes] >= goal || board[finished] == 2; });
  };
  while (board[finished] < 2) {
    if (!wait_for_writes(500)) {
      ADD_FAILURE() << "nobody writes";
      break;
    }
    std::optional<bystander>& victim = writers[keeper.below(writers.size())];
    EXPECT_EQ(kill(victim->pid(), SIGKILL), 0);
    EXPECT_FALSE(victim->succeeded());
    ++board[deaths];
    start_writer(victim);
    EXPECT_TRUE(wait_for_writes(500));
    keeper.write_all(all);
  }
  board[stop] = 1;
  for (auto& one : readers) EXPECT_TRUE(one->succeeded());
  for (auto& one : writers) EXPECT_TRUE(one->succeeded());
  expect_no_mixture(board);
}

TEST_F(TornReads, AreNoneBetweenThreads) {
  const tally board;
  handles<true> all = new_buffers();
  writer(board, 1).write_all(all);
  std::vector<std::thread> writers;
  for (std::uint32_t seed : {2u, 3u}) {
    writers.emplace_back([&, seed] { write_until_all_is_read(board, all, seed); });
  }
  read_many_twice(board, all, 4, {.reads = 3000});
  board[stop] = 1;
  for (auto& one : writers) one.join();
  expect_no_mixture(board);
}

}  // namespace
