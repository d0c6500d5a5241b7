#include "memory/control.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "memory/malformed.hpp"
#include "memory/name.hpp"
#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/headroom.hpp"
#include "os/own_pid.hpp"
#include "os/sandbox.hpp"

namespace shard::memory {
namespace {

constexpr std::size_t fewest_stripe_bytes = 4096;
constexpr std::size_t most_stripes = 128;

// "SHARDCT2" as the bytes of a little-endian word.
constexpr std::uint64_t magic = 0x3254'4344'5241'4853;
// "SHARDCT0": until all else of an area is there.
constexpr std::uint64_t unfinished_magic = 0x3054'4344'5241'4853;

std::size_t stripes_of(std::size_t data_bytes, unsigned shift) noexcept {
  const std::size_t whole = data_bytes >> shift;
  return std::max<std::size_t>(1, whole + ((whole << shift) < data_bytes));
}

// Makes stripe `s` one that a writer could have left, whatever a file says of it.
void confine(stripe& of, const control_plan& plan, std::size_t s) noexcept {
  if (of.sequence.load() % 2 != 0) note(of, plan, noted_in(of, plan, s));
  note_torn(of, plan, torn_in(of, plan, s));
}

// Requires: there are some.
bool all_zeros(std::span<const std::byte> bytes) noexcept {
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

std::size_t control_plan::size_bytes() const noexcept {
  return sizeof(control_lines) + stripes * sizeof(stripe);
}

control_plan plan_control(std::size_t data_bytes) noexcept {
  unsigned shift = std::countr_zero(fewest_stripe_bytes);
  while (stripes_of(data_bytes, shift) > most_stripes) ++shift;
  return {data_bytes, static_cast<std::uint32_t>(stripes_of(data_bytes, shift)), shift};
}

std::size_t control_offset(std::size_t data_end) noexcept {
  return (data_end + line_bytes - 1) / line_bytes * line_bytes;
}

std::size_t control_end(std::size_t data_end, std::size_t data_bytes) noexcept {
  return control_offset(data_end) + plan_control(data_bytes).size_bytes();
}

void make_permanent(const os::descriptor& file, std::size_t data_end) {
  const std::uint32_t yes = 1;
  os::write_all(file, std::as_bytes(std::span(&yes, 1)),
                control_offset(data_end) + offsetof(control_header, permanent));
}

// Relaxed: the mutex, or the attaching byte, orders those who settle.
void settle(stripe& of) noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  std::uint32_t first = of.noted_first.load(relaxed);
  std::uint32_t last = of.noted_last.load(relaxed);
  if (of.torn_first.load(relaxed) < of.torn_last.load(relaxed)) {
    first = std::min(first, of.torn_first.load(relaxed));
    last = std::max(last, of.torn_last.load(relaxed));
  }
  of.torn_first.store(first, relaxed);
  of.torn_last.store(last, relaxed);
  // Release: pairs with the acquire in look(); who sees it even sees what is torn.
  of.sequence.fetch_add(1, std::memory_order_release);
}

bool laid_out(const control_header& of, const control_plan& plan) noexcept {
  return of.magic.load(std::memory_order_acquire) == magic && of.plan == plan;
}

std::unique_ptr<control> control::for_writing(const place& where) {
  if (!os::hands_on_locks()) {
    throw malformed(
        "a system that doesn't hand on the locks of a process that dies "
        "(set_robust_list, futex)",
        std::string(os::remedy_for_denial) +
            "; a map's outputs and accesses by element need no locks");
  }
  std::unique_ptr<control> made(new control(where, os::protection::write));
  if (where.grows) made->spare_ = os::open_again(where.descriptor, os::protection::write);
  const turn mine(made->own_);
  os::byte_release if_it_fails(made->own_, writers_byte);
  const bool first = os::try_lock_byte(made->own_, writers_byte, os::hold::exclusive);
  made->make_room(first);
  made->map_lines();
  made->require_ours();
  made->cuttable_ = where.grows && made->lines_->header.permanent.load() == 0;
  if (!made->cuttable_) made->spare_ = {};
  if (first) made->lay_out();
  os::join_byte(made->own_, writers_byte);
  if_it_fails.cancel();
  return made;
}

std::unique_ptr<control> control::for_reading(const place& where) {
  std::unique_ptr<control> made(new control(where, os::protection::read));
  try {
    os::join_byte(made->own_, readers_byte);
  } catch (const os::call_failed& e) {
    if (!os::without_locks(e.code())) throw;
    return nullptr;
  }
  made->find_lines();
  return made;
}

bool control::find_lines() {
  if (lines_ != nullptr) return true;
  const std::size_t end = control_end(where_.data_end, where_.data_bytes);
  if (os::status(own_.get()).size_bytes < end) return false;
  map_lines();
  return true;
}

control::control(const place& where, os::protection rights)
    : where_(where),
      plan_(plan_control(where.data_bytes)),
      rights_(rights),
      own_(os::open_again(where.descriptor, rights)),
      identity_(os::status(own_.get()).identity),
      creator_(os::own_pid()) {}

control::~control() {
  if (!cuttable_ || creator_ != os::own_pid()) return;
  try {
    cut_off();
  } catch (const std::exception&) {
    // The area stays behind the data, where readers ignore it: there is no one to tell.
  }
}

bool control::look_for_layout() const noexcept {
  if (lines_ == nullptr || !memory::laid_out(lines_->header, plan_)) return false;
  seen_laid_out_.store(true, std::memory_order_release);
  return true;
}

bool control::has_writers() const { return os::byte_is_locked(own_, writers_byte); }

bool control::is_locked_here() const noexcept {
  const auto here = [own = os::own_pid()](const std::atomic<pid_t>& by) {
    return by.load(std::memory_order_relaxed) == own;
  };
  return here(locked_by.exclusive) || std::ranges::any_of(locked_by.shared, here);
}

void control::make_room(bool first) {
  const std::size_t size = os::status(own_.get()).size_bytes;
  const std::size_t end = control_end(where_.data_end, where_.data_bytes);
  if (!where_.grows ? size >= end : size == end) return;
  if (!where_.grows) {
    throw malformed(std::to_string(size) + " bytes, and memory that can't grow",
                    std::to_string(end) + ", with room for control words");
  }
  if (size != where_.data_end) {
    throw malformed(
        std::to_string(size) + " bytes",
        std::to_string(where_.data_end) + ", or " + std::to_string(end) + " with control words");
  }
  if (!first) {
    throw malformed(
        "no control words, and byte " + std::to_string(writers_byte) + " locked by somebody else",
        "nobody else to lock it before there are some");
  }
  append();
}

void control::append() {
  const std::size_t end = control_end(where_.data_end, where_.data_bytes);
  // Growing beyond the limit would raise SIGXFSZ.
  if (end > os::file_size_headroom().available_bytes) throw os::call_failed(EFBIG, "fallocate");
  try {
    os::reserve(own_, end - where_.data_end, where_.data_end);
  } catch (const os::call_failed&) {
    os::cut(own_, where_.data_end);
    throw;
  }
  cuttable_ = true;  // whatever fails from here on
}

// Mappings start on a page: with the last bytes of the data, if need be.
void control::map_lines() {
  const std::size_t offset = control_offset(where_.data_end);
  const std::size_t from = os::page_floor(own_.get(), offset);
  mapped_ = os::mapping(own_.get(), offset + plan_.size_bytes() - from, rights_, from);
  lines_ = reinterpret_cast<control_lines*>(mapped_.base() + (offset - from));
}

// An area that nobody has laid out yet, or not to the end, or that is whole.
void control::require_ours() const {
  // Relaxed: whoever stored it had the attaching byte before us.
  const std::uint64_t found = lines_->header.magic.load(std::memory_order_relaxed);
  if (laid_out() || found == unfinished_magic || is_empty()) return;
  throw malformed("other bytes behind the data", "nothing, or control words");
}

// Nobody has ever written to it.
bool control::is_empty() const noexcept {
  const std::span<const std::byte> all(reinterpret_cast<const std::byte*>(lines_),
                                       plan_.size_bytes());
  constexpr std::size_t skipped = offsetof(control_header, permanent);
  return all_zeros(all.first(skipped)) &&
         all_zeros(all.subspan(skipped + sizeof(control_header::permanent)));
}

// What an earlier life of the area left is carried over: sequences go on, so that readers who are
// attached see that they moved; what is torn, or abandoned, stays so. Any bytes may be there.
void control::lay_out() noexcept {
  control_lines& all = *lines_;
  if (!laid_out()) {
    all.header.magic.store(unfinished_magic);
    all.header.recoveries.store(0);
    std::memset(static_cast<void*>(&all.exclusive), 0, plan_.size_bytes() - sizeof all.header);
  }

  if (all.exclusive.holding.load() != 0) all.exclusive.abandoned.store(1);
  all.exclusive.holding.store(0);
  all.exclusive.slots_used.store(0);
  all.exclusive.thread.store(0);
  new (&all.exclusive.mutex) os::robust_mutex;
  for (shared_slot& slot : all.slots) {
    slot.thread.store(0);
    new (&slot.mutex) os::robust_mutex;
  }
  for (std::size_t s = 0; s < stripes().size(); ++s) {
    stripe& each = stripes()[s];
    confine(each, plan_, s);
    if (each.sequence.load() % 2 != 0) settle(each);
    new (&each.mutex) os::robust_mutex;
  }

  all.header.plan = plan_;
  // Release: pairs with the acquire in laid_out().
  all.header.magic.store(magic, std::memory_order_release);
}

// What a death has left is not for us to forget: then the area stays, and the next opener finds it.
// The words are read from the file: there may be no room for a mapping any more.
bool control::has_marks() const {
  struct alignas(line_bytes) words {
    std::array<std::byte, sizeof(control_lines) + most_stripes * sizeof(stripe)> bytes;
  } copied;  // no zeros: what is looked at is read first
  const auto all = std::span(copied.bytes).first(plan_.size_bytes());
  if (os::read_some(own_, all, control_offset(where_.data_end)) < all.size()) return true;
  const auto& lines = *reinterpret_cast<const control_lines*>(all.data());
  if (lines.exclusive.abandoned.load() != 0) return true;
  if (lines.exclusive.holding.load() != 0) return true;
  const std::span found(reinterpret_cast<const stripe*>(&lines + 1), plan_.stripes);
  return std::ranges::any_of(found, [](const stripe& each) {
    return each.sequence.load() % 2 != 0 || each.torn_first.load() < each.torn_last.load();
  });
}

void control::cut_off() {
  mapped_ = {};
  // Another description: the locks of our own may be shared by a forked child, and go only with the
  // last of its descriptors.
  own_ = {};
  own_ = std::move(spare_);
  const turn mine(own_);
  const os::byte_release writers(own_, writers_byte);
  const os::byte_release readers(own_, readers_byte);
  if (!os::try_lock_byte(own_, writers_byte, os::hold::exclusive) ||
      !os::try_lock_byte(own_, readers_byte, os::hold::exclusive)) {
    return;
  }
  if (os::status(own_.get()).size_bytes != control_end(where_.data_end, where_.data_bytes)) return;
  if (!has_marks()) os::cut(own_, where_.data_end);
}

}  // namespace shard::memory
