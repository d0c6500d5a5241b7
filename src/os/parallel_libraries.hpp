// Libraries that run threads of their own in a kernel.
#pragma once

#include <span>

namespace shard::os {

// The variables by which they are told before they are loaded.
std::span<const char* const> variables_of_parallel_libraries() noexcept;

// From now on OpenMP, OpenBLAS, MKL and BLIS use at most so many threads in the calling thread, as
// far as they can be told: those that are loaded later, here or in a program that is executed, by
// the environment, and those that are loaded by their own functions, where the program's other
// libraries see them.
void limit_parallel_libraries(unsigned threads) noexcept;

}  // namespace shard::os
