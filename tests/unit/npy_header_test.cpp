// Headers as text: what is written is read back the same, and what is hostile is refused.

#include "memory/npy_header.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "memory/dtype.hpp"
#include "memory/malformed.hpp"

namespace {

using shard::detail::dtype;
using shard::detail::dtype_field;
using shard::memory::dictionary;
using shard::memory::malformed;
using shard::memory::npy_header;
using shard::memory::parse;

std::string with_type(const std::string& type) {
  return "{'descr': " + type + ", 'fortran_order': False, 'shape': (3,), }";
}

bool is_refused(const std::string& text) {
  try {
    parse(text);
    return false;
  } catch (const malformed& e) {
    EXPECT_FALSE(e.expected().empty());
    EXPECT_LT(std::string(e.what()).size(), 200u) << "a message is a line";
    return true;
  }
}

rc::Gen<std::string> any_name() {
  return rc::gen::container<std::string>(rc::gen::suchThat(
      rc::gen::inRange<char>(' ', '~'), [](char c) { return c != '\'' && c != '"' && c != '\\'; }));
}

rc::Gen<std::vector<std::size_t>> any_shape() {
  return rc::gen::resize(8, rc::gen::arbitrary<std::vector<std::size_t>>());
}

rc::Gen<dtype> any_type(int levels) {
  const auto code =
      rc::gen::element<std::string>("|b1", "|u1", ">i2", "<i8", "<f8", ">c16", "|S3", "|V24");
  const auto plain = rc::gen::map(code, [](std::string one) { return dtype{std::move(one), {}}; });
  if (levels == 0) return plain;
  return rc::gen::oneOf(
      plain, rc::gen::exec([levels] {
        dtype list;
        const int count = *rc::gen::inRange(1, 5);
        for (int i = 0; i < count; ++i) {
          list.fields.push_back({*any_name(), *any_type(levels - 1), *any_shape()});
        }
        return list;
      }));
}

RC_GTEST_PROP(NpyHeader, IsReadAsItWasWritten, ()) {
  const npy_header written{*any_type(3), *rc::gen::arbitrary<bool>(), *any_shape()};
  const std::string text = dictionary(written);
  const npy_header read = parse(text);
  RC_ASSERT(dictionary(read) == text);
  RC_ASSERT(read.shape == written.shape);
  RC_ASSERT(read.fortran_order == written.fortran_order);
}

// Spaces between tokens mean nothing, whatever stands in names.
RC_GTEST_PROP(NpyHeader, IsReadWithAnySpaces, ()) {
  const std::string text = dictionary({*any_type(2), false, *any_shape()});
  std::string spaced;
  char quote = 0;
  for (char c : text) {
    if (c == '\'') quote = quote == 0 ? c : char{0};
    if (quote == 0 && std::string("[](),:{}").find(c) != std::string::npos) {
      spaced += *rc::gen::element<std::string>("", " ", "\n\t") + c + " ";
    } else {
      spaced += c;
    }
  }
  RC_ASSERT(dictionary(parse(spaced)) == text);
}

// What fills a header up means nothing, but hides nothing either.
TEST(NpyHeader, IsFilledByAnyNumberOfBlanks) {
  const std::string text = with_type("'<i8'");
  for (std::size_t count = 0; count < 150; ++count) {
    const std::string blanks(count, ' ');
    for (const char* end : {"", "\n", "\t", " \n \n"}) {
      EXPECT_EQ(dictionary(parse(text + blanks + end)), text) << count;
      EXPECT_TRUE(is_refused(text + blanks + "x" + blanks + end)) << count;
      EXPECT_TRUE(is_refused(text.substr(0, text.size() - 1) + blanks + end)) << count;
    }
    EXPECT_TRUE(is_refused(blanks));
  }
}

// Cut anywhere, it is refused; with a byte changed, it is refused or another header.
RC_GTEST_PROP(NpyHeader, IsNeverReadInPart, ()) {
  const std::string text = dictionary({*any_type(2), false, *any_shape()});
  RC_ASSERT(is_refused(text.substr(0, *rc::gen::inRange<std::size_t>(0, text.size()))));
  std::string changed = text;
  changed[*rc::gen::inRange<std::size_t>(0, text.size())] = *rc::gen::arbitrary<char>();
  try {
    const npy_header read = parse(changed);
    RC_ASSERT(dictionary(parse(dictionary(read))) == dictionary(read));
  } catch (const malformed&) {
  }
}

TEST(NpyHeader, TakesListsOfFieldsAsNumpyWritesThem) {
  for (const char* type : {
           "[('x', '<f8'), ('y', '<f8')]",
           "[('a', '|u1'), ('', '|V7'), ('b', '<f8', (2, 3))]",
           "[('outer', [('inner', '<i4')], (5,))]",
           "[(\"it's\", '|V1')]",
           "[('\xc3\xa9t\xc3\xa9', '<f8')]",
           "[('back\\\\slash', '<f8'), ('new\\nline', '<f8'), ('\\x00\\x7f', '<f8')]",
           "[('it\\'s \"', '<f8')]",
       }) {
    EXPECT_EQ(dictionary(parse(with_type(type))), with_type(type));
  }
  EXPECT_FALSE(is_refused(with_type("[('x', '<f8',),]")));
}

// What there are several spellings of comes out in one.
TEST(NpyHeader, TakesWhatNumpyReadsAndWritesOtherwise) {
  const std::vector<std::pair<std::string, std::string>> same{
      {"'i4'", "'<i4'"},
      {"[(('title', 'x'), '=f8')]", "[(('title', 'x'), '<f8')]"},
      {"[]", "'|V0'"},
      {"[('x', [], (2,))]", "[('x', '|V0', (2,))]"},
      {"[(u'x', U'float64')]", "[('x', '<f8')]"},
      {"[('x', ('<f8', (2,)), (3,))]", "[('x', '<f8', (3, 2))]"},
      {"[('x', (('?', (5,)), (2,)), (3,))]", "[('x', '|b1', (3, 2, 5))]"},
      {"[('\\u00e9\\t\\U0001f600\\xe8', '<f8')]",
       "[('\xc3\xa9\\t\xf0\x9f\x98\x80\xc3\xa8', '<f8')]"},
  };
  for (const auto& [given, means] : same) {
    EXPECT_EQ(dictionary(parse(with_type(given))), with_type(means));
  }
  EXPECT_EQ(dictionary(parse("{u'descr': '<f8', u'fortran_order': False, u'shape': (3,)}")),
            with_type("'<f8'"));
}

// Latin-1 in versions 1 and 2: each byte is a character.
TEST(NpyHeader, ReadsCharactersAsItsVersionHasThem) {
  using shard::memory::encoding;
  const std::string latin1 = with_type("[('\xe9', '<f8'), ('\xe8', '<f8')]");
  const std::string utf8 = with_type("[('\xc3\xa9', '<f8'), ('\xc3\xa8', '<f8')]");
  EXPECT_EQ(dictionary(parse(latin1, encoding::latin1)), utf8);
  EXPECT_EQ(dictionary(parse(utf8, encoding::utf8)), utf8);
  EXPECT_TRUE(is_refused(latin1)) << "no UTF-8";
  for (const char* name :
       {"\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xe0\x80\x80", "\x80"}) {
    EXPECT_TRUE(is_refused(with_type(std::string("[('") + name + "', '<f8')]")));
  }
}

TEST(NpyHeader, RefusesHostileTypes) {
  EXPECT_FALSE(is_refused(with_type("'<f8'")));
  for (const std::string type : {
           "",
           "f8",
           "('<f8', (2,))",
           "{'names': ['x'], 'formats': ['<f8']}",
           "[,]",
           "['<f8']",
           "[('x')]",
           "[('x',)]",
           "[('x', '<f8']",
           "[('x', '<f8')",
           "[('x', '<f8'),, ('y', '<f8')]",
           "[('x', '<f8') ('y', '<f8')]",
           "[(('title',), '<f8')]",
           "[(('a', 'title', 'x'), '<f8')]",
           "[('x', '<f8', 3)]",
           "[('x', '<f8', (3))]",
           "[('x', '<f8', (-3,))]",
           "[('x', '<f8', (3,), 4)]",
           "[('x', ('<f8',))]",
           "[('x', ('<f8', 2))]",
           "('<f8', ())",
           "[('x\\', '<f8')]",
           "[('x\n', '<f8')]",
           "[('\\N{BULLET}', '<f8')]",
           "[('\\ud800', '<f8')]",
           "[('\\U00110000', '<f8')]",
           "[('\\xg0', '<f8')]",
           "[('\\x0', '<f8')]",
           "[('\\q', '<f8')]",
           "['\\",
           "ur'<f8'",
           "'<f8' '<f8'",
           "'<f8' + '<f8'",
           "b'<f8'",
       }) {
    EXPECT_TRUE(is_refused(with_type(type))) << type;
  }
}

TEST(NpyHeader, RefusesEndlessNesting) {
  const auto nested = [](int levels) {
    std::string type = "'<f8'";
    for (int i = 0; i < levels; ++i) type = "[('x', " + type + ")]";
    return with_type(type);
  };
  EXPECT_FALSE(is_refused(nested(16)));
  EXPECT_TRUE(is_refused(nested(17)));
  EXPECT_TRUE(is_refused(nested(7000)));
  EXPECT_TRUE(is_refused(with_type(std::string(60'000, '['))));
  EXPECT_TRUE(is_refused(with_type("[('x', " + std::string(50'000, '('))));
}

TEST(NpyHeader, RefusesHugeCounts) {
  std::string extents;
  for (int i = 0; i < 10'000; ++i) extents += "1, ";
  const std::string front = "{'descr': '<f8', 'fortran_order': False, 'shape': ";
  EXPECT_TRUE(is_refused(front + "(" + extents + ")}"));
  EXPECT_TRUE(is_refused(front + "(18446744073709551616,)}"));
  EXPECT_FALSE(is_refused(front + "(18446744073709551615,)}"));
  EXPECT_FALSE(is_refused(front + "(3L,)}"));
  EXPECT_TRUE(is_refused(front + "(3LL,)}"));
  EXPECT_TRUE(is_refused(front + "(+3,)}"));
  EXPECT_TRUE(is_refused(front + "(3.0,)}"));
  EXPECT_TRUE(is_refused(front + "(0x3,)}"));
  EXPECT_TRUE(is_refused(front + "(\xd9\xa3,)}"));
}

TEST(NpyHeader, CountsBytesWithoutWrapping) {
  using shard::memory::data_bytes;
  const std::size_t huge = std::size_t{1} << 61;
  EXPECT_EQ(data_bytes(std::vector<std::size_t>{3, 4}, 8, 96), 96u);
  EXPECT_EQ(data_bytes(std::vector<std::size_t>{}, 8, 8), 8u);
  EXPECT_EQ(data_bytes(std::vector<std::size_t>{huge, 0, huge}, 8, 0), 0u);
  EXPECT_THROW(data_bytes(std::vector<std::size_t>{3, 4}, 8, 95), malformed);
  EXPECT_THROW(data_bytes(std::vector<std::size_t>{huge, huge}, 8, SIZE_MAX), malformed);
  EXPECT_THROW(data_bytes(std::vector<std::size_t>{huge, 8}, 1, SIZE_MAX), malformed);
}

TEST(NpyHeader, TakesAnyOrderOfBytesWhereThereIsNone) {
  const auto differences = [](const std::string& found, const std::string& wanted) {
    const dtype read = parse(with_type("'" + found + "'")).descr;
    return shard::memory::differences(read, {wanted, {}});
  };
  for (const char* code : {"|u1", "<u1", ">u1", "=u1", "u1", "B", "uint8"}) {
    EXPECT_TRUE(differences(code, "|u1").empty()) << code;
  }
  EXPECT_TRUE(differences("<S3", "|S3").empty());
  EXPECT_TRUE(differences("|f8", "<f8").empty()) << "as numpy reads it";
  EXPECT_EQ(differences(">f8", "<f8").size(), 1u);
  for (const char* code : {"", "<", "|i1", "|u11", "<uint8", "u1 "}) {
    EXPECT_THROW(differences(code, "|u1"), malformed) << code;
  }
}

TEST(NpyHeader, NamesInRefusalsWhatShardDoesNotHave) {
  const auto refusal = [](const std::string& type) -> std::string {
    try {
      shard::memory::differences(parse(with_type(type)).descr, {"<f8", {}});
      return {};
    } catch (const malformed& e) {
      return e.what();
    }
  };
  EXPECT_EQ(refusal("'f2'"), "'<f2'");
  EXPECT_EQ(refusal("'>U12'"), "'>U12'");
  EXPECT_EQ(refusal("'|O'"), "'|O' (Python objects)");
  EXPECT_EQ(refusal("'<M8[Y]'"), "'<M8[Y]' (datetime64[Y], whose unit has no fixed length)");
  EXPECT_EQ(refusal("'<M8[ns]'"), "'<M8[ns]'");
  EXPECT_EQ(refusal("'<f4'"), "'<f4'");
  EXPECT_EQ(refusal("'no type'"), "'no type'");
}

}  // namespace
