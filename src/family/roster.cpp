#include "family/roster.hpp"

#include <algorithm>

namespace shard::family {

std::size_t roster::size_bytes(unsigned members) noexcept {
  return sizeof(shared_part) + members * sizeof(member);
}

roster::roster(std::byte* memory, unsigned members) noexcept
    : size_(members),
      shared_(reinterpret_cast<shared_part*>(memory)),
      members_(reinterpret_cast<member*>(memory + sizeof(shared_part))) {}

void roster::tell_trouble(std::string_view what) const noexcept {
  const std::size_t length = std::min(what.size(), sizeof shared_->trouble - 1);
  std::copy_n(what.begin(), length, shared_->trouble);
  shared_->trouble[length] = '\0';
}

}  // namespace shard::family
