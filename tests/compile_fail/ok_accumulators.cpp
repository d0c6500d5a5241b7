// What kernels add every day.
#include <cstdint>
#include <functional>
#include <shard/shard.hpp>
#include <span>
#include <vector>

// Of its own: refuses what shard's accumulators refuse.
struct longest {
  void operator()(shard::widens_to<double> auto x) { found = found < x ? x : found; }
  double found = 0;
};

void run(const shard::buffer<float>& x, const shard::buffer<std::int16_t>& small) {
  shard::sum<std::uint64_t> squares(0);
  shard::sum<std::int64_t> signed_squares;
  shard::sum<double> total(0), means;
  shard::sum<float> floats;
  shard::sum narrow(1);
  shard::counter hits(3);
  shard::minimum<double> least(1);
  shard::maximum<std::size_t> most;
  shard::histogram bins(shard::axis::regular(10, 0, 1), shard::axis::integer(0, 9),
                        shard::axis::category({"a", "b"}));
  shard::map(
      shard::range{0, x.size()}, shard::in(x), shard::in(small), shard::reduce(squares),
      shard::reduce(signed_squares), shard::reduce(total), shard::reduce(means),
      shard::reduce(floats), shard::reduce(narrow), shard::reduce(hits), shard::reduce(least),
      shard::reduce(most), shard::reduce(bins),
      [](std::size_t i, auto x, auto small, auto& squares, auto& signed_squares, auto& total,
         auto& means, auto& floats, auto& narrow, auto& hits, auto& least, auto& most, auto& bins) {
        squares += i * i;
        squares += 1;
        signed_squares += i * i;  // modulo 2^64, as the sum itself
        signed_squares += small[i];
        total += x[i];
        total += 1;
        total += 0.5f;
        total += std::cref(x[i]);
        total.add(x.span({i, i + 1}));
        means.add(std::vector<double>{1, 2});
        floats += x[i] * 2;
        floats += small[i];
        narrow += 'a';
        narrow += true;
        hits += 1;
        hits += std::size_t{2};
        hits += x.span({0, i}).size();
        ++hits, hits++;
        least(x[i]);
        least(2);
        most(i);
        bins(i, i, "a");
        bins(x[i], small[i], "b");
        bins(1, 1, "b");
        bins.add(i, 0.5L, true, "b");
        bins.add(small[i], std::int64_t{1}, 'c', "b");
        longest()(1), longest()(x[i]);
      });
}

static_assert(!shard::widens_to<std::size_t, double> && shard::widens_to<int, double>);
static_assert(!shard::widens_to<double, float> &&
              !shard::widens_to<std::reference_wrapper<double>, int>);
