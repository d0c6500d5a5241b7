#include "exact/instruction_set.hpp"

#include <array>
#include <cstddef>

namespace shard::exact {
namespace {

constexpr std::array all_sets{instruction_set::baseline, instruction_set::avx2,
                              instruction_set::avx512};

std::size_t count_sets() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0 &&
                    __builtin_cpu_supports("bmi2") != 0;
  if (avx2 && __builtin_cpu_supports("avx512f") != 0) return 3;
  if (avx2) return 2;
#endif
  return 1;
}

const block_functions* functions_of(instruction_set set) noexcept {
  switch (set) {
#if defined(__x86_64__)
    case instruction_set::avx512: return &avx512_functions;
    case instruction_set::avx2: return &avx2_functions;
#endif
    default: return &baseline_functions;
  }
}

const block_functions*& used() noexcept {
  static const block_functions* which = functions_of(instruction_sets().back());
  return which;
}

}  // namespace

std::span<const instruction_set> instruction_sets() noexcept {
  static const std::size_t count = count_sets();
  return std::span(all_sets).first(count);
}

const block_functions& functions() noexcept { return *used(); }
void use(instruction_set set) noexcept { used() = functions_of(set); }

}  // namespace shard::exact
