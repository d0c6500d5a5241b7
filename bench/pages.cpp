// Also of the group `buffers`: the pages that memory is made of, normal ones against huge ones, and
// what it costs to ask about them.

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <shard/shard.hpp>
#include <stdexcept>
#include <utility>
#include <vector>

#include "budget.hpp"

namespace bench {
namespace {

using numbers = shard::buffer<std::uint64_t>;

constexpr std::size_t gibibyte = std::size_t{1} << 30;

// --- first writes
// ------------------------------------------------------------------------------------------------

template <shard::pages Kind>
workload first_writes(const settings& with) {
  const std::size_t elements = (with.quick ? gibibyte / 64 : gibibyte) / sizeof(std::uint64_t);
  const auto write = [=] {
    auto made = std::make_unique<numbers>(Kind, elements);
    for (std::size_t i = 0; i < elements; ++i) (*made)[i] = i;
    return made;
  };
  return {[=] {
            const auto made = write();
            return digest(std::as_const(*made).span().first(1 << 16));
          },
          [=] {
            std::unique_ptr<numbers> made;
            return time_of([&] { made = write(); });
          }};
}

// --- reads all over 4 GiB, with or without waiting for the one before
// ------------------------------------------------------------------------------------------------

// An odd multiplier and increment visit every place once, in an order that no prefetcher follows
// (Hull and Dobell, "Random number generators", SIAM Review 4, 1962).
constexpr std::uint64_t next_place(std::uint64_t place, std::uint64_t mask) {
  return (place * 6364136223846793005U + 1442695040888963407U) & mask;
}

constexpr std::size_t most_places = 4 * gibibyte / sizeof(std::uint64_t);

template <shard::pages Kind>
std::shared_ptr<numbers> far_apart(const settings& with) {
  const std::size_t places = with.quick ? most_places / 256 : most_places;
  auto made = std::make_shared<numbers>(Kind, places);
  for (std::size_t i = 0; i < places; ++i) (*made)[i] = next_place(i, places - 1);
  return made;
}

// Each element says where the next one is.
template <shard::pages Kind>
workload dependent_reads(const settings& with) {
  auto places = far_apart<Kind>(with);
  const std::size_t often = with.quick ? 1000 : 1'000'000;
  const auto walk = [=] {
    std::uint64_t at = 1;
    for (std::size_t k = 0; k < often; ++k) at = std::as_const(*places)[at];
    return at;
  };
  return {walk, [=] { return time_of([&] { benchmark::DoNotOptimize(walk()); }); }};
}

template <shard::pages Kind>
workload independent_reads(const settings& with) {
  auto places = far_apart<Kind>(with);
  const std::size_t often = with.quick ? 1000 : 4'000'000;
  const auto add = [=] {
    const std::uint64_t mask = places->size() - 1;
    std::uint64_t at = 1;
    std::uint64_t sum = 0;
    for (std::size_t k = 0; k < often; ++k) {
      at = next_place(at, mask);
      sum += std::as_const(*places)[at];
    }
    return sum;
  };
  return {add, [=] { return time_of([&] { benchmark::DoNotOptimize(add()); }); }};
}

// --- stats
// ------------------------------------------------------------------------------------------------

void allow_descriptors(std::size_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(std::max<rlim_t>(limit.rlim_cur, count), limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= count) return;
  throw std::runtime_error("cannot make 10 000 buffers: expected a higher limit of descriptors");
}

// Milliseconds of one call.
workload stats_among_many(const settings& with) {
  const std::size_t others = with.quick ? 100 : 10'000;
  allow_descriptors(others + 100);
  auto all = std::make_shared<std::vector<numbers>>();
  for (std::size_t k = 0; k < others; ++k) all->emplace_back(std::size_t{1});
  auto asked = std::make_shared<numbers>(std::size_t{4} << 17);
  std::ranges::fill(*asked, 1U);
  return {[=] { return asked->stats().data_bytes; },
          [=, keep = all] {
            constexpr int often = 100;
            const double seconds = time_of([&] {
              for (int k = 0; k < often; ++k) static_cast<void>(asked->stats());
            });
            return 1e3 * seconds / often;
          }};
}

}  // namespace

std::vector<budget> page_budgets() {
  using enum shard::pages;
  constexpr std::chrono::seconds time_cap(20);
  std::vector<budget> all;
  const auto add = [&](const char* name, double limit, make_workload ours, make_workload theirs) {
    all.push_back(
        {"buffers", name, "normal pages", limit, time_cap, std::move(ours), std::move(theirs)});
  };
  add("huge_first_writes", 0.8, first_writes<huge>, first_writes<normal>);
  add("huge_dependent", 1 / 1.3, dependent_reads<huge>, dependent_reads<normal>);
  add("huge_independent", 1 / 1.1, independent_reads<huge>, independent_reads<normal>);
  all.push_back({"buffers", "stats_among_10000", "milliseconds", 0.1, time_cap, stats_among_many});
  return all;
}

}  // namespace bench
