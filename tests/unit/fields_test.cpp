// Structs whose fields numpy knows by name. The oracle is numpy, where it is installed.

#include "shard/fields.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "described.hpp"
#include "memory/dtype.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/map.hpp"
#include "shard/npy.hpp"
#include "shard/reduce.hpp"

struct tick {
  std::int64_t time;
  double price;
  shard::text<4> venue;
};
template <>
inline constexpr auto shard::fields<tick> = std::tuple{
    shard::field{"time", &tick::time},
    shard::field{"price", &tick::price},
    shard::field{"venue", &tick::venue},
};

// Everything at once: a nested struct, arrays, text, what is not described, fields out of order.
struct day {
  bool open;
  tick last[2];
  char code[3];
  std::byte hidden[5];
  std::array<std::array<float, 3>, 2> table;
  std::complex<float> phase;
};
template <>
inline constexpr auto shard::fields<day> = std::tuple{
    shard::field{"table", &day::table}, shard::field{"phase", &day::phase},
    shard::field{"last", &day::last},   shard::field{"open", &day::open},
    shard::field{"code", &day::code},
};
// clang can't tell what of it is padding: it has a complex number, and bytes that have no name.
template <>
inline constexpr bool shard::keeps_padding<day> = true;

// The same bytes as a tick, by other names.
struct quote {
  std::int64_t time;
  double bid;
  shard::text<4> venue;
};
template <>
inline constexpr auto shard::fields<quote> =
    std::tuple{shard::field{"time", &quote::time}, shard::field{"bid", &quote::bid},
               shard::field{"venue", &quote::venue}};

// Arrays of structs that have arrays of structs, and of every other kind of element.
struct hit {
  std::array<shard::float16, 3> at;
  std::array<std::array<shard::u32text<2>, 2>, 2> names;
};
template <>
inline constexpr auto shard::fields<hit> =
    std::tuple{shard::field{"at", &hit::at}, shard::field{"names", &hit::names}};
struct event {
  std::array<std::array<hit, 2>, 3> hits;
  std::array<std::chrono::sys_time<std::chrono::milliseconds>, 2> times;
  std::array<char, 5> code;
  std::array<std::complex<double>, 1> phase;
};
template <>
inline constexpr auto shard::fields<event> =
    std::tuple{shard::field{"hits", &event::hits}, shard::field{"times", &event::times},
               shard::field{"code", &event::code}, shard::field{"phase", &event::phase}};
template <>
inline constexpr bool shard::keeps_padding<event> = true;

struct opaque_tick {
  std::int64_t time;
  double price;
  shard::text<4> venue;
};

struct twice {
  int a;
  int b;
};
template <>
inline constexpr auto shard::fields<twice> =
    std::tuple{shard::field{"one", &twice::a}, shard::field{"two", &twice::a}};

struct base_of {
  std::uint16_t inherited;
};
struct derived_from : base_of {};
template <>
inline constexpr auto shard::fields<derived_from> =
    std::tuple{shard::field{"inherited", &derived_from::inherited}};

// As numpy lays records out by itself: no field is aligned.
#pragma pack(push, 1)
struct packed_record {
  char flag;
  double energy;
  std::int32_t counts[2];
  shard::text<3> venue;
  std::int64_t time;
};
#pragma pack(pop)
template <>
inline constexpr auto shard::fields<packed_record> = std::tuple{
    shard::field{"flag", &packed_record::flag}, shard::field{"energy", &packed_record::energy},
    shard::field{"counts", &packed_record::counts}, shard::field{"venue", &packed_record::venue},
    shard::field{"time", &packed_record::time}};

