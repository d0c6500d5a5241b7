#include "family/run_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "board/run_memory.hpp"
#include "family/mappings.hpp"
#include "memory/attempt.hpp"
#include "os/calls.hpp"
#include "os/event.hpp"
#include "os/file.hpp"
#include "os/headroom.hpp"
#include "os/sanitizers.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t pages(std::size_t bytes) { return (bytes + page - 1) / page * page; }

// Of one place: what there is address space for, within these.
constexpr std::size_t most_place_bytes = std::size_t{1} << (os::thread_sanitizer ? 28 : 34);
constexpr std::size_t least_place_bytes = std::size_t{1} << 22;

// Where address space is limited, others need some, too: buffers first of all. A place that has
// this much is enough for most runs.
constexpr std::size_t enough_place_bytes = std::size_t{1} << 24;

// Places that nobody uses keep so much between them, and the last one whatever it has.
constexpr std::size_t kept_bytes = std::size_t{64} << 20;

os::descriptor counter() {
  return memory::attempt("start a pool", "an eventfd", [] { return os::event_counter(); });
}

std::size_t touched_by(const board::dimensions& of) {
  return of.chunks * (of.slots * sizeof(std::uint64_t) + of.partial_bytes) +
         of.notes * sizeof(board::chunk_note) +
         of.slots * (2 * board::board::stride_words(of) * sizeof(std::uint64_t) + of.undo_bytes);
}

}  // namespace

// Where each part begins.
struct run_queue::parts {
  explicit parts(unsigned slots)
      : entrance(pages(roster::size_bytes(slots))),
        shared(entrance + pages(door::size_bytes(slots))),
        assignments(shared + pages(sizeof(shared_part))),
        places(assignments + pages(capacity * sizeof(assignment))) {}

  std::size_t entrance, shared, assignments, places;
};

namespace {

std::string what_it_takes(const os::call_failed& after) {
  const int why = after.code().value();
  const std::string least = std::to_string(run_queue::capacity * least_place_bytes);
  if (why == ENOMEM) return least + " bytes of address space (ulimit -v)";
  if (why == EFBIG) return least + " bytes in a file (ulimit -f)";
  const std::string_view remedy = os::remedy_for(why, after.call());
  return remedy.empty() ? "memory that can be shared" : std::string(remedy);
}

// As much address space as can be had without taking it from others.
os::anonymous_memory reserved(std::size_t before, run_queue::audience others,
                              run_queue::handles& to) {
  const auto reserve = [&]() -> os::anonymous_memory {
    const std::size_t bytes = before + run_queue::capacity * to.place_bytes;
    if (others == run_queue::audience::children) return {bytes, os::sharing::with_children};
    to.memory = {};
    if (bytes > os::file_size_headroom().available_bytes) throw os::call_failed(EFBIG, "ftruncate");
    to.memory = os::memory_file("pool-of-shard", bytes);
    return os::anonymous_memory::of_file(to.memory, bytes);
  };
  for (to.place_bytes = most_place_bytes;; to.place_bytes /= 2) {
    try {
      os::anonymous_memory all = reserve();
      if (to.place_bytes == most_place_bytes || to.place_bytes <= enough_place_bytes) return all;
      all = {};
      to.place_bytes = std::max(to.place_bytes / 4, enough_place_bytes);
      return reserve();
    } catch (const os::call_failed& e) {
      const bool less_may_do = e.code().value() == ENOMEM || e.code().value() == EFBIG;
      if (less_may_do && to.place_bytes > least_place_bytes) continue;
      throw error(e.code(), "cannot map memory for a pool: found '" + e.code().message() +
                                "' from " + e.call() + ", expected " + what_it_takes(e));
    }
  }
}

}  // namespace

run_queue::run_queue(unsigned slots, std::pair<handles, os::anonymous_memory> from)
    : handles_(std::move(from.first)),
      memory_(std::move(from.second)),
      roster_(memory_.base(), slots),
      door_(memory_.base() + parts(slots).entrance, slots, handles_.event.get()),
      shared_(reinterpret_cast<shared_part*>(memory_.base() + parts(slots).shared)),
      assignments_(reinterpret_cast<assignment*>(memory_.base() + parts(slots).assignments)),
      places_(memory_.base() + parts(slots).places) {
  for (unsigned k = 0; k < capacity; ++k) free_.push_back(k);
}

run_queue::run_queue(unsigned slots, audience others)
    : run_queue(slots, [&] {
        handles made{.memory = {}, .event = counter(), .calls = counter()};
        os::anonymous_memory memory = reserved(parts(slots).places, others, made);
        return std::pair(std::move(made), std::move(memory));
      }()) {}

run_queue::run_queue(unsigned slots, handles from)
    : run_queue(slots, [&] {
        const std::size_t bytes = parts(slots).places + capacity * from.place_bytes;
        os::anonymous_memory memory = os::anonymous_memory::of_file(from.memory, bytes);
        from.memory = {};  // nobody is started from here
        return std::pair(std::move(from), std::move(memory));
      }()) {}

std::span<std::byte> run_queue::packed(const assignment& what) const noexcept {
  const board::dimensions here = what.kept ? board::dimensions{} : what.size;
  return {place(what.place) + pages(board::board::size_bytes(here)), what.packed_bytes};
}

// What is forked from here has it, too: workers of their supervisor.
std::byte* run_queue::kept_memory(const kept_board& what) const {
  if (what.number != kept_number_) {
    const os::descriptor file =
        os::open_again_of(what.caller, what.descriptor, os::protection::write);
    kept_ = os::mapping(file.get(), what.bytes, os::protection::write);
    kept_number_ = what.number;
  }
  return kept_.base() + what.offset;
}

