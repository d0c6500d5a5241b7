// Dates and spans of time as numpy has them. The oracle is numpy, where it is installed.

#include "shard/times.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "described.hpp"
#include "memory/dtype.hpp"
#include "memory/time_unit.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/npy.hpp"

namespace chrono = std::chrono;

template <class Period>
using span_of = chrono::duration<std::int64_t, Period>;
using weeks = span_of<chrono::weeks::period>;
using days = span_of<chrono::days::period>;
using ticks_of_25_seconds = span_of<std::ratio<25>>;

struct trade {
  chrono::sys_time<chrono::nanoseconds> at;
  chrono::milliseconds delay;
  std::int32_t size;
  chrono::local_time<days> settled[2];
};
template <>
inline constexpr auto shard::fields<trade> =
    std::tuple{shard::field{"at", &trade::at}, shard::field{"delay", &trade::delay},
               shard::field{"size", &trade::size}, shard::field{"settled", &trade::settled}};

namespace {

using shard_test::described;
using shard_test::folder;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

template <class D>
using date = chrono::sys_time<D>;

TEST(Times, AreCalledWhatNumpyCallsThem) {
  EXPECT_EQ(described<weeks>(), "'<m8[W]'");
  EXPECT_EQ(described<days>(), "'<m8[D]'");
  EXPECT_EQ(described<span_of<std::ratio<3600>>>(), "'<m8[h]'");
  EXPECT_EQ(described<span_of<std::ratio<60>>>(), "'<m8[m]'");
  EXPECT_EQ(described<chrono::seconds>(), "'<m8[s]'");
  EXPECT_EQ(described<chrono::milliseconds>(), "'<m8[ms]'");
  EXPECT_EQ(described<chrono::microseconds>(), "'<m8[us]'");
  EXPECT_EQ(described<chrono::nanoseconds>(), "'<m8[ns]'");
  EXPECT_EQ(described<span_of<std::pico>>(), "'<m8[ps]'");
  EXPECT_EQ(described<span_of<std::femto>>(), "'<m8[fs]'");
  EXPECT_EQ(described<span_of<std::atto>>(), "'<m8[as]'");
  EXPECT_EQ(described<date<chrono::nanoseconds>>(), "'<M8[ns]'");
  EXPECT_EQ(described<chrono::local_time<chrono::seconds>>(), "'<M8[s]'");
  EXPECT_EQ(described<date<days>>(), "'<M8[D]'");
}

TEST(Times, OfOtherPeriodsAreMultiplesOfTheLongestUnitThatFits) {
  EXPECT_EQ(described<ticks_of_25_seconds>(), "'<m8[25s]'");
  EXPECT_EQ(described<span_of<std::ratio<5400>>>(), "'<m8[90m]'");
  EXPECT_EQ(described<span_of<std::ratio<1'209'600>>>(), "'<m8[2W]'");
  EXPECT_EQ((described<span_of<std::ratio<1, 50>>>()), "'<m8[20ms]'");
  EXPECT_EQ((described<span_of<std::ratio<1, 1024>>>()), "'<m8[976562500ps]'");
  EXPECT_EQ((described<span_of<std::ratio<7, 2>>>()), "'<m8[3500ms]'");
  EXPECT_EQ(described<chrono::months>(), "'<m8[2629746s]'") << "of C++, not of numpy";
}

TEST(Times, ThatNumpyHasNoUnitForAreOpaque) {
  static_assert(shard::time_element<chrono::nanoseconds>);
  static_assert(!shard::time_element<span_of<std::ratio<1, 60>>>);
  static_assert(!shard::time_element<span_of<std::ratio<3'000'000'000'001>>>);
  static_assert(!shard::time_element<chrono::duration<double>>);
  static_assert(!shard::time_element<chrono::steady_clock::time_point>);
  EXPECT_EQ((described<span_of<std::ratio<1, 60>>>()), "'|V8'");
  EXPECT_EQ(described<chrono::duration<double>>(), "'|V8'");
  EXPECT_EQ(described<chrono::steady_clock::time_point>(), "'|V8'");
}

TEST(Times, KnowWhatNumpyCallsNotATime) {
  constexpr auto none = shard::not_a_time<date<chrono::nanoseconds>>;
  static_assert(none.time_since_epoch().count() == std::numeric_limits<std::int64_t>::min());
  static_assert(shard::is_not_a_time(none) && shard::is_not_a_time(shard::not_a_time<weeks>));
  static_assert(!shard::is_not_a_time(date<chrono::nanoseconds>()));
  static_assert(!shard::is_not_a_time(chrono::seconds(-1)));
}

TEST(Times, AreReadByNumpy) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  const auto noon = chrono::sys_days(chrono::year(2024) / 2 / 29) + chrono::hours(12);
  auto dates = shard::create<date<chrono::nanoseconds>>(in / "dates.npy", 3);
  dates[0] = noon + chrono::nanoseconds(5);
  dates[1] = shard::not_a_time<date<chrono::nanoseconds>>;
  dates.finish();
  shard::save(in / "spans.npy", shard::buffer(std::vector<ticks_of_25_seconds>{
                                    ticks_of_25_seconds(-3), ticks_of_25_seconds(2)}));
  trade one{};
  one.at = noon;
  one.delay = chrono::milliseconds(-7);
  one.settled[1] = chrono::local_time<days>(days(1));
  shard::save(in / "trades.npy", shard::buffer(std::vector<trade>{one}));
  EXPECT_TRUE(numpy_agrees(in, R"(
dates = np.load('dates.npy', mmap_mode='r')
assert dates.dtype == 'M8[ns]', dates.dtype
assert [str(d) for d in dates] == ['2024-02-29T12:00:00.000000005', 'NaT',
                                   '1970-01-01T00:00:00.000000000'], dates
spans = np.load('spans.npy')
assert spans.dtype.str == '<m8[25s]' and spans.astype('m8[s]').astype(int).tolist() == [-75, 50]
trades = np.load('trades.npy')
assert trades.dtype.fields['at'][0] == 'M8[ns]' and trades.dtype.fields['delay'][0] == 'm8[ms]'
assert trades['at'][0] == np.datetime64('2024-02-29T12:00') and trades['delay'][0].astype(int) == -7
assert trades['settled'].astype(str).tolist() == [['1970-01-01', '1970-01-02']], trades
)"));
}

// Every unit of a fixed length, as numpy wrote it in either order of bytes.
template <class D>
void expect_numbers(const folder& in, const std::string& unit) {
  const std::vector<std::int64_t> numbers{0, 1, -1, std::numeric_limits<std::int64_t>::max(),
                                          std::numeric_limits<std::int64_t>::min()};
  const auto spans = shard::open<D>(in / ("m8[" + unit + "]<.npy"));
  const auto swapped = shard::load<date<D>>(in / ("M8[" + unit + "]>.npy"));
  ASSERT_EQ(spans.size(), numbers.size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(spans[i].count(), numbers[i]) << unit;
    EXPECT_EQ(swapped[i].time_since_epoch().count(), numbers[i]) << unit;
  }
  EXPECT_TRUE(shard::is_not_a_time(swapped[4]));
  shard::save(in / ("saved-" + unit + ".npy"), swapped);
}

TEST(Times, OfEveryUnitAreReadFromNumpyAndGoBack) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
for unit in 'W D h m s ms us ns ps fs as 25s 90m 60s'.split():
    for code in 'mM':
        for order in '<>':
            dtype = np.dtype('%s8[%s]' % (code, unit))
            a = np.array([0, 1, -1, 2**63 - 1, -2**63]).view(dtype).astype(dtype.newbyteorder(order))
            np.save('%s8[%s]%s.npy' % (code, unit, order), a)
)"));
  expect_numbers<weeks>(in, "W");
  expect_numbers<days>(in, "D");
  expect_numbers<span_of<std::ratio<3600>>>(in, "h");
  expect_numbers<span_of<std::ratio<60>>>(in, "m");
  expect_numbers<chrono::seconds>(in, "s");
  expect_numbers<chrono::milliseconds>(in, "ms");
  expect_numbers<chrono::microseconds>(in, "us");
  expect_numbers<chrono::nanoseconds>(in, "ns");
  expect_numbers<span_of<std::pico>>(in, "ps");
  expect_numbers<span_of<std::femto>>(in, "fs");
  expect_numbers<span_of<std::atto>>(in, "as");
  expect_numbers<ticks_of_25_seconds>(in, "25s");
  expect_numbers<span_of<std::ratio<5400>>>(in, "90m");
  expect_numbers<chrono::minutes>(in, "60s");
  EXPECT_TRUE(numpy_agrees(in, R"(
for unit in 'W D h m s ms us ns ps fs as 25s 90m'.split():
    saved = np.load('saved-%s.npy' % unit)
    assert saved.dtype.str == '<M8[%s]' % unit, saved.dtype
    assert saved.tobytes() == np.load('M8[%s]<.npy' % unit).tobytes()
)"));
}

