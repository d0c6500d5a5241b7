// What this process has mapped, for lists that are made before a fork.
#pragma once

#include <cstddef>
#include <string>

#include "shard/detail/segment.hpp"

namespace shard::memory {

// One mapping of a segment in this process, as it was when it was asked for.
struct live_segment {
  std::byte* base = nullptr;
  std::size_t length_bytes = 0;
  std::string name;
  std::size_t data_offset = 0;
  std::size_t element_bytes = 0;
  bool may_be_written = false;
  detail::segment* self = nullptr;
};

}  // namespace shard::memory
