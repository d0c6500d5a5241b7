// What files hold, asked before they are opened; and visits of whatever numbers there are.

#include "shard/inspect.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <complex>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/named.hpp"
#include "shard/npy.hpp"
#include "shard/visit.hpp"

namespace {

using shard::array_info;
using shard::byte_order;
using shard::element_kind;
using shard::inspect;
using shard::strided_view;
using shard::way_in;
using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

TEST(Inspect, SaysWhatAFileHoldsAndHowItIsOpened) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer<float, 2>(3, 4));
  const array_info found = inspect(in / "x.npy");
  EXPECT_EQ(found.descr, "'<f4'");
  EXPECT_EQ(found.type.kind, element_kind::real);
  EXPECT_EQ(found.type.size_bytes, 4u);
  EXPECT_EQ(found.type.name, "float32");
  EXPECT_EQ(found.shape, (std::vector<std::size_t>{3, 4}));
  EXPECT_EQ(found.size(), 12u);
  EXPECT_FALSE(found.column_major);
  EXPECT_EQ(found.order, byte_order::little);
  EXPECT_EQ(found.data_offset, 4096u);
  EXPECT_EQ(found.data_bytes, 48u);
  EXPECT_EQ(found.file_bytes, 4144u);
  EXPECT_EQ(found.kind, shard::backing::file);
  EXPECT_EQ(found.access, way_in::open);
  EXPECT_EQ(found.element, "float");
  EXPECT_EQ(found.why, "");
}

TEST(Inspect, KnowsTheElementOfEveryType) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  const std::vector<std::pair<std::string, std::pair<element_kind, std::string>>> all{
      {"?", {element_kind::boolean, "bool"}},
      {"i2", {element_kind::integer, "std::int16_t"}},
      {"u8", {element_kind::natural, "std::uint64_t"}},
      {"f2", {element_kind::real, "shard::float16"}},
      {"f8", {element_kind::real, "double"}},
      {"c8", {element_kind::complex, "std::complex<float>"}},
      {"S5", {element_kind::text, "shard::text<5>"}},
      {"U5", {element_kind::u32text, "shard::u32text<5>"}},
      {"M8[ns]", {element_kind::date, "std::chrono::sys_time<std::chrono::nanoseconds>"}},
      {"m8[W]", {element_kind::duration, "std::chrono::weeks"}},
      {"m8[90m]",
       {element_kind::duration, "std::chrono::duration<std::int64_t, std::ratio<5400>>"}},
      {"m8[20us]",
       {element_kind::duration, "std::chrono::duration<std::int64_t, std::ratio<1, 50000>>"}},
      {"M8[Y]", {element_kind::date, "shard::raw<8>"}},
      {"V7", {element_kind::bytes, "shard::raw<7>"}},
  };
  std::string program;
  for (const auto& [code, expected] : all) {
    program += "np.save('" + code + ".npy', np.zeros(3, '" + code + "'))\n";
  }
  ASSERT_TRUE(numpy_agrees(in, program));
  for (const auto& [code, expected] : all) {
    const array_info found = inspect(in / (code + ".npy"));
    EXPECT_EQ(found.type.kind, expected.first) << code;
    EXPECT_EQ(found.element, expected.second) << code;
    EXPECT_EQ(found.access, way_in::open) << code;
  }
}

TEST(Inspect, SaysWhatOnlyLoadReadsAndWhatNothingReads) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
np.save('big.npy', np.arange(3, dtype='>i4'))
np.save('columns.npy', np.zeros((2, 3), order='F'))
np.save('objects.npy', np.array([None, 7]))
np.save('many.npy', np.zeros((1,) * 9))
np.save('nothing.npy', np.zeros(3, 'V0'))
)"));
  const array_info big = inspect(in / "big.npy");
  EXPECT_EQ(big.access, way_in::load);
  EXPECT_EQ(big.order, byte_order::big);
  EXPECT_EQ(big.element, "std::int32_t");
  mentions(big.why, {"found '>i4', expected '<i4'"});
  const array_info columns = inspect(in / "columns.npy");
  EXPECT_TRUE(columns.column_major);
  EXPECT_EQ(columns.access, way_in::load);
  for (const char* name : {"objects.npy", "many.npy", "nothing.npy"}) {
    const array_info none = inspect(in / name);
    EXPECT_EQ(none.access, way_in::none) << name;
    EXPECT_EQ(none.element, "") << name;
    EXPECT_NE(none.why, "") << name;
  }
  EXPECT_EQ(inspect(in / "objects.npy").type.kind, element_kind::objects);
}

