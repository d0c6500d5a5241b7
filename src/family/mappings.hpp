// The mappings of buffers in a worker: those that it inherits, of which it may write to none, and
// those that it was granted, which it maps anew.
#pragma once

#include <cstddef>
#include <vector>

#include "family/crew.hpp"
#include "memory/segment.hpp"
#include "os/mapping.hpp"

namespace shard::family {

enum class held {
  inherited,
  inherited_output,
  forsaken,  // of the program that has started a pool
  granted_for_reading,
  granted_for_writing
};

// A buffer's mapping in this process.
struct mapped {
  const std::byte* base = nullptr;
  std::size_t length_bytes = 0;
  std::size_t data_offset = 0;
  std::size_t element_bytes = 1;
  const char* name = "";
  held how = held::inherited;
};

// Where the system refuses, the roster notes that.
void keep_from_dumps(const roster& family, std::byte* base, std::size_t bytes);
void keep_from_children(const roster& family, std::byte* base, std::size_t bytes);

// Makes the caller's mappings read-only, and those of the run's outputs unreadable. Adds each to
// `to`.
void restrict_inherited_mappings(const crew& all,
                                 const std::vector<memory::live_segment>& inherited,
                                 std::vector<mapped>& to);

// Maps what was granted, into `kept`, and says where its elements are. Adds each to `to`.
std::vector<std::byte*> map_grants(const crew& all, std::vector<os::mapping>& kept,
                                   std::vector<mapped>& to);

}  // namespace shard::family
