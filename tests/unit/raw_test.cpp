// Elements that are bytes to the program, and whose type numpy knows. The oracle is numpy.

#include "shard/raw.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "memory/layout.hpp"
#include "memory/malformed.hpp"
#include "memory/npy_file.hpp"
#include "numpy.hpp"
#include "os/file.hpp"
#include "refusal.hpp"
#include "shard/npy.hpp"

struct labelled {
  std::int32_t id;
  shard::raw<24> what;
  std::array<shard::raw<2>, 3> codes;
  std::int16_t last;
};
template <>
inline constexpr auto shard::fields<labelled> =
    std::tuple{shard::field{"id", &labelled::id}, shard::field{"what", &labelled::what},
               shard::field{"codes", &labelled::codes}, shard::field{"last", &labelled::last}};

namespace {

namespace fs = std::filesystem;
namespace memory = shard::memory;

using shard::raw;
using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

TEST(Raw, IsBytesThatMeanWhatTheProgramKnows) {
  static_assert(sizeof(raw<3>) == 3 && alignof(raw<8>) == 1 && shard::element<raw<3>>);
  constexpr auto half = raw<8>::of(0.5);
  static_assert(half.as<double>() == 0.5 && half == raw<8>::of(0.5) && half != raw<8>());
  EXPECT_EQ(half.bytes()[7], std::byte{0x3f});
  EXPECT_EQ(raw<8>(half.bytes()).as<std::uint64_t>(), 0x3fe0000000000000u);
}

// Eight bytes of all kinds, in either order of bytes.
const char* const write_eight_bytes = R"(
inner = np.dtype([('x', '>i2'), ('y', 'S1', (2,))])
types = ['M8[Y]', '>m8[3M]', 'm8', '>f8', '<c8', 'S8', 'U2', 'V8', '?', [('a', '<f4'), ('b', '>u2', (2,))],
         [('\u65e5', '<i4'), ('\xe9', '<i4')], [(('a title', 'x'), '<i4'), ('y', '<f4')],
         [('', '>i8')], [('a', inner, (2,))]]
types = [np.dtype(t) for t in types if np.dtype(t).itemsize == 8]
import warnings
warnings.simplefilter('ignore')
arrays = [np.arange(1, 49, dtype='u1').view(t).reshape(2, 3) for t in types]
)";

TEST(Raw, OpensAnyTypeOfItsSizeAndKeepsItWhenSaved) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, std::string(write_eight_bytes) + R"(
for i, a in enumerate(arrays):
    np.save('%d.npy' % i, a)
    np.save('columns-%d.npy' % i, np.asfortranarray(a))
)"));
  int count = 0;
  for (; fs::exists(in / (std::to_string(count) + ".npy")); ++count) {
    const std::string name = std::to_string(count) + ".npy";
    const auto opened = shard::open<raw<8>, 2>(in / name);
    EXPECT_EQ(opened(1, 0).bytes()[0], std::byte{25});
    shard::save(in / ("saved-" + name), opened);
    const auto loaded = shard::load<raw<8>, 2>(in / ("columns-" + name));
    const auto again = shard::buffer<const raw<8>, 2>::reopen(loaded.descriptor());
    shard::save(in / ("saved-columns-" + name), again);
  }
  EXPECT_GT(count, 10);
  EXPECT_TRUE(numpy_agrees(in, std::string(write_eight_bytes) + R"(
for i, a in enumerate(arrays):
    for name in 'saved-%d.npy' % i, 'saved-columns-%d.npy' % i:
        saved = np.load(name)
        assert saved.dtype == a.dtype and saved.dtype.fields == a.dtype.fields, (saved.dtype, a.dtype)
        assert saved.shape == a.shape and saved.tobytes() == a.tobytes(), (saved, a)
)"));
}

TEST(Raw, RefusesOtherSizesAndObjects) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
np.save('f4.npy', np.zeros(2, 'f4'))
np.save('objects.npy', np.array([None, 7]))
np.save('inside.npy', np.zeros(2, [('x', 'O')]))
)"));
  mentions(refusal([&] { shard::open<raw<8>>(in / "f4.npy"); }), {"'<f4'", "any type of 8 bytes"});
  mentions(refusal([&] { shard::open<raw<1>>(in / "f4.npy"); }), {"any type of 1 byte,"});
  mentions(refusal([&] { shard::open<raw<8>>(in / "objects.npy"); }), {"Python objects"});
  mentions(refusal([&] { shard::open<raw<8>>(in / "inside.npy"); }), {"'|O'", "Python objects"});
}

