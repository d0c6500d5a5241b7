// What whoever works for a map has of the buffers that it was granted.
#pragma once

#include <cstddef>
#include <vector>

#include "memory/segment.hpp"
#include "os/mapping.hpp"

namespace shard::memory {

// Maps a segment once more, over an open file description of its own that has only the rights asked
// for: what a worker does with each buffer it was granted. Throws shard::error; needs /proc.
os::mapping map_again(const detail::segment& of, detail::access rights);

// Where this process has the elements of what was granted.
template <class Grants>
std::vector<std::byte*> data_here(const Grants& all) {
  std::vector<std::byte*> data;
  data.reserve(all.size());
  for (const auto& one : all) data.push_back(one.owner->data());
  return data;
}

}  // namespace shard::memory
