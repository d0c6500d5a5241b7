// What buffers need of the compiled code to share their elements between processes. Not for users.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "shard/detail/index.hpp"
#include "shard/detail/segment.hpp"
#include "shard/range.hpp"

namespace shard {

struct transfer;  // bulk.hpp

namespace detail {

// ---- Bulk transfers. Runs are within the segment; all of them together are one transfer.

enum class patience { tries, waits };

transfer read_stretches(const segment& of, std::span<const stretch> stretches, std::byte* to,
                        patience how);
transfer write_stretches(segment& of, std::span<const stretch> stretches, const std::byte* from,
                         patience how);
// The same of one stretch. They wait, and throw as refuse_transfer() does.
// Of the elements in these bytes of the data.
void read_bytes(const segment& of, std::size_t first, std::size_t bytes, std::byte* to);
void write_bytes(segment& of, std::size_t first, std::size_t bytes, const std::byte* from);
transfer fill_stretch(segment& of, const stretch& elements, const std::byte* element);
// Calls apply(context), which adds the deltas, while the elements are being written by nobody else.
// It must not throw.
transfer add_stretch(segment& of, const stretch& elements, const std::byte* deltas,
                     void (*apply)(void* context), void* context);
// Throws torn_error, or shard::error(device_or_resource_busy).
[[noreturn]] void refuse_transfer(const transfer& what, const segment& of);

std::vector<range> torn_ranges(const segment& of);
void clear_torn(segment& of, range elements);

// ---- The lock. Without a deadline they wait; with one that has passed they try. False: too late.

using deadline = std::optional<std::chrono::steady_clock::time_point>;

// Passed, unless it is in the future (a NaN is not). Never, if it is a century away: the numbers of
// any clock would soon end.
template <class Rep, class Period>
deadline deadline_in(std::chrono::duration<Rep, Period> limit) {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::duration<double> century = std::chrono::hours(100 * 365 * 24);
  const std::chrono::duration<double> seconds = limit;
  if (seconds >= century) return {};
  if (!(seconds.count() > 0)) return clock::now();
  return clock::now() + std::chrono::ceil<clock::duration>(limit);
}

// The same for a moment of any clock. The difference is exact only where it can't overflow.
template <class Clock, class Duration>
deadline deadline_at(std::chrono::time_point<Clock, Duration> moment) {
  using seconds = std::chrono::duration<double>;
  const auto now = Clock::now();
  const seconds about = seconds(moment.time_since_epoch()) - seconds(now.time_since_epoch());
  return abs(about) < std::chrono::hours(1) ? deadline_in(moment - now) : deadline_in(about);
}

bool lock_exclusively(segment& of, deadline until);
bool lock_shared(segment& of, deadline until);
void unlock_exclusively(segment& of);
void unlock_shared(segment& of);
bool is_abandoned(const segment& of);
void clear_abandoned(segment& of);

// ---- Waiting for elements of 4 or 8 bytes. `old` are the words of the element as it was.

// Returns after a wake, at the deadline, if the element has changed, or for no reason.
void sleep_at(const void* element, std::span<const std::uint32_t> old, deadline until) noexcept;
enum class wakes { one, all };
void wake_at(const void* element, wakes whom) noexcept;

// ---- Notifications.

void notify(segment& of);
std::uint32_t wait_for_notice(segment& of, deadline until);
int event_descriptor(segment& of);
void attach_event(segment& of, int eventfd);
void detach_events(segment& of) noexcept;
void send_event(segment& of, int socket);
void receive_event(segment& of, int socket);

}  // namespace detail

}  // namespace shard
