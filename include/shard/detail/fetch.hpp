// Asking for memory before it is needed. Not for users.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shard::detail {

// Asks for what is so many bytes behind an address. It need not be there: what is behind the end of
// an array isn't touched.
[[gnu::always_inline]] inline void fetch_later(const void* from, std::size_t ahead_bytes) noexcept {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a pointer must not go so far
  __builtin_prefetch(
      reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(from) + ahead_bytes));
}

}  // namespace shard::detail