TEST(Times, AreNotReadAsAnotherUnit) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer<date<chrono::nanoseconds>>(2));
  mentions(refusal([&] { shard::open<date<chrono::microseconds>>(in / "x.npy"); }),
           {"'<M8[ns]'", "'<M8[us]'"});
  mentions(refusal([&] { shard::open<chrono::nanoseconds>(in / "x.npy"); }),
           {"'<M8[ns]'", "'<m8[ns]'"});
  mentions(refusal([&] { shard::open<std::int64_t>(in / "x.npy"); }), {"'<M8[ns]'", "'<i8'"});
}

TEST(Times, OfNoFixedLengthAreRefusedForThatReason) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
np.save('years.npy', np.array(['2024'], 'M8[Y]'))
np.save('months.npy', np.array([7], 'm8[M]'))
np.save('none.npy', np.array([7], 'm8'))
)"));
  mentions(refusal([&] { shard::open<date<chrono::seconds>>(in / "years.npy"); }),
           {"'<M8[Y]' (datetime64[Y], whose unit has no fixed length)", "'<M8[s]'"});
  mentions(refusal([&] { shard::open<chrono::months>(in / "months.npy"); }),
           {"(timedelta64[M], whose unit has no fixed length)", "'<m8[2629746s]'"});
  mentions(refusal([&] { shard::open<chrono::seconds>(in / "none.npy"); }),
           {"(timedelta64, which has no unit)"});
}

