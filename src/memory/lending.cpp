#include "memory/lending.hpp"

#include <mutex>
#include <vector>

namespace shard::memory {
namespace {

struct registry {
  std::mutex lock;
  std::vector<borrower*> all;
};

// Never destroyed: a buffer in a static variable may go after it.
registry& borrowers() {
  static auto& only = *new registry;
  return only;
}

}  // namespace

void add_borrower(borrower& one) {
  const std::scoped_lock held(borrowers().lock);
  borrowers().all.push_back(&one);
}

void remove_borrower(borrower& one) {
  const std::scoped_lock held(borrowers().lock);
  std::erase(borrowers().all, &one);
}

void recall(std::uint64_t buffer) noexcept {
  const std::scoped_lock held(borrowers().lock);
  for (borrower* const each : borrowers().all) each->give_back(buffer);
}

}  // namespace shard::memory
