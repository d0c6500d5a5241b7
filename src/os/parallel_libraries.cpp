#include "os/parallel_libraries.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace shard::os {
namespace {

constexpr std::array variables{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                               "BLIS_NUM_THREADS"};

// Looks like a function of any type, as dlsym gives it.
template <class Number>
void tell(const char* function, unsigned threads) noexcept {
  void* const found = ::dlsym(RTLD_DEFAULT, function);
  if (found == nullptr) return;
  void (*set)(Number) = nullptr;
  static_assert(sizeof set == sizeof found);
  std::memcpy(&set, &found, sizeof set);
  set(static_cast<Number>(threads));
}

}  // namespace

std::span<const char* const> variables_of_parallel_libraries() noexcept { return variables; }

void limit_parallel_libraries(unsigned threads) noexcept {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%u", threads);
  for (const char* const variable : variables) ::setenv(variable, text.data(), 1);
  tell<int>("omp_set_num_threads", threads);
  tell<int>("openblas_set_num_threads", threads);
  tell<int>("MKL_Set_Num_Threads", threads);
  tell<std::int64_t>("bli_thread_set_num_threads", threads);
}

}  // namespace shard::os
