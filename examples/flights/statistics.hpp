// What is computed from the flights. Every result is a function of the rows alone, to the last bit:
// sums are exact integers, and each floating-point value comes from them by one fixed expression.
#pragma once

#include <cstdint>
#include <vector>

#include "airport_index.hpp"
#include "columns.hpp"
#include "journal.hpp"

namespace flights {

// The delays, in minutes, of the flights that start from one airport.
//
//   mean = sum / flights
//   sd   = sqrt(flights * sum of squares - sum * sum) / flights
//
// where sums, products and the difference are exact integers, and every other step is the IEEE
// double operation: conversion, division and square root round to nearest.
struct airport {
  airport_code origin;
  std::int64_t flights = 0;
  double mean_delay = 0;
  double sd_delay = 0;  // of the population
};

struct statistics {
  std::vector<airport> airports;                       // by airport_index number
  shard::buffer<const std::int64_t, 2> delay_by_hour;  // UTC hour of date × delay, in flights
};

inline constexpr int hours = 24;
inline constexpr int delay_bins = 120;
inline constexpr double shortest_delay = -60;  // minutes; what lies outside is in no bin
inline constexpr double longest_delay = 180;

// From the sums of delays and of their squares. Requires: flights > 0.
airport summarise(airport_code origin, std::int64_t flights, std::int64_t sum,
                  std::int64_t squares);

// The UTC hour of the day, 0 … 23, also before 1970.
int hour_of(std::int64_t date) noexcept;

statistics measure(const columns& rows, const airport_index& index, journal& log);

// How many standard deviations of its origin's delays each flight is late; 0 where they don't vary.
// scores[i] = float((delay[i] - mean) / sd), computed in double.
void score(shard::buffer<float>& scores, const columns& rows, const airport_index& index,
           const std::vector<airport>& airports, journal& log);

}  // namespace flights
