// Calls that cross to another process as bytes: each kind of space, argument, reducer and kernel
// does there what it does here.
#include "shard/detail/packing.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "os/code.hpp"
#include "refusal.hpp"
#include "shard/detail/call.hpp"
#include "shard/histogram.hpp"
#include "shard/map.hpp"

namespace {

using shard::detail::call;
using shard::detail::job;
using shard::detail::kernel_form;
using shard::detail::packer;
using shard::detail::unpacker;
using shard_test::refusal;

template <class T>
T sent(const T& x) {
  packer to;
  to.put(x);
  unpacker from(to.bytes());
  T received = from.get<T>();
  EXPECT_TRUE(from.at_end());
  return received;
}

// ---- A job, run by hand on whatever memory its call is to see. ----

struct zeroed {
  explicit zeroed(std::size_t bytes) : words((bytes + 7) / 8) {}
  std::byte* data() { return reinterpret_cast<std::byte*>(words.data()); }
  std::vector<std::uint64_t> words;
};

// What a call leaves of its states, if it is run on [first, last).
std::vector<std::vector<std::uint64_t>> states_after(const job& what, std::vector<std::byte*> data,
                                                     shard::range indices) {
  std::vector<zeroed> states;
  std::vector<std::byte*> places;
  for (const shard::detail::reduction& one : what.reductions) {
    places.push_back(states.emplace_back(one.state_bytes).data());
    one.start(what.call.get(), places.back());
  }
  std::vector<void*> made;
  for (const shard::detail::belonging& one : what.belongings) {
    made.push_back(one.make(what.call.get(), 0));
  }
  what.run(what.call.get(), {data.data(), places.data(), made.data()}, indices);
  for (std::size_t k = 0; k < made.size(); ++k) what.belongings[k].destroy(made[k]);
  std::vector<std::vector<std::uint64_t>> left;
  for (zeroed& one : states) left.push_back(std::move(one.words));
  return left;
}

// The job of such a map, and the one that its bytes become. The kernel must outlive both.
template <class Space, class Kernel, class... Arguments>
std::pair<job, job> both(Space&& over, const Kernel& kernel, const Arguments&... arguments) {
  const auto space = shard::detail::space_of(over);
  using typed = call<std::remove_cv_t<decltype(space)>, Kernel, Arguments...>;
  static_assert(typed::crosses);
  job here = typed::describe(space, kernel, kernel_form::index, arguments...);
  packer to;
  typed::pack(here, to);
  unpacker from(to.bytes());
  job there = typed::unpack(from);
  EXPECT_TRUE(from.at_end());
  // None of the shorter ones is taken for whole.
  for (std::size_t length = 0; length < to.bytes().size(); ++length) {
    EXPECT_THROW(
        {
          unpacker cut(to.bytes().first(length));
          typed::unpack(cut);
        },
        shard::error)
        << length;
  }
  EXPECT_EQ(there.by_index, here.by_index);
  EXPECT_EQ(there.belongings.size(), here.belongings.size());
  EXPECT_EQ(there.reductions.size(), here.reductions.size());
  for (std::size_t k = 0; k < here.reductions.size(); ++k) {
    EXPECT_EQ(there.reductions[k].ordered, here.reductions[k].ordered);
    EXPECT_EQ(there.reductions[k].in_place, here.reductions[k].in_place);
    EXPECT_EQ(there.reductions[k].state_bytes, here.reductions[k].state_bytes);
  }
  return {std::move(here), std::move(there)};
}

template <class T, std::size_t R>
std::byte* start_of(shard::buffer<T, R>& of) {
  return reinterpret_cast<std::byte*>(of.span().data());
}

// ---- Types. ----

TEST(Packing, KeepsNumbersAndStrings) {
  EXPECT_EQ(sent(std::int8_t{-3}), -3);
  EXPECT_EQ(sent(std::string("with \0 a zero", 13)), std::string("with \0 a zero", 13));
  EXPECT_EQ(sent(std::string()), "");
  EXPECT_EQ(sent(std::vector<double>{1, 2.5}), (std::vector<double>{1, 2.5}));
}

TEST(Packing, KeepsAxes) {
  const auto regular = shard::axis::regular(12, -1.0, 0.3);
  EXPECT_TRUE(sent(regular) == regular);
  const auto logarithmic = shard::axis::logarithmic(12, 0.3, 1e9);
  EXPECT_TRUE(sent(logarithmic) == logarithmic);
  const auto circular = shard::axis::circular(7, 0.0, 6.28);
  EXPECT_TRUE(sent(circular) == circular);
  const auto integer = shard::axis::integer(-3, 9);
  EXPECT_TRUE(sent(integer) == integer);
  const auto variable = shard::axis::variable({-1.5, 0.0, 0.1, 4e9});
  EXPECT_TRUE(sent(variable) == variable);
  const auto numbers = shard::axis::category({4, -1, 7});
  EXPECT_TRUE(sent(numbers) == numbers);
  const auto words = shard::axis::category({"AA", "", "a longer one than fits inline"});
  EXPECT_TRUE(sent(words) == words);
}

TEST(Packing, RefusesToReadBeyondTheEnd) {
  packer to;
  to.put(std::size_t{1} << 61);  // so many doubles have no bytes left in 64 bits
  unpacker from(to.bytes());
  EXPECT_EQ(refusal([&] { from.get_all<double>(); }),
            "cannot unpack a job: found 0 bytes, expected 2305843009213693952 times 8");
}

struct captures {
  int x = 0;
  int operator()() const { return x; }
};
struct made_with_something {
  explicit made_with_something(int) {}
  int operator()() const { return 1; }
};

TEST(Packing, TakesFunctionsThatHaveNothingToSend) {
  const auto lambda = [] { return 3; };
  static_assert(shard::detail::packable_function<std::remove_cv_t<decltype(lambda)>>);
  static_assert(shard::detail::packable_function<int (*)()>);
  static_assert(!shard::detail::packable_function<captures>);
  static_assert(!shard::detail::packable_function<made_with_something>);
}

// ---- Functions, by their place in a module. ----

int seventeen() { return 17; }

TEST(Packing, FindsFunctionsByTheirModule) {
  packer to;
  shard::detail::pack_function(&seventeen, to);
  shard::detail::pack_function(static_cast<std::size_t (*)(const char*)>(&std::strlen), to);
  unpacker from(to.bytes());
  EXPECT_EQ(shard::detail::unpack_function<int (*)()>(from), &seventeen);
  EXPECT_EQ(shard::detail::unpack_function<std::size_t (*)(const char*)>(from)("four"), 4u);
}

TEST(Packing, RefusesWhatIsNoFunction) {
  const auto nowhere = std::make_unique<int>(1);
  EXPECT_EQ(refusal([&] { packer().put_code(nowhere.get()); }),
            "cannot send a function to other processes: found an address that is in no program or "
            "library, expected a build id (link with -Wl,--build-id)");
}

shard::os::code_place place_of_seventeen() {
  return shard::os::place_of_code(reinterpret_cast<void*>(&seventeen)).value();
}

std::string refusal_of(const shard::os::code_place& place) {
  packer to;
  to.put(place.module);
  to.put(place.offset);
  to.put(place.file);
  unpacker from(to.bytes());
  return refusal([&] { from.get_code(); });
}

TEST(Packing, RefusesFunctionsOfAnotherBuildOfTheProgram) {
  shard::os::code_place place = place_of_seventeen();
  ASSERT_EQ(place.file, "");
  const std::string here = to_string(place.module);
  place.module.bytes[0] ^= 1;
  EXPECT_EQ(refusal_of(place), "cannot run a function here: found build " + here +
                                   " of this program, expected build " + to_string(place.module) +
                                   ", which the caller runs");
}

TEST(Packing, RefusesFunctionsOfALibraryThatCannotBeLoaded) {
  shard::os::code_place place = place_of_seventeen();
  place.module.bytes[0] ^= 1;
  place.file = "/nowhere/lib.so";
  EXPECT_EQ(refusal_of(place),
            "cannot run a function here: found /nowhere/lib.so, which can't be loaded or has no "
            "build id, expected build " +
                to_string(place.module) + ", which the caller runs");
}

// One that no sanitizer has a function of its own for.
TEST(Packing, RefusesFunctionsOfAnotherBuildOfALibrary) {
  shard::os::code_place place =
      shard::os::place_of_code(reinterpret_cast<const void*>(&std::get_terminate)).value();
  ASSERT_NE(place.file, "");
  const std::string here = to_string(place.module);
  place.module.bytes[0] ^= 1;
  EXPECT_EQ(refusal_of(place), "cannot run a function here: found build " + here + " of " +
                                   place.file + ", expected build " + to_string(place.module) +
                                   ", which the caller runs");
}

TEST(Packing, FindsNoFunctionBehindTheEndOfItsModule) {
  shard::os::code_place place = place_of_seventeen();
  place.offset = std::uint64_t{1} << 40;
  EXPECT_EQ(shard::os::code_at(place), nullptr);
}

// ---- Calls. ----

TEST(Packing, KeepsCallsOverElements) {
  shard::buffer<double> out(10), x(10);
  shard::buffer<int> other(10);
  for (std::size_t i = 0; i < 10; ++i) x[i] = static_cast<double>(i);
  const auto kernel = [](std::size_t i, shard::view<double> in, const double& scale,
                         const std::string& name) {
    return std::tuple(scale * in[i], static_cast<int>(i + name.size()));
  };
  auto outputs = std::tie(out, other);
  const auto [here, there] =
      both(outputs, kernel, shard::in(x), shard::value(3.0), shard::value(std::string("four")));
  states_after(there, {start_of(out), start_of(other), start_of(x)}, {2, 9});
  for (std::size_t i = 0; i < 10; ++i) {
    const bool inside = i >= 2 && i < 9;
    EXPECT_EQ(out[i], inside ? 3.0 * static_cast<double>(i) : 0);
    EXPECT_EQ(other[i], inside ? static_cast<int>(i) + 4 : 0);
  }
}

TEST(Packing, KeepsCallsOverRows) {
  shard::buffer<int, 2> grid(4, 3);
  const auto kernel = [](std::size_t i, std::span<int> row, const int& base) {
    for (int& x : row) x = base + static_cast<int>(i);
  };
  const auto [here, there] = both(grid, kernel, shard::value(100));
  states_after(there, {start_of(grid)}, {1, 3});
  EXPECT_EQ((std::vector<int>(grid.span().begin(), grid.span().end())),
            (std::vector<int>{0, 0, 0, 101, 101, 101, 102, 102, 102, 0, 0, 0}));
}

TEST(Packing, KeepsCallsOverTiles) {
  shard::buffer<int, 2> grid(5, 4);
  const auto kernel = [](const shard::tile& cells, shard::slice<int, 2> to) {
    for (std::size_t i = cells.rows.first; i != cells.rows.last; ++i) {
      for (std::size_t j = cells.cols.first; j != cells.cols.last; ++j) to(i, j) = 1;
    }
  };
  const shard::tiles cut{{5, 4}, {2, 3}};
  const auto [here, there] = both(cut, kernel, shard::out(grid));
  states_after(there, {start_of(grid)}, {3, 4});  // rows 2 and 3, column 3
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = 0; j < 4; ++j) EXPECT_EQ(grid(i, j), (i == 2 || i == 3) && j == 3) << i;
  }
}

