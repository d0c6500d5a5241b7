// Text of characters, as numpy's strings are. The oracle is numpy, where it is installed.

#include "shard/u32text.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <unordered_set>
#include <vector>

#include "memory/dtype.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/npy.hpp"

struct airport {
  shard::u32text<6> name;
  char32_t initials[2];
  char32_t grade;
};
template <>
inline constexpr auto shard::fields<airport> =
    std::tuple{shard::field{"name", &airport::name}, shard::field{"initials", &airport::initials},
               shard::field{"grade", &airport::grade}};

namespace {

using shard::u32text;
using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

// One character of each length in UTF-8.
const std::string of_each_length = "a\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80";

TEST(U32Text, IsMadeOfUtf8AndGoesBack) {
  const u32text<6> text(of_each_length);
  EXPECT_EQ(text, U"a\u00e9\u65e5\U0001f600");
  EXPECT_EQ(text.size(), 4u);
  EXPECT_EQ(text.utf8(), of_each_length);
  EXPECT_EQ(text.characters()[4], U'\0');
  EXPECT_TRUE(u32text<1>("").empty());
  std::ostringstream stream;
  stream << text;
  EXPECT_EQ(stream.str(), of_each_length);
}

TEST(U32Text, IsPaddedAndNeverCutSilently) {
  static_assert(u32text<3>(U"abc").size() == 3 && u32text<3>().empty());
  EXPECT_EQ(u32text<4>(of_each_length).utf8(), of_each_length);
  EXPECT_EQ(refusal([] { u32text<3> none(of_each_length); }),
            "cannot store text: found 4 characters, expected at most 3; u32text::truncated() cuts "
            "it");
  mentions(refusal([] { u32text<3> none(U"four"); }), {"found 4 characters"});
  EXPECT_EQ(u32text<3>::truncated(of_each_length), U"a\u00e9\u65e5");
  EXPECT_EQ(u32text<3>::truncated(U"four"), U"fou");
  const std::u32string inner(U"a\0b", 3);
  EXPECT_EQ(u32text<5>(inner), inner);
}

TEST(U32Text, RefusesWhatIsNotUtf8) {
  for (const char* bad : {"\x80", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"}) {
    mentions(refusal([&] { u32text<9> none{std::string_view(bad)}; }), {"expected UTF-8"});
    mentions(refusal([&] { u32text<1>::truncated(std::string_view(bad)); }), {"expected UTF-8"});
  }
  mentions(refusal([] { u32text<9> none("ab\xff"); }), {"a byte at 2"});
}

TEST(U32Text, OfNoCharacterHasNoUtf8) {
  const char32_t numbers[] = {0xd800, 0xdfff, 0x110000, 0xffffffff};
  for (const char32_t each : numbers) {
    const u32text<2> text(std::u32string_view(&each, 1));
    EXPECT_EQ(text.size(), 1u);
    const std::string number = std::to_string(static_cast<unsigned>(each));
    mentions(refusal([&] { (void)text.utf8(); }), {"found number ", number.c_str()});
  }
}

TEST(U32Text, ComparesAndHashesAsItsCharacters) {
  EXPECT_EQ(u32text<3>("ab"), u32text<7>("ab"));
  EXPECT_LT(u32text<3>("ab"), u32text<2>("b"));
  EXPECT_GT(u32text<1>("\xf0\x9f\x98\x80"), U"\uffff");
  const std::unordered_set<u32text<3>> set{u32text<3>("a"), u32text<3>("b"), u32text<3>("a")};
  EXPECT_EQ(set.size(), 2u);
}

TEST(U32Text, IsReadByNumpy) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  shard::save(in / "words.npy", shard::buffer(std::vector{u32text<5>(of_each_length),
                                                          u32text<5>(""), u32text<5>("abcde")}));
  shard::save(in / "letters.npy", shard::buffer(std::vector{U'x', U'\u00e9'}));
  airport one{u32text<6>("Orl\xc3\xa9"), {U'O', U'Y'}, U'\u2605'};
  shard::save(in / "airports.npy", shard::buffer(std::vector{one}));
  EXPECT_TRUE(numpy_agrees(in, R"(
words = np.load('words.npy', mmap_mode='r')
assert words.dtype.str == '<U5' and words.tolist() == ['a\u00e9\u65e5\U0001f600', '', 'abcde'], words
letters = np.load('letters.npy')
assert letters.dtype.str == '<U1' and letters.tolist() == ['x', '\u00e9']
airports = np.load('airports.npy')
assert airports.tolist() == [('Orl\u00e9', 'OY', '\u2605')], airports
)"));
}

TEST(U32Text, IsReadFromNumpyInEitherOrderOfBytes) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
a = np.array(['a\u00e9\u65e5\U0001f600', '', 'abcde'])
np.save('words.npy', a)
np.save('big.npy', a.astype('>U5'))
np.save('airports.npy', np.array([('Orl\u00e9', 'OY', '\u2605')],
                                 [('name', '>U6'), ('initials', 'U2'), ('grade', '>U1')]))
)"));
  const auto words = shard::open<u32text<5>>(in / "words.npy");
  const auto big = shard::load<u32text<5>>(in / "big.npy");
  for (const auto* each : {&words[0], &big[0]}) EXPECT_EQ(each->utf8(), of_each_length);
  EXPECT_EQ(words[1], U"");
  EXPECT_EQ(big[2], U"abcde");
  const auto airports = shard::load<airport>(in / "airports.npy");
  EXPECT_EQ(airports[0].name.utf8(), "Orl\xc3\xa9");
  EXPECT_EQ(airports[0].initials[1], U'Y');
  EXPECT_EQ(airports[0].grade, U'\u2605');
  mentions(refusal([&] { shard::open<u32text<6>>(in / "words.npy"); }), {"'<U5'", "'<U6'"});
  mentions(refusal([&] { shard::open<u32text<5>>(in / "big.npy"); }), {"'>U5'", "shard::load"});
}

TEST(U32Text, IsCalledWhatNumpyCallsIt) {
  const auto described = [](auto of) {
    return shard::memory::text(shard::detail::dtype_of<decltype(of)>());
  };
  EXPECT_EQ(described(u32text<12>()), "'<U12'");
  EXPECT_EQ(described(char32_t{}), "'<U1'");
  EXPECT_EQ(described(airport{}), "[('name', '<U6'), ('initials', '<U2'), ('grade', '<U1')]");
}

}  // namespace
