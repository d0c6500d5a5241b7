// What one turn of a loop waits for. Each thing that is added has a token, which tells after the
// wait whether that thing is ready: nobody counts positions.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

#include "os/descriptor.hpp"
#include "os/process.hpp"

namespace shard::os {

class poll_set {
 public:
  // A thing of this set. One that no set has given is never ready.
  class token {
    friend class poll_set;
    std::size_t at_ = std::numeric_limits<std::size_t>::max();
  };

  // Until it is readable, or its other end is closed. -1, and an empty one: never.
  token add(int descriptor) { return add(watched{descriptor}); }
  token add(const descriptor& of) { return add(of.get()); }
  // Until it can be written to, or will never again.
  token add_for_writing(int descriptor) { return add(watched{descriptor, false, true}); }

  // The wait ends after this at the latest. Of several limits the soonest counts.
  void wake_after(std::chrono::milliseconds limit) {
    limit_ = std::min(limit_.value_or(limit), limit);
  }

  // As wait_ready(), with what was added until now.
  void wait() { wait_ready(all_, limit_); }

  bool ready(token of) const noexcept { return of.at_ < all_.size() && all_[of.at_].ready; }

 private:
  token add(const watched& one) {
    token made;
    made.at_ = all_.size();
    all_.push_back(one);
    return made;
  }

  std::vector<watched> all_;
  std::optional<std::chrono::milliseconds> limit_;
};

}  // namespace shard::os
