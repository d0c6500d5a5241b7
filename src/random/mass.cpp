#include "random/mass.hpp"

#include <array>
#include <cmath>

#include "random/distributions.hpp"

namespace shard::random {

namespace {

constexpr double two_pi = 0x1.921fb54442d18p+2;

// By how much log n! exceeds Stirling's log(sqrt(2 pi n) (n / e)^n). Requires: n is a whole number
// from 1.
double stirling_error(double n) noexcept {
  // log n! - log(sqrt(2 pi n) (n / e)^n) for n = 0, 1, …, 15.
  constexpr std::array<double, 16> small{
      0,
      0.08106146679532726,
      0.04134069595540929,
      0.02767792568499834,
      0.02079067210376509,
      0.01664469118982119,
      0.01387612882307075,
      0.01189670994589177,
      0.01041126526197209,
      0.009255462182712733,
      0.008330563433362871,
      0.007573675487951841,
      0.006942840107209530,
      0.006408994188004207,
      0.005951370112758848,
      0.005554733551962801,
  };
  if (n < 16) return small[static_cast<std::size_t>(n)];
  const double r = 1 / n;
  const double r2 = r * r;
  return r *
         (1.0 / 12 - r2 * (1.0 / 360 - r2 * (1.0 / 1260 - r2 * (1.0 / 1680 - r2 * (1.0 / 1188)))));
}

// x log(x / mean) + mean - x: how far x is from the mean, twice over. Requires: both are positive.
double deviance(double x, double mean) noexcept {
  const double difference = x - mean;
  if (std::abs(difference) >= 0.1 * (x + mean)) return x * logarithm(x / mean) + mean - x;
  // A series in v^2 <= 0.01, where the direct form would lose what it is about.
  const double v = difference / (x + mean);
  const double v2 = v * v;
  double sum = difference * v;
  double power = 2 * x * v;
  for (int k = 3;; k += 2) {
    power *= v2;
    const double next = sum + power / k;
    if (next == sum) return sum;
    sum = next;
  }
}

}  // namespace

double log_poisson_mass(double k, double mean) noexcept {
  if (k == 0) return -mean;
  return -stirling_error(k) - deviance(k, mean) - 0.5 * logarithm(two_pi * k);
}

double log_binomial_mass(double k, double n, double p, double q) noexcept {
  if (k == 0) return n * logarithm(q);
  if (k == n) return n * logarithm(p);
  const double rest = n - k;
  return stirling_error(n) - stirling_error(k) - stirling_error(rest) - deviance(k, n * p) -
         deviance(rest, n * q) - 0.5 * logarithm(two_pi * k * (rest / n));
}

}  // namespace shard::random
