// Stacks as they are written down and told: the innermost frames, the outermost ones, and no line
// that only repeats another.

#include "os/stack_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "os/stack_text.hpp"

namespace {

using shard::os::brief_function;
using shard::os::folded;
using shard::os::joined_ends;
using shard::os::stack_record;
using testing::ElementsAre;

using strings = std::vector<std::string>;

TEST(StackRecord, HasTheFirstAndTheLastFramesOfAnyDepth) {
  for (std::size_t depth = 0; depth < 4 * stack_record::room; ++depth) {
    const auto stack = std::make_unique<stack_record>();
    for (std::size_t k = 0; k < depth; ++k) stack->add(k);
    std::array<std::uint64_t, stack_record::room> found{};
    const std::size_t count = stack->copy(found);
    ASSERT_EQ(count + stack->left_out(), depth);
    for (std::size_t k = 0; k < count; ++k) {
      const bool first = k < stack_record::innermost;
      ASSERT_EQ(found[k], first ? k : depth - (count - k)) << "of " << depth;
    }
  }
}

// What folded() says, in full again.
strings unfolded(const strings& lines) {
  strings frames;
  for (const std::string& line : lines) {
    std::size_t count = 0;
    std::size_t length = 1;
    if (line.starts_with("(these ")) {
      std::istringstream(line.substr(7)) >> length;
      std::istringstream(line.substr(line.find("frames ") + 7)) >> count;
      --count;  // once they are there
    } else {
      const std::size_t comma = line.find(", ");
      frames.push_back(line.substr(0, comma));
      if (comma != std::string::npos) std::istringstream(line.substr(comma + 2)) >> count;
      if (count != 0) --count;
    }
    const strings again(frames.end() - static_cast<std::ptrdiff_t>(length), frames.end());
    for (; count != 0; --count) frames.insert(frames.end(), again.begin(), again.end());
  }
  return frames;
}

TEST(Stack, FoldedIsTheSameStack) {
  std::minstd_rand random(1);
  for (int round = 0; round < 2000; ++round) {
    strings frames;
    for (auto parts = random() % 6; parts != 0; --parts) {
      strings part;
      for (auto n = 1 + random() % 9; n != 0; --n) {
        part.push_back(std::string(1, static_cast<char>('a' + random() % 3)));
      }
      for (auto times = 1 + random() % 5; times != 0; --times) {
        frames.insert(frames.end(), part.begin(), part.end());
      }
    }
    ASSERT_EQ(unfolded(folded(frames)), frames);
    ASSERT_LE(folded(frames).size(), frames.size() + frames.size() / 2);
  }
}

TEST(Stack, FoldsARecursionThroughOneFunctionAndThroughSeveral) {
  EXPECT_THAT(folded({"f", "f", "f", "g"}), ElementsAre("f, 3 times", "g"));
  EXPECT_THAT(folded({"x", "f", "g", "h", "f", "g", "h", "f", "k"}),
              ElementsAre("x", "f", "g", "h", "(these 3 frames 2 times)", "f", "k"));
  EXPECT_THAT(folded({"f", "g"}), ElementsAre("f", "g"));
}

TEST(Stack, KeepsBothEndsWhereThereIsNoRoomForAll) {
  for (std::size_t lines = 1; lines < 60; ++lines) {
    for (const std::size_t left_out : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
      strings all;
      for (std::size_t k = 0; k < lines; ++k) all.push_back("frame " + std::to_string(k));
      const std::string text = joined_ends(all, lines / 2, left_out, 256);
      ASSERT_LE(text.size(), 256u);
      std::size_t told = 0;
      std::size_t missing = 0;
      std::string last;
      std::istringstream found(text);
      for (std::string line; std::getline(found, line); last = line) {
        if (line.starts_with('(')) {
          missing = std::stoul(line.substr(1));
        } else {
          ++told;
        }
      }
      ASSERT_EQ(told + missing, lines + left_out);
      ASSERT_EQ(last, all.back());
      ASSERT_TRUE(lines == 1 || text.starts_with("frame 0\n"));
    }
  }
}

TEST(Stack, HasNamesWithoutLongTemplateArguments) {
  EXPECT_EQ(brief_function("std::vector<std::__cxx11::basic_string<char, std::char_traits<char>, "
                           "std::allocator<char> >, std::allocator<int> >::at(unsigned long)"),
            "std::vector<...>::at(unsigned long)");
  EXPECT_EQ(brief_function("parse(std::__cxx11::basic_string<char, std::char_traits<char>, "
                           "std::allocator<char> > const&)"),
            "parse(std::string const&)");
  EXPECT_EQ(brief_function("score<Model<double> >(int)"), "score<Model<double> >(int)");
  const std::string operators =
      "bool operator< <int>(a, b) operator<=> operator<< operator-> operator>> f(std::pair<int, "
      "int>)";
  EXPECT_EQ(brief_function(operators), operators);
  EXPECT_EQ(brief_function("f<decltype(a->b), a_long_name_of_a_type>()"), "f<...>()");
  EXPECT_EQ(brief_function("cut<in the middle of its arguments"), "cut<...>");
}

}  // namespace
