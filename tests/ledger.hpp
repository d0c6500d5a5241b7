// A run on a board whose every effect can be checked against what the board says of it, at any
// moment.
#pragma once

#include <algorithm>
#include <atomic>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "board/board.hpp"
#include "board/owner.hpp"
#include "board/recovery.hpp"
#include "os/anonymous.hpp"

namespace shard_test {

struct errand {
  std::size_t chunks = 0;
  unsigned slots = 1;
  bool accumulates = true;  // false: outputs and partials only
  shard::board::policy policy{.allowed = {}, .keep_going = false, .park = false};
  std::vector<unsigned> throws{};               // how often chunk k throws, as its verdict counts
  std::function<void(std::size_t)> on_chunk{};  // called inside the kernel, with the chunk
  std::size_t indices = 1;                      // in each chunk
  std::set<std::size_t> poison{};               // indices at which the kernel always throws
  std::set<std::size_t> deadly{};               // indices at which the worker always dies
  std::map<std::size_t, unsigned> accidents{};  // indices at which it dies so often, then no more
  shard::board::failure_kind death = shard::board::failure_kind::signal;  // as what that is judged
  std::size_t longest = ~std::size_t{0};  // more indices than so at a time: it throws
  std::function<bool()> outage{};         // asked at each call of the kernel: true, it throws
  bool in_place = false;                  // also adds one to a cell for each index
  std::size_t undo_chunks = 1;            // whose cells the undo memory has room for
  bool grows = false;                     // accumulators are published as far as they count
  bool notes = false;                     // the board has a note of each chunk
};

// The board of one run and, behind it in the same shared memory, the outputs.
//
// Index i writes two words of output, notes where its piece began, adds one to a cell, and adds to
// the accumulators: i + 1 to word 0, and one to the i-th group of four bits in the words from 2 on.
// So an accumulator says exactly of which indices it is the reduction. Word 1 says how many of
// those words count: what is behind them may be anything. A chunk's ordered partial is
// a number that depends on the order of its indices, and their count.
class ledger {
 public:
  using word = std::atomic<std::uint64_t>;

  explicit ledger(errand what)
      : what_(std::move(what)),
        size_{.chunks = what_.chunks,
              .slots = what_.slots,
              .partial_bytes = 2 * sizeof(std::uint64_t),
              .accumulator_bytes = what_.accumulates ? words() * sizeof(std::uint64_t) : 0,
              .undo_bytes = what_.in_place ? what_.undo_chunks * cells_bytes() : 0,
              .units = indices(),
              .notes = what_.notes ? what_.chunks : 0},
        memory_(shard::board::board::size_bytes(size_) + outputs_bytes(),
                shard::os::sharing::with_children),
        board_(memory_.base(), size_),
        outputs_(reinterpret_cast<word*>(memory_.base() + shard::board::board::size_bytes(size_))) {
    for (unsigned slot = 0; slot < what_.slots; ++slot) desks_.emplace_back(this, slot);
    for (std::size_t i = 0; i < indices(); ++i) cell(i).store(first_value(i));
  }
  ledger(const ledger&) = delete;
  ledger& operator=(const ledger&) = delete;

  const shard::board::board& board() const { return board_; }
  const errand& what() const { return what_; }
  const shard::os::anonymous_memory& memory() const { return memory_; }
  std::size_t indices() const { return what_.chunks * what_.indices; }
  // Outputs, cells, the cell that a kernel found changed, and what is inside.
  std::span<word> outputs() const { return {outputs_, 5 * indices() + 1 + 2 * what_.slots}; }
  std::span<word> inside() const { return outputs().last(what_.slots); }
  // Of each slot, the index + 1 that its worker has died at, by its own fault.
  std::span<word> died_at() const { return outputs().last(2 * what_.slots).first(what_.slots); }

  // The chunk whose kernel runs in a slot, + 1; 0: none.
  std::uint64_t inside(unsigned slot) const {
    return inside()[slot].load(std::memory_order_relaxed);
  }

  // What a slot's worker is started with.
  class worker {
   public:
    worker(const ledger& of, unsigned slot)
        : memory_((shard::board::owner::memory_bytes(of.size_) + 7) / 8),
          owner_(of.board_, slot, of.task_of(slot), of.what_.policy,
                 reinterpret_cast<std::byte*>(memory_.data()), here_) {}
    shard::board::owner* operator->() { return &owner_; }

   private:
    std::vector<std::uint64_t> memory_;
    shard::board::workplace here_;
    shard::board::owner owner_;
  };

