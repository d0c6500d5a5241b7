#include "board/board.hpp"

#include <algorithm>

#include "os/futex.hpp"

namespace shard::board {
namespace {

constexpr std::size_t page = 4096;

constexpr std::size_t pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

// Where each part of a board begins; every part on a page of its own, so that what is never used
// (verdicts and failures of a quiet run, the tail of a log) is never touched.
struct offsets {
  explicit offsets(const dimensions& of)
      : slots(page),
        failures(slots + pages(of.slots * sizeof(slot))),
        verdicts(failures + pages(board::failure_capacity * sizeof(failure_record))),
        logs(verdicts + pages(of.chunks * sizeof(verdict))),
        partials(logs + pages(of.slots * of.chunks * sizeof(std::uint64_t))),
        areas(partials + pages(of.chunks * of.partial_bytes)),
        end(areas + pages(2 * of.slots * ((of.accumulator_bytes + 7) / 8 * 8))) {}

  std::size_t slots, failures, verdicts, logs, partials, areas, end;
};

template <class T>
T* part(std::byte* memory, std::size_t offset) {
  return reinterpret_cast<T*>(memory + offset);
}

}  // namespace

void verdict::add(failure_kind kind, const budgets& allowed) noexcept {
  switch (kind) {
    case failure_kind::exception: condemned = ++errors > allowed.errors; break;
    case failure_kind::killed: condemned = ++kills > allowed.kills; break;
    case failure_kind::signal:
    case failure_kind::exit: condemned = ++crashes > allowed.crashes; break;
  }
}

std::size_t board::size_bytes(const dimensions& of) noexcept { return offsets(of).end; }

board::board(std::byte* memory, const dimensions& of) noexcept : size_(of) {
  const offsets where(of);
  shared_ = part<shared_part>(memory, 0);
  slots_ = part<slot>(memory, where.slots);
  failures_ = part<failure_record>(memory, where.failures);
  verdicts_ = part<std::atomic<verdict>>(memory, where.verdicts);
  logs_ = part<std::atomic<std::uint64_t>>(memory, where.logs);
  partials_ = memory + where.partials;
  areas_ = part<std::atomic<std::uint64_t>>(memory, where.areas);
}

std::uint64_t board::covered(unsigned slot) const noexcept {
  std::uint64_t entries = 0;
  snapshot(slot, {}, entries);
  return entries;
}

bool board::snapshot(unsigned index, std::span<std::uint64_t> out,
                     std::uint64_t& entries) const noexcept {
  const slot& from = at(index);
  for (;;) {
    // Acquire: pairs with the release of the commit in owner::publish(); whoever sees the word sees
    // the area that it points to, and the outputs of the chunks that the area covers.
    const std::uint64_t word = from.commit.load(std::memory_order_acquire);
    entries = 0;
    if (word == 0) return false;
    const auto* const words = area(index, word & 1);
    entries = from.covered[word & 1].load(std::memory_order_relaxed);
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = words[k].load(std::memory_order_relaxed);
    // Pairs with the release fence in owner::publish(): having read anything that was written into
    // this area after its commit, we see that commit's successor here.
    std::atomic_thread_fence(std::memory_order_acquire);
    if (from.commit.load(std::memory_order_relaxed) == word) return true;
  }
}

std::size_t board::settled() const noexcept {
  std::size_t sum = 0;
  for (unsigned k = 0; k < size_.slots; ++k) sum += covered(k);
  return sum;
}

void board::raise(control bit) const noexcept {
  shared_->controls.fetch_or(bit, std::memory_order_acq_rel);
  os::futex_wake_all(shared_->controls);
}

void board::lower(control bit) const noexcept {
  shared_->controls.fetch_and(~static_cast<std::uint32_t>(bit), std::memory_order_acq_rel);
}

void board::wait_for_controls() const noexcept {
  for (;;) {
    const std::uint32_t now = controls();
    if ((now & (stopping | done | handover)) != 0) return;
    os::futex_wait(shared_->controls, now);
  }
}

void board::record(const failure_facts& facts, std::string_view what) const noexcept {
  const std::uint64_t index = shared_->failures.fetch_add(1, std::memory_order_relaxed);
  if (index >= failure_capacity) return;
  failure_record& place = failures_[index];
  place.facts = facts;
  const std::size_t length = std::min(what.size(), sizeof place.what - 1);
  std::memcpy(place.what, what.data(), length);
  place.what[length] = '\0';
  // Release: pairs with the acquire of whoever makes the report.
  place.ready.store(1, std::memory_order_release);
}

std::span<failure_record> board::failures() const noexcept {
  const std::uint64_t count = shared_->failures.load(std::memory_order_acquire);
  return {failures_, std::min<std::size_t>(count, failure_capacity)};
}

std::size_t board::failures_lost() const noexcept {
  const std::uint64_t count = shared_->failures.load(std::memory_order_acquire);
  return count - failures().size();
}

}  // namespace shard::board
