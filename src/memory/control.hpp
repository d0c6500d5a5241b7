// The control area of a segment: the words that processes share to keep bulk transfers, locks and
// notifications apart. docs/buffers.md says how they are used and what a death leaves of them,
// docs/memory_layout.md shows the bytes.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "memory/cache_line.hpp"
#include "os/byte_lock.hpp"
#include "os/descriptor.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/robust_mutex.hpp"
#include "shard/range.hpp"

namespace shard::memory {

// ---- The bytes that handles lock, far behind the end of any file.

inline constexpr std::uint64_t attaching_byte = os::first_lock_byte;
inline constexpr std::uint64_t writers_byte = attaching_byte + 1;
inline constexpr std::uint64_t readers_byte = attaching_byte + 2;
inline constexpr std::uint64_t named_byte = attaching_byte + 3;

// ---- The lines of an area, in their order. Each has a cache line of its own.

// How an area for so much data is divided.
struct control_plan {
  std::uint64_t data_bytes = 0;
  std::uint32_t stripes = 0;
  std::uint32_t stripe_shift = 0;  // a stripe has 2^stripe_shift bytes of data

  friend bool operator==(const control_plan&, const control_plan&) = default;
  std::size_t size_bytes() const noexcept;
  // A place inside a stripe is a word of 32 bits, which counts units of 2^unit_shift() bytes.
  unsigned unit_shift() const noexcept { return stripe_shift > 31 ? stripe_shift - 31 : 0; }
};
// Never more stripes than one transfer can lock: of a thread that dies the kernel hands on no more
// than 2048 mutexes.
control_plan plan_control(std::size_t data_bytes) noexcept;

struct alignas(line_bytes) control_header {
  std::atomic<std::uint64_t> magic;  // stored last: who sees it sees the rest
  control_plan plan;
  std::atomic<std::uint64_t> recoveries;  // mutexes whose owner was found dead
  std::atomic<std::uint32_t> permanent;   // 1: room from the start, not appended and not to be cut
};

// Whether an area has this header, and is whole. Acquire: pairs with the release of the magic.
bool laid_out(const control_header& of, const control_plan& plan) noexcept;

struct alignas(line_bytes) exclusive_line {
  os::robust_mutex mutex;
  std::atomic<std::uint32_t> holding;  // 1: who has the mutex has the lock; 0: it may wait for it
  std::atomic<std::uint32_t> abandoned;
  std::atomic<std::uint32_t> slots_used;  // no slot from here on was ever locked to share
  std::atomic<std::uint32_t> thread;      // who holds it, for people to read
};

struct alignas(line_bytes) notice_line {
  std::atomic<std::uint32_t> count;  // a futex
};

struct alignas(line_bytes) shared_slot {
  os::robust_mutex mutex;
  std::atomic<std::uint32_t> thread;  // who shares the lock by it, for people to read
};

// Places are in units from the start of the stripe; a pair that is equal means none.
struct alignas(line_bytes) stripe {
  std::atomic<std::uint64_t> sequence;
  std::atomic<std::uint32_t> noted_first, noted_last;
  std::atomic<std::uint32_t> torn_first, torn_last;
  os::robust_mutex mutex;
};

struct bytes_in_stripe {
  std::size_t first = 0;
  std::size_t last = 0;

  bool empty() const noexcept { return first >= last; }
  bool overlaps(const bytes_in_stripe& other) const noexcept {
    return first < other.last && other.first < last;
  }
  void include(const bytes_in_stripe& other) noexcept {
    *this =
        empty() ? other : bytes_in_stripe{std::min(first, other.first), std::max(last, other.last)};
  }
};
// How many bytes of the data stripe `s` has.
inline std::size_t length_of(const control_plan& plan, std::size_t s) noexcept {
  const std::size_t left =
      plan.data_bytes - std::min<std::size_t>(plan.data_bytes, s << plan.stripe_shift);
  return std::min(left, std::size_t{1} << plan.stripe_shift);
}

// A pair of places as bytes, as far as there are data; and the other way round.
using place_word = std::atomic<std::uint32_t>;
inline bytes_in_stripe bytes_between(const place_word& first, const place_word& last,
                                     const control_plan& plan, std::size_t s) noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  const unsigned unit = plan.unit_shift();
  const bytes_in_stripe found{
      std::size_t{first.load(relaxed)} << unit,
      std::min(std::size_t{last.load(relaxed)} << unit, length_of(plan, s))};
  return found.empty() ? bytes_in_stripe{} : found;
}
inline void set_places(place_word& first, place_word& last, const control_plan& plan,
                       bytes_in_stripe bytes) noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  const unsigned unit = plan.unit_shift();
  const std::size_t rounding = (std::size_t{1} << unit) - 1;
  first.store(static_cast<std::uint32_t>(bytes.first >> unit), relaxed);
  last.store(static_cast<std::uint32_t>((bytes.last + rounding) >> unit), relaxed);
}

// What is torn in stripe `s`, and what its writer noted, both as far as the data go: who only reads
// can't put right what a file says. Relaxed: under a mutex, or between two looks at a sequence.
inline bytes_in_stripe torn_in(const stripe& of, const control_plan& plan, std::size_t s) noexcept {
  return bytes_between(of.torn_first, of.torn_last, plan, s);
}
// Where the writer noted nothing, all of it is meant. Requires: the sequence is odd.
inline bytes_in_stripe noted_in(const stripe& of, const control_plan& plan,
                                std::size_t s) noexcept {
  const bytes_in_stripe noted = bytes_between(of.noted_first, of.noted_last, plan, s);
  return noted.empty() ? bytes_in_stripe{0, length_of(plan, s)} : noted;
}

