#include "random/counts.hpp"

#include <algorithm>
#include <cmath>

#include "random/distributions.hpp"
#include "random/mass.hpp"

namespace shard::random {

namespace {

// From this expected count on by rejection: Hörmann's constants hold from here on.
constexpr double many = 10;

// More than any count that is ever taken, where nothing else limits it.
constexpr double beyond_all = 0x1p62;

// What Hörmann's transformed rejection draws from: a hat over the distribution, whose tails fall as
// 1 / x^2. `slope` and `width` are his a and b.
struct hat {
  double slope;
  double width;
  double centre;
  double sure;   // in the middle of the hat, so high a draw is taken without a look
  double scale;  // of the hat, beside what log_mass is relative to
};

double whole(double x) noexcept { return static_cast<double>(static_cast<std::uint64_t>(x)); }

// A count of [0, most] with a probability in proportion to exp(log_mass(count)).
template <class LogMass>
double draw_under(const hat& over, double most, random_stream& from, LogMass log_mass) noexcept {
  for (;;) {
    const double u = inner_uniform_from(from()) - 0.5;
    const double v = inner_uniform_from(from());
    const double edge = 0.5 - std::abs(u);  // how far u is from the nearer end
    const double x = (2 * over.slope / edge + over.width) * u + over.centre;
    if (!(x >= 0 && x < most + 1)) continue;
    const double count = whole(x);
    if (edge >= 0.07 && v <= over.sure) return count;
    const double height = v * over.scale / (over.slope / (edge * edge) + over.width);
    if (logarithm(height) <= log_mass(count)) return count;
  }
}

// Arrivals before `mean`.
std::uint64_t count_arrivals(random_stream& from, double mean) noexcept {
  std::uint64_t count = 0;
  for (double time = from.exponential(); time < mean; time += from.exponential()) ++count;
  return count;
}

double reject_poisson(random_stream& from, double mean) noexcept {
  const double width = 0.931 + 2.53 * std::sqrt(mean);
  const hat over{.slope = -0.059 + 0.02483 * width,
                 .width = width,
                 .centre = mean + 0.43,
                 .sure = 0.9277 - 3.6224 / (width - 2),
                 .scale = 1.1239 + 1.1328 / (width - 3.4)};
  return draw_under(over, beyond_all, from, [=](double k) { return log_poisson_mass(k, mean); });
}

// n things wait, each for a time of exponential(). Each success is one that has come before
// -log(1 - p). With m of them left, the time to the next is exponential() / m.
std::uint64_t count_successes(random_stream& from, std::uint64_t n, double p) noexcept {
  const double limit = minus_log_beside(2 * p);
  double time = 0;
  for (std::uint64_t count = 0; count < n; ++count) {
    time += from.exponential() / static_cast<double>(n - count);
    if (time > limit) return count;
  }
  return n;
}

double reject_binomial(random_stream& from, double n, double p) noexcept {
  const double q = 1 - p;
  const double deviation = std::sqrt(n * p * q);
  const double width = 1.15 + 2.53 * deviation;
  const double mode = whole((n + 1) * p);
  const double highest = log_binomial_mass(mode, n, p, q);
  const hat over{.slope = -0.0873 + 0.0248 * width + 0.01 * p,
                 .width = width,
                 .centre = n * p + 0.5,
                 .sure = 0.92 - 4.2 / width,
                 .scale = (2.83 + 5.1 / width) * deviation};
  return draw_under(over, n, from,
                    [=](double k) { return log_binomial_mass(k, n, p, q) - highest; });
}

}  // namespace

std::uint64_t poisson(random_stream& from, double mean) noexcept {
  if (mean < many) return count_arrivals(from, mean);
  return static_cast<std::uint64_t>(reject_poisson(from, mean));
}

std::uint64_t binomial(random_stream& from, std::uint64_t n, double p) noexcept {
  const double rarer = std::min(p, 1 - p);
  const auto attempts = static_cast<double>(n);
  const std::uint64_t count =
      attempts * rarer < many ? count_successes(from, n, rarer)
                              : static_cast<std::uint64_t>(reject_binomial(from, attempts, rarer));
  return p > 0.5 ? n - count : count;
}

}  // namespace shard::random
