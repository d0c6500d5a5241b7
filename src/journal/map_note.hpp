// What a map has noted for the next start: what it is, and where its outputs are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "journal/folder.hpp"
#include "journal/identity.hpp"

namespace shard::journal {

struct map_note {
  std::uint64_t number = 0;  // that no other beginning of a map has
  std::string boot;          // in which it was begun, or gone on with, last
  bool in_place = false;     // changes what it reads
  identity what;
  std::vector<std::pair<std::string, std::uint64_t>> outputs;  // names, and numbers

  std::string json() const;
  // note: its name. Throws shard::error.
  static map_note from(const std::string& text, const std::string& note);
};

std::string name_of_note(std::size_t map);
// Nothing: no start has come to this map. Throws shard::error.
std::optional<map_note> note_of(const notes& in, std::size_t map);

}  // namespace shard::journal