// A file that numpy did not make: `descr` and `shape` as they are, and data right behind them.
void write_header(const std::filesystem::path& path, const std::string& descr,
                  const std::string& shape, const std::string& data = "") {
  const std::string header =
      "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + "}";
  std::ofstream(path, std::ios::binary)
      << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size()) << '\0' << header
      << data;
}

// Bytes may begin anywhere, unlike numbers.
TEST(Inspect, OpensAtAnyByteWhatIsBytesToABuffer) {
  const folder in;
  const std::string zeros(16, '\0');
  for (const char* descr : {"'<M8[Y]'", "'<m8'", "'<M8[0s]'", "[('x', '<M8[Y]')]"}) {
    for (const char* shape : {"(2,)", "(2,  )"}) {  // one of the two is at an odd byte
      write_header(in / "x.npy", descr, shape, zeros);
      const array_info found = inspect(in / "x.npy");
      EXPECT_EQ(found.access, way_in::open) << descr << " " << found.why;
      EXPECT_EQ(shard::open<shard::raw<8>>(in / "x.npy").size(), 2u);
    }
  }
}

TEST(Inspect, NamesTheFieldThatPythonAloneReads) {
  const folder in;
  write_header(in / "x.npy", "[('a', '<f12'), ('b', [('c', '<f12'), ('d', '|O')])]", "(1,)");
  const array_info found = inspect(in / "x.npy");
  EXPECT_EQ(found.type.kind, element_kind::objects);
  mentions(found.why, {"found Python objects in field 'b.d', which Python alone can read"});
}

// What load() makes has a header of its own, of 4096 bytes.
TEST(Inspect, KnowsWhatLoadHasNoRoomFor) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
a = np.zeros((2, 2), [('field %d' % i, 'u1') for i in range(500)])
np.save('rows.npy', a)
np.save('columns.npy', np.asfortranarray(a))
)"));
  EXPECT_EQ(inspect(in / "rows.npy").access, way_in::open);
  const array_info columns = inspect(in / "columns.npy");
  EXPECT_EQ(columns.access, way_in::none);
  EXPECT_EQ(columns.element, "");
  mentions(columns.why, {"found a type and a shape of", "expected fewer than"});
  mentions(refusal([&] { shard::load<shard::raw<500>, 2>(in / "columns.npy"); }),
           {columns.why.c_str()});
}

TEST(Inspect, RefusesShapesThatOverflow) {
  const folder in;
  for (const char* descr : {"'|V0'", "'<U0'", "'|O'"}) {
    write_header(in / "x.npy", descr, "(9223372036854775808, 4)");
    mentions(refusal([&] { inspect(in / "x.npy"); }), {"one whose size does not overflow"});
    write_header(in / "x.npy", descr, "(0, 9223372036854775808, 4)");
    EXPECT_EQ(inspect(in / "x.npy").size(), 0u) << descr;
  }
}

TEST(Inspect, CountsOneByteAsOne) {
  const folder in;
  for (const auto& [descr, name] :
       {std::pair("'|S1'", "text of up to 1 byte"), std::pair("'|V1'", "1 opaque byte"),
        std::pair("'|V2'", "2 opaque bytes"), std::pair("[('x', '|u1')]", "struct of 1 byte")}) {
    write_header(in / "x.npy", descr, "(0,)");
    EXPECT_EQ(inspect(in / "x.npy").type.name, name);
  }
}

TEST(Inspect, TellsTheFieldsOfStructs) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
inner = np.dtype([('x', '>i2'), ('y', '<f4')])
np.save('x.npy', np.zeros(2, np.dtype([('a', 'i1'), ('table', inner, (2, 3)), ('b', 'U2')], align=True)))
)"));
  const array_info found = inspect(in / "x.npy");
  ASSERT_EQ(found.type.kind, element_kind::structure);
  EXPECT_EQ(found.order, byte_order::mixed);
  const auto& fields = found.type.fields;
  ASSERT_GE(fields.size(), 3u);
  EXPECT_EQ(fields[0].name, "a");
  std::size_t named = 0;
  for (const shard::field_info& each : fields) {
    if (each.padding) continue;
    ++named;
    if (each.name == "table") {
      EXPECT_EQ(each.shape, (std::vector<std::size_t>{2, 3}));
      ASSERT_EQ(each.type.fields.size(), 2u);
      EXPECT_TRUE(each.type.fields[0].type.big_endian);
      EXPECT_EQ(each.type.fields[1].offset, 2u);
    }
  }
  EXPECT_EQ(named, 3u);
}

