#include "board/owner.hpp"

#include <algorithm>
#include <cstring>

namespace shard::board {
namespace {

using namespace std::chrono_literals;

// Chunks are claimed several at a time only while a whole batch takes next to nothing, so that
// nobody waits for chunks which somebody else holds.
constexpr auto short_batch = 5us;
constexpr std::uint64_t longest_batch = 64;

// Publishing large accumulators costs under 1% of a worker's time.
constexpr auto publish_interval = 10ms;
constexpr int publish_cost_factor = 100;

}  // namespace

owner::owner(const board& on, unsigned slot, const task& what, const policy& how,
             std::byte* accumulators) noexcept
    : board_(on),
      slot_(on.at(slot)),
      log_(on.log(slot)),
      index_(slot),
      task_(what),
      policy_(how),
      accumulators_(accumulators) {}

void owner::work() {
  resume();
  for (;;) {
    run();
    if (claim()) continue;
    publish();
    // Sequentially consistent: of two owners that publish the last chunks at the same time, at
    // least one then sees both commits.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (board_.settled() == board_.size().chunks) board_.raise(done);
    if (policy_.park) board_.wait_for_controls();
    break;
  }
  slot_.left.store(1, std::memory_order_release);
}

void owner::resume() {
  reload();
  redo_until_ = length();
  lap_ = clock::now();
  publish_due_ = lap_ + publish_interval;
}

// Back to what is committed: the private accumulators are lost or spoilt.
void owner::reload() {
  slot_.running.store(0, std::memory_order_relaxed);
  const std::uint64_t word = slot_.commit.load(std::memory_order_acquire);
  const std::size_t bytes = board_.size().accumulator_bytes;
  if (word == 0) {
    next_ = published_ = 0;
    if (bytes == 0) return;
    std::memset(accumulators_, 0, bytes);
    task_.start(task_.context, accumulators_);
    return;
  }
  next_ = published_ = slot_.covered[word & 1].load(std::memory_order_relaxed);
  const auto* const words = board_.area(index_, word & 1);
  for (std::size_t k = 0; k < board_.area_words(); ++k) {
    const std::uint64_t value = words[k].load(std::memory_order_relaxed);
    std::memcpy(accumulators_ + 8 * k, &value, std::min<std::size_t>(8, bytes - 8 * k));
  }
}

bool owner::claim() {
  const std::size_t chunks = board_.size().chunks;
  const std::uint64_t seen = board_.cursor().load(std::memory_order_relaxed);
  if (seen >= chunks || stopped()) return false;

  // Never more than a fair part of what is left: the end of a run is shared by all.
  const std::uint64_t fair = (chunks - seen) / (8 * board_.size().slots);
  const std::uint64_t wanted = std::clamp<std::uint64_t>(fair, 1, batch_);

  const std::uint32_t claims = slot_.claims.load(std::memory_order_relaxed);
  slot_.claims.store(claims + 1, std::memory_order_relaxed);
  // Release: pairs with the acquire of the cursor in reclaim(); whoever sees the cursor moved by us
  // sees that we are in the claiming window, or have left it.
  const std::uint64_t first = board_.cursor().fetch_add(wanted, std::memory_order_acq_rel);
  const std::uint64_t count = first < chunks ? std::min<std::uint64_t>(wanted, chunks - first) : 0;
  const std::uint64_t end = length();
  for (std::uint64_t k = 0; k < count; ++k) {
    log_[end + k].store(first + k, std::memory_order_relaxed);
  }
  // Release, both: pair with the acquires in reclaim(), which reads our log once we are outside.
  slot_.length.store(end + count, std::memory_order_release);
  slot_.claims.store(claims + 2, std::memory_order_release);
  return count != 0;
}

void owner::run() {
  const std::uint64_t end = length();
  const std::uint64_t entries = end - next_;
  const bool little_to_copy = board_.size().accumulator_bytes <= policy_.little_to_copy_bytes;
  while (next_ < end) {
    const bool begun_before = next_ < redo_until_;
    // What had been begun before is finished even when the run stops.
    if (!begun_before && stopped()) return;
    const std::uint64_t chunk = log_[next_].load(std::memory_order_relaxed);
    const bool suspect =
        begun_before && board_.verdict_on(chunk).load(std::memory_order_relaxed).attempts() != 0;
    if (suspect) publish();  // it may take what ran before it down once more
    if (!run_entry(chunk)) continue;
    ++next_;
    if (little_to_copy || suspect) {
      publish();
    } else if (begun_before) {
      publish_if_due(clock::now());
    }
  }
  if (entries != 0) end_lap(entries);
}

// False: the kernel threw, the failure is on the board, and next_ is back at what is committed.
bool owner::run_entry(std::uint64_t chunk) {
  const bool begun_before = next_ < redo_until_;
  if (begun_before && board_.verdict_on(chunk).load(std::memory_order_relaxed).condemned) {
    // Whoever condemned it may have died before it stopped the run.
    if (!policy_.keep_going) board_.raise(stopping);
    return true;
  }
  description what;
  // `running` names the entry to blame if this process dies now. Only a dead owner's slot is
  // judged, so the order of these stores in the program is the order in which they are seen.
  slot_.running.store(next_ + 1, std::memory_order_relaxed);
  const bool returned = task_.run(task_.context, chunk, board_.partial(chunk), accumulators_, what);
  slot_.running.store(0, std::memory_order_relaxed);
  if (!returned) failed(chunk, what);
  return returned;
}

// A throw is a death without the exit: the accumulators are spoilt, so the log's tail is redone.
void owner::failed(std::uint64_t chunk, const char* what) {
  verdict judged = board_.verdict_on(chunk).load(std::memory_order_relaxed);
  judged.add(failure_kind::exception, policy_.allowed);
  board_.record({failure_kind::exception, chunk, judged.attempts(), index_, 0, 0}, what);
  board_.verdict_on(chunk).store(judged, std::memory_order_release);
  if (judged.condemned && !policy_.keep_going) board_.raise(stopping);
  redo_until_ = std::max(redo_until_, next_ + 1);
  reload();
}

// After a batch: how many chunks fit into a short one?
void owner::end_lap(std::uint64_t entries) {
  const clock::time_point now = clock::now();
  const auto took = std::max<clock::duration>(now - lap_, 1ns);
  const auto fitting = static_cast<std::uint64_t>(short_batch / took) * entries;
  batch_ = std::clamp<std::uint64_t>(fitting, 1, std::min(2 * batch_, longest_batch));
  lap_ = now;
  publish_if_due(now);
}

void owner::publish_if_due(clock::time_point now) {
  if (next_ == published_ || now < publish_due_) return;
  publish();
  lap_ = clock::now();  // what it costs to publish is no batch's time
  publish_due_ =
      lap_ + std::max<clock::duration>(publish_interval, publish_cost_factor * (lap_ - now));
}

void owner::publish() {
  if (next_ == published_) return;
  const std::uint64_t word = slot_.commit.load(std::memory_order_relaxed);
  const std::uint64_t sequence = word / 2 + 1;
  const unsigned other = (word & 1) ^ 1;
  // Pairs with the acquire fence in board::snapshot(): a reader that sees any of the stores below
  // sees that the commit word has moved on from this area.
  std::atomic_thread_fence(std::memory_order_release);
  auto* const words = board_.area(index_, other);
  const std::size_t bytes = board_.size().accumulator_bytes;
  for (std::size_t k = 0; k < board_.area_words(); ++k) {
    std::uint64_t value = 0;
    std::memcpy(&value, accumulators_ + 8 * k, std::min<std::size_t>(8, bytes - 8 * k));
    words[k].store(value, std::memory_order_relaxed);
  }
  slot_.covered[other].store(next_, std::memory_order_relaxed);
  // The commit. Release: pairs with the acquires of snapshot() and reload(): outputs, partials,
  // area and header all become final with this one store.
  slot_.commit.store(2 * sequence + other, std::memory_order_release);
  published_ = next_;
}

std::uint64_t owner::length() const noexcept {
  return slot_.length.load(std::memory_order_relaxed);
}

}  // namespace shard::board