  // False: its worker has died in a kernel.
  bool work(unsigned slot) const {
    return work(slot, [](shard::board::owner& all) { all.work(); });
  }
  template <class Steps>
  bool work(unsigned slot, const Steps& steps) const {
    worker here(*this, slot);
    if (setjmp(desks_[slot].grave) != 0) return false;
    steps(*here.operator->());
    return true;
  }

  // Holds a worker's death in its kernel against what it ran.
  void mourn(unsigned slot) const {
    shard::board::judge(board_, slot, {what_.death, 11, 0, "died"}, what_.policy.allowed);
    inside()[slot].store(0);
    died_at()[slot].store(0);
  }

  // As a supervisor does it: until the slot has nothing to do. Returns how many died meanwhile.
  std::size_t work_on(unsigned slot) const {
    for (std::size_t deaths = 0;; ++deaths) {
      if (work(slot)) return deaths;
      mourn(slot);
      if ((board_.controls() & shard::board::exhausted) != 0) return deaths + 1;
    }
  }

  // What is wrong with what slot has published; empty: nothing is. Safe while owners work.
  std::string fault_in(unsigned slot) const {
    std::vector<std::uint64_t> found(size_.accumulator_bytes / sizeof(std::uint64_t));
    const shard::board::publication seen = board_.snapshot(slot, found);
    if (!seen.word) return {};
    if (seen.covered > board_.at(slot).length.load(std::memory_order_acquire))
      return "covers more than its log";
    std::vector<std::uint64_t> expected(found.size());
    for (std::uint64_t k = 0; k < seen.covered + (seen.probed != 0 ? 1 : 0); ++k) {
      const std::uint64_t chunk = board_.log(slot)[k].load(std::memory_order_relaxed);
      if (chunk >= what_.chunks) return "has chunk " + std::to_string(chunk) + " in its log";
      const std::size_t count = k < seen.covered ? what_.indices : seen.probed;
      for (std::size_t i = chunk * what_.indices; i < chunk * what_.indices + count; ++i) {
        if (given_up(i)) continue;
        if (!expected.empty()) add(expected.data(), i);
        if (!written(i)) return "covers index " + std::to_string(i) + ", which is not written";
      }
      if (k < seen.covered && what_.notes && !has_right_note(chunk)) {
        return "covers chunk " + std::to_string(chunk) + ", of which there is no whole note";
      }
      if (k < seen.covered && !has_right_partial(chunk)) {
        return "covers chunk " + std::to_string(chunk) + ", whose partial is wrong";
      }
    }
    if (!found.empty()) {
      if (found[1] > found.size() - 2) return "has published a length that can't be";
      if (std::count(found.begin() + 2 + static_cast<std::ptrdiff_t>(found[1]), found.end(),
                     never_published) != 0) {
        return "has published what does not count";
      }
      // What else is behind it, nobody reads.
      std::fill(found.begin() + 2 + static_cast<std::ptrdiff_t>(found[1]), found.end(), 0);
    }
    if (found == expected) return {};
    return "has published accumulators that are not the reduction of the " +
           std::to_string(seen.covered) + " entries that they cover: total " +
           std::to_string(found[0]) + ", expected " + std::to_string(expected[0]);
  }

  // Of a chunk that somebody has run.
  bool has_right_note(std::size_t chunk) const {
    const auto note = board_.note_on(chunk).read();
    const unsigned attempts = board_.verdict_on(chunk).load().attempts();
    return note && note->worker < what_.slots && note->attempt >= 1 &&
           note->attempt <= attempts + 1;
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
    return fault_in_verdicts() + fault_in_cells();
  }

  // Whether an index was given up, alone or with its chunk.
  bool given_up(std::size_t index) const { return board_.is_lost(index); }
  // Where the calls of the kernel began that the results are made of: indices, ascending.
  std::vector<std::uint64_t> cuts() const {
    std::vector<std::uint64_t> found;
    for (std::size_t i = 0; i < indices(); ++i) {
      if (!given_up(i) && begin_of(i).load(std::memory_order_relaxed) == i + 1) found.push_back(i);
    }
    return found;
  }
  // Whether all of a chunk was.
  bool condemned(std::size_t chunk) const {
    for (std::size_t i = chunk * what_.indices; i < (chunk + 1) * what_.indices; ++i) {
      if (!given_up(i)) return false;
    }
    return true;
  }
  std::set<std::size_t> all_given_up() const {
    std::set<std::size_t> found;
    for (std::size_t i = 0; i < indices(); ++i) {
      if (given_up(i)) found.insert(i);
    }
    return found;
  }
  shard::board::verdict verdict_on(std::size_t chunk) const {
    return board_.verdict_on(chunk).load(std::memory_order_relaxed);
  }
  const shard::board::task& task_of(unsigned slot) const { return desks_[slot].task; }