TEST(TimeUnit, IsReadAndWrittenAsByNumpy) {
  using shard::memory::read_time_unit;
  for (const char* text : {"[Y]", "[M]", "[W]", "[D]", "[h]", "[m]", "[s]", "[ms]", "[us]", "[ns]",
                           "[ps]", "[fs]", "[as]", "[25s]", "[2147483647D]", "[0s]", ""}) {
    const auto found = read_time_unit(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(shard::memory::text(*found), text);
  }
  EXPECT_EQ(text(*read_time_unit("[03s]")), "[3s]");
  EXPECT_EQ(text(*read_time_unit("[1s]")), "[s]");
  EXPECT_EQ(text(*read_time_unit("[\xce\xbcs]")), "[us]");
  EXPECT_EQ(text(*read_time_unit("[7generic]")), "");
  for (const char* text :
       {"[", "[]", "s", "[s", "[5]", "[min]", "[-3s]", "[2147483648s]", "[s ]"}) {
    EXPECT_FALSE(read_time_unit(text)) << text;
  }
}

TEST(TimeUnit, KnowsWhichAreEquallyLong) {
  const auto equal = [](const char* a, const char* b) {
    return shard::memory::equally_long(*shard::memory::read_time_unit(a),
                                       *shard::memory::read_time_unit(b));
  };
  EXPECT_TRUE(equal("[60s]", "[m]") && equal("[7D]", "[W]") && equal("[1000as]", "[fs]"));
  EXPECT_TRUE(equal("[90m]", "[5400s]") && equal("[500ms]", "[500000us]"));
  EXPECT_FALSE(equal("[59s]", "[m]") || equal("[s]", "[ms]") || equal("[2147483647W]", "[W]"));
}

}  // namespace