namespace {

using shard_test::described;
using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

std::vector<tick> some_ticks() {
  return {{1, 1.5, shard::text<4>("XNAS")}, {-2, 2.5, shard::text<4>("X")}};
}

TEST(Fields, ArePlacedWhereTheCompilerPutThem) {
  EXPECT_EQ(described<tick>(),
            "[('time', '<i8'), ('price', '<f8'), ('venue', '|S4'), ('', '|V4')]");
  EXPECT_EQ(described<day>(),
            "[('open', '|b1'), ('', '|V7'), ('last', " + described<tick>() +
                ", (2,)), ('code', '|S3'), ('', '|V5'), ('table', '<f4', (2, 3)), "
                "('phase', '<c8')]");
  EXPECT_EQ(described<derived_from>(), "[('inherited', '<u2')]");
}

TEST(Fields, AreArraysOfStructsOfArraysInEitherOrderOfBytes) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  const std::string program = R"(
hit = np.dtype([('at', '<f2', (3,)), ('names', '<U2', (2, 2))], align=True)
event = np.dtype([('hits', hit, (3, 2)), ('times', '<M8[ms]', (2,)), ('code', 'S5'), ('phase', '<c16', (1,))],
                 align=True)
a = np.zeros(4, event)
a['hits']['at'] = np.arange(4 * 18).reshape(4, 3, 2, 3)
a['hits']['names'] = [['a', 'b\u00e9'], ['', 'cd']]
a['times'] = [1, -(2**63)]
a['code'] = b'xyz'
a['phase'] = 1 - 2j
)";
  ASSERT_TRUE(numpy_agrees(in, program + R"(
np.save('x.npy', a)
np.save('big.npy', a.astype(event.newbyteorder('>')))
)"));
  const auto opened = shard::open<event>(in / "x.npy");
  const auto loaded = shard::load<event>(in / "big.npy");
  for (const event* each : {&opened[3], &loaded[3]}) {
    EXPECT_EQ(each->hits[2][1].at[2], 71.0f);
    EXPECT_EQ(each->hits[2][1].names[0][1].utf8(), "b\xc3\xa9");
    EXPECT_EQ(each->times[0].time_since_epoch().count(), 1);
    EXPECT_TRUE(shard::is_not_a_time(each->times[1]));
    EXPECT_EQ(each->code[2], 'z');
    EXPECT_EQ(each->phase[0], std::complex<double>(1, -2));
  }
  shard::save(in / "saved.npy", loaded);
  EXPECT_TRUE(numpy_agrees(in, program + R"(
saved = np.load('saved.npy')
assert saved.dtype == event and (saved['hits'] == a['hits']).all() and (saved['phase'] == a['phase']).all()
assert saved['times'].tobytes() == a['times'].tobytes() and (saved['code'] == a['code']).all()
)"));
}

TEST(Fields, AreOpaqueWithoutADescription) { EXPECT_EQ(described<opaque_tick>(), "'|V24'"); }

TEST(Fields, MustNotOverlap) {
  EXPECT_EQ(refusal([] { shard::buffer<twice> none(1); }),
            "cannot describe a struct: found field 'two' inside another, expected fields that "
            "don't overlap");
}

TEST(Fields, AreReadByNumpyByName) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  shard::save(in / "ticks.npy", shard::buffer(some_ticks()));
  auto days = shard::create<day>(in / "days.npy", 3);
  days[1].open = true;
  days[1].last[1].price = 7.5;
  days[1].code[0] = 'A';
  days[1].table[1][2] = 0.25f;
  days[2].phase = {1, -1};
  days.finish();
  EXPECT_TRUE(numpy_agrees(in, R"(
ticks = np.load('ticks.npy', mmap_mode='r')
assert ticks.itemsize == 24 and ticks.dtype.names == ('time', 'price', 'venue'), ticks.dtype
assert ticks['time'].tolist() == [1, -2] and ticks['price'].tolist() == [1.5, 2.5]
assert ticks['venue'].tolist() == [b'XNAS', b'X']
days = np.load('days.npy')
assert days.dtype.names == ('open', 'last', 'code', 'table', 'phase'), days.dtype
assert days['open'].tolist() == [False, True, False]
assert days['last']['price'].tolist() == [[0, 0], [0, 7.5], [0, 0]]
assert days['code'][1] == b'A' and days['table'][1, 1, 2] == 0.25 and days['phase'][2] == 1-1j
)"));
}

TEST(Fields, AreOpenedFromWhatNumpyWrites) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
fields = [('time', 'i8'), ('price', 'f8'), ('venue', 'S4')]
rows = [(1, 1.5, b'XNAS'), (-2, 2.5, b'X')]
np.save('ticks.npy', np.array(rows, np.dtype(fields, align=True)))
np.save('packed.npy', np.array(rows, fields))
np.save('big.npy', np.array(rows, np.dtype(fields, align=True).newbyteorder('>')))
narrow = np.dtype([('time', 'i8'), ('price', 'f4'), ('venue', 'S4')], align=True)
np.save('narrow.npy', np.array(rows, narrow))
one = np.zeros((), np.dtype([('open', '?'), ('last', np.dtype(fields, align=True), 2),
    ('code', 'S3'), ('table', '>f4', (2, 3)), ('phase', 'c8')], align=True))
)"));
  const auto ticks = shard::open<tick>(in / "ticks.npy");
  ASSERT_EQ(ticks.size(), 2u);
  EXPECT_EQ(ticks[0].venue, "XNAS");
  EXPECT_EQ(ticks[1].price, 2.5);
  mentions(refusal([&] { shard::open<tick>(in / "packed.npy"); }),
           {"no field at byte 20", "('', '|V4')", "align=True"});
  mentions(refusal([&] { shard::open<tick>(in / "narrow.npy"); }),
           {"field 'price' as '<f4'", "'<f8'"});
  mentions(refusal([&] { shard::open<tick>(in / "big.npy"); }), {"'>i8'", "shard::load"});
  const auto loaded = shard::load<tick>(in / "big.npy");
  EXPECT_EQ(loaded[1].time, -2);
  EXPECT_EQ(loaded[1].price, 2.5);
  EXPECT_EQ(loaded[1].venue, "X");
}