 private:
  struct desk {
    const ledger* of;
    unsigned slot;
    mutable std::jmp_buf grave{};  // to where its worker goes that dies
    shard::board::task task = {run_piece, [](const void*, std::byte*) {},    count, first,
                               this,      {undo_bytes, save, restore, this}, true};

    desk(const ledger* given, unsigned at) : of(given), slot(at) {
      if (!of->what_.accumulates || !of->what_.grows) return;
      task.live = live;
      task.parts = 2;
    }
    desk(const desk&) = delete;
    desk& operator=(const desk&) = delete;

    static const desk& at(const void* context) { return *static_cast<const desk*>(context); }
    static bool run_piece(const void* context, const shard::board::piece& what, std::byte* partial,
                          std::byte* accumulators, shard::board::description* error) noexcept {
      return at(context).of->run(at(context).slot, what, partial, accumulators, error);
    }
    static shard::board::live_part live(const void*, const std::byte* accumulators,
                                        std::size_t part) noexcept {
      const auto* const words = reinterpret_cast<const std::uint64_t*>(accumulators);
      return part == 0 ? shard::board::live_part{0, 16} : shard::board::live_part{16, words[1] * 8};
    }
    static std::size_t count(const void* context, std::size_t) {
      return at(context).of->what_.indices;
    }
    static std::size_t first(const void* context, std::size_t chunk) {
      return chunk * at(context).of->what_.indices;
    }
    static std::size_t undo_bytes(const void* context, std::size_t) {
      return at(context).of->cells_bytes();
    }
    static void save(const void* context, std::size_t chunk, std::byte* to) {
      const ledger& of = *at(context).of;
      for (std::size_t k = 0; k < of.what_.indices; ++k) {
        reinterpret_cast<word*>(to)[k].store(of.cell(chunk * of.what_.indices + k).load());
      }
    }
    static void restore(const void* context, std::size_t chunk, std::size_t first, std::size_t last,
                        const std::byte* from) {
      const ledger& of = *at(context).of;
      for (std::size_t k = first; k < std::min(last, of.what_.indices); ++k) {
        of.cell(chunk * of.what_.indices + k).store(reinterpret_cast<const word*>(from)[k].load());
      }
    }
  };

  static constexpr std::uint64_t never_published = ~std::uint64_t{0};

  std::size_t words() const { return 2 + (indices() + 15) / 16; }
  std::size_t cells_bytes() const { return what_.indices * sizeof(word); }
  std::size_t outputs_bytes() const {
    const std::size_t bytes = outputs().size() * sizeof(word);
    return (bytes + 4095) / 4096 * 4096;
  }
  word& begin_of(std::size_t index) const { return outputs_[4 * indices() + index]; }
  word& cell(std::size_t index) const { return outputs_[2 * indices() + index]; }
  // + 1; 0: each kernel has found the old values.
  word& found_changed() const { return outputs_[5 * indices()]; }
  static std::uint64_t first_value(std::size_t index) { return 100 + index; }

  static void add(std::uint64_t* accumulators, std::uint64_t index) {
    accumulators[0] += index + 1;
    const std::uint64_t group = index / 16;
    for (; accumulators[1] <= group; ++accumulators[1]) accumulators[2 + accumulators[1]] = 0;
    accumulators[2 + group] += std::uint64_t{1} << (index % 16 * 4);
  }
  static std::uint64_t fold(std::uint64_t sum, std::size_t index) { return sum * 31 + index + 2; }

