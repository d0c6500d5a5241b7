#include "family/roster.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "os/anonymous.hpp"

namespace {

using shard::family::member;
using shard::family::roster;

TEST(Roster, HasAPlaceForEachOfItsParts) {
  for (const unsigned members : {1u, 2u, 64u}) {
    const shard::os::anonymous_memory memory(roster::size_bytes(members), shard::os::sharing::none);
    const roster of(memory.base(), members);
    EXPECT_EQ(of.size(), members);
    std::vector<std::span<const std::byte>> parts;
    const auto take = [&](const void* part, std::size_t bytes) {
      const auto* const first = static_cast<const std::byte*>(part);
      EXPECT_GE(first, memory.base());
      EXPECT_LE(first + bytes, memory.base() + roster::size_bytes(members));
      parts.emplace_back(first, bytes);
    };
    take(&of.takeovers(), sizeof of.takeovers());
    take(&of.output_lost(), sizeof of.output_lost());
    take(&of.forking(), sizeof of.forking());
    take(&of.leader(0), roster::leader_capacity * sizeof of.leader(0));
    take(of.trouble().data(), 512);
    for (unsigned slot = 0; slot < members; ++slot) take(&of.at(slot), sizeof(member));
    std::ranges::sort(parts, {}, [](const auto& part) { return part.data(); });
    const auto overlap = std::ranges::adjacent_find(parts, [](const auto& one, const auto& next) {
      return one.data() + one.size() > next.data();
    });
    EXPECT_EQ(overlap, parts.end()) << members << " members";
  }
}

TEST(Roster, OfZerosIsAFamilyThatLacksNothing) {
  const shard::os::anonymous_memory memory(roster::size_bytes(2), shard::os::sharing::none);
  const roster of(memory.base(), 2);
  EXPECT_EQ(of.lacks(), 0u);
  EXPECT_EQ(of.takeovers(), 0u);
  EXPECT_EQ(of.output_lost(), 0u);
  EXPECT_EQ(of.forking(), 0);
  EXPECT_EQ(of.trouble(), "");
  EXPECT_FALSE(of.is(shard::family::finished));
  for (unsigned k = 0; k < roster::leader_capacity; ++k) EXPECT_EQ(of.leader(k), 0);
  EXPECT_EQ(of.at(1).pid, 0);
}

TEST(Roster, RemembersWhatTheFamilyGoesWithout) {
  const shard::os::anonymous_memory memory(roster::size_bytes(1), shard::os::sharing::none);
  const roster of(memory.base(), 1);
  of.go_without(shard::family::usage_told);
  of.go_without(shard::family::orphans_end);
  of.go_without(shard::family::usage_told);
  EXPECT_EQ(of.lacks(), std::uint32_t{shard::family::usage_told} | shard::family::orphans_end);
}

TEST(Roster, AddsUpTheTimeOfForks) {
  using std::chrono::steady_clock;
  const shard::os::anonymous_memory memory(roster::size_bytes(1), shard::os::sharing::none);
  const roster of(memory.base(), 1);
  const steady_clock::time_point begin = steady_clock::now();
  for (int k = 0; k < 2; ++k) {
    const auto before = of.forking().load();
    const shard::family::fork_timer timer(of);
    EXPECT_EQ(of.forking(), before);
    while (steady_clock::now() == begin) {
    }
  }
  EXPECT_GT(of.forking(), 0);
  EXPECT_LE(std::chrono::nanoseconds(of.forking().load()), steady_clock::now() - begin);
}

}  // namespace