TEST(Raw, IsVOfItsSizeInANewFile) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  auto made = shard::create<raw<3>>(in / "x.npy", 2);
  made[1] = raw<3>::of(std::array<char, 3>{'a', 'b', 'c'});
  made.finish();
  EXPECT_TRUE(numpy_agrees(in, R"(
x = np.load('x.npy')
assert x.dtype == 'V3' and x.tobytes() == b'\0\0\0abc', x
)"));
}

TEST(Raw, AsAFieldTakesArraysAndStructs) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  const std::string program = R"(
types = [('<f8', (3,)), ('S2', (3, 4)), [('day', '<M8[Y]'), ('z', '<c16')], 'U6']
arrays = []
for t in types:
    dtype = np.dtype([('id', '<i4'), ('what', *t) if isinstance(t, tuple) else ('what', t),
                      ('codes', '<f2', (3,)), ('last', '<i2')])
    arrays.append(np.arange(1, 73, dtype='u1').view(dtype))
)";
  ASSERT_TRUE(numpy_agrees(in, program + R"(
for i, a in enumerate(arrays): np.save('%d.npy' % i, a)
np.save('big.npy', arrays[0].astype(arrays[0].dtype.newbyteorder('>')))
)"));
  for (int i = 0; i < 4; ++i) {
    const std::string name = std::to_string(i) + ".npy";
    const auto opened = shard::open<labelled>(in / name);
    EXPECT_EQ(opened[1].id, 0x28272625);
    shard::save(in / ("saved-" + name), opened);
  }
  const auto big = shard::load<labelled>(in / "big.npy");
  EXPECT_EQ(big[1].id, 0x28272625) << "a number is converted";
  EXPECT_EQ(big[0].what.bytes()[0], std::byte{12}) << "bytes stay as they are";
  shard::save(in / "saved-big.npy", big);
  EXPECT_TRUE(numpy_agrees(in, program + R"(
for i, a in enumerate(arrays):
    saved = np.load('saved-%d.npy' % i)
    assert saved.dtype == a.dtype and saved.tobytes() == a.tobytes(), (saved.dtype, a.dtype)
big = np.load('saved-big.npy')
assert big.dtype['id'] == '<i4' and big.dtype['what'].base == '>f8' and big.dtype['codes'].base == '>f2'
for name in big.dtype.names: assert np.array_equal(big[name], arrays[0][name], equal_nan=True), name
)"));
}

// What has no room in a header of 4096 bytes can be read, but not be written.
TEST(Raw, RefusesToSaveATypeOfManyFields) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
np.save('x.npy', np.zeros(2, [('field %d' % i, 'u1') for i in range(500)]))
)"));
  const auto opened = shard::open<raw<500>>(in / "x.npy");
  EXPECT_EQ(opened.size(), 2u);
  mentions(refusal([&] { shard::save(in / "y.npy", opened); }), {"a type and a shape of"});
  EXPECT_FALSE(fs::exists(in / "y.npy"));
  mentions(refusal([&] { shard::load<raw<500>>(in / "x.npy"); }), {"a type and a shape of"});
}

shard::detail::element_type type_in(const fs::path& path, std::size_t& rank) {
  const auto file = shard::os::open(path.string(), shard::os::protection::read);
  const memory::npy_file found = memory::read_npy_file(file);
  rank = std::max<std::size_t>(found.header.shape.size(), 1);
  const memory::layout type = memory::layout_of(found.header.descr);
  try {
    return memory::element_type_of(type);
  } catch (const memory::malformed&) {
  } catch (const shard::error&) {
  }
  return {{"|V" + std::to_string(type.size_bytes), {}, true}, type.size_bytes, 1};
}

// Structs of structs and arrays of every type that has no objects, as numpy makes them: aligned and
// packed, with titles and any names, in all orders, ranks and versions of the format.
TEST(EveryDtype, GoesThroughOpenLoadAndSave) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  const std::string program = R"(
import random, warnings
warnings.simplefilter('ignore')
random.seed(12)
codes = ['?', 'i1', 'u1', 'S1', 'S7', 'V3', 'V16'] + [o + t for o in '<>' for t in
         'i2 u2 i4 u4 i8 u8 f2 f4 f8 f16 c8 c16 c32 U1 U5 M8[ns] M8[7D] M8[Y] m8[25s] m8 m8[as]'.split()]
