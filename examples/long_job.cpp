// A job of many tasks, of which some crash, some hang and some throw, and which may be killed at
// any moment: start it again until it says that it is complete.
//
//   long_job FOLDER [TASKS]
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;

// From 1 to 10 ms of work. In every start, the same twelve tasks fail.
double task(std::size_t i, shard::sum<double>::accumulator& total) {
  shard::random_stream draw(42, i);
  if (i % 1429 == 713) std::abort();
  if (i % 3333 == 2222) std::this_thread::sleep_for(1h);
  if (i % 5000 == 4321)
    throw std::runtime_error("task " + std::to_string(i) + " found no solution");
  std::this_thread::sleep_for(std::chrono::microseconds(1000 + draw.below(9000)));
  const double result = draw.normal();
  total += result;
  return result;
}

}  // namespace

int main(int argc, char** argv) try {
  shard::job job(argc > 1 ? argv[1] : "long_job");
  auto results = job.create<double>("results.npy", argc > 2 ? std::stoul(argv[2]) : 10'000);
  shard::sum<double> total;
  const shard::report done = job.try_map({.timeout = 1s, .retries = 0, .keep_going = true}, results,
                                         shard::reduce(total), task);
  std::cout << done << "\nsum of the results: " << total.value() << '\n';
  return done.complete() ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception& e) {
  std::cerr << "long_job: " << e.what() << '\n';
  return EXIT_FAILURE;
}
