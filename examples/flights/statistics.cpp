#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace flights {

namespace {

__extension__ using int128 = __int128;  // sums of squares times flights outgrow 64 bits

std::vector<airport> summarise_all(const airport_index& index,
                                   const shard::buffer<const std::int64_t>& flights,
                                   const shard::buffer<const std::int64_t>& sums,
                                   const shard::buffer<const std::int64_t>& squares) {
  std::vector<airport> airports;
  airports.reserve(index.size());
  for (const airport_code code : index.codes()) {
    const std::size_t k = airports.size();
    airports.push_back(summarise(code, flights[k], sums[k], squares[k]));
  }
  return airports;
}

}  // namespace

airport summarise(airport_code origin, std::int64_t flights, std::int64_t sum,
                  std::int64_t squares) {
  const int128 spread = int128{flights} * squares - int128{sum} * sum;
  const auto n = static_cast<double>(flights);
  return {.origin = origin,
          .flights = flights,
          .mean_delay = static_cast<double>(sum) / n,
          .sd_delay = std::sqrt(static_cast<double>(spread)) / n};
}

int hour_of(std::int64_t date) noexcept {
  constexpr std::int64_t day = 86'400;
  const std::int64_t second = date % day;  // takes the sign of date
  return static_cast<int>((second < 0 ? second + day : second) / 3600);
}

statistics measure(const columns& rows, const airport_index& index, journal& log) {
  // An axis has at least one bin, although a table without rows has no airport.
  const int airports = std::max(1, static_cast<int>(index.size()));
  shard::histogram flights{shard::axis::integer(0, airports)};
  shard::histogram sums{shard::axis::integer(0, airports)};
  shard::histogram squares{shard::axis::integer(0, airports)};
  shard::histogram by_hour{shard::axis::integer(0, hours),
                           shard::axis::regular(delay_bins, shortest_delay, longest_delay)};

  log.add(shard::map(
      log.stage("measuring delays"), shard::range{0, rows.rows()}, shard::in(rows.date),
      shard::in(rows.delay), shard::in(rows.origin), shard::reduce(flights), shard::reduce(sums),
      shard::reduce(squares), shard::reduce(by_hour),
      [&index](shard::range chunk, shard::view<std::int64_t> date, shard::view<std::int16_t> delay,
               shard::view<airport_code> origin, auto& count, auto& sum, auto& square, auto& bins) {
        for (const std::size_t i : chunk) {
          const std::uint32_t number = index.number(origin[i]);
          const std::int64_t minutes = delay[i];
          count(number);
          sum.add(minutes, number);
          square.add(minutes * minutes, number);
          bins(hour_of(date[i]), minutes);
        }
      }));
  return {summarise_all(index, flights.counts(), sums.counts(), squares.counts()),
          by_hour.counts()};
}

void score(shard::buffer<float>& scores, const columns& rows, const airport_index& index,
           const std::vector<airport>& airports, journal& log) {
  log.add(shard::map(log.stage("scoring flights"), scores, shard::in(rows.delay),
                     shard::in(rows.origin),
                     [&index, &airports](std::size_t i, shard::view<std::int16_t> delay,
                                         shard::view<airport_code> origin) {
                       const airport& from = airports[index.number(origin[i])];
                       if (from.sd_delay == 0) return 0.0f;
                       return static_cast<float>((delay[i] - from.mean_delay) / from.sd_delay);
                     }));
}

}  // namespace flights