names = ['a', 'b', 'time', 'x y', '\xe9', '\u65e5', "it's", 'c']
def some_dtype(depth):
    if depth == 0 or random.random() < 0.3: return np.dtype(random.choice(codes))
    fields = []
    for name in random.sample(names[:4] if random.random() < 0.7 else names, random.randint(1, 4)):
        title = random.random() < 0.1
        field = [('t' + name, name) if title else name, some_dtype(depth - 1)]
        if random.random() < 0.3: field.append(random.choice([(2,), (1,), (2, 3)]))
        fields.append(tuple(field))
    return np.dtype(fields, align=random.random() < 0.5)
def filled(dtype, shape):
    a = np.zeros(shape, dtype)
    def fill(part):
        if part.dtype.names:
            for name in part.dtype.names: fill(part[name])
        elif part.dtype.kind == 'b': part[...] = np.random.randint(0, 2, part.shape)
        elif part.dtype.char in 'gG': part[...] = np.random.standard_normal(part.shape)
        elif part.dtype.kind == 'U': part[...] = random.choice(['', 'a', '\xe9\u65e5'])
        elif part.size:
            part[...] = np.frombuffer(np.random.bytes(part.nbytes), part.dtype).reshape(part.shape)
    fill(a)
    return a
np.random.seed(12)
arrays = []
for i in range(150):
    dtype = np.dtype(codes[i]) if i < len(codes) else some_dtype(3)
    a = filled(dtype, random.choice([(), (0,), (1,), (5,), (2, 3), (2, 1, 3), (2, 3, 1, 2), (3, 0)]))
    arrays.append(np.asfortranarray(a) if random.random() < 0.3 else a)
def leaves(a):
    if a.dtype.names:
        for name in a.dtype.names: yield from leaves(a[name])
    else: yield a
)";
  ASSERT_TRUE(numpy_agrees(in, program + R"(
for i, a in enumerate(arrays):
    with open('%d.npy' % i, 'wb') as file:
        latin = all(ord(c) < 256 for c in str(a.dtype))
        np.lib.format.write_array(file, a, version=(random.choice([1, 2, 3]) if latin else 3, 0))
)"));
  int opened = 0;
  for (int i = 0; i < 150; ++i) {
    const std::string name = std::to_string(i) + ".npy";
    std::size_t rank = 0;
    const auto type = type_in(in / name, rank);
    const auto loaded = shard::detail::load_file(in / name, type, rank);
    shard::detail::save_file(in / ("loaded-" + name), type, loaded.shape, loaded.owner,
                             shard::durability::memory);
    try {
      const auto mapped =
          shard::detail::open_file(in / name, type, rank, shard::detail::access::read);
      shard::detail::save_file(in / ("opened-" + name), type, mapped.shape, mapped.owner,
                               shard::durability::memory);
      ++opened;
    } catch (const shard::error&) {
    }
  }
  EXPECT_GT(opened, 40);
  EXPECT_TRUE(numpy_agrees(in, program + R"(
import os
def bits(a):  # without the padding of long doubles, where numpy leaves anything
    native = a.astype(a.dtype.newbyteorder('=')).tobytes()
    if a.dtype.char not in 'gG' or np.finfo(a.dtype).nmant != 63: return native
    return np.frombuffer(native, 'u1').reshape(-1, 16)[:, :10].tobytes()
def told(d, converted):  # without titles, which described structs have not
    if d.subdtype: return told(d.subdtype[0], converted), d.shape
    if d.names: return d.itemsize, [(n, d.fields[n][1], told(d.fields[n][0], converted)) for n in d.names]
    bytes = d.kind in 'mM' and np.datetime_data(d)[0] in ('generic', 'Y')
    return d.newbyteorder('<').str if converted and not bytes else d.str
for i, a in enumerate(arrays):
    for name in 'loaded-%d.npy' % i, 'opened-%d.npy' % i:
        if not os.path.exists(name): continue
        saved = np.load(name)
        assert saved.shape == (a.shape or (1,)), (name, saved.shape, a.shape)
        assert told(saved.dtype, False) in (told(a.dtype, False), told(a.dtype, True)), (name, saved.dtype, a.dtype)
        for found, expected in zip(leaves(saved.ravel()), leaves(a.ravel()), strict=True):
            assert bits(found) == bits(expected), (name, found, expected)
)"));
}

}  // namespace