  // The kernel. A piece that throws has spoilt the accumulators, its cells and half its output.
  bool run(unsigned slot, const shard::board::piece& what, std::byte* partial,
           std::byte* accumulators, shard::board::description* error) const {
    constexpr auto relaxed = std::memory_order_relaxed;
    const std::size_t chunk = what.chunk;
    inside()[slot].store(chunk + 1, relaxed);
    const auto sums = reinterpret_cast<std::uint64_t*>(accumulators);
    const auto ordered = reinterpret_cast<word*>(partial);
    if (!what.goes_on) {
      ordered[0].store(0, relaxed);
      ordered[1].store(0, relaxed);
    }
    bool throws = what_.outage && what_.outage();
    const std::size_t last = std::min(what.last, what_.indices);
    for (std::size_t k = what.first; k < last && !throws; ++k) {
      const std::size_t i = chunk * what_.indices + k;
      outputs_[2 * i].store(i + 1, relaxed);
      begin_of(i).store(chunk * what_.indices + what.first + 1, relaxed);
      ordered[0].store(fold(ordered[0].load(relaxed), i), relaxed);
      if (what_.accumulates) add(sums, i);
      if (what_.grows && 2 + sums[1] < words()) sums[2 + sums[1]] = never_published;
      if (what_.in_place) change(i);
      if (what_.on_chunk && k == what.first) what_.on_chunk(chunk);
      if (dies_at(i)) die(slot, i);
      throws = what_.poison.contains(i) || last - what.first > what_.longest ||
               (k + 1 == last && verdict_on(chunk).errors < throws_of(chunk));
      if (throws) break;
      outputs_[2 * i + 1].store(i + 3, relaxed);
      ordered[1].store(ordered[1].load(relaxed) + 1, relaxed);
    }
    if (throws && error != nullptr) std::snprintf(*error, sizeof *error, "chunk %zu threw", chunk);
    inside()[slot].store(0, relaxed);
    return !throws;
  }

  void change(std::size_t index) const {
    const std::uint64_t old = cell(index).load(std::memory_order_relaxed);
    if (old != first_value(index)) found_changed().store(index + 1, std::memory_order_relaxed);
    cell(index).store(old + 1, std::memory_order_relaxed);
  }

  // As a signal would end it: nothing more of the owner is run.
  [[noreturn]] void die(unsigned slot, std::size_t index) const {
    died_at()[slot].store(index + 1, std::memory_order_relaxed);
    std::longjmp(desks_[slot].grave, 1);
  }
  bool dies_at(std::size_t index) const {
    if (what_.deadly.contains(index)) return true;
    const auto found = what_.accidents.find(index);
    if (found == what_.accidents.end()) return false;
    word& so_far = outputs_[3 * indices() + index];
    if (so_far.load(std::memory_order_relaxed) == found->second) return false;
    so_far.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  bool written(std::size_t index) const {
    constexpr auto relaxed = std::memory_order_relaxed;
    return outputs_[2 * index].load(relaxed) == index + 1 &&
           outputs_[2 * index + 1].load(relaxed) == index + 3 &&
           (!what_.in_place || cell(index).load(relaxed) == first_value(index) + 1);
  }
  bool has_right_partial(std::size_t chunk) const {
    std::uint64_t sum = 0;
    std::uint64_t count = 0;
    for (std::size_t i = chunk * what_.indices; i < (chunk + 1) * what_.indices; ++i) {
      if (given_up(i)) continue;
      sum = fold(sum, i);
      ++count;
    }
    const auto ordered = reinterpret_cast<const word*>(board_.partial(chunk));
    return count == 0 || (ordered[0].load(std::memory_order_relaxed) == sum &&
                          ordered[1].load(std::memory_order_relaxed) == count);
  }

  unsigned throws_of(std::size_t chunk) const {
    return chunk < what_.throws.size() ? what_.throws[chunk] : 0;
  }

  // A chunk stands as what has happened to it says.
  std::string fault_in_verdicts() const {
    using shard::board::standing;
    const shard::board::budgets& allowed = what_.policy.allowed;
    for (std::size_t chunk = 0; chunk < what_.chunks; ++chunk) {
      const shard::board::verdict judged = verdict_on(chunk);
      const bool failed = judged.errors > allowed.errors || judged.crashes > allowed.crashes ||
                          (judged.crashes != 0 && allowed.by_index);
      const standing expected = failed ? standing::quarantined : standing::good;
      const bool threw_out = failed || judged.errors == throws_of(chunk);
      if (judged.state == expected && threw_out && judged.kills <= allowed.kills) continue;
      return "chunk " + std::to_string(chunk) +
             " has a wrong verdict: " + std::to_string(judged.errors) + " errors, " +
             std::to_string(judged.kills) + " kills, state " +
             std::to_string(static_cast<int>(judged.state));
    }
    return {};
  }

  // Each kernel began with old values, and what was given up has its own.
  std::string fault_in_cells() const {
    if (!what_.in_place) return {};
    const std::uint64_t changed = found_changed().load();
    if (changed != 0) return "a kernel found cell " + std::to_string(changed - 1) + " changed";
    for (std::size_t i = 0; i < indices(); ++i) {
      const std::uint64_t expected = first_value(i) + (given_up(i) ? 0 : 1);
      if (cell(i).load() == expected) continue;
      return "cell " + std::to_string(i) + " is " + std::to_string(cell(i).load()) + ", expected " +
             std::to_string(expected);
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
