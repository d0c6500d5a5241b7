// Dates, text of any characters, and numbers in 16 bits, as numpy has them; and a program that
// reads whatever numbers a file holds.
//
// Expected:
//   departures.npy   datetime64[s], open as std::chrono::sys_time<std::chrono::seconds>
//   cities.npy       text of up to 8 characters, open as shard::u32text<8>
//   delays.npy       float16, open as shard::float16
//   on weekdays 4 - 6, from Zürich first
//   mean of delays.npy 2.5
#include <chrono>
#include <concepts>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <shard/shard.hpp>
#include <vector>

using time_point = std::chrono::sys_seconds;
using city = shard::u32text<8>;

int main() {
  using namespace std::chrono_literals;
  const time_point first = std::chrono::sys_days(2024y / 2 / 29) + 23h + 59min;
  const std::vector<time_point> times{first, shard::not_a_time<time_point>, first + 24h + 1min};
  shard::save("departures.npy", shard::buffer(times));
  shard::save("cities.npy", shard::buffer(std::vector{city("Zürich"), city("東京"), city("Oslo")}));
  shard::buffer<shard::float16> delays(3);
  shard::map(delays, [](std::size_t i) { return shard::float16(1.0f + 1.5f * float(i)); });
  shard::save("delays.npy", delays);

  for (const char* name : {"departures.npy", "cities.npy", "delays.npy"}) {
    const shard::array_info found = shard::inspect(name);
    std::cout << std::left << std::setw(17) << name << found.type.name << ", open as "
              << found.element << "\n";
  }

  const auto departures = shard::open<time_point>("departures.npy");
  shard::buffer<std::uint8_t> weekdays(departures.size());
  shard::map(weekdays, shard::in(departures), [](std::size_t i, shard::view<time_point> at) {
    if (shard::is_not_a_time(at[i])) return std::uint8_t{7};  // NaT: arithmetic would overflow
    const std::chrono::weekday day(std::chrono::floor<std::chrono::days>(at[i]));
    return static_cast<std::uint8_t>(day.c_encoding());
  });
  std::cout << "on weekdays";
  for (const std::uint8_t day : weekdays) std::cout << " " << (day == 7 ? '-' : char('0' + day));
  std::cout << ", from " << shard::open<city>("cities.npy")[0] << " first\n";

  double mean = 0;
  shard::visit("delays.npy", [&]<class T>(shard::strided_view<const T> x) {
    if constexpr (std::convertible_to<T, double>) {
      for (const T each : x) mean += static_cast<double>(each);
      mean /= static_cast<double>(x.size());
    }
  });
  std::cout << "mean of delays.npy " << mean << "\n";
  return weekdays[0] == 4 && weekdays[1] == 7 && weekdays[2] == 6 && mean == 2.5 ? 0 : 1;
}
