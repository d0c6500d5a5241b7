#include "journal/status.hpp"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "journal/checkpointer.hpp"
#include "journal/identity.hpp"
#include "journal/live_area.hpp"
#include "journal/map_note.hpp"
#include "os/boot.hpp"
#include "os/byte_lock.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "shard/error.hpp"

namespace shard::journal {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

std::vector<chunk_under_way> under_way_on(const live_view& live) {
  std::vector<chunk_under_way> all;
  const live_header& head = live.header();
  const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  for (unsigned slot = 0; slot < head.size.slots; ++slot) {
    const board::slot& at = live.board().at(slot);
    const std::uint64_t entry = at.running.load(std::memory_order_acquire);
    if (entry == 0 || entry > head.size.chunks) continue;
    chunk_under_way one{.worker = slot, .chunk = live.board().log(slot)[entry - 1].load(relaxed)};
    if (head.grain != 0) {
      const std::size_t first = head.indices.first + one.chunk * head.grain;
      one.indices = {first, std::min<std::size_t>(first + head.grain, head.indices.last)};
    }
    one.seconds = std::chrono::duration<double>(now - at.began.load(relaxed)).count();
    all.push_back(one);
  }
  return all;
}

// start: which is at work; 0: none.
map_status status_of_map(const notes& in, std::size_t number, std::uint64_t start) {
  map_status found{.number = number};
  const std::string name = std::to_string(number) + ".";
  const std::string boot = os::boot_id();
  if (const auto text = in.read(name + "done")) {
    const auto done = record::read(std::as_bytes(std::span(*text)), nullptr);
    if (done && (done->synced || (!boot.empty() && done->boot == boot))) {
      found.complete = found.known = true;
      found.chunks = found.committed = done->what.of().chunks;
      return found;
    }
  }
  const auto live = live_view::open(in, name + "live", os::protection::read);
  if (live && is_of_boot(live->header(), boot) && (start != 0 || live->header().syncing == 0)) {
    const board::dimensions& size = live->header().size;
    found.known = true;
    found.chunks = size.chunks;
    const shape of{live->header().map, size.chunks, 0, 0};
    found.committed = committed_of(live->board(), of).count();
    found.failures = live->board().failures().size() + live->board().failures_lost();
    found.given_up = live->board().given_up();
    found.began = live->header().began;
    found.carried_over = live->header().carried_over;
    // Of an earlier start, nobody is at work.
    if (start == live->header().start) found.under_way = under_way_on(*live);
    return found;
  }
  if (const auto last = last_record(in, name + "log", nullptr)) {
    found.known = found.from_checkpoint = true;
    found.chunks = last->what.of().chunks;
    found.committed = last->what.count();
  }
  return found;
}

// The numbers of the maps that have begun. Files of other names are not the job's.
std::vector<std::size_t> maps_in(const notes& in) {
  std::vector<std::size_t> all;
  for (const std::string& note : in.all_notes()) {
    std::size_t number = 0;
    std::from_chars(note.data(), note.data() + note.size(), number);
    if (number != 0 && note == name_of_note(number)) all.push_back(number);
  }
  std::ranges::sort(all);
  return all;
}

}  // namespace

job_status status_of(const std::filesystem::path& folder) {
  const notes in(folder);
  job_status found;
  in.attempt("look at the lock", [&] {
    const os::descriptor lock = os::open_at(in.directory(), "lock", os::protection::read);
    found.in_use = os::byte_is_locked(lock, 0);
    found.by = holder_in(lock);
  });
  if (const auto text = in.read_text("job.json")) {
    const auto all = nlohmann::ordered_json::parse(*text, nullptr, false);
    if (all.is_object() && all.contains("starts") && all["starts"].is_number_unsigned()) {
      found.starts = all["starts"];
    }
  }
  for (const std::size_t number : maps_in(in)) {
    found.maps.push_back(status_of_map(in, number, found.in_use ? found.starts : 0));
  }
  return found;
}

std::vector<std::string> obstacles_in(const std::filesystem::path& folder) {
  const notes in(folder);
  std::vector<std::string> all;
  for (const std::size_t number : maps_in(in)) {
    const std::optional<map_note> found = note_of(in, number);
    if (!found) continue;
    for (const std::string& each : found->what.changed_files()) {
      all.push_back("map " + std::to_string(number) + ": " + each);
    }
  }
  return all;
}

}  // namespace shard::journal
