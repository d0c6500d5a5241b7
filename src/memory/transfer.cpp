// Bulk transfers: seqlocks on stripes, each under a robust mutex. docs/buffers.md has the
// invariants and what a death leaves; docs/memory_model.md why readers see no mixture (H.-J. Boehm,
// "Can seqlocks get along with programming language memory models?", MSPC 2012).

#include <algorithm>
#include <cstring>
#include <thread>

#include "memory/attempt.hpp"
#include "memory/control.hpp"
#include "memory/segment.hpp"
#include "memory/word_copy.hpp"
#include "shard/detail/sharing.hpp"

namespace shard::detail {
namespace {

using memory::stripe;

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;

// ---- Where a transfer touches the stripes.

struct bytes_in_stripe {
  std::uint32_t first = 0;
  std::uint32_t last = 0;

  bool empty() const noexcept { return first >= last; }
  bool overlaps(const bytes_in_stripe& other) const noexcept {
    return first < other.last && other.first < last;
  }
  void include(const bytes_in_stripe& other) noexcept {
    *this =
        empty() ? other : bytes_in_stripe{std::min(first, other.first), std::max(last, other.last)};
  }
};

// The stripes of some runs, in ascending order, with the bytes in each. One run, the common case,
// takes no memory.
class footprint {
 public:
  footprint(const memory::control& of, std::span<const run> runs, std::size_t element_bytes)
      : stripes_(of.stripes()), shift_(of.plan().stripe_shift) {
    std::size_t low = ~std::size_t{0};
    std::size_t high = 0;
    for (const run& each : runs) {
      if (each.count == 0) continue;
      low = std::min(low, each.first * element_bytes);
      high = std::max(high, (each.first + each.count) * element_bytes);
    }
    if (high == 0) return;
    first_byte_ = low;
    last_byte_ = high;
    first_ = low >> shift_;
    last_ = ((high - 1) >> shift_) + 1;
    if (runs.size() == 1) return;
    parts_.resize(last_ - first_);
    for (const run& each : runs) {
      if (each.count > 0)
        add(each.first * element_bytes, (each.first + each.count) * element_bytes);
    }
  }

  // visit(stripe&, bytes_in_stripe, index) for each, until one returns false. Returns whether none
  // did.
  template <class Visit>
  bool every(Visit visit) const {
    for (std::size_t s = first_; s < last_; ++s) {
      const bytes_in_stripe bytes =
          parts_.empty() ? part(s, first_byte_, last_byte_) : parts_[s - first_];
      if (!bytes.empty() && !visit(stripes_[s], bytes, s)) return false;
    }
    return true;
  }

  unsigned shift() const noexcept { return shift_; }

 private:
  bytes_in_stripe part(std::size_t s, std::size_t first, std::size_t last) const noexcept {
    const std::size_t start = s << shift_;
    const std::size_t size = std::size_t{1} << shift_;
    return {static_cast<std::uint32_t>(first > start ? first - start : 0),
            static_cast<std::uint32_t>(std::min(last - start, size))};
  }
  void add(std::size_t first, std::size_t last) {
    for (std::size_t s = first >> shift_; s <= (last - 1) >> shift_; ++s) {
      parts_[s - first_].include(part(s, first, last));
    }
  }

