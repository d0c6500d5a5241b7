#include "os/affinity.hpp"

#include <sched.h>

#include <bit>
#include <numeric>

namespace shard::os {
namespace {

// The system's masks have the bits of one number at the same place, and are arrays of longs.
static_assert(sizeof(unsigned long) == sizeof(std::uint64_t));

}  // namespace

unsigned processors::size() const noexcept {
  return std::accumulate(words_.begin(), words_.end(), 0u, [](unsigned sum, std::uint64_t word) {
    return sum + static_cast<unsigned>(std::popcount(word));
  });
}

std::string to_string(const processors& these) {
  std::string text;
  for (unsigned first = 0; first < processors::most; ++first) {
    if (!these.contains(first)) continue;
    unsigned last = first;
    while (these.contains(last + 1)) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(first);
    if (last != first) text += '-' + std::to_string(last);
    first = last;
  }
  return text;
}

std::optional<processors> own_processors() noexcept {
  processors found;
  auto* const mask = reinterpret_cast<cpu_set_t*>(found.words_.data());
  if (::sched_getaffinity(0, sizeof found.words_, mask) != 0) return std::nullopt;
  return found;
}

bool keep_to(const processors& these) noexcept {
  const auto* const mask = reinterpret_cast<const cpu_set_t*>(these.words_.data());
  return ::sched_setaffinity(0, sizeof these.words_, mask) == 0;
}

}  // namespace shard::os
