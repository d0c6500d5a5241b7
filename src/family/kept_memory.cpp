#include "family/kept_memory.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <new>
#include <utility>

#include "board/run_memory.hpp"
#include "family/roster.hpp"

namespace shard::family {
namespace {

constexpr std::size_t most_kept_bytes = std::size_t{1} << 20;  // of each

struct kept {
  os::anonymous_memory memory;
  board::dimensions size;
};

// Whoever uses one has taken it away from here. So threads need no lock, and neither does a child
// that was forked while they used theirs.
std::array<std::atomic<kept*>, 4> all{};
std::atomic<unsigned> oldest{0};

// What a quiet run touches, at most.
std::size_t touched_by(const board::dimensions& of) noexcept {
  constexpr std::size_t page = 4096;
  const std::size_t for_each_slot =
      2 * board::board::stride_words(of) * sizeof(std::uint64_t) + of.undo_bytes + page;
  return of.chunks * (sizeof(std::uint64_t) + of.partial_bytes) +
         of.notes * sizeof(board::chunk_note) + of.slots * for_each_slot;
}

}  // namespace

os::anonymous_memory memory_in_this_process(const board::dimensions& size) {
  for (std::atomic<kept*>& place : all) {
    std::unique_ptr<kept> found(place.exchange(nullptr, std::memory_order_acquire));
    if (!found) continue;
    if (found->size == size) return std::move(found->memory);
    kept* nothing = nullptr;
    if (place.compare_exchange_strong(nothing, found.get(), std::memory_order_release)) {
      static_cast<void>(found.release());
    }
  }
  return board::run_memory(board::board::size_bytes(size) + roster::size_bytes(size.slots),
                           os::sharing::none);
}

void give_back(os::anonymous_memory memory, const board::dimensions& size) noexcept {
  const board::board on(memory.base(), size);
  const roster members(memory.base() + board::board::size_bytes(size), size.slots);
  const bool unharmed = on.is_unharmed() && members.lacks() == 0 && members.trouble().empty();
  if (!unharmed || touched_by(size) > most_kept_bytes) return;
  on.clear();
  std::unique_ptr<kept> one(new (std::nothrow) kept{std::move(memory), size});
  if (!one) return;
  for (std::atomic<kept*>& place : all) {
    kept* nothing = nullptr;
    if (!place.compare_exchange_strong(nothing, one.get(), std::memory_order_release)) continue;
    static_cast<void>(one.release());
    return;
  }
  const unsigned last = oldest.fetch_add(1, std::memory_order_relaxed) % all.size();
  one.reset(all[last].exchange(one.release(), std::memory_order_acq_rel));
}

}  // namespace shard::family
