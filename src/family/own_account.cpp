#include "family/own_account.hpp"

#include <algorithm>
#include <exception>

namespace shard::family {
namespace {

using namespace std::chrono_literals;

// To measure takes milliseconds for each GiB in memory: this is 0.3% of a worker's time.
constexpr auto first_measure = 300ms;
constexpr int measure_cost_factor = 300;

constexpr std::size_t worth_measuring = std::size_t{4} << 20;

}  // namespace

own_account::own_account(const roster& family) noexcept : family_(family) {
  const auto gibibytes = static_cast<int>((at_birth_.peak_bytes >> 30) + 1);
  measure_due_ = clock::now() + gibibytes * first_measure;
}

// The system knows the peak of all that was in memory. While buffers only come to it, what was in
// memory beside them at that moment is at least that peak without the buffers of now.
std::optional<board::account> own_account::give() noexcept {
  const os::memory_glance now = os::glance_at_own_memory();
  if (!now.used) {
    family_.go_without(usage_told);
    return std::nullopt;
  }
  // Where the system says nothing of memory.
  if (now.anonymous_bytes == 0) return board::account{.used = *now.used};
  std::size_t anonymous = now.anonymous_bytes;
  if (now.peak_bytes > peak_in_memory_) {
    peak_in_memory_ = now.peak_bytes;
    anonymous = std::max(anonymous, now.peak_bytes - std::min(now.shared_bytes, now.peak_bytes));
  }
  peak_ = std::max(peak_, anonymous - std::min(at_birth_.anonymous_bytes, anonymous));
  measure(now);
  return board::account{.used = *now.used, .peak_private_bytes = peak_};
}

// What it has overwritten of inherited memory shows in its faults alone, among those at buffers.
void own_account::measure(const os::memory_glance& now) noexcept try {
  if (now.most_since(at_birth_) < peak_ + worth_measuring) return;
  const clock::time_point begin = clock::now();
  if (begin < measure_due_) return;
  peak_ = std::max(peak_, os::private_bytes());
  const clock::time_point end = clock::now();
  measure_due_ = end + measure_cost_factor * (end - begin);
} catch (const std::exception&) {
  // Short of memory: it is looked at again when that is due.
}

}  // namespace shard::family
