// The correctly rounded results, by MPFR.
#pragma once

#include <mpfr.h>

#include <cstddef>
#include <deque>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

namespace shard_test {

// A number of MPFR.
class big {
 public:
  explicit big(mpfr_prec_t bits) { mpfr_init2(value_, bits); }
  ~big() { mpfr_clear(value_); }
  big(const big&) = delete;
  big& operator=(const big&) = delete;

  operator mpfr_ptr() { return value_; }
  operator mpfr_srcptr() const { return value_; }

 private:
  mpfr_t value_;
};

// What is rounded to at the end.
struct target {
  mpfr_prec_t digits;
  mpfr_exp_t lowest;
  mpfr_exp_t highest;
};
inline constexpr target to_double{53, -1073, 1024};
inline constexpr target to_float{24, -148, 128};

// Of `value`, which has the target's digits and was rounded with this result of MPFR: within the
// target's range as well.
inline double in_range(big& value, int ternary, const target& as) {
  const mpfr_exp_t lowest = mpfr_get_emin();
  const mpfr_exp_t highest = mpfr_get_emax();
  mpfr_set_emin(as.lowest);
  mpfr_set_emax(as.highest);
  ternary = mpfr_check_range(value, ternary, MPFR_RNDN);
  mpfr_subnormalize(value, ternary, MPFR_RNDN);
  mpfr_set_emin(lowest);
  mpfr_set_emax(highest);
  return mpfr_get_d(value, MPFR_RNDN);
}

inline double rounded(const big& exact, const target& as = to_double) {
  big value(as.digits);
  const int ternary = mpfr_set(value, exact, MPFR_RNDN);
  return in_range(value, ternary, as);
}

// What MPFR finds for finite numbers. Its numbers are kept from one call to the next: to make them
// takes longest.
class oracle {
 public:
  double sum(std::span<const double> x, const target& as = to_double) {
    return summed(of(x, x, false), as);
  }
  double dot(std::span<const double> x, std::span<const double> y, const target& as = to_double) {
    return summed(of(x, y, true), as);
  }
  double root_of_dot(std::span<const double> x, std::span<const double> y) {
    exact_sum(xy_, of(x, y, true));
    mpfr_sqrt(ratio_, xy_, MPFR_RNDN);
    return rounded(ratio_);
  }

  double mean(std::span<const double> x) {
    exact_sum(x_, of(x, x, false));
    mpfr_div_ui(ratio_, x_, x.size(), MPFR_RNDN);
    return rounded(ratio_);
  }
  double variance(std::span<const double> x) { return fraction(x, 1, 1, false); }
  double deviation(std::span<const double> x) { return fraction(x, 1, 1, true); }
  double error(std::span<const double> x) { return fraction(x, 2, 1, true); }
  double population_variance(std::span<const double> x) { return fraction(x, 2, 0, false); }
  double population_deviation(std::span<const double> x) { return fraction(x, 2, 0, true); }

  double covariance(std::span<const double> x, std::span<const double> y) {
    spread(joint_, x, y);
    if (mpfr_zero_p(joint_) != 0) return 0.0;
    divide(joint_, x.size(), 1, 1);
    return rounded(ratio_);
  }
  double correlation(std::span<const double> x, std::span<const double> y) {
    spread(joint_, x, y);
    spread(in_x_, x, x);
    spread(in_y_, y, y);
    if (mpfr_zero_p(in_x_) != 0 || mpfr_zero_p(in_y_) != 0) {
      return std::numeric_limits<double>::quiet_NaN();
    }
    if (mpfr_zero_p(joint_) != 0) return 0.0;
    exactly(mpfr_mul(product_, in_x_, in_y_, MPFR_RNDN));
    exactly(mpfr_sqr(square_, joint_, MPFR_RNDN));
    mpfr_div(ratio_, square_, product_, MPFR_RNDN);
    mpfr_sqrt(ratio_, ratio_, MPFR_RNDN);
    mpfr_setsign(ratio_, ratio_, mpfr_signbit(joint_), MPFR_RNDN);
    return rounded(ratio_);
  }

 private:
  // Numbers, or products of two.
  std::span<mpfr_ptr> of(std::span<const double> x, std::span<const double> y, bool products) {
    while (terms_.size() < x.size()) terms_.emplace_back(106);
    places_.resize(x.size());
    for (std::size_t k = 0; k < x.size(); ++k) {
      places_[k] = terms_[k];
      exactly(mpfr_set_d(terms_[k], x[k], MPFR_RNDN));
      if (products) exactly(mpfr_mul_d(terms_[k], terms_[k], y[k], MPFR_RNDN));
    }
    return places_;
  }
  static double summed(std::span<mpfr_ptr> what, const target& as) {
    big value(as.digits);
    const int ternary = mpfr_sum(value, what.data(), what.size(), MPFR_RNDN);
    return in_range(value, ternary, as);
  }
  static void exact_sum(big& to, std::span<mpfr_ptr> what) {
    exactly(mpfr_sum(to, what.data(), what.size(), MPFR_RNDN));
  }
  static void exactly(int ternary) {
    if (ternary != 0) throw std::logic_error("the oracle rounds where it must not");
  }

  // n Σxy - Σx Σy
  void spread(big& to, std::span<const double> x, std::span<const double> y) {
    exact_sum(x_, of(x, x, false));
    exact_sum(y_, of(y, y, false));
    exact_sum(xy_, of(x, y, true));
    exactly(mpfr_mul_ui(xy_, xy_, x.size(), MPFR_RNDN));
    exactly(mpfr_mul(product_, x_, y_, MPFR_RNDN));
    exactly(mpfr_sub(to, xy_, product_, MPFR_RNDN));
  }
  // By n^power and (n - 1)^other.
  void divide(const big& what, std::size_t n, int power, int other) {
    mpfr_set_ui(divisor_, 1, MPFR_RNDN);
    for (int k = 0; k < power; ++k) exactly(mpfr_mul_ui(divisor_, divisor_, n, MPFR_RNDN));
    for (int k = 0; k < other; ++k) exactly(mpfr_mul_ui(divisor_, divisor_, n - 1, MPFR_RNDN));
    mpfr_div(ratio_, what, divisor_, MPFR_RNDN);
  }
  double fraction(std::span<const double> x, int power, int other, bool root) {
    spread(joint_, x, x);
    divide(joint_, x.size(), power, other);
    if (root) mpfr_sqrt(ratio_, ratio_, MPFR_RNDN);
    return rounded(ratio_);
  }

  static constexpr mpfr_prec_t enough = 9000;   // for what must be exact
  static constexpr mpfr_prec_t plenty = 10000;  // a fraction this near to a tie would be one
  std::deque<big> terms_;
  std::vector<mpfr_ptr> places_;
  big x_{enough}, y_{enough}, xy_{enough}, product_{2 * enough}, joint_{enough}, in_x_{enough},
      in_y_{enough}, square_{2 * enough}, divisor_{256}, ratio_{plenty};
};

}  // namespace shard_test
