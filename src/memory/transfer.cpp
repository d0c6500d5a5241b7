// Bulk transfers: seqlocks on stripes, each under a robust mutex. docs/buffers.md has the
// invariants and what a death leaves; docs/memory_model.md why readers see no mixture (H.-J. Boehm,
// "Can seqlocks get along with programming language memory models?", MSPC 2012).

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>

#include "memory/attempt.hpp"
#include "memory/control.hpp"
#include "memory/footprint.hpp"
#include "memory/line_copy.hpp"
#include "memory/padding.hpp"
#include "memory/segment.hpp"
#include "memory/word_copy.hpp"
#include "os/futex.hpp"
#include "os/sanitizers.hpp"
#include "shard/bulk.hpp"
#include "shard/detail/sharing.hpp"

namespace shard::detail {
namespace {

using memory::bytes_in_stripe;
using memory::note;
using memory::note_torn;
using memory::noted_in;
using memory::stripe;
using memory::torn_in;

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;

// Of elements that are copied through memory of our own on their way.
constexpr std::size_t block_bytes = 4096;

// The elements that have any of these bytes.
range elements_of(const segment& of, std::size_t start, bytes_in_stripe bytes) noexcept {
  const std::size_t size = of.element_bytes();
  return {(start + bytes.first) / size, (start + bytes.last + size - 1) / size};
}

// Adds torn bytes of a stripe to those a transfer reports.
void report(transfer& to, const segment& of, std::size_t start, bytes_in_stripe bytes) noexcept {
  const range found = elements_of(of, start, bytes);
  to.torn = to.state == transfer_state::torn
                ? range{std::min(to.torn.first, found.first), std::max(to.torn.last, found.last)}
                : found;
  to.state = transfer_state::torn;
}

// ---- Values must be elsewhere than the elements they are copied to or from: no copy could tell
// which of them it has changed already.

bool overlap(std::span<const std::byte> one, std::span<const std::byte> other) noexcept {
  const auto a = reinterpret_cast<std::uintptr_t>(one.data());
  const auto b = reinterpret_cast<std::uintptr_t>(other.data());
  return std::max(a, b) < std::min(a + one.size(), b + other.size());
}

[[noreturn]] void refuse_overlap(const char* operation, const stretch& elements) {
  throw error(std::errc::invalid_argument,
              std::string("cannot ") + operation + " elements [" + std::to_string(elements.first) +
                  ", " + std::to_string(elements.first + elements.count) +
                  "): found the values in the same memory, expected them elsewhere, as in a copy");
}

[[gnu::cold]] void refuse_if_overlapping(const segment& of, std::span<const stretch> stretches,
                                         std::span<const std::byte> values, const char* operation) {
  const std::size_t size = of.element_bytes();
  for (const stretch& each : stretches) {
    if (overlap({of.data() + each.first * size, each.count * size}, values)) {
      refuse_overlap(operation, each);
    }
  }
}

// Whether so many bytes of values are behind all data, or before them, as nearly always.
inline bool outside(const std::byte* data, std::size_t data_bytes, const std::byte* values,
                    std::size_t bytes) noexcept {
  // The difference may wrap.
  const auto gap =
      reinterpret_cast<std::uintptr_t>(values) - reinterpret_cast<std::uintptr_t>(data);
  return gap >= data_bytes && -gap >= bytes;
}

inline void require_apart(const segment& of, std::span<const stretch> stretches,
                          const std::byte* values, const char* operation) {
  if (stretches.empty()) return;
  std::size_t count = stretches.front().count;
  for (const stretch& each : stretches.subspan(1)) count += each.count;
  const std::size_t bytes = count * of.element_bytes();
  if (!outside(of.data(), of.data_bytes(), values, bytes))
    refuse_if_overlapping(of, stretches, {values, bytes}, operation);
}

// ---- Writers.

constexpr int tries_for_a_mutex = 100;

// Locks the mutex, and settles what a dead owner left. False: it stayed locked.
bool lock(stripe& one, memory::control& of, patience how) noexcept {
  using enum os::robust_mutex::outcome;
  auto found = one.mutex.try_lock();
  for (int i = 0; found == busy && i < tries_for_a_mutex; ++i) {
    os::pause();
    found = one.mutex.try_lock();
  }
  if (found == busy) {
    if (how == patience::tries) return false;
    found = one.mutex.lock();
  }
  if (found == owner_died) {
    if (one.sequence.load(relaxed) % 2 != 0) settle(one);
    of.lines().header.recoveries.fetch_add(1, relaxed);
    one.mutex.mend();
  }
  return true;
}

// The stripes of a transfer, locked, unless `what` says otherwise.
template <class Footprint>
class locked_stripes {
 public:
  locked_stripes(const segment& of, memory::control& area, const Footprint& touched, patience how)
      : touched_(touched) {
    const bool all = touched_.every([&](stripe& one, bytes_in_stripe bytes, std::size_t s) {
      if (!lock(one, area, how)) return false;
      ++locked_;
      const bytes_in_stripe torn = torn_in(one, area.plan(), s);
      if (torn.overlaps(bytes)) report(what, of, s << area.plan().stripe_shift, torn);
      return true;
    });
    if (!all) what = {.state = transfer_state::busy};
  }
  locked_stripes(const locked_stripes&) = delete;
  locked_stripes& operator=(const locked_stripes&) = delete;
  ~locked_stripes() {
    touched_.each([&](stripe& one) {
      if (locked_ == 0) return false;
      --locked_;
      one.mutex.unlock();
      return true;
    });
  }