TEST(Packing, KeepsWhatIsWrittenInPlaceAndShared) {
  shard::buffer<int> x(6);
  shard::buffer<std::uint64_t> hits(2);
  const auto kernel = [](shard::range chunk, shard::slice<int> own,
                         shard::shared_view<std::uint64_t> all) {
    for (std::size_t i = chunk.first; i != chunk.last; ++i) own[i] += 5;
    all.fetch_add(1, chunk.size());
  };
  const auto [here, there] = both(shard::range{0, 6}, kernel, shard::inout(x), shard::shared(hits));
  states_after(there, {start_of(x), start_of(hits)}, {4, 6});
  EXPECT_EQ(x[3], 0);
  EXPECT_EQ(x[5], 5);
  EXPECT_EQ(hits[1], 2u);
}

TEST(Packing, KeepsReducersButNotWhatTheyHold) {
  shard::ordered_sum<double> total(1000.0);
  shard::counter count(7);
  shard::minimum<float> least(-1e9f);
  shard::histogram bins(shard::axis::variable({0.0, 1.5, 4.0, 100.0}),
                        shard::axis::category({"a", "b"}));
  const auto kernel = [](std::size_t i, shard::ordered_sum<double>::accumulator& sum,
                         shard::counter::accumulator& n, shard::minimum<float>::accumulator& low,
                         decltype(bins)::accumulator& hist) {
    sum += static_cast<double>(i) / 3;
    ++n;
    low(static_cast<float>(i));
    hist(static_cast<double>(i), i % 2 == 0 ? "a" : "b");
  };
  const auto [here, there] = both(shard::range{3, 60}, kernel, shard::reduce(total),
                                  shard::reduce(count), shard::reduce(least), shard::reduce(bins));
  const auto expected = states_after(here, {}, {3, 60});
  EXPECT_EQ(states_after(there, {}, {3, 60}), expected);
  double sum;
  std::memcpy(&sum, expected[0].data(), sizeof sum);
  EXPECT_GT(sum, 500);
  EXPECT_LT(sum, 1000);  // without what the caller's reducer had
  EXPECT_EQ(expected[1][0], 57u);
}

