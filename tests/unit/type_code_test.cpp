// Codes of types in every spelling. The oracle is numpy: what it reads, and how it writes that.

#include "memory/type_code.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "memory/layout.hpp"
#include "numpy.hpp"

namespace {

using shard::memory::canonical_code;
using shard::memory::foreign_name;
using shard::memory::layout;
using shard::memory::read_type_code;
using shard_test::folder;
using shard_test::numpy_agrees;

// Every order of bytes, letter and number of digits, and names. "-" is written for codes that numpy
// refuses, and "?" for names: other versions of numpy have those. Left out is what numpy makes more
// than a code of (commas, subarrays), and a letter that is the number of a type inside numpy.
const char* const write_codes = R"(
import itertools, string, warnings
warnings.simplefilter('ignore')
letters = string.ascii_letters + '?'
numbers = [''] + list(map(str, range(40))) + ['08', '99999', '4x']
units = ['[%s]' % u for u in 'Y M W D h m s ms us ns ps fs as generic min sec B'.split()]
units += ['[25s]', '[03s]', '[1s]', '[0s]', '[-3s]', '[5]', '[2147483647D]', '[2147483648D]', '[3generic]']
units += ['[]', '[', ']', '[ns', '[ns]x']
names = '''bool bool_ bool8 int8 int16 int32 int64 uint8 uint16 uint32 uint64 byte ubyte short ushort
intc uintc int int_ uint intp uintp longlong ulonglong float16 float32 float64 float128 half single
double float float_ longdouble longfloat complex64 complex128 complex256 csingle singlecomplex cdouble
cfloat complex complex_ clongdouble clongfloat longcomplex bytes bytes_ string_ str str_ unicode_ void
object object_ datetime64 timedelta64 uint63 int7 float65 nothing'''.split()
texts = [o + l + n for o in ('', *'<>=|') for l in letters for n in numbers]
texts += [o + t + u for o in ('', *'<>=|') for t in ('M8', 'm8', 'M', 'm', 'datetime64',
          'timedelta64', 'f8') for u in units]
texts += ['<' + n for n in names] + names
with open('codes', 'w') as f:
    for text in texts:
        try:
            code = np.dtype(text).str
        except Exception:
            code = '?' if text in names else '-'
        f.write(text + ' ' + code + '\n')
)";

TEST(TypeCode, IsReadAsNumpyReadsIt) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, write_codes));
  std::ifstream codes(in / "codes");
  std::string text;
  std::string expected;
  int both = 0;
  while (codes >> text >> expected) {
    const auto found = read_type_code(text);
    if (expected == "?") continue;
    if (expected != "-") {
      ASSERT_TRUE(found) << text << ": numpy reads it as " << expected;
      EXPECT_EQ(canonical_code(text), expected) << text;
      ++both;
      continue;
    }
    // On x86 of 32 bits numpy has these.
    const bool elsewhere = text.ends_with("f12") || text.ends_with("c24");
    EXPECT_TRUE(!found || elsewhere) << text << ": numpy refuses it";
    if (!found) {
      EXPECT_EQ(canonical_code(text), text);
    }
  }
  EXPECT_GT(both, 1000);
}

// The size that a layout has is the size that numpy counts, and the words are numpy's own name.
TEST(TypeCode, HasTheSizeAndTheNameThatNumpyGivesIt) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
types = [np.dtype(o + t) for o in '<>' for t in ('?', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8',
         'f2', 'f4', 'f8', 'f16', 'c8', 'c16', 'c32', 'M8[ns]', 'm8[25s]', 'M8', 'U3', 'S3', 'V3', 'O')]
with open('types', 'w') as f:
    for t in types: f.write(f'{t.str} {t.itemsize} {t.newbyteorder("=").name}\n')
)"));
  std::ifstream types(in / "types");
  std::string code;
  std::string name;
  std::size_t size = 0;
  int count = 0;
  while (types >> code >> size >> name) {
    ++count;
    const layout found = shard::memory::layout_of({code, {}});
    EXPECT_EQ(found.size_bytes, size) << code;
    const bool described = code[1] == 'U' || code[1] == 'S' || code[1] == 'V' || code[1] == 'O';
    if (!described) {
      EXPECT_EQ(words(found), name) << code;
    }
  }
  EXPECT_EQ(count, 46);
}

TEST(TypeCode, IsForeignWhereShardHasNoSuchType) {
  const auto name = [](const char* text) { return foreign_name(*read_type_code(text)); };
  EXPECT_EQ(name("<f12"), "float96");
  EXPECT_EQ(name("c24"), "complex192");
  EXPECT_EQ(name("timedelta64[Y]"), "timedelta64[Y], whose unit has no fixed length");
  EXPECT_EQ(name("M8"), "datetime64, which has no unit");
  EXPECT_EQ(name("O4"), "Python objects");
  for (const char* text : {"?", "b", "i8", "u8", "f2", "f4", "f8", "g", "c8", "c16", "G", "S3",
                           "V3", "M8[ns]", "m8[25s]", "U12"}) {
    EXPECT_EQ(name(text), "") << text;
  }
}

}  // namespace
