// Boards that begin with what an earlier run has committed: claims take places in a schedule.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "board/board.hpp"
#include "board/owner.hpp"
#include "board/recovery.hpp"
#include "board/run_memory.hpp"

namespace {

using namespace shard::board;
using testing::ElementsAre;

constexpr std::array<std::uint64_t, 4> order{7, 3, 9, 1};
constexpr std::size_t committed = 6;  // 0, 2, 4, 5, 6 and 8

class Schedule : public testing::Test {
 protected:
  Schedule()
      : size_{.chunks = 10,
              .slots = 2,
              .accumulator_bytes = 8,
              .units = 10,
              .scheduled = order.size()},
        memory_(run_memory(board::size_bytes(size_), shard::os::sharing::none)),
        board_(memory_.base(), size_) {
    std::ranges::copy(order, board_.schedule().begin());
    const std::array<std::uint64_t, 1> state{600};
    board_.inherited_set()[0] = 0b01'0111'0101;
    board_.inherit_state(0, state, {});
  }

  // Each chunk adds one.
  task counting() {
    return {[](const void* self, const piece& what, std::byte*, std::byte* accumulators,
               description*) noexcept {
              const_cast<Schedule*>(static_cast<const Schedule*>(self))->ran_.push_back(what.chunk);
              std::uint64_t sum = 0;
              std::memcpy(&sum, accumulators, sizeof sum);
              ++sum;
              std::memcpy(accumulators, &sum, sizeof sum);
              return true;
            },
            [](const void*, std::byte*) {},
            [](const void*, std::size_t) { return std::size_t{1}; },
            [](const void*, std::size_t chunk) { return chunk; },
            this,
            {},
            false};
  }
  void work(unsigned slot) {
    const auto memory = run_memory(owner::memory_bytes(size_), shard::os::sharing::none);
    workplace where;
    owner(board_, slot, counting(), {.allowed = {}, .park = false, .little_to_copy_bytes = 64},
          memory.base(), where)
        .work();
  }
  std::uint64_t sum() const {
    std::uint64_t all = 0;
    for (unsigned slot = 0; slot < 2; ++slot) {
      std::array<std::uint64_t, 1> words{};
      board_.snapshot(slot, words);
      all += words[0];
    }
    return all;
  }

  dimensions size_;
  shard::os::anonymous_memory memory_;
  board board_;
  std::vector<std::size_t> ran_;
};

TEST_F(Schedule, IsClaimedInItsOrderBehindWhatIsInherited) {
  EXPECT_EQ(board_.settled(), committed);
  work(0);
  EXPECT_THAT(ran_, ElementsAre(7, 3, 9, 1));
  EXPECT_EQ(board_.settled(), 10U);
  EXPECT_EQ(sum(), 604U);
}

TEST_F(Schedule, IsClaimedByOtherSlotsToo) {
  work(1);
  EXPECT_EQ(board_.settled(), 10U);
  EXPECT_EQ(sum(), 604U);
  ran_.clear();
  work(0);
  EXPECT_TRUE(ran_.empty());
}

TEST_F(Schedule, GivesWhoDiedInAClaimTheChunksOfItsPlaces) {
  board_.cursor().store(2);
  board_.at(1).claims.store(1);
  EXPECT_TRUE(reclaim(board_, 1, [](unsigned) { return false; }));
  EXPECT_EQ(board_.at(1).length.load(), 2U);
  EXPECT_EQ(board_.log(1)[0].load(), 7U);
  EXPECT_EQ(board_.log(1)[1].load(), 3U);
  work(1);
  EXPECT_THAT(ran_, ElementsAre(7, 3, 9, 1));
  EXPECT_EQ(sum(), 604U);
}

TEST_F(Schedule, GivesUpWhatIsCondemnedWhenItIsClaimed) {
  board_.condemn(9, 4, "it has taken everything down");
  work(0);
  EXPECT_THAT(ran_, ElementsAre(7, 3));  // without keep_going it ends the run
  work(1);
  EXPECT_TRUE(board_.is_lost(9));
  ASSERT_EQ(board_.failures().size(), 1U);
  EXPECT_STREQ(board_.failures()[0].what, "it has taken everything down");
}

}  // namespace