struct table {
  explicit table(std::size_t n) : squares(n) {
    for (std::size_t i = 0; i < n; ++i) squares[i] = static_cast<double>(i * i);
  }
  std::vector<double> squares;
};
table make_table(std::size_t n) { return table(n); }

TEST(Packing, KeepsStatesOfWorkers) {
  shard::buffer<double> out(8);
  const auto kernel = [](std::size_t i, table& made, std::vector<int>& other) {
    return made.squares[i] + other[0];
  };
  const auto [here, there] =
      both(out, kernel, shard::worker_state(&make_table, std::size_t{8}),
           shard::worker_state([](const int& first) { return std::vector<int>{first}; }, 3));
  states_after(there, {start_of(out)}, {0, 8});
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(out[i], static_cast<double>(i * i) + 3);
}

int doubled(std::size_t i) { return static_cast<int>(2 * i); }

TEST(Packing, KeepsKernelsThatAreFunctions) {
  shard::buffer<int> out(4);
  int (*const kernel)(std::size_t) = &doubled;
  const auto [here, there] = both(out, kernel);
  states_after(there, {start_of(out)}, {1, 3});
  EXPECT_EQ((std::vector<int>(out.span().begin(), out.span().end())),
            (std::vector<int>{0, 2, 4, 0}));
}

