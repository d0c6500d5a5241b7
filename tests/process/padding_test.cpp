// What maps write has zeros between the fields, however it is written, wherever the kernel runs,
// and however the run ends.

#include <gtest/gtest.h>
#include <signal.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include "padded.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace shard_test;
using shard::executor;
using shard::range;

template <class T>
struct MappedPadding : shard_test::leaves_nothing {};
#if defined(__clang__)
using padded = testing::Types<hit, wave>;
#else
using padded = testing::Types<hit, bits>;
#endif
TYPED_TEST_SUITE(MappedPadding, padded);

constexpr std::size_t rows = 60;
constexpr std::size_t columns = 4;

// Called once the element is half written, for what some elements do then.
using accident = std::function<void(std::size_t element)>;

// Each way to write all elements of a buffer, their padding full of garbage.
template <class T>
struct way {
  const char* name;
  std::function<shard::report(const shard::options&, shard::buffer<T, 2>&, const accident&)> write;
};

template <class T>
std::vector<way<T>> ways() {
  using grid = shard::buffer<T, 2>;
  return {
      {"returned",
       [](const shard::options& how, grid& to, const accident& then) {
         return shard::try_map(how, to, [&](std::size_t i, std::size_t j) {
           T one;
           store_dirty(one, i * columns + j);
           then(i * columns + j);
           return one;
         });
       }},
      {"by row",
       [](const shard::options& how, grid& to, const accident& then) {
         return shard::try_map(how, to, [&](std::size_t i, std::span<T> row) {
           for (std::size_t j = 0; j < columns; ++j) {
             store_dirty(row[j], i * columns + j);
             then(i * columns + j);
           }
         });
       }},
      {"by index",
       [](const shard::options& how, grid& to, const accident& then) {
         return shard::try_map(how, rows, shard::out(to),
                               [&](std::size_t i, shard::slice<T, 2> out) {
                                 for (std::size_t j = 0; j < columns; ++j) {
                                   store_dirty(out(i, j), i * columns + j);
                                   then(i * columns + j);
                                 }
                               });
       }},
      {"by chunk",
       [](const shard::options& how, grid& to, const accident& then) {
         return shard::try_map(how, rows, shard::out(to), [&](range all, shard::slice<T, 2> out) {
           for (std::size_t k = 0; k < out.span().size(); ++k) {
             store_dirty(out.span()[k], all.first * columns + k);
             then(all.first * columns + k);
           }
         });
       }},
      {"through a slab",
       [](const shard::options& how, grid& to, const accident& then) {
         return shard::try_map(how, rows, shard::out(to), [&](range all, shard::slice<T, 2> out) {
           for (std::size_t j = 0; j < columns; ++j) {
             const auto column = out.slab(all, range{j, j + 1}).transposed().row(0);
             for (std::size_t k = 0; k < column.size(); ++k) {
               store_dirty(column[k], (all.first + k) * columns + j);
               then((all.first + k) * columns + j);
             }
           }
         });
       }},
      {"in place",
       [](const shard::options& how, grid& to, const accident& then) {
         for (std::size_t k = 0; k < to.size(); ++k) store_dirty(to.span()[k], k + 1);
         // What no chunk comes to stays as the program itself has left it.
         if (!how.keep_going.value_or(false)) to.clear_padding();
         return shard::try_map(how, rows, shard::inout(to),
                               [&](std::size_t i, shard::slice<T, 2> both) {
                                 for (std::size_t j = 0; j < columns; ++j) {
                                   store_dirty(both(i, j), i * columns + j);
                                   then(i * columns + j);
                                 }
                               });
       }},
      {"by tile",
       [](shard::options how, grid& to, const accident& then) {
         how.grain = 0;
         return shard::try_map(how, shard::tiles{{rows, columns}, {7, 3}}, shard::out(to),
                               [&](shard::tile cells, shard::slice<T, 2> out) {
                                 for (const std::size_t i : cells.rows) {
                                   for (const std::size_t j : cells.cols) {
                                     store_dirty(out(i, j), i * columns + j);
                                     then(i * columns + j);
                                   }
                                 }
                               });
       }},
  };
}

template <class T>
void expect_no_garbage(const std::vector<std::byte>& elements) {
  for (std::size_t k = 0; k < rows * columns; ++k) {
    ASSERT_TRUE(has_clean_padding<T>(elements.data() + k * sizeof(T))) << "element " << k;
  }
}

