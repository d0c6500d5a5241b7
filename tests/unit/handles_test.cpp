// Any sequence of operations, by any of several handles of one buffer, against a std::vector:
// whatever is behind the buffer, and whichever handle is opened or closed on the way.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <rapidcheck/state.h>

#include <algorithm>
#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backings.hpp"
#include "shard/buffer.hpp"
#include "shard/text.hpp"

namespace {

using shard::range;

struct triple {  // 12 bytes: lies across the borders of stripes
  std::int32_t a = 0, b = 0, c = 0;
};

// A value out of a number, the same number for the same value.
template <class T>
T value_of(std::uint32_t n) {
  if constexpr (std::same_as<T, triple>) {
    return {static_cast<std::int32_t>(n % 977), 1, static_cast<std::int32_t>(n % 13)};
  } else if constexpr (std::same_as<T, shard::text<5>>) {
    return shard::text<5>(std::to_string(n % 100'000));
  } else if constexpr (std::same_as<T, std::byte>) {
    return static_cast<std::byte>(n);
  } else if constexpr (std::same_as<T, std::complex<float>>) {
    return {float(n % 4096), -0.5f};
  } else {
    return static_cast<T>(n % 2048);  // sums of which are exact in a float, too
  }
}

template <class T>
bool same(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

template <class T>
struct model {
  std::array<std::size_t, 2> shape{};
  std::vector<T> cells;
  std::size_t handles = 1;
};

template <class T>
struct handles {
  std::vector<shard::buffer<T, 2>> all;
};

// One operation. Its numbers are any; they are taken modulo what there is, so that a sequence stays
// one when it is shortened.
template <class T>
class operation : public rc::state::Command<model<T>, handles<T>> {
  enum kind { write, fill, scatter, write_slab, add, number, bits, store, opens, closes, reads };

 public:
  explicit operation(const model<T>&)
      : kind_(static_cast<kind>(*rc::gen::inRange<int>(write, reads + 1))),
        by_(*rc::gen::arbitrary<std::uint32_t>()),
        first_(*rc::gen::arbitrary<std::uint32_t>()),
        count_(*rc::gen::inRange<std::uint32_t>(0, 2000)),
        seed_(*rc::gen::arbitrary<std::uint32_t>()) {}

  void apply(model<T>& m) const override {
    if (kind_ == opens) ++m.handles;
    if (kind_ == closes && m.handles > 1) --m.handles;
    if (m.cells.empty()) return;
    switch (kind_) {
      case write: std::ranges::copy(values(part(m).size()), m.cells.begin() + at(m)); break;
      case fill: std::fill_n(m.cells.begin() + at(m), part(m).size(), value_of<T>(seed_)); break;
      case scatter: {
        const auto to = indices(m);
        const auto from = values(to.size());
        for (std::size_t k = 0; k < to.size(); ++k) m.cells[to[k]] = from[k];
        break;
      }
      case write_slab: {
        const auto [rows, columns] = slab(m);
        const auto from = values(rows.size() * columns.size());
        std::size_t k = 0;
        for (const std::size_t i : rows)
          for (const std::size_t j : columns) m.cells[i * m.shape[1] + j] = from[k++];
        break;
      }
      case add:
        if constexpr (shard::atomic_number<T>) {
          const auto deltas = values(part(m).size());
          for (std::size_t k = 0; k < deltas.size(); ++k) {
            T& cell = m.cells[part(m).first + k];
            cell = sum(cell, deltas[k]);
          }
        }
        break;
      case number:
        if constexpr (shard::atomic_number<T>) {
          T& cell = m.cells[one(m)];
          const T x = value_of<T>(seed_);
          cell = seed_ % 3 == 0   ? sum(cell, x)
                 : seed_ % 3 == 1 ? std::min(cell, x)
                                  : std::max(cell, x);
        }
        break;
      case bits:
        if constexpr (shard::atomic_bits<T>) m.cells[one(m)] ^= value_of<T>(seed_);
        break;
      case store: m.cells[one(m)] = value_of<T>(seed_); break;
      case opens:
      case closes:
      case reads: break;
    }
  }

  void run(const model<T>& m, handles<T>& of) const override {
    auto& by = of.all[by_ % of.all.size()];
    if (kind_ == opens) of.all.push_back(shard::buffer<T, 2>::reopen(by.descriptor()));
    if (kind_ == closes && of.all.size() > 1) {
      of.all.erase(of.all.begin() + static_cast<std::ptrdiff_t>(by_ % of.all.size()));
    }
    if (m.cells.empty()) return check(m, of);
    const range elements = part(m);
    switch (kind_) {
      case write: by.write(elements, values(elements.size())); break;
      case fill: by.fill(elements, value_of<T>(seed_)); break;
      case scatter: by.scatter(indices(m), values(indices(m).size())); break;
      case write_slab: {
        const auto rows_and_columns = slab(m);
        by.write_slab(rows_and_columns,
                      values(rows_and_columns[0].size() * rows_and_columns[1].size()));
        break;
      }
      case add:
        if constexpr (shard::atomic_number<T>) by.add(elements, values(elements.size()));
        break;
      case number: run_number(m, by); break;
      case bits:
        if constexpr (shard::atomic_bits<T>) {
          RC_ASSERT(by.fetch_xor(index(m), value_of<T>(seed_)) == m.cells[one(m)]);
        }
        break;
      case store:
        if constexpr (shard::atomic_element<T>) {
          RC_ASSERT(by.exchange(index(m), value_of<T>(seed_)) == m.cells[one(m)]);
        } else {
          by.at(index(m)[0], index(m)[1]) = value_of<T>(seed_);
        }
        break;
      case opens:
      case closes:
      case reads: break;
    }
    check(m, of);
  }

  void show(std::ostream& to) const override {
    constexpr std::array names{"write", "fill",  "scatter", "write_slab", "add",  "number",
                               "bits",  "store", "opens",   "closes",     "reads"};
    to << names[kind_] << " by " << by_ << " first " << first_ << " count " << count_ << " seed "
       << seed_;
  }

 private:
  static T sum(T a, T b) {
    if constexpr (std::integral<T>) {
      return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
    } else {
      return a + b;
    }
  }
  std::size_t one(const model<T>& m) const { return first_ % m.cells.size(); }
  std::array<std::size_t, 2> index(const model<T>& m) const {
    return {one(m) / m.shape[1], one(m) % m.shape[1]};
  }
  range part(const model<T>& m) const {
    const std::size_t first = first_ % (m.cells.size() + 1);
    return {first, std::min<std::size_t>(first + count_, m.cells.size())};
  }
  std::ptrdiff_t at(const model<T>& m) const { return static_cast<std::ptrdiff_t>(part(m).first); }
  std::array<range, 2> slab(const model<T>& m) const {
    const auto within = [](std::size_t a, std::size_t b, std::size_t extent) {
      a %= extent + 1;
      b %= extent + 1;
      return range{std::min(a, b), std::max(a, b)};
    };
    return {within(first_, count_, m.shape[0]), within(seed_, first_ / 7, m.shape[1])};
  }
  std::vector<std::size_t> indices(const model<T>& m) const {
    std::vector<std::size_t> made(count_ % 20);
    std::size_t n = first_;
    for (std::size_t& each : made) each = (n = n * 48271 + seed_) % m.cells.size();
    return made;
  }
  std::vector<T> values(std::size_t count) const {
    std::vector<T> made(count);
    std::uint32_t n = seed_;
    for (T& each : made) each = value_of<T>(n += 7919);
    return made;
  }

  void run_number(const model<T>& m, shard::buffer<T, 2>& by) const {
    if constexpr (shard::atomic_number<T>) {
      const T x = value_of<T>(seed_);
      const T before = seed_ % 3 == 0   ? by.fetch_add(index(m), x)
                       : seed_ % 3 == 1 ? by.fetch_min(index(m), x)
                                        : by.fetch_max(index(m), x);
      RC_ASSERT(before == m.cells[one(m)]);
    }
  }

  // All that can be read is what the model has: by another handle than the one that has written.
  void check(const model<T>& before, const handles<T>& of) const {
    const model<T> m = this->nextState(before);
    RC_ASSERT(of.all.size() == m.handles);
    const auto& by = of.all[seed_ % of.all.size()];
    RC_ASSERT(by.shape() == m.shape);
    std::vector<T> seen(m.cells.size());
    by.read({0, seen.size()}, seen);
    RC_ASSERT(same<T>(seen, m.cells));
    RC_ASSERT(same<T>(by.span(), m.cells));
    if (m.cells.empty()) return;
    const auto from = indices(m);
    std::vector<T> gathered(from.size());
    by.read_only().gather(from, gathered);
    for (std::size_t k = 0; k < from.size(); ++k) {
      RC_ASSERT(same<T>({&gathered[k], 1}, {&m.cells[from[k]], 1}));
    }
    const auto chosen = slab(m);
    std::vector<T> part_of_it(chosen[0].size() * chosen[1].size());
    by.read_slab(chosen, part_of_it);
    std::size_t k = 0;
    for (const std::size_t i : chosen[0]) {
      for (const std::size_t j : chosen[1]) {
        RC_ASSERT(same<T>({&part_of_it[k++], 1}, {&m.cells[i * m.shape[1] + j], 1}));
      }
    }
    RC_ASSERT(by.torn().empty());
  }

  kind kind_;
  std::uint32_t by_, first_, count_, seed_;
};

template <class T>
class Handles : public testing::Test {};
using types = testing::Types<std::int8_t, std::uint16_t, std::int64_t, float, double, std::byte,
                             std::complex<float>, shard::text<5>, triple>;
TYPED_TEST_SUITE(Handles, types, );

TYPED_TEST(Handles, OfOneBufferDoTogetherWhatAVectorDoes) {
  using T = TypeParam;
  EXPECT_TRUE(rc::check([] {
    const auto rows = *rc::gen::inRange<std::size_t>(0, 60);
    const auto columns = *rc::gen::inRange<std::size_t>(0, 60);
    const auto backing = *rc::gen::inRange(0, 3);
    const shard_test::shared_names names;
    const shard_test::folder in;
    handles<T> of;
    of.all.push_back(backing == 0   ? shard::buffer<T, 2>(rows, columns)
                     : backing == 1 ? shard::create_live<T>(in / "x.npy", rows, columns)
                                    : shard::named::create<T>("x", rows, columns));
    const model<T> start{{rows, columns}, std::vector<T>(rows * columns), 1};
    rc::state::check(start, of, rc::state::gen::execOneOfWithArgs<operation<T>>());
    if (backing != 1) return;
    // What is in the file in the end is the data, and nothing else.
    const std::vector<T> last(of.all[0].begin(), of.all[0].end());
    of.all.clear();
    RC_ASSERT(std::filesystem::file_size(in / "x.npy") == 4096 + last.size() * sizeof(T));
    RC_ASSERT(same<T>(shard::open<T, 2>(in / "x.npy").span(), last));
  }));
}

}  // namespace