TEST(Packing, LetsNoCaptureCross) {
  int captured = 3;
  const auto kernel = [captured](std::size_t i) { return static_cast<int>(i) + captured; };
  static_assert(
      !call<shard::detail::element_space<int>, std::remove_cv_t<decltype(kernel)>>::crosses);
  const auto pointer = [](std::size_t) {};
  using with_text = call<shard::detail::index_space, std::remove_cv_t<decltype(pointer)>,
                         shard::detail::value_argument<std::vector<std::string>>>;
  static_assert(!with_text::crosses);
}

TEST(Packing, LetsNoAddressCross) {
  using shard::detail::packable;
  static_assert(packable<double> && packable<std::vector<double>> && packable<std::string>);
  static_assert(!packable<const char*> && !packable<int (*)()> && !packable<int captures::*>);
  static_assert(!packable<std::string_view> && !packable<std::span<int>>);
  static_assert(!packable<std::vector<const char*>> && !packable<std::vector<bool>>);
}

// What holds it would be plain bytes, too.
TEST(Packing, RefusesWhatHoldsAPointer) {
  using shard::detail::packable;
  using shard::detail::state_binding;
  using shard::detail::value_argument;
  static_assert(packable<value_argument<double>>);
  static_assert(!packable<value_argument<const double*>>);
  static_assert(!packable<value_argument<std::span<int>>>);
  int seen = 0;
  auto plain = [] { return 1; };
  auto capturing = [&seen] { return seen; };
  auto made_of = [](const int* from) { return *from; };
  static_assert(packable<state_binding<decltype(plain)>>);
  static_assert(!packable<state_binding<decltype(capturing)>>);
  static_assert(!packable<state_binding<decltype(made_of), const int*>>);
  SUCCEED();
}

}  // namespace
