// Maps that draw random numbers: the numbers belong to the indices, however a map is carried out.

#include <gtest/gtest.h>
#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "process/leftovers.hpp"
#include "shard/shard.hpp"

namespace {

using RandomMap = shard_test::leaves_nothing;

constexpr std::size_t indices = 100;

double draw(std::uint64_t seed, std::size_t i) {
  shard::random_stream random(seed, i);
  random.discard(random.below(1000));
  return random.normal();
}

std::vector<double> drawn_by_a_loop(std::uint64_t seed) {
  std::vector<double> all;
  for (std::size_t i = 0; i < indices; ++i) all.push_back(draw(seed, i));
  return all;
}

std::vector<double> drawn_by_a_map(std::uint64_t seed, const shard::options& how) {
  shard::buffer<double> draws(indices);
  shard::map(how, draws, [=](std::size_t i) { return draw(seed, i); });
  return {draws.begin(), draws.end()};
}

TEST_F(RandomMap, HasTheSameBitsOnAnyNumberOfWorkersAndAtAnyGrain) {
  const std::vector<double> expected = drawn_by_a_loop(42);
  for (const unsigned workers : {1U, 2U, 8U}) {
    for (const std::size_t grain : {1U, 3U, 6U}) {
      EXPECT_EQ(drawn_by_a_map(42, {.workers = workers, .grain = grain}), expected)
          << workers << " workers, grain " << grain;
    }
  }
  EXPECT_NE(drawn_by_a_map(43, {}), expected);
}

TEST_F(RandomMap, HasTheSameBitsAfterAKill) {
  shard::buffer<double> draws(indices);
  shard::buffer<int> attempts(1);
  const shard::report run = shard::map({.workers = 2, .grain = 6}, draws, shard::shared(attempts),
                                       [](std::size_t i, shard::shared_view<int> of) {
                                         const double drawn = draw(42, i);
                                         if (i == 50 && of.fetch_add(0, 1) == 0) raise(SIGKILL);
                                         return drawn;
                                       });
  EXPECT_EQ(run.counts().deaths, 1U);
  EXPECT_EQ(std::vector<double>(draws.begin(), draws.end()), drawn_by_a_loop(42));
}

}  // namespace
