// The control area of a segment: the words that processes share to keep bulk transfers, locks and
// notifications apart. docs/buffers.md says how they are used and what a death leaves of them,
// docs/memory_layout.md shows the bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "os/descriptor.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/robust_mutex.hpp"

namespace shard::memory {

// ---- The bytes that handles lock, far behind the end of any file.

inline constexpr std::uint64_t attaching_byte = std::uint64_t{1} << 62;
inline constexpr std::uint64_t writers_byte = attaching_byte + 1;
inline constexpr std::uint64_t readers_byte = attaching_byte + 2;
inline constexpr std::uint64_t named_byte = attaching_byte + 3;

// ---- The lines of an area, in their order. Each has a cache line of its own.

inline constexpr std::size_t line_bytes = 64;

// How an area for so much data is divided.
struct control_plan {
  std::uint64_t data_bytes = 0;
  std::uint32_t stripes = 0;
  std::uint32_t stripe_shift = 0;  // a stripe has 2^stripe_shift bytes of data

  friend bool operator==(const control_plan&, const control_plan&) = default;
  std::size_t size_bytes() const noexcept;
};
control_plan plan_control(std::size_t data_bytes) noexcept;

struct alignas(line_bytes) control_header {
  std::atomic<std::uint64_t> magic;  // stored last: who sees it sees the rest
  control_plan plan;
  std::atomic<std::uint64_t> recoveries;  // mutexes whose owner was found dead
};

enum class writer_state : std::uint32_t { none, waiting, holding };

struct alignas(line_bytes) exclusive_line {
  os::robust_mutex mutex;
  std::atomic<writer_state> writer;
  std::atomic<std::uint32_t> abandoned;
  std::atomic<std::uint32_t> slots_used;  // no slot from here on was ever occupied
  std::atomic<std::uint32_t> thread;      // who holds it, for people to read
};

struct alignas(line_bytes) notice_line {
  std::atomic<std::uint32_t> count;  // a futex
};

struct alignas(line_bytes) shared_slot {
  os::robust_mutex mutex;
  std::atomic<std::uint32_t> occupied;
  std::atomic<std::uint32_t> thread;
};

// Offsets are in bytes from the start of the stripe; a pair that is equal means none.
struct alignas(line_bytes) stripe {
  std::atomic<std::uint64_t> sequence;
  std::atomic<std::uint32_t> noted_first, noted_last;
  std::atomic<std::uint32_t> torn_first, torn_last;
  os::robust_mutex mutex;
};

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

// ---- One handle's attachment to an area.

class control {
 public:
  // What to attach to.
  struct place {
    int descriptor = -1;
    std::size_t data_end = 0;
    std::size_t data_bytes = 0;
    bool grows = false;  // a file: the area is appended, and cut off by its last writer
  };

  // Lays the area out if nobody else is attached for writing. Throws os::call_failed, and malformed
  // where something else is behind the data. Needs /proc.
  static std::unique_ptr<control> for_writing(const place& where);
  // As the area is; null if there is no room for one yet.
  static std::unique_ptr<control> for_reading(const place& where);

  control(const control&) = delete;
  control& operator=(const control&) = delete;
  ~control();

  bool writable() const noexcept { return rights_ == os::protection::write; }
  // Until it is, nobody has ever transferred or locked. Acquire: pairs with the release of the
  // magic; whoever sees it sees the area.
  bool laid_out() const noexcept;
  control_lines& lines() const noexcept { return *lines_; }
  std::span<stripe> stripes() const noexcept;
  const control_plan& plan() const noexcept { return plan_; }

  // Which file this is, for a thread that has it open twice.
  const os::file_identity& identity() const noexcept { return identity_; }
  // Whether anyone is attached for writing. Requires: this isn't.
  bool has_writers() const;

 private:
  control(const place& where, os::protection rights);

  void make_room(bool first);
  void map_lines();
  void require_ours() const;
  void lay_out() noexcept;
  bool has_marks() const noexcept;
  void cut_off();

  place where_;
  control_plan plan_;
  os::protection rights_;
  os::descriptor own_;  // an open file description of its own, that holds the byte locks
  os::file_identity identity_;
  int creator_;            // a forked child's copy detaches from nothing
  bool appended_ = false;  // what is behind the data is an area, to be cut off with its last writer
  os::mapping mapped_;
  control_lines* lines_ = nullptr;
};

}  // namespace shard::memory
