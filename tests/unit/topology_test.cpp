// How workers are spread over processors. The machines are made up: hwloc builds them from a
// description, and gives their processors numbers from 0, in the order in which they lie together.
#include "os/topology.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "os/affinity.hpp"
#include "os/calls.hpp"

namespace {

using shard::os::processors;
using shard::os::topology;

processors all_of(std::initializer_list<unsigned> numbers) {
  processors made;
  for (const unsigned each : numbers) made.insert(each);
  return made;
}

std::vector<unsigned> numbers_in(const processors& these) {
  std::vector<unsigned> found;
  for (unsigned k = 0; k < processors::most; ++k) {
    if (these.contains(k)) found.push_back(k);
  }
  return found;
}

bool overlap(const processors& a, const processors& b) {
  return std::ranges::any_of(numbers_in(a), [&](unsigned each) { return b.contains(each); });
}

std::vector<std::string> texts(const std::vector<processors>& all) {
  std::vector<std::string> found;
  for (const processors& each : all) found.push_back(to_string(each));
  return found;
}

// A machine whose packages, nodes and cores are all alike.
struct machine {
  const char* description;
  unsigned packages;
  unsigned nodes;
  unsigned cores;  // in all
  unsigned threads_of_a_core;

  unsigned size() const { return cores * threads_of_a_core; }
  unsigned core_of(unsigned processor) const { return processor / threads_of_a_core; }
  unsigned package_of(unsigned processor) const { return processor / (size() / packages); }
  unsigned node_of(unsigned processor) const { return processor / (size() / nodes); }

  std::set<unsigned> cores_in(const processors& these) const {
    std::set<unsigned> found;
    for (const unsigned each : numbers_in(these)) found.insert(core_of(each));
    return found;
  }

