// How many processors and threads this process has.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace shard::os {

// The processors that this process may use at a time: as many as its affinity mask holds, or fewer
// where a cgroup's quota (v1 or v2, of any group it is in) grants less time than that, rounded up.
// `root` is where /proc and /sys are found.
unsigned cpu_budget(const std::filesystem::path& root = "/");

// Which processor the calling thread runs on, as a number; of no meaning a moment later, but as a
// guess. Negative: it isn't known.
int processor_here() noexcept;

// As cpu_budget(), but a quota is as it was found less than a second ago: to look takes 0.1 ms.
unsigned cpu_budget_of_late();

// Which of the extensions this processor has by which libraries of mathematics choose their code:
// "fma avx avx2 avx512f", say.
std::string vector_extensions();
// Whether the calling thread takes subnormal numbers for zeros.
bool flushes_to_zero() noexcept;

// Threads of this process besides the calling one, without those of a sanitizer's runtime. Nothing:
// /proc does not tell.
std::optional<unsigned> other_threads();

}  // namespace shard::os