  transfer what;

 private:
  const Footprint& touched_;
  std::size_t locked_ = 0;
};

// Runs `change` while every stripe says that it is being written.
template <class Footprint, class Change>
transfer write_touched(const segment& of, memory::control& area, const Footprint& touched,
                       patience how, const Change& change) {
  const locked_stripes held(of, area, touched, how);
  if (!held.what) return held.what;

  touched.every([&](stripe& one, bytes_in_stripe bytes, std::size_t) {
    note(one, area.plan(), bytes);
    // Release: whoever finds it odd, by our death, finds what was noted.
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    return true;
  });
  // Pairs with the fence of readers: who sees any of our words sees every sequence moved.
  std::atomic_thread_fence(release);
  change();
  touched.each([](stripe& one) {
    // Release: pairs with the acquire of readers; who sees it even sees our words.
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    return true;
  });
  return {};
}

template <class Change>
transfer written(segment& of, std::span<const stretch> stretches, patience how,
                 const Change& change) {
  memory::control& area = of.own_words();
  return memory::with_footprint(area, stretches, of.element_bytes(), [&](const auto& touched) {
    return write_touched(of, area, touched, how, change);
  });
}

// ---- Readers.

// The sum of the sequences if no stripe is being written and none has torn bytes, as nearly always;
// else an odd number.
template <class Footprint>
std::uint64_t quiet_sum(const Footprint& touched) noexcept {
  std::uint64_t sum = 0;
  const bool quiet = touched.each([&](const stripe& one) {
    // Acquire: pairs with the release that made it even.
    const std::uint64_t sequence = one.sequence.load(acquire);
    sum += sequence;
    return sequence % 2 == 0 && one.torn_first.load(relaxed) == one.torn_last.load(relaxed);
  });
  return quiet ? sum : 1;
}

struct sight {
  transfer what;          // torn, if any of the bytes is
  bool quiet = true;      // no stripe is being written by anyone alive
  std::uint64_t sum = 0;  // of the sequences
};

// `dead`: whether all writers are known to be gone. What it says of torn bytes holds by itself;
// that there are none holds if the sequences still have the same sum afterwards.
template <class Footprint>
sight look(const segment& of, const Footprint& touched, bool dead) noexcept {
  sight seen;
  touched.every([&](stripe& one, bytes_in_stripe bytes, std::size_t s) {
    // Acquire: pairs with the release that made it even, or odd.
    const std::uint64_t sequence = one.sequence.load(acquire);
    bytes_in_stripe torn = torn_in(one, touched.plan(), s);
    if (sequence % 2 != 0) {
      if (!dead && !one.mutex.abandoned_or_passed_on()) {
        seen.quiet = false;
        return false;
      }
      torn.include(noted_in(one, touched.plan(), s));
    }
    seen.sum += sequence;
    if (!torn.overlaps(bytes)) return true;
    std::atomic_thread_fence(acquire);
    if (one.sequence.load(relaxed) != sequence) {
      seen.quiet = false;
      return false;
    }
    report(seen.what, of, s << touched.plan().stripe_shift, torn);
    return true;
  });
  return seen;
}

template <class Footprint>
std::uint64_t sum_of(const Footprint& touched) noexcept {
  std::uint64_t sum = 0;
  touched.each([&](const stripe& one) {
    sum += one.sequence.load(relaxed);
    return true;
  });
  return sum;
}

void copy_out(const segment& of, std::span<const stretch> stretches, std::byte* to) noexcept {
  const std::size_t size = of.element_bytes();
  for (const stretch& each : stretches) {
    memory::copy_from_shared(to, of.data() + each.first * size, each.count * size);
    to += each.count * size;
  }
}

// After copying: whether the sequences still have this sum. Torn bytes that were looked for before,
// and not found, weren't there then: they come and go with a sequence.
template <class Footprint>
bool still_has(const Footprint& touched, std::uint64_t sum) noexcept {
  // Pairs with the fence of writers.
  std::atomic_thread_fence(acquire);
  return sum_of(touched) == sum;
}

// One try: nothing if others were writing.
template <class Footprint>
std::optional<transfer> tried(const segment& of, const Footprint& touched,
                              std::span<const stretch> stretches, std::byte* to) {
  const sight before = look(of, touched, false);
  if (!before.quiet) return std::nullopt;
  if (!before.what) return before.what;
  copy_out(of, stretches, to);
  if (!still_has(touched, before.sum)) return std::nullopt;
  return transfer{};
}

constexpr int quick_tries = 64;
constexpr int slow_tries = 256;
constexpr std::chrono::microseconds between_slow_tries{200};

// For a handle that only reads: what is odd though no writer is attached was left so by a dead one.
// Nothing if there are writers, or if one came while we looked.
template <class Footprint>
std::optional<transfer> read_after_the_dead(const segment& of, const memory::control& area,
                                            const Footprint& touched,
                                            std::span<const stretch> stretches, std::byte* to) {
  if (of.has_writers(area)) return std::nullopt;
  const sight before = look(of, touched, true);
  if (!before.quiet) return std::nullopt;
  if (before.what) copy_out(of, stretches, to);
  // In this order: a sequence that has not moved since it was seen was odd while nobody wrote.
  if (of.has_writers(area)) return std::nullopt;
  std::atomic_thread_fence(acquire);
  if (sum_of(touched) != before.sum) return std::nullopt;
  return before.what;
}

template <class Footprint>
transfer read_by_lock(const segment& of, memory::control& area, const Footprint& touched,
                      std::span<const stretch> stretches, std::byte* to) {
  const locked_stripes held(of, area, touched, patience::waits);
  if (held.what) copy_out(of, stretches, to);
  return held.what;
}

// Who can't lock has to go on trying.
template <class Footprint>
transfer read_by_patience(const segment& of, const Footprint& touched,
                          std::span<const stretch> stretches, std::byte* to) {
  for (int i = 0; i < slow_tries; ++i) {
    std::this_thread::sleep_for(between_slow_tries);
    if (const auto done = tried(of, touched, stretches, to)) return *done;
  }
  return {.state = transfer_state::busy};
}

transfer read_guarded(const segment& of, memory::control& area, std::span<const stretch> stretches,
                      std::byte* to, patience how);

template <class Footprint>
transfer read_again(const segment& of, memory::control& area, const Footprint& touched,
                    std::span<const stretch> stretches, std::byte* to, patience how) {
  for (int i = 0; i < quick_tries; ++i) {
    if (const auto done = tried(of, touched, stretches, to)) return *done;
    os::pause();
  }
  if (!area.writable()) {
    if (const auto done = read_after_the_dead(of, area, touched, stretches, to)) return *done;
  }
  if (how == patience::tries) return {.state = transfer_state::busy};
  if (!of.may_write()) return read_by_patience(of, touched, stretches, to);
  // To lock, a handle that had no room for an area attaches to that of another.
  if (!area.writable()) return read_guarded(of, of.own_words(), stretches, to, how);
  return read_by_lock(of, area, touched, stretches, to);
}

template <class Footprint>
transfer read_touched(const segment& of, memory::control& area, const Footprint& touched,
                      std::span<const stretch> stretches, std::byte* to, patience how) {
  const std::uint64_t sum = quiet_sum(touched);
  if (sum % 2 == 0) {
    copy_out(of, stretches, to);
    if (still_has(touched, sum)) return {};
  }
  return read_again(of, area, touched, stretches, to, how);
}

transfer read_guarded(const segment& of, memory::control& area, std::span<const stretch> stretches,
                      std::byte* to, patience how) {
  return memory::with_footprint(area, stretches, of.element_bytes(), [&](const auto& touched) {
    return read_touched(of, area, touched, stretches, to, how);
  });
}

// Nobody has ever written by bulk. If that is still so afterwards, nobody did meanwhile: a writer
// who came and went had to leave the area to us. The fence pairs with that of writers.
transfer read_unguarded(const segment& of, std::span<const stretch> stretches, std::byte* to,
                        patience how) {
  copy_out(of, stretches, to);
  std::atomic_thread_fence(acquire);
  memory::control* const area = of.words();
  if (area != nullptr && area->laid_out()) return read_guarded(of, *area, stretches, to, how);
  return {};
}

// Whoever dies in between, or reads meanwhile without this library, must not find what the padding
// of the values holds: it is cleared on the way.
transfer write_cleared(segment& of, std::span<const stretch> stretches, const std::byte* from,
                       patience how) {
  const std::size_t size = of.element_bytes();
  std::size_t longest = 0;
  for (const stretch& each : stretches) longest = std::max(longest, each.count);
  memory::clean_copies copies(of.padding(), size, longest, block_bytes);
  return written(of, stretches, how, [&] {
    for (const stretch& each : stretches) {
      std::byte* const to = of.data() + each.first * size;
      copies.each(from, each.count, [&](std::span<const std::byte> block, std::size_t done) {
        memory::copy_to_shared(to + done, block.data(), block.size());
      });
      from += each.count * size;
    }
  });
}

// ---- One stretch in one stripe, as nearly every transfer is: without what the others need. These
// begin with what is inlined; the rest is in functions of their own.

// The first try of what `copy` can copy. False: nothing was read, or not as one.
template <class Copy>
inline bool read_at_once(const segment& of, std::size_t first, std::size_t bytes, std::byte* to,
                         Copy copy) noexcept {
  const segment::shortcut& way = of.way();
  // Acquire: pairs with the release of who has seen the area laid out.
  const stripe* const all = way.stripes.load(acquire);
  if (all == nullptr || !outside(way.data, way.data_bytes, to, bytes)) return false;
  const std::size_t s = first >> way.stripe_shift;
  if ((first + bytes - 1) >> way.stripe_shift != s) return false;  // or it is nothing
  const stripe& one = all[s];
  // Acquire: pairs with the release that made it even.
  const std::uint64_t sequence = one.sequence.load(acquire);
  if (sequence % 2 != 0 || one.torn_first.load(relaxed) != one.torn_last.load(relaxed))
    return false;
  if (!copy(to, way.data + first, bytes)) return false;
  // Pairs with the fence of writers.
  std::atomic_thread_fence(acquire);
  return one.sequence.load(relaxed) == sequence;
}

stretch elements_in(const segment& of, std::size_t first, std::size_t bytes) noexcept {
  return {first / of.element_bytes(), bytes / of.element_bytes()};
}

[[gnu::cold, gnu::noinline]] void read_otherwise(const segment& of, std::size_t first,
                                                 std::size_t bytes, std::byte* to) {
  const stretch all = elements_in(of, first, bytes);
  require_done(read_stretches(of, {&all, 1}, to, patience::waits), of);
}

[[gnu::noinline]] void read_at_length(const segment& of, std::size_t first, std::size_t bytes,
                                      std::byte* to) {
  const auto copy = [](std::byte* into, const std::byte* shared, std::size_t count) {
    return memory::copy_from_shared(into, shared, count), true;
  };
  if (!read_at_once(of, first, bytes, to, copy)) read_otherwise(of, first, bytes, to);
}

#if defined(__x86_64__)
// Some lines, without a further call, so that no register need be kept.
template <class Registers>
[[gnu::noinline]] void read_lines(const segment& of, std::size_t first, std::size_t bytes,
                                  std::byte* to) {
  if (!read_at_once(of, first, bytes, to, memory::copied_by_lines<Registers>)) {
    read_at_length(of, first, bytes, to);
  }
}

void read_more(const segment& of, std::size_t first, std::size_t bytes, std::byte* to) {
  using enum memory::registers;
  if (os::thread_sanitizer || memory::widest == xmm) return read_at_length(of, first, bytes, to);
  memory::widest == zmm ? read_lines<memory::zmm>(of, first, bytes, to)
                        : read_lines<memory::ymm>(of, first, bytes, to);
}
#else
void read_more(const segment& of, std::size_t first, std::size_t bytes, std::byte* to) {
  read_at_length(of, first, bytes, to);
}
#endif

// False: nothing was written.
inline bool written_at_once(segment& of, std::size_t first, std::size_t bytes,
                            const std::byte* from) {
  if (of.padding() || !outside(of.data(), of.data_bytes(), from, bytes)) return false;
  memory::control& area = of.own_words();
  if (!memory::one_stripe::holds(area, first, bytes)) return false;
  const memory::one_stripe touched(area, first, bytes);
  const auto copy = [&] { memory::copy_to_shared(of.data() + first, from, bytes); };
  return write_touched(of, area, touched, patience::waits, copy).state == transfer_state::done;
}

[[gnu::cold, gnu::noinline]] void write_otherwise(segment& of, std::size_t first, std::size_t bytes,
                                                  const std::byte* from) {
  const stretch all = elements_in(of, first, bytes);
  require_done(write_stretches(of, {&all, 1}, from, patience::waits), of);
}

}  // namespace

transfer read_stretches(const segment& of, std::span<const stretch> stretches, std::byte* to,
                        patience how) {
  require_apart(of, stretches, to, "read");
  memory::control* const area = of.words();
  if (area == nullptr || !area->laid_out()) return read_unguarded(of, stretches, to, how);
  of.note_layout(*area);
  return read_guarded(of, *area, stretches, to, how);
}

// One number or short text is read here, without a call.
void read_bytes(const segment& of, std::size_t first, std::size_t bytes, std::byte* to) {
  if (bytes > memory::longest_of_words ||
      !read_at_once(of, first, bytes, to, memory::copied_as_words_from_shared)) {
    read_more(of, first, bytes, to);
  }
}

transfer write_stretches(segment& of, std::span<const stretch> stretches, const std::byte* from,
                         patience how) {
  require_apart(of, stretches, from, "write");
  if (of.padding()) return write_cleared(of, stretches, from, how);
  return written(of, stretches, how, [&] {
    const std::size_t size = of.element_bytes();
    for (const stretch& each : stretches) {
      memory::copy_to_shared(of.data() + each.first * size, from, each.count * size);
      from += each.count * size;
    }
  });
}

void write_bytes(segment& of, std::size_t first, std::size_t bytes, const std::byte* from) {
  if (!written_at_once(of, first, bytes, from)) write_otherwise(of, first, bytes, from);
}

transfer fill_stretch(segment& of, const stretch& elements, const std::byte* element) {
  const std::size_t size = of.element_bytes();
  std::span one(element, size);
  std::vector<std::byte> cleared;
  if (of.padding()) {
    cleared.assign(one.begin(), one.end());
    of.padding().clear(cleared);
    one = cleared;
  }
  return written(of, {&elements, 1}, patience::waits, [&] {
    memory::fill_shared(of.data() + elements.first * size, one, elements.count);
  });
}

transfer add_stretch(segment& of, const stretch& elements, const std::byte* deltas,
                     void (*apply)(void*), void* context) {
  require_apart(of, {&elements, 1}, deltas, "add to");
  return written(of, {&elements, 1}, patience::waits, [&] { apply(context); });
}

void refuse_transfer(const transfer& what, const segment& of) {
  if (what.state == transfer_state::torn) throw torn_error("transfer", what.torn, of.name());
  throw error(std::errc::device_or_resource_busy,
              "cannot read " + of.name() +
                  ": found others writing there at every try, expected a pause; a handle that can "
                  "write waits for one");
}

std::vector<range> torn_ranges(const segment& of) {
  return memory::attempt("read " + of.name(), "an open file", [&] { return of.torn(); });
}

void clear_torn(segment& of, range elements) {
  memory::control& area = of.own_words();
  const stretch all{elements.first, elements.size()};
  const memory::one_stretch touched(area, all, of.element_bytes());
  touched.every([&](stripe& one, bytes_in_stripe bytes, std::size_t s) {
    lock(one, area, patience::waits);
    const bytes_in_stripe torn = torn_in(one, area.plan(), s);
    if (!torn.overlaps(bytes)) {
      one.mutex.unlock();
      return true;
    }
    // What is left of a range is one range: a hole in it stays torn.
    bytes_in_stripe left = torn;
    if (bytes.first <= torn.first) left.first = std::max(torn.first, bytes.last);
    if (bytes.last >= torn.last) left.last = std::min(torn.last, bytes.first);
    if (left.empty()) left = {};
    // If we die in this, all of it is torn still.
    note(one, area.plan(), torn);
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    std::atomic_thread_fence(release);
    note_torn(one, area.plan(), left);
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    one.mutex.unlock();
    return true;
  });
}

}  // namespace shard::detail
