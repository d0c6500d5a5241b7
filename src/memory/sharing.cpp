#include "memory/sharing.hpp"

#include <array>
#include <span>
#include <vector>

#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"
#include "shard/bulk.hpp"

namespace shard::memory {
namespace {

// The words of an area as they were when they were read. They are aligned, and so the kernel copies
// each in one piece.
class copied_area {
 public:
  copied_area(const os::descriptor& file, const control::place& of)
      : plan_(plan_control(of.data_bytes)) {
    lines_.resize(plan_.size_bytes() / line_bytes);
    const auto bytes = std::as_writable_bytes(std::span(lines_));
    whole_ = os::read_some(file, bytes, control_offset(of.data_end)) == bytes.size();
  }

  bool laid_out() const noexcept { return whole_ && memory::laid_out(lines().header, plan_); }
  const control_plan& plan() const noexcept { return plan_; }
  const control_lines& lines() const noexcept {
    return *reinterpret_cast<const control_lines*>(lines_.data());
  }
  std::span<const stripe> stripes() const noexcept {
    return {reinterpret_cast<const stripe*>(&lines() + 1), plan_.stripes};
  }

 private:
  struct alignas(line_bytes) line {
    std::array<std::byte, line_bytes> bytes;
  };

  control_plan plan_;
  std::vector<line> lines_;
  bool whole_ = false;
};

// `dead`: nobody who may hold a lock is left, and what words say of one is from a life before.
void describe_lock(buffer_stats& to, const control_lines& words, bool dead) {
  const exclusive_line& main = words.exclusive;
  const bool claimed = main.writer.load() == writer_state::holding;
  to.abandoned = main.abandoned.load() != 0 || (claimed && (dead || main.mutex.abandoned()));
  if (dead) return;
  if (claimed && main.mutex.held()) to.exclusive_holder = static_cast<int>(main.thread.load());
  for (const shared_slot& slot : words.slots) {
    const auto thread = static_cast<int>(slot.thread.load());
    if (slot.occupied.load() != 0 && slot.mutex.held() && thread != 0) {
      to.shared_holders.push_back(thread);
    }
  }
}

// Where bytes can't be locked, nobody can write by bulk.
bool has_writers(const os::descriptor& file) try {
  return os::byte_is_locked(file, writers_byte);
} catch (const os::call_failed&) {
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
  found.torn = torn_elements(words.stripes(), words.plan(), element_bytes, dead);
  return found;
}

std::vector<range> torn_elements(const os::descriptor& file, const control::place& of,
                                 std::size_t element_bytes) {
  const bool unwritten = !has_writers(file);
  const copied_area words(file, of);
  if (!words.laid_out()) return {};
  const bool dead = unwritten && !has_writers(file);
  return torn_elements(words.stripes(), words.plan(), element_bytes, dead);
}

void require_whole(const std::vector<range>& torn, const std::string& verb, const std::string& of) {
  if (!torn.empty()) throw torn_error(verb, {torn.front().first, torn.back().last}, of);
}

}  // namespace shard::memory