// Note bytes that are about to be written, or are torn: whole units, and so neighbours where a unit
// is more than a byte. Relaxed: a sequence says whether they are meant.
inline void note(stripe& of, const control_plan& plan, bytes_in_stripe bytes) noexcept {
  set_places(of.noted_first, of.noted_last, plan, bytes);
}
inline void note_torn(stripe& of, const control_plan& plan, bytes_in_stripe bytes) noexcept {
  set_places(of.torn_first, of.torn_last, plan, bytes);
}

// Makes the sequence of a dead writer's stripe even: what it had noted is torn. May be repeated by
// another process if this one dies in it. Requires: the sequence is odd, and nobody is writing.
void settle(stripe& of) noexcept;

inline constexpr std::size_t shared_slots = 64;

struct control_lines {
  control_header header;
  exclusive_line exclusive;
  notice_line notice;
  std::array<shared_slot, shared_slots> slots;
  // and then the stripes
};
static_assert(sizeof(control_lines) == (3 + shared_slots) * line_bytes);
static_assert(sizeof(stripe) == line_bytes);

// Where the area of data that ends there begins, and where it ends.
std::size_t control_offset(std::size_t data_end) noexcept;
std::size_t control_end(std::size_t data_end, std::size_t data_bytes) noexcept;

// Of a new file with room for an area: whoever opens it, and however, leaves it the room. Throws
// os::call_failed.
void make_permanent(const os::descriptor& file, std::size_t data_end);

// ---- One handle's attachment to an area.

class control {
 public:
  // What to attach to.
  struct place {
    int descriptor = -1;
    std::size_t data_end = 0;
    std::size_t data_bytes = 0;
    bool grows = false;  // a file: an area is appended if need be, and then cut off by its last
                         // writer
  };

  // Lays the area out if nobody else is attached for writing. Throws os::call_failed, and malformed
  // where something else is behind the data. Needs /proc.
  static std::unique_ptr<control> for_writing(const place& where);
  // As the area is, as soon as there is one: find_lines. From now on no writer who comes and goes
  // takes it away again. Null where bytes can't be locked, so that nobody can write by bulk,
  // either. Throws os::call_failed.
  static std::unique_ptr<control> for_reading(const place& where);
  // Whether there is one to read from. Throws os::call_failed. One thread at a time.
  bool find_lines();

  control(const control&) = delete;
  control& operator=(const control&) = delete;
  ~control();

  bool writable() const noexcept { return rights_ == os::protection::write; }
  // Until it is, nobody has ever transferred or locked; once it is, it stays so. Acquire: pairs
  // with the release of the magic (or of the note that one was seen); whoever sees it sees the
  // area.
  bool laid_out() const noexcept { return seen_laid_out() || look_for_layout(); }
  // The same without a look: false until a look found it so.
  bool seen_laid_out() const noexcept { return seen_laid_out_.load(std::memory_order_acquire); }
  // Require: find_lines().
  control_lines& lines() const noexcept { return *lines_; }
  std::span<stripe> stripes() const noexcept {
    return {reinterpret_cast<stripe*>(lines_ + 1), plan_.stripes};
  }
  const control_plan& plan() const noexcept { return plan_; }

  // Which file this is, for a thread that has it open twice.
  const os::file_identity& identity() const noexcept { return identity_; }
  // Whether anyone is attached for writing. Requires: this isn't.
  bool has_writers() const;

  // ---- For buffer_lock.cpp.

  // Which process has locked the main mutex, or a slot, by this handle; stored by who has the
  // mutex. A forked child finds its parent there, and so nothing of its own.
  struct lock_marks {
    std::atomic<pid_t> exclusive = 0;
    std::array<std::atomic<pid_t>, shared_slots> shared{};
  };
  lock_marks locked_by;
  // Whether a thread of this process holds the lock by this handle. No thread is about to.
  bool is_locked_here() const noexcept;
  // The next of those that have lost their handle, but not their lock.
  control* next_orphan = nullptr;

 private:
  control(const place& where, os::protection rights);

  bool look_for_layout() const noexcept;
  void make_room(bool first);
  void append();
  void map_lines();
  void require_ours() const;
  bool is_empty() const noexcept;
  void lay_out() noexcept;
  bool has_marks() const;
  void cut_off();

  place where_;
  control_plan plan_;
  os::protection rights_;
  os::descriptor own_;  // an open file description of its own, that holds the byte locks
  // One more, that holds none: what cut_off() needs is there from the start, since at the end the
  // process may be able to open nothing, or have become another user's. Only where it may be
  // needed.
  os::descriptor spare_{};
  os::file_identity identity_;
  pid_t creator_;          // a forked child's copy detaches from nothing
  bool cuttable_ = false;  // what is behind the data is an area, which goes with its last writer
  os::mapping mapped_;
  control_lines* lines_ = nullptr;
  mutable std::atomic<bool> seen_laid_out_ = false;
};

}  // namespace shard::memory
