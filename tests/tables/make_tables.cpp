// Makes src/random/tables.cpp: prints it. Computes with 50 decimal digits and rounds each number
// once, so every compiler prints the same.
//
// Both functions are cut into octaves: what lies between neighbouring powers of two. All octaves of
// the logarithm are alike. An octave has 16 segments, or 32. On a segment, f(t) for t in [0, 1] is
// a polynomial of degree 7, the one that meets the function at the Chebyshev points. docs/random.md
// says how the bits of a word choose the segment and t.
#include <array>
#include <boost/math/constants/constants.hpp>
#include <boost/math/special_functions/erf.hpp>
#include <boost/multiprecision/cpp_bin_float.hpp>
#include <cstddef>
#include <cstdio>

namespace {

using real = boost::multiprecision::cpp_bin_float_50;

constexpr int octaves = 64;
constexpr int normal_segments = 16;
constexpr int exponential_segments = 32;
constexpr std::size_t terms = 8;

// The z that a normal number exceeds with probability p. By Newton's method: the logarithm of the
// tail is nearly a parabola.
real normal_tail_inverse(const real& p) {
  if (p == real(1) / 2) return 0;
  real z = p > real(1) / 50 ? real(1) : sqrt(-2 * log(p));
  for (int i = 0; i < 100; ++i) {
    const real tail = boost::math::erfc(z / boost::math::constants::root_two<real>()) / 2;
    const real density = exp(-z * z / 2) / boost::math::constants::root_two_pi<real>();
    const real step = (log(tail) - log(p)) * tail / density;
    z += step;
    if (abs(step) < real(1e-40)) break;
  }
  return z;
}

// Coefficients c of the polynomial of degree 7 that equals f at 8 points of [0, 1]. If f(0) is 0 it
// is 0 there, too, so that it stays correct relative to f.
template <class Function>
std::array<real, terms> fit(Function f, bool from_zero) {
  const std::size_t first = from_zero ? 1 : 0;
  const std::size_t n = terms - first;
  std::array<real, terms> x;
  std::array<real, terms> divided;  // differences of f, or of f(t) / t
  for (std::size_t i = 0; i < n; ++i) {
    const real angle = boost::math::constants::pi<real>() * (2 * static_cast<int>(i) + 1) /
                       (2 * static_cast<int>(n));
    x[i] = (1 - cos(angle)) / 2;
    divided[i] = from_zero ? f(x[i]) / x[i] : f(x[i]);
  }
  for (std::size_t order = 1; order < n; ++order) {
    for (std::size_t i = n - 1; i >= order; --i) {
      divided[i] = (divided[i] - divided[i - 1]) / (x[i] - x[i - order]);
    }
  }
  // From Newton's form to powers of t.
  std::array<real, terms> c{};
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = terms - 1; k > first; --k) c[k] = c[k - 1] - x[i] * c[k];
    c[first] = divided[i] - x[i] * c[first];
  }
  return c;
}

void print_row(const std::array<real, terms>& c) {
  std::printf("    {{");
  for (std::size_t k = 0; k < terms; ++k) {
    std::printf("%s%a", k == 0 ? "" : ", ", static_cast<double>(c[k]));
  }
  std::printf("}},\n");
}

}  // namespace

int main() {
  std::printf(
      "// The tables of random numbers. tests/tables/make_tables.cpp prints this file.\n"
      "#include \"random/tables.hpp\"\n\n"
      "namespace shard::random {\n\n"
      "// clang-format off\n"
      "const std::array<row, %d> normal_rows{{\n",
      octaves * normal_segments);
  for (int octave = 0; octave < octaves; ++octave) {
    for (int segment = 0; segment < normal_segments; ++segment) {
      // From the octave's upper end downwards, so that the function grows.
      const real high = ldexp(real(1), -1 - octave);
      print_row(fit(
          [&](const real& t) {
            return normal_tail_inverse(high * (1 - (segment + t) / (2 * normal_segments)));
          },
          octave == 0 && segment == 0));
    }
  }
  std::printf("}};\n\nconst std::array<row, %d> exponential_rows{{\n", exponential_segments);
  for (int segment = 0; segment < exponential_segments; ++segment) {
    print_row(
        fit([&](const real& t) { return -log(1 - (segment + t) / (2 * exponential_segments)); },
            segment == 0));
  }
  std::printf("}};\n// clang-format on\n\n}  // namespace shard::random\n");
}
