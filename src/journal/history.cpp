#include "journal/history.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "journal/map_note.hpp"
#include "journal/refusal.hpp"

namespace shard::journal {

bool is_written_from(const notes& in, const job_file& file, std::size_t map) {
  for (; const std::optional<map_note> found = note_of(in, map); ++map) {
    if (std::ranges::count(found->outputs, std::pair(file.name, file.number)) != 0) return true;
  }
  return false;
}

void require_that_it_can_start_over(const notes& in, std::size_t map) {
  std::set<std::string> before;
  std::size_t number = 1;
  for (; const std::optional<map_note> found = note_of(in, number); ++number) {
    for (const auto& [name, ignored] : found->outputs) {
      if (number < map) {
        before.insert(name);
      } else if (before.contains(name) || found->in_place) {
        refuse(std::errc::operation_not_permitted,
               "start over from map " + std::to_string(map) + " of the job in " + in.name(),
               "that map " + std::to_string(number) + " has changed " + name +
                   ", which earlier maps have written, or read",
               "outputs of their own for each map; or remove the folder, to start over from map 1");
      }
    }
  }
}

// What says that there was a map goes first.
void forget_from(const folder& in, const job_files& files, std::size_t map) {
  std::vector<std::string> others;
  for (const std::string& note : in.all_notes()) {
    const std::size_t number = std::strtoul(note.c_str(), nullptr, 10);
    if (number < map || number == 0) continue;
    if (note != name_of_note(number)) {
      others.push_back(note);
      continue;
    }
    if (const std::optional<map_note> found = note_of(in, number)) {
      for (const auto& [name, ignored] : found->outputs) {
        if (const job_file* const file = files.called(name)) files.take_final_name_away(*file);
      }
    }
    in.remove(note);
  }
  in.flush_files();
  in.flush_notes();
  for (const std::string& note : others) in.remove(note);
  in.flush_notes();
}

}  // namespace shard::journal