void run_queue::hide_kept_board() const {
  if (hidden_number_ == kept_number_) return;
  keep_from_children(roster_, kept_.base(), kept_.length_bytes());
  keep_from_dumps(roster_, kept_.base(), kept_.length_bytes());
  hidden_number_ = kept_number_;
}

lease::~lease() {
  if (of_ != nullptr) of_->give_back(place_);
}

// ---- Places ----

// One that had a board of this shape, the later the better; else one that is empty; else the one
// that was not used for longest.
unsigned run_queue::take_best_place(const board::dimensions& size) {
  auto found = std::find_if(free_.rbegin(), free_.rend(), [&](unsigned k) {
    return !tenancies_[k].empty && tenancies_[k].size == size;
  });
  if (found == free_.rend()) {
    found =
        std::find_if(free_.rbegin(), free_.rend(), [&](unsigned k) { return tenancies_[k].empty; });
  }
  if (found == free_.rend()) --found;
  const unsigned place = *found;
  free_.erase(std::next(found).base());
  return place;
}

lease run_queue::take_place(const board::dimensions& size, std::span<const std::byte> packed) {
  const std::size_t wanted = pages(board::board::size_bytes(size)) + pages(packed.size());
  if (wanted > place_bytes()) {
    throw error(std::errc::not_enough_memory,
                "cannot run in this pool: found " + std::to_string(wanted) +
                    " bytes for the plan and the reductions, expected at most " +
                    std::to_string(place_bytes()) + ": use a larger grain, or map without a pool");
  }
  const unsigned found = take_best_place(size);
  tenancy& one = tenancies_[found];
  const board::board before(place(found), one.size);
  if (!one.empty && one.size == size && before.is_unharmed()) {
    before.clear();
  } else if (!one.empty) {
    empty(found);
  }
  touched_bytes_ -= one.touched_bytes;
  one = {.empty = false,
         .size = size,
         .used_bytes = std::max(wanted, one.used_bytes),
         .touched_bytes = touched_by(size) + packed.size(),
         .packed_bytes = one.packed_bytes,
         .likeness = one.likeness};
  touched_bytes_ += one.touched_bytes;
  put(packed, size, found);
  return {*this, found};
}

// If they are not there: what nobody writes stays in the caches of all who read it.
void run_queue::put(std::span<const std::byte> packed, const board::dimensions& size,
                    unsigned number) {
  tenancy& one = tenancies_[number];
  std::byte* const to = place(number) + pages(board::board::size_bytes(size));
  if (one.packed_bytes == packed.size() && std::memcmp(to, packed.data(), packed.size()) == 0) {
    return;
  }
  std::memcpy(to, packed.data(), packed.size());
  one.packed_bytes = packed.size();
  one.likeness =
      std::hash<std::string_view>()({reinterpret_cast<const char*>(packed.data()), packed.size()});
}

void run_queue::empty(unsigned number) noexcept {
  tenancy& one = tenancies_[number];
  os::discard(place(number), std::exchange(one.used_bytes, 0));
  one.empty = true;
  one.packed_bytes = 0;
  touched_bytes_ -= std::exchange(one.touched_bytes, 0);
}

void run_queue::give_back(unsigned number) noexcept {
  for (const unsigned each : free_) {
    if (touched_bytes_ <= kept_bytes) break;
    if (!tenancies_[each].empty) empty(each);
  }
  free_.push_back(number);
}

// ---- What runs took ----

const run_queue::experience* run_queue::last_like(const assignment& what) const noexcept {
  const std::size_t likeness = tenancies_[what.place].likeness;
  const experience& last = known_[likeness % known_.size()];
  return last.any && last.likeness == likeness ? &last : nullptr;
}

unsigned run_queue::most_workers(const assignment& what) const noexcept {
  return static_cast<unsigned>(
      std::clamp<std::size_t>(what.size.chunks, 1, std::min(roster_.size(), what.most_workers)));
}

unsigned run_queue::workers_for(const assignment& what) const noexcept {
  const unsigned most = most_workers(what);
  const experience* const last = last_like(what);
  if (last == nullptr) return most;
  return static_cast<unsigned>(
      std::clamp<std::int64_t>(last->took / door::worth_a_worker + 1, 1, most));
}

std::chrono::nanoseconds run_queue::expected(const assignment& what,
                                             unsigned workers) const noexcept {
  const experience* const last = last_like(what);
  return last == nullptr ? std::chrono::nanoseconds{} : last->took / workers;
}

void run_queue::learn_from(door::run number) noexcept {
  const std::size_t likeness = tenancies_[of(number).place].likeness;
  known_[likeness % known_.size()] = {true, likeness, door_.time_of(number)};
}

// ---- News ----

void run_queue::close_buffer(std::uint64_t number) const noexcept {
  const std::uint64_t count = shared_->closed.load();
  shared_->closed_numbers[count % closed_capacity].store(number);
  shared_->closed.store(count + 1);
  door_.tell_news();
}

void run_queue::end() const noexcept {
  shared_->ending.store(1);
  door_.tell_news();
  call_supervisor();
}

void run_queue::want_room(bool wanted) const noexcept {
  if (wants_room() == wanted) return;
  shared_->room_wanted.store(wanted ? 1 : 0);
  if (wanted) door_.tell_news();
}

void run_queue::call_supervisor() const noexcept {
  static_cast<void>(os::count_event(calls().get()));
}

}  // namespace shard::family