  friend void PrintTo(const machine& one, std::ostream* to) { *to << one.description; }
};

constexpr machine machines[]{{"pack:1 core:1 pu:1", 1, 1, 1, 1},
                             {"pack:1 core:2 pu:1", 1, 1, 2, 1},
                             {"pack:1 core:1 pu:2", 1, 1, 1, 2},
                             {"pack:2 core:8 pu:2", 2, 1, 16, 2},
                             {"pack:2 numa:1 l3:2 core:3 pu:2", 2, 2, 12, 2},
                             {"numa:4 pack:1 core:5 pu:1", 4, 4, 20, 1},
                             {"pack:3 core:5 pu:4", 3, 1, 15, 4}};

class Placement : public testing::TestWithParam<machine> {
 protected:
  template <class Check>
  void each(Check check) {
    const machine& has = GetParam();
    const topology here(has.description);
    for (unsigned workers = 1; workers <= 40; ++workers) {
      for (const unsigned threads : {0u, 1u, 2u, 3u, 5u}) {
        SCOPED_TRACE(std::to_string(workers) + " workers of " + std::to_string(threads));
        check(has, here.distribute(here.all(), workers, threads), workers, std::max(threads, 1u));
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(OnMachines, Placement, testing::ValuesIn(machines));

TEST_P(Placement, GivesEachWorkerProcessorsThatAreThere) {
  each([](const machine& has, const std::vector<processors>& places, unsigned workers, unsigned) {
    ASSERT_EQ(places.size(), workers);
    for (const processors& one : places) {
      ASSERT_FALSE(one.empty());
      ASSERT_LT(numbers_in(one).back(), has.size());
    }
  });
}

TEST_P(Placement, IsTheSameEachTime) {
  const topology here(GetParam().description);
  each([&](const machine&, const std::vector<processors>& places, unsigned workers,
           unsigned threads) { ASSERT_EQ(places, here.distribute(here.all(), workers, threads)); });
}

TEST_P(Placement, GivesWholeCoresToOneWorkerEachWhileTheyLast) {
  each([](const machine& has, const std::vector<processors>& places, unsigned workers,
          unsigned threads) {
    if (workers * threads > has.cores) return;
    std::set<unsigned> taken;
    for (const processors& one : places) {
      const std::set<unsigned> cores = has.cores_in(one);
      ASSERT_EQ(cores.size(), threads);
      ASSERT_EQ(one.size(), threads * has.threads_of_a_core);
      taken.insert(cores.begin(), cores.end());
    }
    ASSERT_EQ(taken.size(), workers * threads);
  });
}

TEST_P(Placement, GivesNoProcessorToTwoWorkersWhileTheyLast) {
  each([](const machine& has, const std::vector<processors>& places, unsigned workers, unsigned) {
    if (workers > has.size()) return;
    processors taken;
    for (const processors& one : places) {
      ASSERT_FALSE(overlap(taken, one));
      for (const unsigned each : numbers_in(one)) taken.insert(each);
    }
  });
}

TEST_P(Placement, UsesAllCoresBeforeItSharesOne) {
  each([](const machine& has, const std::vector<processors>& places, unsigned workers, unsigned) {
    if (workers < has.cores) return;
    std::set<unsigned> used;
    for (const processors& one : places) used.merge(has.cores_in(one));
    ASSERT_EQ(used.size(), has.cores);
  });
}

TEST_P(Placement, UsesPackagesEvenly) {
  each([](const machine& has, const std::vector<processors>& places, unsigned workers,
          unsigned threads) {
    if (workers > has.size() || threads != 1) return;
    std::vector<unsigned> used(has.packages);
    for (const processors& one : places) ++used[has.package_of(numbers_in(one).front())];
    const auto [least, most] = std::ranges::minmax(used);
    ASSERT_LE(most - least, 1u);
  });
}

TEST_P(Placement, KeepsTheCoresOfAWorkerInOnePackageWhereEveryPackageHasRoom) {
  each([](const machine& has, const std::vector<processors>& places, unsigned workers,
          unsigned threads) {
    const unsigned at_most_in_one = (workers + has.packages - 1) / has.packages;
    if (at_most_in_one * threads > has.cores / has.packages) return;
    for (const processors& one : places) {
      const std::vector<unsigned> numbers = numbers_in(one);
      ASSERT_EQ(has.package_of(numbers.front()), has.package_of(numbers.back()));
    }
  });
}

TEST_P(Placement, GivesANodeOfMemoryToEachOfTooManyWorkers) {
  each([](const machine& has, const std::vector<processors>& places, unsigned workers, unsigned) {
    if (workers <= has.size()) return;
    std::vector<unsigned> used(has.nodes);
    for (const processors& one : places) {
      ASSERT_EQ(one.size(), has.size() / has.nodes);
      const std::vector<unsigned> numbers = numbers_in(one);
      ASSERT_EQ(has.node_of(numbers.front()), has.node_of(numbers.back()));
      ++used[has.node_of(numbers.front())];
    }
    const auto [least, most] = std::ranges::minmax(used);
    ASSERT_LE(most - least, 1u);
  });
}

TEST(Places, AreThoseThatOneWouldDraw) {
  const topology here("pack:2 core:4 pu:2");
  const auto places = [&](unsigned workers, unsigned threads) {
    return texts(here.distribute(here.all(), workers, threads));
  };
  using all = std::vector<std::string>;
  EXPECT_EQ(places(1, 1), (all{"0-1"}));
  EXPECT_EQ(places(2, 1), (all{"0-1", "8-9"}));
  EXPECT_EQ(places(2, 3), (all{"0-5", "8-13"}));
  EXPECT_EQ(places(3, 1), (all{"0-1", "2-3", "8-9"}));
  EXPECT_EQ(places(8, 1).back(), "14-15");
  EXPECT_EQ(places(16, 1).back(), "15");
  EXPECT_EQ(places(4, 4), (all{"0-3", "4-7", "8-11", "12-15"}));
  EXPECT_EQ(places(17, 1), all(17, "0-15"));
}

// Of two packages of four cores with two processors each, some.
RC_GTEST_PROP(Places, AreWithinWhatIsAllowed, ()) {
  const topology here("pack:2 core:4 pu:2");
  const auto numbers =
      *rc::gen::nonEmpty(rc::gen::unique<std::vector<unsigned>>(rc::gen::inRange(0u, 16u)));
  const auto workers = *rc::gen::inRange(1u, 20u);
  const auto threads = *rc::gen::inRange(0u, 4u);
  processors allowed;
  std::set<unsigned> cores;
  for (const unsigned each : numbers) {
    allowed.insert(each);
    cores.insert(each / 2);
  }
  const std::vector<processors> places = here.distribute(allowed, workers, threads);
  RC_ASSERT(places.size() == workers);
  std::map<unsigned, unsigned> takers;
  std::set<unsigned> cores_used;
  for (const processors& one : places) {
    RC_ASSERT(!one.empty());
    for (const unsigned each : numbers_in(one)) {
      RC_ASSERT(allowed.contains(each));
      ++takers[each];
      cores_used.insert(each / 2);
    }
  }
  const bool one_each = std::ranges::all_of(takers, [](const auto& of) { return of.second == 1; });
  RC_ASSERT(one_each || workers > numbers.size());
  const std::size_t wanted = workers * std::max(threads, 1u);
  if (wanted <= cores.size()) RC_ASSERT(cores_used.size() == wanted);
}

TEST(Places, AreRefusedWhereNoAllowedProcessorIsKnown) {
  const topology here("pack:1 core:2 pu:1");
  EXPECT_THROW(here.distribute(all_of({7}), 1, 1), shard::os::call_failed);
  EXPECT_THROW(here.distribute({}, 1, 1), shard::os::call_failed);
}

TEST(Topology, CountsWhatIsAllowed) {
  const topology here("pack:2 numa:2 core:4 pu:2");
  const topology::counts all = here.count(here.all());
  EXPECT_EQ(all.packages, 2u);
  EXPECT_EQ(all.nodes, 4u);
  EXPECT_EQ(all.cores, 16u);
  EXPECT_EQ(all.processors, 32u);
  const topology::counts some = here.count(all_of({1, 2, 3, 8}));
  EXPECT_EQ(some.packages, 1u);
  EXPECT_EQ(some.nodes, 2u);
  EXPECT_EQ(some.cores, 3u);
  EXPECT_EQ(some.processors, 4u);
}

TEST(Topology, IsRefusedWhereItsDescriptionMakesNoSense) {
  EXPECT_THROW(topology("two cores"), shard::os::call_failed);
}

TEST(Topology, OfThisMachineHasTheProcessorsThatThisThreadMayRunOn) {
  const topology* const here = topology::of_this_machine();
  const auto own = shard::os::own_processors();
  if (here == nullptr || !own) GTEST_SKIP() << "the system does not tell";
  EXPECT_EQ(here, topology::of_this_machine());
  for (const unsigned each : numbers_in(*own)) EXPECT_TRUE(here->all().contains(each)) << each;
  for (const processors& each : here->distribute(*own, 100, 1)) {
    EXPECT_FALSE(each.empty());
    for (const unsigned number : numbers_in(each)) EXPECT_TRUE(own->contains(number));
  }
}

TEST(Processors, AreWrittenAsTheSystemWritesThem) {
  EXPECT_EQ(to_string(processors{}), "");
  EXPECT_EQ(to_string(all_of({0})), "0");
  EXPECT_EQ(to_string(all_of({3, 0, 1, 2, 8})), "0-3,8");
  EXPECT_EQ(to_string(all_of({63, 64, 8191})), "63-64,8191");
  EXPECT_EQ(all_of({63, 64, 8191}).size(), 3u);
}

TEST(Processors, ThatAThreadKeepsToAreItsOwn) {
  const auto before = shard::os::own_processors();
  if (!before) GTEST_SKIP() << "the system does not tell";
  const processors one = all_of({numbers_in(*before).back()});
  ASSERT_TRUE(shard::os::keep_to(one));
  EXPECT_EQ(shard::os::own_processors(), one);
  EXPECT_FALSE(shard::os::keep_to({}));
  EXPECT_EQ(shard::os::own_processors(), one);
  ASSERT_TRUE(shard::os::keep_to(*before));
  EXPECT_EQ(shard::os::own_processors(), *before);
}

}  // namespace
