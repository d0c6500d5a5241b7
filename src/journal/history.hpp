// What the maps of a job were in earlier starts, as far as it matters for other maps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "journal/folder.hpp"
#include "journal/job_files.hpp"
#include "journal/map_note.hpp"

namespace shard::journal {

class history {
 public:
  // Reads all notes. Throws shard::error.
  history(const folder& in, const job_files& files);

  bool has(std::size_t map) const noexcept { return map <= maps_.size(); }
  // Whether this map, or one behind it, was begun and writes to the file.
  bool is_written_from(const job_file& file, std::size_t map) const;

  // Throws shard::error if this map, or one behind it, has changed what an earlier one has written,
  // or what it reads itself.
  void require_that_it_can_start_over(std::size_t map) const;

  // Forgets this map, and those behind it. Their outputs lose their final names.
  void forget_from(std::size_t map);

  // This map has begun, as that. Requires: those before it have.
  void note(std::size_t map, const map_note& what);

 private:
  using output = std::pair<std::string, std::uint64_t>;  // as a note has it
  struct begun {
    std::vector<output> outputs;
    bool in_place = false;
  };

  const folder& folder_;
  const job_files& files_;
  std::vector<begun> maps_;               // from map 1 on
  std::map<output, std::size_t> writer_;  // the last one of each
};

}  // namespace shard::journal
