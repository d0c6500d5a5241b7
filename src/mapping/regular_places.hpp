// The bins of many values on a regular axis, in vector registers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "shard/axis.hpp"

namespace shard::mapping {

// to[i] = along.index(x[i]) + 1
using place_finder = void (*)(const axis::regular_axis& along, const detail::equal_bins& bins,
                              const double* x, std::size_t count, std::uint32_t* to) noexcept;

// Those that this processor can run, the best one last. They find the same places.
std::span<const place_finder> place_finders() noexcept;

}  // namespace shard::mapping
