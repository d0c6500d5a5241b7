#include "memory/observed.hpp"

#include <array>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"
#include "shard/bulk.hpp"

namespace shard::memory {
namespace {

// The words of an area as they were when they were read. They are aligned, and so the kernel copies
// each in one piece, but a stripe's not at one moment: of each there is a copy that was made while
// its sequence stayed the same, unless that moved whenever it was looked at.
class copied_area {
 public:
  copied_area(const os::descriptor& file, const control::place& of)
      : plan_(plan_control(of.data_bytes)) {
    std::optional<copy> before = read(file, of);
    std::optional<copy> found = read(file, of);
    std::optional<copy> after = read(file, of);
    if (!before || !found || !after) return;
    lines_ = *found;
    std::vector<bool> settled(plan_.stripes);
    for (int i = 0; i < most_looks; ++i) {
      bool all = true;
      for (std::size_t s = 0; s < plan_.stripes; ++s) {
        if (settled[s]) continue;
        settled[s] = stripe_in(*before, s).sequence.load() == stripe_in(*after, s).sequence.load();
        all = all && settled[s];
        line_of(lines_, s) = line_of(*found, s);
      }
      if (all) return;
      before = std::exchange(found, std::exchange(after, read(file, of)));
      if (!after) return;
    }
  }

  bool laid_out() const noexcept {
    return !lines_.empty() && memory::laid_out(lines().header, plan_);
  }
  const control_plan& plan() const noexcept { return plan_; }
  const control_lines& lines() const noexcept {
    return *reinterpret_cast<const control_lines*>(lines_.data());
  }
  const stripe& stripe_at(std::size_t s) const noexcept { return stripe_in(lines_, s); }

 private:
  struct alignas(line_bytes) line {
    std::array<std::byte, line_bytes> bytes;
  };
  using copy = std::vector<line>;
  static constexpr int most_looks = 8;

  // Nothing: the file ends before the area does.
  std::optional<copy> read(const os::descriptor& file, const control::place& of) const {
    copy made(plan_.size_bytes() / line_bytes);
    const auto bytes = std::as_writable_bytes(std::span(made));
    if (os::read_some(file, bytes, control_offset(of.data_end)) < bytes.size()) return {};
    return made;
  }
  static line& line_of(copy& in, std::size_t s) noexcept {
    return in[sizeof(control_lines) / line_bytes + s];
  }
  static const stripe& stripe_in(const copy& in, std::size_t s) noexcept {
    return reinterpret_cast<const stripe&>(in[sizeof(control_lines) / line_bytes + s]);
  }

  control_plan plan_;
  copy lines_;  // empty: there is none
};

// `dead`: all writers are known to be gone. Bytes that are not among the data are left out,
// whatever the stripes say.
std::vector<range> torn_elements(const copied_area& of, std::size_t element_bytes, bool dead) {
  std::vector<range> found;
  for (std::size_t s = 0; s < of.plan().stripes; ++s) {
    const stripe& one = of.stripe_at(s);
    bytes_in_stripe torn = torn_in(one, of.plan(), s);
    if (one.sequence.load() % 2 != 0 && (dead || one.mutex.abandoned_or_passed_on())) {
      torn.include(noted_in(one, of.plan(), s));
    }
    if (torn.empty()) continue;
    const std::size_t start = s << of.plan().stripe_shift;
    const range elements{(start + torn.first) / element_bytes,
                         (start + torn.last - 1) / element_bytes + 1};
    if (!found.empty() && found.back().last >= elements.first) {
      found.back().last = elements.last;
    } else {
      found.push_back(elements);
    }
  }
  return found;
}

// `dead`: nobody who may hold a lock is left, and what words say of one is from a life before.
void describe_lock(buffer_stats& to, const control_lines& words, bool dead) {
  const exclusive_line& main = words.exclusive;
  const bool claimed = main.holding.load() != 0;
  to.abandoned = main.abandoned.load() != 0 || (claimed && (dead || main.mutex.abandoned()));
  if (dead) return;
  if (claimed && main.mutex.owner() != 0 && !main.mutex.abandoned())
    to.exclusive_holder = static_cast<int>(main.thread.load());
  for (const shared_slot& slot : words.slots) {
    // Who only waits for a holder, or puts right what a dead one left, is not noted.
    const std::uint32_t thread = slot.thread.load();
    if (thread != 0 && slot.mutex.owner() == thread) {
      to.shared_holders.push_back(static_cast<int>(thread));
    }
  }
}

// Where bytes can't be locked, nobody can write by bulk.
bool has_writers(const os::descriptor& file) try {
  return os::byte_is_locked(file, writers_byte);
} catch (const os::call_failed& e) {
  if (!os::without_locks(e.code())) throw;
  return false;
}

}  // namespace

buffer_stats sharing_of(backing kind, const control::place& of, std::size_t element_bytes) {
  // A description of its own: one doesn't see its own locks.
  const os::descriptor file = os::open_again(of.descriptor, os::protection::read);
  buffer_stats found;
  found.kind = kind;
  found.writers = os::holders_of_byte(file, writers_byte);
  found.handles = kind == backing::named ? os::holders_of_byte(file, named_byte)
                                         : found.writers + os::holders_of_byte(file, readers_byte);
  const copied_area words(file, of);
  found.control_words = words.laid_out();
  if (!found.control_words) return found;
  // Neither before nor after the words were read.
  const bool dead = found.writers == 0 && !os::byte_is_locked(file, writers_byte);
  found.recoveries = words.lines().header.recoveries.load();
  found.notifications = words.lines().notice.count.load();
  describe_lock(found, words.lines(), dead);
  found.torn = torn_elements(words, element_bytes, dead);
  return found;
}

std::vector<range> torn_elements(const os::descriptor& file, const control::place& of,
                                 std::size_t element_bytes) {
  const bool unwritten = !has_writers(file);
  const copied_area words(file, of);
  if (!words.laid_out()) return {};
  const bool dead = unwritten && !has_writers(file);
  return torn_elements(words, element_bytes, dead);
}

void require_whole(const std::vector<range>& torn, const std::string& verb, const std::string& of) {
  if (!torn.empty()) throw torn_error(verb, {torn.front().first, torn.back().last}, of);
}

}  // namespace shard::memory