TEST(Fields, AreConvertedInsideNestedArrays) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
tick = np.dtype([('time', '>i8'), ('price', '<f8'), ('venue', 'S4')], align=True)
day = np.dtype({'names': ['open', 'last', 'code', 'table', 'phase'],
                'formats': ['?', (tick, 2), 'S3', ('>f4', (2, 3)), '>c8'],
                'offsets': [0, 8, 56, 64, 88], 'itemsize': 96})
a = np.zeros((2, 3), day)
a['last']['time'] = np.arange(12).reshape(2, 3, 2)
a['last']['price'] = 0.5
a['table'] = np.arange(36).reshape(2, 3, 2, 3)
a['phase'] = 3 - 4j
np.save('days.npy', np.asfortranarray(a))
)"));
  static_assert(sizeof(day) == 96 && offsetof(day, table) == 64);
  const auto days = shard::load<day, 2>(in / "days.npy");
  for (int i = 0; i < 6; ++i) {
    const day& one = days(i / 3, i % 3);
    EXPECT_EQ(one.last[0].time, 2 * i);
    EXPECT_EQ(one.last[1].time, 2 * i + 1);
    EXPECT_EQ(one.last[1].price, 0.5);
    EXPECT_EQ(one.table[1][2], static_cast<float>(6 * i + 5));
    EXPECT_EQ(one.phase, std::complex<float>(3, -4));
  }
}

TEST(Fields, AreCheckedByNameWhenAFileIsOpened) {
  const folder in;
  shard::save(in / "ticks.npy", shard::buffer(some_ticks()));
  shard::save(in / "opaque.npy", shard::buffer<opaque_tick>(2));
  shard::save(in / "f8.npy", shard::buffer<double>(2));
  EXPECT_EQ(shard::open<tick>(in / "ticks.npy")[1].time, -2);
  EXPECT_EQ(refusal([&] { shard::open<quote>(in / "ticks.npy"); }),
            "cannot open " + (in / "ticks.npy").string() +
                ": found field ('price', '<f8') at byte 8, expected ('bid', '<f8')");
  mentions(refusal([&] { shard::open<tick>(in / "opaque.npy"); }),
           {"found '|V24'", "fields [('time', '<i8')"});
  mentions(refusal([&] { shard::open<opaque_tick>(in / "ticks.npy"); }),
           {"'time'", "expected '|V24'", "shard::fields"});
  mentions(refusal([&] { shard::open<tick>(in / "f8.npy"); }), {"found '<f8'"});
  mentions(refusal([&] { shard::open<double>(in / "ticks.npy"); }), {"expected '<f8'"});
}

TEST(Fields, AreCheckedWhenADescriptorIsReopened) {
  const shard::buffer<tick> ticks(some_ticks());
  EXPECT_EQ(shard::buffer<const tick>::reopen(ticks.descriptor())[0].price, 1.5);
  mentions(refusal([&] { shard::buffer<const quote>::reopen(ticks.descriptor()); }),
           {"('price', '<f8') at byte 8"});
}

// ---- Packed structs: no reference to a field of theirs may be formed, which UBSan would tell.

packed_record some_record(std::size_t i) {
  packed_record made{};
  made.flag = static_cast<char>(i);
  made.energy = static_cast<double>(i) / 2;
  made.counts[1] = static_cast<std::int32_t>(i);
  made.time = static_cast<std::int64_t>(i) - 5;
  return made;
}

TEST(PackedFields, ArePlacedWhereTheCompilerPutThem) {
  EXPECT_EQ(described<packed_record>(),
            "[('flag', '|S1'), ('energy', '<f8'), ('counts', '<i4', (2,)), ('venue', '|S3'), "
            "('time', '<i8')]");
}

TEST(PackedFields, AreWrittenAndReadInEveryWay) {
  const folder in;
  constexpr std::size_t n = 50;
  auto file = shard::create<packed_record>(in / "records.npy", n);
  shard::map({.run_on = shard::executor::serial}, file, some_record);
  auto all = shard::open_writable<packed_record>(in / "records.npy");
  shard::sum<double> energy;
  shard::maximum<std::int64_t> latest;
  shard::map({.run_on = shard::executor::serial}, n, shard::in(all), shard::reduce(energy),
             shard::reduce(latest),
             [](std::size_t i, shard::view<packed_record> from, auto& sum, auto& most) {
               sum += from[i].energy;
               most(from[i].time);
             });
  EXPECT_EQ(energy.value(), n * (n - 1) / 4.0);
  std::vector<packed_record> copies(n);
  all.read({0, n}, copies);
  all.write({1, n}, {copies.data(), n - 1});
  all.fill({0, 1}, some_record(7));
  shard::save(in / "copy.npy", all);
  const auto copy = shard::load<packed_record>(in / "copy.npy");
  EXPECT_EQ(std::int64_t{copy[0].time}, 2);
  for (std::size_t i = 1; i < n; ++i) {
    const packed_record found = copy[i];
    EXPECT_EQ(double{found.energy}, static_cast<double>(i - 1) / 2);
  }
}

}  // namespace
