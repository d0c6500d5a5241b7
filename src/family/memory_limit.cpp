#include "family/memory_limit.hpp"

#include <algorithm>

namespace shard::family {

// A glance is cheap, and tells by how much the memory can have grown since it
// was measured; measuring takes milliseconds for each GiB. New memory is measured when it may be
// too much, so that the next chunk begins with no more than the limit; what overwrites inherited
// memory is measured as often as that costs 1%. Glances cost 1%, too: one in some 0.3 ms.
bool memory_limit::is_exceeded() {
  constexpr auto seldom = std::chrono::milliseconds(50);
  constexpr auto longest_glance = std::chrono::microseconds(20);  // longer ones were interrupted
  constexpr int share = 100;
  if (private_bytes_ == 0) return false;

  if (!measure_due_) measure_due_ = clock::now();
  const clock::time_point begin = clock::now();
  if (begin < glance_due_) return false;
  const os::memory_glance now = os::glance_at_own_memory();
  const clock::time_point seen = clock::now();
  glance_due_ = seen + share * std::min<clock::duration>(seen - begin, longest_glance);
  const bool has_grown = measured_ + now.new_since(then_) > private_bytes_;
  const bool overwrites = measured_ + now.most_since(then_) > private_bytes_;
  const bool may_measure = seen >= *measure_due_ && (overwrites || seen >= *measure_due_ + seldom);
  if (!has_grown && !may_measure) return false;
  measured_ = os::private_bytes();
  if (measured_ == 0) family_.go_without(memory_limit_held);  // there is no such process
  then_ = now;
  const clock::time_point end = clock::now();
  measure_due_ = end + share * (end - seen);
  return measured_ > private_bytes_;
}

}  // namespace shard::family
