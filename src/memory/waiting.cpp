// Waiting for single elements: futexes on the elements themselves.

#include <limits>

#include "os/futex.hpp"
#include "shard/detail/sharing.hpp"

namespace shard::detail {

void sleep_at(const void* element, std::span<const std::uint32_t> old, deadline until) noexcept {
  os::futex_wait_words(element, old, until);
}

void wake_at(const void* element, wakes whom) noexcept {
  os::futex_wake_words(element, whom == wakes::one ? 1 : std::numeric_limits<unsigned>::max());
}

}  // namespace shard::detail