// The whole file, and what the process sees of it.
template <class T>
void in_every_way(
    const std::vector<executor>& everywhere,
    const std::function<void(const way<T>&, const shard::options&, shard::buffer<T, 2>&)>& run) {
  for (const executor where : everywhere) {
    for (const way<T>& each : ways<T>()) {
      SCOPED_TRACE(std::string(each.name) + ", executor " +
                   std::to_string(static_cast<int>(where)));
      const folder in;
      auto file = shard::create_live<T>(in / "live.npy", rows, columns);
      run(each, {.workers = 2, .grain = 5, .run_on = where}, file);
      expect_no_garbage<T>(elements_in(file));
      expect_no_garbage<T>(elements_in<T>(in / "live.npy", rows * columns));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

const std::vector<executor> all_executors{executor::processes, executor::threads, executor::serial};

TYPED_TEST(MappedPadding, IsZerosInACompleteOutput) {
  using T = TypeParam;
  in_every_way<T>(all_executors,
                  [](const way<T>& each, const shard::options& how, shard::buffer<T, 2>& file) {
                    ASSERT_TRUE(each.write(how, file, [](std::size_t) {}).complete());
                    const std::vector<std::byte> found = elements_in(file);
                    for (std::size_t k = 0; k < rows * columns; ++k) {
                      ASSERT_TRUE(is_clean<T>(found.data() + k * sizeof(T), k)) << "element " << k;
                    }
                  });
}

TYPED_TEST(MappedPadding, IsZerosWhereAKernelThrew) {
  using T = TypeParam;
  in_every_way<T>(all_executors,
                  [](const way<T>& each, shard::options how, shard::buffer<T, 2>& file) {
                    how.keep_going = true;
                    const shard::report run = each.write(how, file, [](std::size_t k) {
                      if (k == 50 || k == 51 || k == 130) throw std::runtime_error("half written");
                    });
                    EXPECT_FALSE(run.complete());
                  });
}

TYPED_TEST(MappedPadding, IsZerosWhereAWorkerDied) {
  using T = TypeParam;
  in_every_way<T>({executor::processes},
                  [](const way<T>& each, shard::options how, shard::buffer<T, 2>& file) {
                    how.keep_going = true;
                    how.retries = 0;
                    how.retries_kill = 0;
                    const shard::report run = each.write(how, file, [](std::size_t k) {
                      if (k == 50) raise(SIGSEGV);
                      if (k == 130) raise(SIGKILL);
                    });
                    EXPECT_FALSE(run.complete());
                  });
}

TYPED_TEST(MappedPadding, IsZerosWhereARunStoppedEarly) {
  using T = TypeParam;
  in_every_way<T>(all_executors,
                  [](const way<T>& each, const shard::options& how, shard::buffer<T, 2>& file) {
                    const shard::report run = each.write(how, file, [](std::size_t k) {
                      if (k == 50) throw std::runtime_error("ends the run");
                    });
                    EXPECT_FALSE(run.complete());
                  });
}

// Workers are killed where they are: a tick goes by for each of these.
TYPED_TEST(MappedPadding, IsZerosWhereProgressEndedTheRun) {
  using T = TypeParam;
  for (const way<T>& each : ways<T>()) {
    if (each.name != std::string("returned") && each.name != std::string("in place")) continue;
    SCOPED_TRACE(each.name);
    shard::buffer<T, 2> out(rows, columns);
    shard::options how{.workers = 2, .grain = 5};
    how.on_progress = [](const shard::progress&) { throw std::runtime_error("enough"); };
    EXPECT_THROW(each.write(how, out,
                            [](std::size_t k) {
                              if (k % 7 == 6) pause();
                            }),
                 std::runtime_error);
    expect_no_garbage<T>(elements_in(out));
  }
}

TYPED_TEST(MappedPadding, IsZerosInSeveralOutputs) {
  using T = TypeParam;
  for (const executor where : all_executors) {
    shard::buffer<T> first(500);
    shard::buffer<double> plain(500);
    shard::buffer<T> second(500);
    shard::map({.workers = 2, .run_on = where}, std::tie(first, plain, second), [](std::size_t i) {
      std::tuple<T, double, T> all{};
      store_dirty(std::get<0>(all), i);
      std::get<1>(all) = static_cast<double>(i);
      store_dirty(std::get<2>(all), i + 3);
      return all;
    });
    for (std::size_t i = 0; i < 500; ++i) {
      ASSERT_TRUE(is_clean<T>(elements_in(first).data() + i * sizeof(T), i));
      ASSERT_EQ(plain[i], static_cast<double>(i));
      ASSERT_TRUE(is_clean<T>(elements_in(second).data() + i * sizeof(T), i + 3));
    }
  }
}

// create(), named by the map itself.
TYPED_TEST(MappedPadding, IsZerosInAFileThatAMapFinishes) {
  using T = TypeParam;
  const folder in;
  for (const executor where : all_executors) {
    auto file = shard::create<T>(in / "out.npy", 1000);
    shard::map({.workers = 2, .run_on = where}, file, [](std::size_t i) {
      T one;
      store_dirty(one, i);
      return one;
    });
    const std::vector<std::byte> found = elements_in<T>(in / "out.npy", 1000);
    ASSERT_EQ(found.size(), 1000 * sizeof(T));
    for (std::size_t i = 0; i < 1000; ++i) {
      ASSERT_TRUE(is_clean<T>(found.data() + i * sizeof(T), i)) << "element " << i;
    }
  }
}

TYPED_TEST(MappedPadding, IsZerosAfterAReplay) {
  using T = TypeParam;
  EXPECT_TRUE(holds_in_a_child([] {
    shard::counter none;
    const auto before = shard::map(0, shard::reduce(none), [](std::size_t, auto&) {}).counts().map;
    setenv("SHARD_REPLAY", (std::to_string(before + 1) + ":10-20").c_str(), 1);
    shard::buffer<T> out(100);
    const shard::report run = shard::try_map({}, out, [](std::size_t i) {
      T one;
      store_dirty(one, i);
      return one;
    });
    const std::vector<std::byte> found = elements_in(out);
    for (std::size_t i = 10; i < 20; ++i) {
      if (!is_clean<T>(found.data() + i * sizeof(T), i)) return false;
    }
    return run.counts().workers == 1;
  }));
}

}  // namespace
