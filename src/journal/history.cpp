#include "journal/history.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "journal/refusal.hpp"

namespace shard::journal {

history::history(const folder& in, const job_files& files) : folder_(in), files_(files) {
  for (std::size_t map = 1; const std::optional<map_note> found = note_of(in, map); ++map) {
    note(map, *found);
  }
}

void history::note(std::size_t map, const map_note& what) {
  if (maps_.size() < map) maps_.resize(map);
  maps_[map - 1] = {what.outputs, what.in_place};
  for (const output& one : what.outputs) writer_[one] = std::max(writer_[one], map);
}

bool history::is_written_from(const job_file& file, std::size_t map) const {
  const auto found = writer_.find({file.name, file.number});
  return found != writer_.end() && found->second >= map;
}

void history::require_that_it_can_start_over(std::size_t map) const {
  std::set<std::string> before;
  for (std::size_t number = 1; number <= maps_.size(); ++number) {
    const begun& one = maps_[number - 1];
    for (const auto& [name, ignored] : one.outputs) {
      if (number < map) {
        before.insert(name);
      } else if (before.contains(name) || one.in_place) {
        refuse(std::errc::operation_not_permitted,
               "start over from map " + std::to_string(map) + " of the job in " + folder_.name(),
               "that map " + std::to_string(number) + " has changed " + name +
                   ", which earlier maps have written, or read",
               "outputs of their own for each map; or remove the folder, to start over from map 1");
      }
    }
  }
}

// What says that there was a map goes first.
void history::forget_from(std::size_t map) {
  std::vector<std::string> others;
  for (const std::string& note : folder_.all_notes()) {
    const std::size_t number = std::strtoul(note.c_str(), nullptr, 10);
    if (number < map || number == 0) continue;
    if (note != name_of_note(number)) {
      others.push_back(note);
      continue;
    }
    if (const std::optional<map_note> found = note_of(folder_, number)) {
      for (const auto& [name, ignored] : found->outputs) {
        if (const job_file* const file = files_.called(name)) files_.take_final_name_away(*file);
      }
    }
    folder_.remove(note);
  }
  folder_.flush_files();
  folder_.flush_notes();
  for (const std::string& note : others) folder_.remove(note);
  folder_.flush_notes();
  if (maps_.size() < map) return;
  maps_.resize(map - 1);
  writer_.clear();
  for (std::size_t number = 1; number < map; ++number) {
    for (const output& one : maps_[number - 1].outputs) writer_[one] = number;
  }
}

}  // namespace shard::journal
