// Who shares a segment, as its control words and the kernel's locks tell anyone who may read it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "memory/control.hpp"
#include "os/descriptor.hpp"
#include "shard/backing.hpp"
#include "shard/range.hpp"

namespace shard::memory {

// What buffer_stats says of control words, of holders and of torn elements. Reads the words as any
// bytes of the file: it attaches to nothing, and so makes and keeps none, waits for nobody, and is
// in nobody's way. While others go on, each figure is of a moment of its own. Throws
// os::call_failed. Needs /proc. Requires: element_bytes > 0 where there are data.
buffer_stats sharing_of(backing kind, const control::place& of, std::size_t element_bytes);

// The torn elements alone, seen in the same way. Without /proc, and where bytes can't be locked.
// Requires: `file` holds no locks of its own on them.
std::vector<range> torn_elements(const os::descriptor& file, const control::place& of,
                                 std::size_t element_bytes);

// For who copies all of an array as it is: throws torn_error if any of it is torn.
void require_whole(const std::vector<range>& torn, const std::string& verb, const std::string& of);

}  // namespace shard::memory
