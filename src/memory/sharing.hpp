// Who shares a segment, as its control words and the kernel's locks tell anyone who may read it.
#pragma once

#include <cstddef>

#include "memory/control.hpp"
#include "shard/backing.hpp"

namespace shard::memory {

// What buffer_stats says of control words, of holders and of torn elements. Reads the words as any
// bytes of the file: it attaches to nothing, and so makes and keeps none, waits for nobody, and is
// in nobody's way. While others go on, each figure is of a moment of its own. Throws
// os::call_failed. Needs /proc. Requires: element_bytes > 0 where there are data.
buffer_stats sharing_of(backing kind, const control::place& of, std::size_t element_bytes);

}  // namespace shard::memory
