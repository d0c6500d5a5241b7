// How sure is the mean delay of an airport? 2000 resamples of the flights of each airport, drawn
// with replacement, give 2000 means; the middle 95% of them are the bootstrap's interval (Efron,
// 1979). Each resample has random numbers of its own, so the intervals are the same with any number
// of workers and after any crash.
//
// Usage: bootstrap FOLDER [RESAMPLES] (a folder with origin.npy and delay.npy; 2000 resamples
// unless told otherwise). Expected, of examples/data/flights:
//   ORD   11015 flights, mean delay   5.44 min, 95%: [  4.85,   6.04]
// and so on, for the five largest airports.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <shard/shard.hpp>
#include <string>
#include <vector>

using code = shard::text<3>;
using minutes = std::vector<std::int16_t>;

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : ".";
  const auto origin = shard::open<code>(folder / "origin.npy");
  const auto delay = shard::open<std::int16_t>(folder / "delay.npy");
  std::map<std::string, minutes> by_code;
  for (std::size_t i = 0; i < delay.size(); ++i) {
    by_code[std::string(origin[i])].push_back(delay[i]);
  }
  std::vector<std::pair<std::string, minutes>> airports(by_code.begin(), by_code.end());
  std::ranges::stable_sort(airports, std::greater(),
                           [](const auto& airport) { return airport.second.size(); });

  const std::size_t resamples = argc > 2 ? std::stoul(argv[2]) : 2000;
  shard::buffer<double, 2> means(airports.size(), resamples);
  shard::map(means, [&](std::size_t airport, std::size_t resample) {
    const minutes& flights = airports[airport].second;
    shard::random_stream random(20010101, airport * resamples + resample);
    std::int64_t total = 0;
    for (std::size_t k = 0; k < flights.size(); ++k) total += flights[random.below(flights.size())];
    return static_cast<double>(total) / static_cast<double>(flights.size());
  });

  bool plausible = true;
  for (std::size_t k = 0; k < std::min<std::size_t>(airports.size(), 5); ++k) {
    const auto& [name, flights] = airports[k];
    std::vector<double> sorted(resamples);
    for (std::size_t j = 0; j < resamples; ++j) sorted[j] = means(k, j);
    std::ranges::sort(sorted);
    std::int64_t total = 0;
    for (const std::int16_t each : flights) total += each;
    const double mean = static_cast<double>(total) / static_cast<double>(flights.size());
    const double low = sorted[resamples / 40];
    const double high = sorted[resamples - 1 - resamples / 40];
    std::printf("%s %7zu flights, mean delay %6.2f min, 95%%: [%6.2f, %6.2f]\n", name.c_str(),
                flights.size(), mean, low, high);
    plausible = plausible && low < mean && mean < high;
  }
  return plausible ? 0 : 1;
}
