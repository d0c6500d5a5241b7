// What processors move between each other as one.
#pragma once

#include <cstddef>

namespace shard::memory {

inline constexpr std::size_t line_bytes = 64;

}  // namespace shard::memory
