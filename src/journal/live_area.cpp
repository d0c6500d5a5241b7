#include "journal/live_area.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <new>
#include <string_view>
#include <utility>

#include "family/roster.hpp"
#include "os/boot.hpp"
#include "os/mapping.hpp"
#include "os/own_pid.hpp"
#include "shard/error.hpp"

namespace shard::journal {
namespace {

constexpr std::array<char, 8> magic{'S', 'H', 'A', 'R', 'D', 'L', 'V', '2'};
constexpr auto relaxed = std::memory_order_relaxed;

constexpr std::uint64_t layout =
    sizeof(board::slot) << 32 | sizeof(board::failure_record) << 8 | sizeof(board::chunk_note);

// That sizes can be computed of them.
bool is_sane(const board::dimensions& of) noexcept {
  constexpr std::uint64_t most = std::uint64_t{1} << 40;
  constexpr std::uint64_t most_of_all = std::uint64_t{1} << 46;
  const auto fits = [](std::uint64_t some, std::uint64_t each) {
    std::uint64_t all = 0;
    return !__builtin_mul_overflow(some, each, &all) && all <= most_of_all;
  };
  const bool scheduled = of.scheduled == board::dimensions::every || of.scheduled <= of.chunks;
  return scheduled && of.slots != 0 && of.slots <= 65536 && of.chunks < most &&
         of.notes <= of.chunks && of.units < most && fits(of.chunks, of.partial_bytes) &&
         fits(of.slots, of.accumulator_bytes) && fits(of.slots, of.partial_bytes) &&
         fits(of.slots, of.undo_bytes) && fits(of.slots, 8 * of.chunks);
}

std::uint64_t chunk_in_log(const board::board& on, unsigned slot, std::uint64_t k) {
  const std::uint64_t chunk = on.log(slot)[k].load(relaxed);
  if (chunk < on.size().chunks) return chunk;
  throw error(std::errc::bad_message,
              "cannot go on with a map: found chunk " + std::to_string(chunk) +
                  " in its notes, expected fewer than " + std::to_string(on.size().chunks));
}

// Whether it has counted in the first set of states.
bool is_good(const board::board& on, std::uint64_t chunk) noexcept {
  return on.verdict_on(chunk).load(std::memory_order_acquire).state == board::standing::good;
}

// Of a slot, those that are `covered`.
void add_covered(record& to, const board::board& from, unsigned slot, std::uint64_t covered) {
  for (std::uint64_t k = 0; k < std::min<std::uint64_t>(covered, from.size().chunks); ++k) {
    to.add(chunk_in_log(from, slot, k));
  }
}

// Takes out what was in quarantine. The verdict on a covered entry is older than what covers it,
// and doesn't change. A verdict stands behind a failure that is recorded, or counted. So nobody
// need look at all verdicts, whose pages are not there if they were never written.
void remove_failed(record& of, const board::board& on) {
  const auto look = [&](std::uint64_t chunk) {
    if (!is_good(on, chunk)) of.remove(chunk);
  };
  if (on.failures_lost() != 0) {
    for (std::uint64_t chunk = 0; chunk < on.size().chunks; ++chunk) look(chunk);
    return;
  }
  for (const board::failure_record& one : on.failures()) {
    if (one.facts.chunk < on.size().chunks) look(one.facts.chunk);
  }
}

// What it began with.
record inherited_in(const board::board& from, const shape& of) {
  record found(of);
  if (from.inherited() == 0) return found;
  found.add(from.inherited_set());
  if (found.count() == from.inherited()) return found;
  throw error(std::errc::bad_message, "cannot go on with a map: found a set of " +
                                          std::to_string(found.count()) +
                                          " chunks that it began with in its notes, expected " +
                                          std::to_string(from.inherited()));
}

// What a slot has published, as of one moment.
void add_slot(record& to, const board::board& from, unsigned slot, std::size_t words_of_area) {
  std::vector<std::uint64_t> words(words_of_area);
  const board::publication found = from.snapshot(slot, words);
  if (!found.word) return;
  add_covered(to, from, slot, found.covered);
  words.resize(to.of().state_words);
  to.add_state(std::move(words));
}

}  // namespace

bool is_of_boot(const live_header& of, const std::string& boot) noexcept {
  const char* const text = of.boot.data();
  return !boot.empty() && std::string_view(text, ::strnlen(text, of.boot.size())) == boot;
}

bool sync(live_header& in, std::span<const os::descriptor> files) {
  if (in.syncing.exchange(1) != 0) return false;
  try {
    for (const os::descriptor& file : files) os::flush_data(file.get());
  } catch (const os::call_failed&) {
    return false;
  }
  in.syncing.store(0);
  return true;
}

// ---- Reading ----

live_header& live_view::header() const noexcept {
  return *std::launder(reinterpret_cast<live_header*>(mapped_.base()));
}

std::optional<live_view> live_view::open(const notes& in, const std::string& note,
                                         os::protection rights) {
  return in.attempt("read " + note, [&]() -> std::optional<live_view> {
    if (!os::status_at(in.directory(), note)) return std::nullopt;
    const os::descriptor file = os::open_at(in.directory(), note, rights);
    const std::size_t bytes = os::status(file.get()).size_bytes;
    if (bytes <= live_page) return std::nullopt;
    os::mapping mapped(file.get(), bytes, rights);
    // They would keep its pages after its end.
    static_cast<void>(os::keep_from_children(mapped.base(), mapped.length_bytes()));
    const auto& head = *std::launder(reinterpret_cast<const live_header*>(mapped.base()));
    if (head.begins != magic || head.layout != layout || !is_sane(head.size)) return std::nullopt;
    if (board::board::size_bytes(head.size) > bytes - live_page) return std::nullopt;
    const board::dimensions size = head.size;
    return live_view(std::move(mapped), size);
  });
}

harvest harvest_of(const live_view& from, const shape& expected, const board::undo& old_values) {
  const board::board& on = from.board();
  harvest found{record(expected), {}};
  for (const suspect& each : from.header().suspects) {
    if (each.times != 0) found.suspects.push_back(each);
  }
  for (unsigned slot = 0; slot < on.size().slots; ++slot) {
    const std::uint64_t length =
        std::min<std::uint64_t>(on.at(slot).length.load(relaxed), on.size().chunks);
    for (std::uint64_t k = 0; on.size().undo_bytes != 0 && k < length; ++k) {
      static_cast<void>(chunk_in_log(on, slot, k));
    }
    const std::uint64_t saved = on.at(slot).saved.load(relaxed);
    if (saved > length || on.at(slot).undo_first.load(relaxed) > saved) {
      throw error(std::errc::bad_message, "cannot go on with a map: found old values of " +
                                              std::to_string(saved) + " chunks, expected at most " +
                                              std::to_string(length));
    }
    board::restore(on, slot, old_values, board::of_quarantines::all);
    const std::uint64_t running = on.at(slot).running.load(relaxed);
    if (running != 0 && running <= length) {
      const std::uint64_t chunk = chunk_in_log(on, slot, running - 1);
      const auto known = std::ranges::find(found.suspects, chunk, &suspect::chunk);
      if (known != found.suspects.end()) {
        ++known->times;
      } else {
        found.suspects.push_back({chunk, 1});
      }
    }
    const std::uint64_t covered = std::min(on.covered(slot), length);
    for (std::uint64_t k = 0; on.size().undo_bytes != 0 && k < covered; ++k) {
      const std::uint64_t chunk = chunk_in_log(on, slot, k);
      if (is_good(on, chunk)) continue;
      throw error(std::errc::operation_not_permitted,
                  "cannot go on with a map: found that chunk " + std::to_string(chunk) +
                      " has given up indices, and has changed others in place, expected chunks "
                      "that can be run again; start over, or map from in() to out()");
    }
  }
  found.achieved = cut_of(on, expected);
  std::erase_if(found.suspects,
                [&](const suspect& each) { return found.achieved.has(each.chunk); });
  return found;
}

record committed_of(const board::board& from, const shape& of) {
  record found = inherited_in(from, of);
  for (unsigned slot = 0; slot < from.size().slots; ++slot) {
    add_covered(found, from, slot, from.covered(slot));
  }
  remove_failed(found, from);
  return found;
}

record cut_of(const board::board& from, const shape& of) {
  record cut = inherited_in(from, of);
  for (unsigned slot = 0; slot < from.size().slots; ++slot) {
    add_slot(cut, from, slot, from.area_words());
  }
  remove_failed(cut, from);
  cut.take_partials(from);
  return cut;
}

record result_of(const board::board& from, const shape& of) {
  record all(of);
  for (std::uint64_t chunk = 0; chunk < from.size().chunks; ++chunk) all.add(chunk);
  for (unsigned slot = 0; slot < from.size().slots; ++slot) {
    std::vector<std::uint64_t> words(from.area_words());
    if (!from.snapshot(slot, words).word) continue;
    words.resize(of.state_words);
    all.add_state(std::move(words));
  }
  all.take_partials(from);
  return all;
}

// ---- Making ----

live_area::live_area(const folder& in, std::string note, const shape& of,
                     std::optional<harvest> what, const plan::partition& chunks, std::size_t start,
                     bool for_a_pool)
    : folder_(in),
      note_(std::move(note)),
      shape_(of),
      inherited_(std::move(what)),
      chunks_(chunks),
      start_(start),
      for_a_pool_(for_a_pool) {
  if (inherited_ && inherited_->achieved.count() == 0 && inherited_->suspects.empty()) {
    inherited_.reset();
  }
  if (inherited_) order_ = schedule();
}

void live_area::blame_none() const noexcept {
  if (memory_.base() == nullptr) return;
  for (unsigned slot = 0; slot < size_.slots; ++slot) board().at(slot).running.store(0, relaxed);
}

live_header& live_area::header() const noexcept {
  return *std::launder(reinterpret_cast<live_header*>(memory_.base()));
}

// Whether a chunk has taken everything down too often.
bool live_area::is_last(std::uint64_t chunk) const noexcept {
  return std::ranges::any_of(inherited_->suspects, [&](const suspect& each) {
    return each.chunk == chunk && each.times >= times_until_last;
  });
}

// What is not committed; what is to come last comes last.
std::vector<std::uint64_t> live_area::schedule() const {
  std::vector<std::uint64_t> missing = inherited_->achieved.missing();
  std::stable_partition(missing.begin(), missing.end(),
                        [&](std::uint64_t chunk) { return !is_last(chunk); });
  return missing;
}

board::dimensions live_area::with_inheritance(board::dimensions of) {
  if (!inherited_) return of;
  const auto states = static_cast<unsigned>(inherited_->achieved.states().size());
  of.slots = std::max(of.slots, states);
  of.scheduled = order_.size();
  return of;
}

std::byte* live_area::make(const board::dimensions& of, std::size_t bytes) {
  folder_.require_size(note_, live_page + bytes);
  return folder_.attempt("reserve " + std::to_string(live_page + bytes) + " bytes for a map", [&] {
    const std::string fresh = note_ + ".new";
    folder_.remove(fresh);
    file_ = os::create_new(folder_.directory(), fresh);
    os::reserve(file_, live_page + bytes);
    memory_ = os::anonymous_memory::of_file(file_, live_page + bytes);
    os::read_none_ahead(memory_.base(), memory_.size_bytes());
    if (for_a_pool_)
      static_cast<void>(os::keep_from_children(memory_.base(), memory_.size_bytes()));
    live_header& head = *::new (memory_.base()) live_header{};
    head.begins = magic;
    const std::string boot = os::boot_id();
    std::copy_n(boot.begin(), std::min(boot.size(), head.boot.size() - 1), head.boot.begin());
    head.size = size_ = of;
    head.map = shape_.map;
    head.layout = layout;
    head.state_words = shape_.state_words;
    head.indices = chunks_.all();
    head.grain = chunks_.grain();
    head.start = start_;
    head.began = std::time(nullptr);
    return memory_.base() + live_page;
  });
}

family::kept_board live_area::place_for_others() const {
  return {.number = shape_.map,
          .caller = os::own_pid(),
          .descriptor = file_.get(),
          .bytes = memory_.size_bytes(),
          .offset = live_page};
}

void live_area::begin(const board::board& on, std::span<const std::uint64_t> identity) {
  if (inherited_) {
    const record& achieved = inherited_->achieved;
    std::ranges::copy(order_, on.schedule().begin());
    std::ranges::copy(achieved.set(), on.inherited_set().begin());
    header().carried_over = on.inherited();
    for (std::size_t k = 0; k < std::min(inherited_->suspects.size(), most_suspects); ++k) {
      // One that is given up in this start is tried again in the next one.
      const suspect& one = inherited_->suspects[k];
      header().suspects[k] = {one.chunk, std::min(one.times, times_until_last)};
    }
    if (shape_.partial_bytes != 0) {
      const std::byte* from = achieved.partials().data();
      for (const std::uint64_t chunk : achieved.committed()) {
        std::memcpy(on.partial(chunk), from, shape_.partial_bytes);
        from += shape_.partial_bytes;
      }
    }
    for (unsigned slot = 0; slot < achieved.states().size(); ++slot) {
      on.inherit_state(slot, achieved.states()[slot], identity);
    }
    for (const suspect& each : inherited_->suspects) {
      if (each.times <= times_until_last) continue;
      on.condemn(each.chunk, each.times,
                 "everything was killed while it ran, in " + std::to_string(each.times) +
                     " starts of this job");
    }
    inherited_->achieved = record(shape_);
  }
  folder_.attempt("begin a map",
                  [&] { os::rename_at(folder_.directory(), note_ + ".new", note_); });
}

}  // namespace shard::journal
