// A new file of zeros, complete but for its name.
#pragma once

#include <cstddef>
#include <span>

#include "memory/file_access.hpp"
#include "memory/location.hpp"
#include "memory/output_file.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

// segment::finish or segment::publish names it; until then nothing is left of it, whatever happens.
// A named one is held already. Throws shard::error.
detail::array unpublished(const location& at, const detail::element_type& type,
                          std::span<const std::size_t> shape, taking name,
                          asked_permissions asked = {});

}  // namespace shard::memory
