// What the mistakes in maps beside it get wrong, right.
#include <shard/shard.hpp>

#include <string>
#include <vector>

double plain(std::size_t i) { return double(i); }

void run(shard::buffer<double>& out, shard::buffer<float>& other, shard::buffer<double, 2>& m,
         const shard::buffer<double>& x, shard::sum<double>& total) {
  shard::map(out, plain);
  shard::map(out, [&](std::size_t i) { return 2 * x[i]; });
  shard::map(out, shard::value(std::string("scale")),
             [](auto i, auto& name) { return double(i + name.size()); });
  shard::map({.workers = 8}, std::tie(out, other),
             [](std::size_t i) { return std::tuple(double(i), float(i)); });
  shard::map(x.size(), shard::in(x), shard::reduce(total),
             [](std::size_t i, auto x, auto& sum) { sum += x[i]; });
  shard::map(shard::range{0, 10}, shard::out(out),
             [](shard::range chunk, shard::slice<double> to) { to[chunk.first] = 1; });
  shard::map(m, [](std::size_t i, std::size_t j) { return double(i * j); });
  shard::map(m, [](std::size_t, std::span<double> row) { row[0] = 1; });
  shard::map(shard::tiles{m.shape()}, shard::out(m), [](shard::tile, auto) {});
  shard::map(out, shard::worker_state([](std::size_t n) { return std::vector<double>(n); }, 10),
             [](std::size_t i, std::vector<double>& scratch) { return scratch[i % 10]; });
  shard::map(m, shard::worker_state([] { return 7; }),
             [](std::size_t, std::size_t, const auto& seven) { return seven; });
  shard::map(
      shard::strided{{0, 10}, 3}, shard::out(out), shard::chunk_number(),
      [](std::size_t i, shard::slice<double> to, std::size_t chunk) { to[i] = double(chunk); });
  shard::map(shard::chunks{{0, 10}, 3}, shard::out_per_chunk(out), shard::chunk_number(),
             [](shard::range chunk, auto to, auto k) { to[k] = double(chunk.size()); });
  shard::map(shard::by_memory{{0, 10}, 8, 80}, shard::worker_number(), shard::reduce(total),
             [](std::size_t, unsigned, auto& sum) { sum += 1; });
  shard::map(out,
             shard::worker_state([](unsigned number) { return number; }, shard::worker_number()),
             [](std::size_t, const unsigned& number) { return number * 0.0; });
  shard::for_each(10, [](std::size_t) {});
}