  std::span<stripe> stripes_;
  unsigned shift_;
  std::size_t first_ = 0, last_ = 0;            // stripes
  std::size_t first_byte_ = 0, last_byte_ = 0;  // of the data
  std::vector<bytes_in_stripe> parts_;          // of more runs than one, by stripe
};

// ---- What is torn.

// How much data stripe `s` has.
std::uint32_t length_of(const segment& of, std::size_t s, unsigned shift) noexcept {
  const std::size_t left = of.data_bytes() - std::min(of.data_bytes(), s << shift);
  return static_cast<std::uint32_t>(std::min(left, std::size_t{1} << shift));
}

// Both as far as a stripe of this length goes: who only reads can't put right what a file says.
bytes_in_stripe torn_in(const stripe& of, std::uint32_t length) noexcept {
  const std::uint32_t first = of.torn_first.load(relaxed);
  const std::uint32_t last = std::min(of.torn_last.load(relaxed), length);
  return first < last ? bytes_in_stripe{first, last} : bytes_in_stripe{};
}
// Where its writer noted nothing, all of it is meant. Requires: the sequence is odd.
bytes_in_stripe noted_in(const stripe& of, std::uint32_t length) noexcept {
  const std::uint32_t first = of.noted_first.load(relaxed);
  const std::uint32_t last = std::min(of.noted_last.load(relaxed), length);
  return first < last ? bytes_in_stripe{first, last} : bytes_in_stripe{0, length};
}

// The elements that have any of these bytes, of which there are some.
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

// ---- Writers.

constexpr int tries_for_a_mutex = 100;

void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Locks the mutex, and settles what a dead owner left. False: it stayed locked.
bool lock(stripe& one, memory::control& of, patience how) noexcept {
  using enum os::robust_mutex::outcome;
  auto found = one.mutex.try_lock();
  for (int i = 0; found == busy && i < tries_for_a_mutex; ++i) {
    pause();
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
class locked_stripes {
 public:
  locked_stripes(const segment& of, memory::control& area, const footprint& touched, patience how)
      : touched_(touched) {
    const bool all = touched_.every([&](stripe& one, bytes_in_stripe bytes, std::size_t s) {
      if (!lock(one, area, how)) return false;
      ++locked_;
      const bytes_in_stripe torn = torn_in(one, length_of(of, s, touched.shift()));
      if (torn.overlaps(bytes)) report(what, of, s << touched.shift(), torn);
      return true;
    });
    if (!all) what = {.state = transfer_state::busy};
  }
  locked_stripes(const locked_stripes&) = delete;
  locked_stripes& operator=(const locked_stripes&) = delete;
  ~locked_stripes() {
    touched_.every([&](stripe& one, bytes_in_stripe, std::size_t) {
      if (locked_ == 0) return false;
      --locked_;
      one.mutex.unlock();
      return true;
    });
  }

  transfer what;

 private:
  const footprint& touched_;
  std::size_t locked_ = 0;
};

// Runs `change` while every stripe says that it is being written.
template <class Change>
transfer written(segment& of, std::span<const run> runs, patience how, Change change) {
  memory::control& area = of.own_words();
  const footprint touched(area, runs, of.element_bytes());
  const locked_stripes held(of, area, touched, how);
  if (!held.what) return held.what;

  touched.every([](stripe& one, bytes_in_stripe bytes, std::size_t) {
    one.noted_first.store(bytes.first, relaxed);
    one.noted_last.store(bytes.last, relaxed);
    // Release: whoever finds it odd, by our death, finds what was noted.
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    return true;
  });
  // Pairs with the fence of readers: who sees any of our words sees every sequence moved.
  std::atomic_thread_fence(release);
  change();
  touched.every([](stripe& one, bytes_in_stripe, std::size_t) {
    // Release: pairs with the acquire in look(); who sees it even sees our words.
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    return true;
  });
  return {};
}

// ---- Readers.

// Whether anyone could be writing. Requires: the handle only reads.
bool has_writers(const segment& of, const memory::control& area) {
  return memory::attempt("read " + of.name(), "a file system with locks",
                         [&] { return area.has_writers(); });
}

struct sight {
  transfer what;          // torn, if any of the bytes is
  bool quiet = true;      // no stripe is being written by anyone alive
  std::uint64_t sum = 0;  // of the sequences
};

// `dead`: whether all writers are known to be gone.
sight look(const segment& of, const footprint& touched, bool dead) noexcept {
  sight seen;
  touched.every([&](stripe& one, bytes_in_stripe bytes, std::size_t s) {
    // Acquire: pairs with the release that made it even, or odd.
    const std::uint64_t sequence = one.sequence.load(acquire);
    const std::uint32_t length = length_of(of, s, touched.shift());
    bytes_in_stripe torn = torn_in(one, length);
    if (sequence % 2 != 0) {
      if (!dead && !one.mutex.abandoned()) {
        seen.quiet = false;
        return false;
      }
      torn.include(noted_in(one, length));
    }
    std::atomic_thread_fence(acquire);
    if (one.sequence.load(relaxed) != sequence) {
      seen.quiet = false;
      return false;
    }
    if (torn.overlaps(bytes)) report(seen.what, of, s << touched.shift(), torn);
    seen.sum += sequence;
    return true;
  });
  return seen;
}

std::uint64_t sum_of(const footprint& touched) noexcept {
  std::uint64_t sum = 0;
  touched.every([&](stripe& one, bytes_in_stripe, std::size_t) {
    sum += one.sequence.load(relaxed);
    return true;
  });
  return sum;
}

void copy_out(const segment& of, std::span<const run> runs, std::byte* to) noexcept {
  const std::size_t size = of.element_bytes();
  for (const run& each : runs) {
    memory::copy_from_shared(to, of.data() + each.first * size, each.count * size);
    to += each.count * size;
  }
}

// One try: nothing if others were writing.
std::optional<transfer> tried(const segment& of, const footprint& touched,
                              std::span<const run> runs, std::byte* to) {
  const sight before = look(of, touched, false);
  if (!before.quiet) return std::nullopt;
  if (!before.what) return before.what;
  copy_out(of, runs, to);
  // Pairs with the fence of writers.
  std::atomic_thread_fence(acquire);
  if (sum_of(touched) != before.sum) return std::nullopt;
  return transfer{};
}

constexpr int quick_tries = 64;
constexpr int slow_tries = 256;
constexpr std::chrono::microseconds between_slow_tries{200};

// For a handle that only reads: what is odd though no writer is attached was left so by a dead one.
// Nothing if there are writers, or if one came while we looked.
std::optional<transfer> read_after_the_dead(const segment& of, const memory::control& area,
                                            const footprint& touched, std::span<const run> runs,
                                            std::byte* to) {
  if (has_writers(of, area)) return std::nullopt;
  const sight before = look(of, touched, true);
  if (!before.quiet) return std::nullopt;
  if (before.what) copy_out(of, runs, to);
  // In this order: a sequence that has not moved since it was seen was odd while nobody wrote.
  if (has_writers(of, area)) return std::nullopt;
  std::atomic_thread_fence(acquire);
  if (sum_of(touched) != before.sum) return std::nullopt;
  return before.what;
}

transfer read_by_lock(const segment& of, memory::control& area, const footprint& touched,
                      std::span<const run> runs, std::byte* to) {
  const locked_stripes held(of, area, touched, patience::waits);
  if (held.what) copy_out(of, runs, to);
  return held.what;
}

// Who can't lock has to go on trying.
transfer read_by_patience(const segment& of, const footprint& touched, std::span<const run> runs,
                          std::byte* to) {
  for (int i = 0; i < slow_tries; ++i) {
    std::this_thread::sleep_for(between_slow_tries);
    if (const auto done = tried(of, touched, runs, to)) return *done;
  }
  return {.state = transfer_state::busy};
}

transfer read_guarded(const segment& of, memory::control& area, std::span<const run> runs,
                      std::byte* to, patience how) {
  const footprint touched(area, runs, of.element_bytes());
  for (int i = 0; i < quick_tries; ++i) {
    if (const auto done = tried(of, touched, runs, to)) return *done;
    pause();
  }
  if (!area.writable()) {
    if (const auto done = read_after_the_dead(of, area, touched, runs, to)) return *done;
  }
  if (how == patience::tries) return {.state = transfer_state::busy};
  return of.may_write() ? read_by_lock(of, area, touched, runs, to)
                        : read_by_patience(of, touched, runs, to);
}

}  // namespace

transfer read_runs(const segment& of, std::span<const run> runs, std::byte* to, patience how) {
  memory::control* area = of.words();
  if (area != nullptr && area->laid_out()) return read_guarded(of, *area, runs, to, how);
  // Nobody has ever written by bulk. If that is still so afterwards, nobody did meanwhile.
  copy_out(of, runs, to);
  std::atomic_thread_fence(acquire);
  area = of.words();
  if (area != nullptr && area->laid_out()) return read_guarded(of, *area, runs, to, how);
  return {};
}

transfer write_runs(segment& of, std::span<const run> runs, const std::byte* from, patience how) {
  return written(of, runs, how, [&] {
    const std::size_t size = of.element_bytes();
    for (const run& each : runs) {
      memory::copy_to_shared(of.data() + each.first * size, from, each.count * size);
      from += each.count * size;
    }
  });
}

transfer fill_runs(segment& of, std::span<const run> runs, const std::byte* element) {
  constexpr std::size_t block_bytes = 4096;
  const std::size_t size = of.element_bytes();
  std::size_t longest = 0;
  for (const run& each : runs) longest = std::max(longest, each.count);
  const std::size_t elements = std::min(longest, std::max<std::size_t>(1, block_bytes / size));
  std::vector<std::byte> block(elements * size);
  for (std::size_t i = 0; i < elements; ++i) std::memcpy(block.data() + i * size, element, size);
  return written(of, runs, patience::waits, [&] {
    for (const run& each : runs) {
      for (std::size_t done = 0; done < each.count; done += elements) {
        const std::size_t count = std::min(elements, each.count - done);
        memory::copy_to_shared(of.data() + (each.first + done) * size, block.data(), count * size);
      }
    }
  });
}

transfer change_runs(segment& of, std::span<const run> runs, void (*apply)(void*), void* context) {
  return written(of, runs, patience::waits, [&] { apply(context); });
}

void require_done(const transfer& what, const segment& of) {
  if (what.state == transfer_state::torn) throw torn_error(what.torn);
  if (what.state == transfer_state::busy) {
    throw error(std::errc::device_or_resource_busy,
                "cannot read " + of.name() +
                    ": found others writing there at every try, expected a pause; a handle that "
                    "can write waits for one");
  }
}

std::vector<range> torn_ranges(const segment& of) {
  const memory::control* area = of.words();
  std::vector<range> found;
  if (area == nullptr || !area->laid_out()) return found;
  const bool dead = !area->writable() && !has_writers(of, *area);
  const unsigned shift = area->plan().stripe_shift;
  for (std::size_t s = 0; s < area->plan().stripes; ++s) {
    const stripe& one = area->stripes()[s];
    const std::uint32_t length = length_of(of, s, shift);
    bytes_in_stripe torn = torn_in(one, length);
    if (one.sequence.load(acquire) % 2 != 0 && (dead || one.mutex.abandoned())) {
      torn.include(noted_in(one, length));
    }
    if (torn.empty()) continue;
    const range elements = elements_of(of, s << shift, torn);
    if (!found.empty() && found.back().last >= elements.first) {
      found.back().last = elements.last;
    } else {
      found.push_back(elements);
    }
  }
  return found;
}

void clear_torn(segment& of, range elements) {
  memory::control& area = of.own_words();
  const run all{elements.first, elements.size()};
  const footprint touched(area, {&all, 1}, of.element_bytes());
  touched.every([&](stripe& one, bytes_in_stripe bytes, std::size_t s) {
    lock(one, area, patience::waits);
    const bytes_in_stripe torn = torn_in(one, length_of(of, s, touched.shift()));
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
    one.noted_first.store(torn.first, relaxed);
    one.noted_last.store(torn.last, relaxed);
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    std::atomic_thread_fence(release);
    one.torn_first.store(left.first, relaxed);
    one.torn_last.store(left.last, relaxed);
    one.sequence.store(one.sequence.load(relaxed) + 1, release);
    one.mutex.unlock();
    return true;
  });
}

}  // namespace shard::detail

namespace shard {

torn_error::torn_error(range elements)
    : error(std::errc::state_not_recoverable,
            "cannot transfer elements [" + std::to_string(elements.first) + ", " +
                std::to_string(elements.last) +
                "): found them torn by a writer that died, expected them whole; write them again "
                "after clear_torn()"),
      elements_(elements) {}

}  // namespace shard
