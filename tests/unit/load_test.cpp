// Arrays read into memory, in any order of bytes and dimensions. The oracle is numpy.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <complex>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "neighbour.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/npy.hpp"

namespace {

using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::open_descriptors;
using shard_test::refusal;

struct rgb {
  std::uint8_t red, green, blue;
};

// Loads NAME.npy, opens NAME-native.npy, which numpy wrote in this machine's order, and expects the
// same bytes. One type in each order of bytes and of dimensions.
template <class T, std::size_t Rank>
void expect_same(const folder& in, const std::string& name) {
  for (const char* order : {"<C", "<F", ">C", ">F"}) {
    const auto loaded = shard::load<T, Rank>(in / (name + order + ".npy"));
    const auto native = shard::open<T, Rank>(in / (name + ".npy"));
    EXPECT_EQ(loaded.shape(), native.shape()) << name << order;
    const auto found = std::as_bytes(loaded.span());
    const auto expected = std::as_bytes(native.span());
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()))
        << name << order;
  }
}

// The numbers 0, 1, 2, … in every type, with ranks 1 to 4.
const char* const write_all_types = R"(
def write(code, shape):
    n = int(np.prod(shape))
    numbers = np.arange(n)
    if code[0] == 'b': numbers = numbers % 2
    if code == 'S5': numbers = numbers.astype('S')
    if code == 'V3': numbers = np.frombuffer(np.arange(3 * n, dtype='u1').tobytes(), 'V3')
    a = numbers.astype(code).reshape(shape)
    if code[0] in 'Mm': a = a.copy(); a.flat[0] = 'NaT'
    if code[0] == 'c': a = a * (1 - 2j)
    name = '%s-%d' % (code, len(shape))
    np.save(name + '.npy', a.astype(np.dtype(code)))
    for order in '<>':
        for dimensions in 'CF':
            b = a.astype(np.dtype(code).newbyteorder(order), order=dimensions)
            with open(name + order + dimensions + '.npy', 'wb') as f:
                np.lib.format.write_array(f, b, version=(len(shape) % 3 + 1, 0))
for code in 'b1 i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 f16 c8 c16 c32 S5 U5 V3 M8[ns] m8[25s]'.split():
    for shape in [(7,), (3, 5), (2, 3, 4), (2, 1, 3, 2)]:
        write(code, shape)
)";

template <class T>
void expect_every_rank(const folder& in, const std::string& code) {
  expect_same<T, 1>(in, code + "-1");
  expect_same<T, 2>(in, code + "-2");
  expect_same<T, 3>(in, code + "-3");
  expect_same<T, 4>(in, code + "-4");
}

TEST(Load, ConvertsEveryTypeInEveryOrder) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, write_all_types));
  expect_every_rank<bool>(in, "b1");
  expect_every_rank<std::int8_t>(in, "i1");
  expect_every_rank<std::byte>(in, "u1");
  expect_every_rank<std::int16_t>(in, "i2");
  expect_every_rank<std::uint16_t>(in, "u2");
  expect_every_rank<std::int32_t>(in, "i4");
  expect_every_rank<std::uint32_t>(in, "u4");
  expect_every_rank<std::int64_t>(in, "i8");
  expect_every_rank<std::uint64_t>(in, "u8");
  expect_every_rank<shard::float16>(in, "f2");
  expect_every_rank<float>(in, "f4");
  expect_every_rank<double>(in, "f8");
  expect_every_rank<long double>(in, "f16");
  expect_every_rank<std::complex<long double>>(in, "c32");
  expect_every_rank<std::complex<float>>(in, "c8");
  expect_every_rank<std::complex<double>>(in, "c16");
  expect_every_rank<shard::text<5>>(in, "S5");
  expect_every_rank<shard::u32text<5>>(in, "U5");
  expect_every_rank<rgb>(in, "V3");
  expect_every_rank<std::chrono::sys_time<std::chrono::nanoseconds>>(in, "M8[ns]");
  expect_every_rank<std::chrono::duration<std::int64_t, std::ratio<25>>>(in, "m8[25s]");
}

