// What buffers need of the compiled code to share their elements between processes. Not for users.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shard/bulk.hpp"
#include "shard/detail/index.hpp"
#include "shard/detail/segment.hpp"
#include "shard/range.hpp"

namespace shard::detail {

// ---- Bulk transfers. Runs are within the segment; all of them together are one transfer.

enum class patience { tries, waits };

transfer read_runs(const segment& of, std::span<const run> runs, std::byte* to, patience how);
transfer write_runs(segment& of, std::span<const run> runs, const std::byte* from, patience how);
transfer fill_runs(segment& of, std::span<const run> runs, const std::byte* element);
// Calls apply(context) while the runs are being written by nobody else. It must not throw.
transfer change_runs(segment& of, std::span<const run> runs, void (*apply)(void* context),
                     void* context);
// Throws torn_error, or shard::error(device_or_resource_busy).
[[noreturn]] void refuse_transfer(const transfer& what, const segment& of);
inline void require_done(const transfer& what, const segment& of) {
  if (!what) refuse_transfer(what, of);
}

std::vector<range> torn_ranges(const segment& of);
void clear_torn(segment& of, range elements);

// ---- The lock. Without a deadline they wait; with one that has passed they try. False: too late.

using deadline = std::optional<std::chrono::steady_clock::time_point>;

// Never, if it is further away than the clock can say.
template <class Rep, class Period>
deadline deadline_in(std::chrono::duration<Rep, Period> limit) {
  using clock = std::chrono::steady_clock;
  const auto now = clock::now();
  const std::chrono::duration<double> seconds = limit;
  if (seconds >= clock::time_point::max() - now) return {};
  return now + std::chrono::ceil<clock::duration>(limit);
}

bool lock_exclusively(segment& of, deadline until);
bool lock_shared(segment& of, deadline until);
void unlock_exclusively(segment& of);
void unlock_shared(segment& of);
bool is_abandoned(const segment& of);
void clear_abandoned(segment& of);

// ---- Notifications.

void notify(segment& of);
std::uint32_t wait_for_notice(segment& of, deadline until);
int event_descriptor(segment& of);

}  // namespace shard::detail
