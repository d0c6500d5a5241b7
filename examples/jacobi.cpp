// A rod of 100 000 cells whose ends are held at 0 and 1 degrees: 2000 relaxation steps in a pool.
// Each step reads what the one before has written, so the steps are queued: the workers go from one
// to the next by themselves.
//
// Usage: jacobi [STEPS]. Expected: how long it took, then "as a serial loop: yes". The program runs
// the serial loop, too.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <shard/shard.hpp>
#include <utility>
#include <vector>

// A kernel of a pool captures nothing: a function is one, too.
double relaxed(std::size_t i, shard::view<double> x) {
  if (i == 0 || i == x.size() - 1) return x[i];
  return 0.25 * x[i - 1] + 0.5 * x[i] + 0.25 * x[i + 1];
}

int main(int argc, char** argv) {
  constexpr std::size_t cells = 100'000;
  const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;
  shard::buffer<double> now(cells);
  shard::buffer<double> next(cells);
  now[cells - 1] = 1;

  shard::pool workers;
  const auto begin = std::chrono::steady_clock::now();
  for (int k = 0; k < steps; ++k) {
    workers.queue(next, shard::in(now), relaxed);
    std::swap(now, next);
  }
  workers.wait();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  std::cout << steps << " steps on " << workers.workers() << " workers, " << taken.count()
            << " s\n";

  std::vector<double> x(cells);
  std::vector<double> y(cells);
  x[cells - 1] = 1;
  for (int k = 0; k < steps; ++k) {
    y.front() = x.front();
    for (std::size_t i = 1; i + 1 < cells; ++i)
      y[i] = 0.25 * x[i - 1] + 0.5 * x[i] + 0.25 * x[i + 1];
    y.back() = x.back();
    std::swap(x, y);
  }
  const bool same = std::equal(x.begin(), x.end(), std::as_const(now).begin());
  std::cout << "as a serial loop: " << (same ? "yes" : "no") << "\n";
  return same ? 0 : 1;
}
