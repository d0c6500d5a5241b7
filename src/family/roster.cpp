#include "family/roster.hpp"

namespace shard::family {

std::size_t roster::size_bytes(unsigned members) noexcept {
  return sizeof(shared_part) + members * sizeof(member);
}

roster::roster(std::byte* memory, unsigned members) noexcept
    : size_(members),
      shared_(reinterpret_cast<shared_part*>(memory)),
      members_(reinterpret_cast<member*>(memory + sizeof(shared_part))) {}

}  // namespace shard::family