TEST(Inspect, FindsNamedBuffers) {
  const std::string name = "inspect-" + std::to_string(getpid());
  const auto held = shard::named::create<std::uint16_t>(name, 5);
  const array_info found = shard::named::inspect(name);
  EXPECT_EQ(found.kind, shard::backing::named);
  EXPECT_EQ(found.element, "std::uint16_t");
  EXPECT_EQ(found.size(), 5u);
  mentions(refusal([] { shard::named::inspect("inspect-none"); }), {"cannot inspect named buffer"});
}

TEST(Inspect, RefusesWhatIsNoArray) {
  const folder in;
  mentions(refusal([&] { inspect(in / "none.npy"); }), {"cannot inspect", "No such file"});
  mentions(refusal([&] { inspect(in.path()); }), {"a directory"});
}

// As numpy adds them up, whatever the type, the order and the rank.
TEST(Visit, GivesNumbersOfEveryTypeInRowMajorOrder) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
i = 0
for code in '? i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 g F D G'.split():
    for order in '<>':
        for dimensions in 'CF':
            a = np.array([[1, 0, 1], [1, 1, 0]]).astype(np.dtype(code).newbyteorder(order), order=dimensions)
            np.save('%d.npy' % i, a)
            i += 1
np.save('scalar.npy', np.array(7, 'i2'))
np.save('none.npy', np.zeros((0, 3)))
)"));
  int visited = 0;
  for (int i = 0; i < 64; ++i) {
    shard::visit(in / (std::to_string(i) + ".npy"),
                 [&]<class T>(strided_view<const T> x, const array_info& info) {
                   EXPECT_EQ(info.shape, (std::vector<std::size_t>{2, 3}));
                   ASSERT_EQ(x.size(), 6u);
                   const int expected[] = {1, 0, 1, 1, 1, 0};
                   for (std::size_t k = 0; k < x.size(); ++k) {
                     EXPECT_TRUE(x[k] == T(static_cast<float>(expected[k]))) << info.type.name;
                   }
                   ++visited;
                 });
    shard::visit<2>(in / (std::to_string(i) + ".npy"), [&]<class T>(strided_view<const T, 2> x) {
      EXPECT_EQ(x.extent(1), 3u);
      EXPECT_TRUE(x(1, 1) == T(1.0f) && x(0, 1) == T(0.0f));
      ++visited;
    });
  }
  EXPECT_EQ(visited, 128);
  shard::visit(in / "scalar.npy", []<class T>(strided_view<const T> x) {
    EXPECT_TRUE((std::same_as<T, std::int16_t>));
    ASSERT_EQ(x.size(), 1u);
    EXPECT_TRUE(x[0] == T(7.0f));
  });
  shard::visit(in / "none.npy", [](auto x) { EXPECT_TRUE(x.empty()); });
}

TEST(Visit, RefusesWhatTheFunctionDoesNotTake) {
  const folder in;
  const auto real = []<std::floating_point T>(strided_view<const T>) {};
  shard::save(in / "f4.npy", shard::buffer<float>(2));
  shard::save(in / "i4.npy", shard::buffer<int>(2));
  shard::save(in / "text.npy", shard::buffer<shard::text<3>>(2));
  shard::visit(in / "f4.npy", real);
  mentions(refusal([&] { shard::visit(in / "i4.npy", real); }),
           {"cannot visit", "found int32, expected numbers that the function takes"});
  mentions(refusal([&] { shard::visit(in / "text.npy", [](auto) {}); }),
           {"found text of up to 3 bytes"});
  mentions(refusal([&] { shard::visit<2>(in / "f4.npy", [](auto) {}); }),
           {"found shape (2,), expected 2 dimensions"});
}

// A file of another rank is not even read: there would be no room for its elements.
TEST(Visit, LooksAtTheRankFirst) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, "np.save('big.npy', np.zeros(100_000, '>f8'))"));
  EXPECT_TRUE(shard_test::holds_in_a_child([&] {
    const rlimit limit{4096, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    return mentions(refusal([&] { shard::visit<2>(in / "big.npy", [](auto) {}); }),
                    {"found shape (100000,), expected 2 dimensions"}) &&
           mentions(refusal([&] { shard::visit(in / "big.npy", [](auto) {}); }), {"RLIMIT_FSIZE"});
  }));
}

}  // namespace
