// Texts whose width only the file knows. The oracle is numpy.

#include "shard/texts.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/npy.hpp"

namespace {

using shard::open_texts;
using shard::texts;
using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

TEST(Texts, AreReadInAnyWidthOrderAndRank) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
words = np.array([['a', 'b\u00e9'], ['', '\u65e5\U0001f600x'], ['c', 'd']])
for width in 3, 70:
    for order in '<>':
        for dimensions in 'CF':
            a = words.astype('%sU%d' % (order, width), order=dimensions)
            np.save('U%d%s%s.npy' % (width, order, dimensions), a)
    np.save('S%d.npy' % width, np.char.encode(words, 'utf8').astype('S%d' % (3 * width)))
)"));
  const std::vector<std::string> expected{"a", "b\xc3\xa9", "", "\xe6\x97\xa5\xf0\x9f\x98\x80x",
                                          "c", "d"};
  for (const char* width : {"3", "70"}) {
    for (const char* order : {"<C", "<F", ">C", ">F"}) {
      const texts found = open_texts(in / ("U" + std::string(width) + order + ".npy"));
      EXPECT_TRUE(found.are_characters());
      EXPECT_EQ(std::to_string(found.width()), width);
      EXPECT_EQ(found.shape(), (std::vector<std::size_t>{3, 2}));
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(found[i], expected[i]);
      EXPECT_EQ(found.characters(3), U"\u65e5\U0001f600x");
    }
    const texts bytes = open_texts(in / ("S" + std::string(width) + ".npy"));
    EXPECT_FALSE(bytes.are_characters());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(bytes[i], expected[i]);
      EXPECT_EQ(bytes.bytes(i), expected[i]);
    }
  }
}

TEST(Texts, OutliveTheHandleTheyWereOpenedBy) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer(std::vector{shard::text<3>("one"), shard::text<3>("2")}));
  texts second = open_texts(in / "x.npy");
  const texts first = second;
  second = open_texts(in / "x.npy");
  EXPECT_EQ(first[0], "one");
  EXPECT_EQ(first[1], "2");
}

TEST(Texts, AreNoneOnceTheyWereMoved) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer(std::vector{shard::text<3>("one")}));
  texts first = open_texts(in / "x.npy");
  const texts second = std::move(first);
  EXPECT_EQ(second[0], "one");
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): its state is documented
  mentions(refusal([&] { (void)first[0]; }), {"found index 0", "less than its extent 0"});
}

TEST(Texts, SayWhyTheyAreNotOpened) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, "np.save('many.npy', np.zeros((1,) * 9, 'U2'))"));
  mentions(refusal([&] { open_texts(in / "many.npy"); }),
           {"cannot open ", "many.npy: found 9 dimensions, expected at most 8"});
}

TEST(Texts, RefuseWhatIsNone) {
  const folder in;
  shard::save(in / "f4.npy", shard::buffer<float>(2));
  shard::save(in / "s.npy", shard::buffer<shard::text<3>>(2));
  shard::save(in / "u.npy", shard::buffer<shard::u32text<3>>(2));
  shard::save(in / "none.npy", shard::buffer<shard::u32text<3>>(0));
  mentions(refusal([&] { open_texts(in / "f4.npy"); }), {"found float32, expected texts"});
  mentions(refusal([&] { (void)open_texts(in / "s.npy")[2]; }), {"found index 2"});
  mentions(refusal([&] { (void)open_texts(in / "s.npy").characters(0); }), {"bytes()"});
  mentions(refusal([&] { (void)open_texts(in / "u.npy").bytes(0); }), {"characters()"});
  EXPECT_TRUE(open_texts(in / "none.npy").empty());
}

}  // namespace