TEST(Load, ConvertsMoreThanOneBlock) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
a = np.arange(700 * 601, dtype='>i8').reshape(700, 601)
np.save('square.npy', np.asfortranarray(a))
np.save('line.npy', a.ravel())
np.save('wide.npy', np.asfortranarray(a.reshape(2, -1, 7)))
)"));
  const auto square = shard::load<std::int64_t, 2>(in / "square.npy");
  const auto line = shard::load<std::int64_t>(in / "line.npy");
  const auto wide = shard::load<std::int64_t, 3>(in / "wide.npy");
  ASSERT_EQ(square.size(), 700u * 601);
  for (std::size_t i = 0; i < square.size(); ++i) {
    ASSERT_EQ(square.span()[i], static_cast<std::int64_t>(i));
    ASSERT_EQ(line[i], static_cast<std::int64_t>(i));
    ASSERT_EQ(wide.span()[i], static_cast<std::int64_t>(i));
  }
}

TEST(Load, GivesMemoryOfItsOwn) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer(std::vector<int>{1, 2, 3}));
  auto loaded = shard::load<int>(in / "x.npy");
  loaded[0] = 7;
  EXPECT_EQ(shard::open<int>(in / "x.npy")[0], 1);
  EXPECT_EQ(shard::buffer<int>::reopen(loaded.descriptor())[0], 7);
}

TEST(Load, ReadsArraysWithoutDimensionsOrElements) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
np.save('scalar.npy', np.array(2.5))
np.save('big.npy', np.array(2.5, '>f8'))
np.save('none.npy', np.zeros((3, 0, 2), order='F'))
np.save('row.npy', np.asfortranarray(np.arange(4.0).reshape(1, 4)))
)"));
  EXPECT_EQ(shard::open<double>(in / "scalar.npy")[0], 2.5);
  EXPECT_EQ(shard::open<double>(in / "scalar.npy").size(), 1u);
  EXPECT_EQ(shard::load<double>(in / "big.npy")[0], 2.5);
  mentions(refusal([&] { shard::open<double, 2>(in / "scalar.npy"); }), {"()", "2 dimensions"});
  const std::array<std::size_t, 3> shape{3, 0, 2};
  EXPECT_EQ((shard::load<double, 3>(in / "none.npy").shape()), shape);
  EXPECT_EQ((shard::open<double, 3>(in / "none.npy").shape()), shape);
  EXPECT_EQ((shard::open<double, 2>(in / "row.npy")(0, 3)), 3.0);
}

TEST(Load, ReadsDataAtAnyByte) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2L,)}" + b' ' * 1001 + b'\n'
with open('odd.npy', 'wb') as f:
    f.write(b'\x93NUMPY\x01\x00' + len(head).to_bytes(2, 'little') + head)
    f.write(np.array([1.5, 2.5]).tobytes())
)"));
  mentions(refusal([&] { shard::open<double>(in / "odd.npy"); }), {"data at byte", "shard::load"});
  EXPECT_EQ(shard::load<double>(in / "odd.npy")[1], 2.5);
}

TEST(Load, ConvertsNoTypeToAnother) {
  const folder in;
  shard::save(in / "f4.npy", shard::buffer<float>(3));
  EXPECT_EQ(refusal([&] { shard::load<double>(in / "f4.npy"); }),
            "cannot load " + (in / "f4.npy").string() + ": found '<f4', expected '<f8'");
  mentions(refusal([&] { shard::load<float, 2>(in / "f4.npy"); }), {"(3,)", "2 dimensions"});
  mentions(refusal([&] { shard::load<float>(in / "none.npy"); }), {"No such file"});
  mentions(refusal([&] { shard::load<float>(in.path()); }), {"a directory"});
}

TEST(Load, LeavesNoDescriptorBehind) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer<int>(3));
  std::filesystem::resize_file(in / "x.npy", 4096 + 11);
  const std::size_t before = open_descriptors();
  mentions(refusal([&] { shard::load<int>(in / "x.npy"); }), {"11 bytes of data", "12"});
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Load, RefusesWhatADeadWriterLeftTorn) {
  const folder in;
  auto some = shard::create_live<int>(in / "x.npy", 4096);
  shard_test::tear(some);
  try {
    shard::load<int>(in / "x.npy");
    ADD_FAILURE() << "loaded";
  } catch (const shard::torn_error& e) {
    EXPECT_EQ(e.elements(), (shard::range{0, 1024}));
    mentions(e.what(), {"cannot load elements [0, 1024) of", "x.npy"});
  }
  some.close();
  EXPECT_THROW(shard::load<int>(in / "x.npy"), shard::torn_error) << "nobody has it open";
  shard::open_writable<int>(in / "x.npy").clear_torn({0, 1024});
  EXPECT_EQ(shard::load<int>(in / "x.npy").size(), 4096u);
}

}  // namespace
