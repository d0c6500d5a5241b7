// Which instructions the loops over blocks use.
#pragma once

#include <span>

#include "exact/block.hpp"

namespace shard::exact {

enum class instruction_set { baseline, avx2, avx512 };

// Those that this processor has, the best one last. The results are the same with each.
std::span<const instruction_set> instruction_sets() noexcept;

const block_functions& functions() noexcept;  // of the best one, unless use() was called

// For tests and measurements. Requires: nobody adds meanwhile.
void use(instruction_set) noexcept;

}  // namespace shard::exact
