#include "shard/random.hpp"

#include <Random123/philox.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/exponential.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/poisson.hpp>
#include <boost/math/distributions/uniform.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include "numbers.hpp"
#include "random/distributions.hpp"
#include "random/mass.hpp"
#include "random/wide.hpp"
#include "refusal.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

using shard::random_stream;
using shard_test::mentions;
using shard_test::refusal;
namespace random = shard::random;

static_assert(std::uniform_random_bit_generator<random_stream>);
static_assert(std::is_trivially_copyable_v<random_stream>);

constexpr std::uint64_t all_ones = ~std::uint64_t{0};

std::uint64_t low(std::uint64_t word) { return word & 0xFFFF'FFFF; }
std::uint64_t high(std::uint64_t word) { return word >> 32; }

// ---- Words

// std::philox4x32 as [rand.eng.philox] of C++26 describes it, word by word.
class standard_engine {
 public:
  standard_engine(std::uint32_t k0, std::uint32_t k1, std::array<std::uint32_t, 4> counter)
      : k_{k0, k1}, x_(counter) {}

  std::uint32_t operator()() {
    i_ = (i_ + 1) % 4;
    if (i_ == 0) {
      y_ = rounds();
      for (auto& word : x_) {
        if (++word != 0) break;
      }
    }
    return y_[i_];
  }

 private:
  std::array<std::uint32_t, 4> rounds() const {
    constexpr std::array<std::uint64_t, 2> multipliers{0xCD9E8D57, 0xD2511F53};
    constexpr std::array<std::uint32_t, 2> constants{0x9E3779B9, 0xBB67AE85};
    std::array<std::uint32_t, 4> x = x_;
    for (std::uint32_t q = 0; q < 10; ++q) {
      const std::array<std::uint32_t, 4> v{x[2], x[1], x[0], x[3]};
      for (std::size_t k = 0; k < 2; ++k) {
        const std::uint64_t product = v[2 * k] * multipliers[k];
        x[2 * k] = static_cast<std::uint32_t>(product >> 32) ^
                   static_cast<std::uint32_t>(k_[k] + q * constants[k]) ^ v[2 * k + 1];
        x[2 * k + 1] = static_cast<std::uint32_t>(product);
      }
    }
    return x;
  }

  std::array<std::uint32_t, 2> k_;
  std::array<std::uint32_t, 4> x_;
  std::array<std::uint32_t, 4> y_{};
  std::size_t i_ = 3;
};

TEST(RandomStream, HasTheStandardsTenThousandthWord) {
  random_stream random(20111115, 0);
  random.discard(4999);
  EXPECT_EQ(high(random()), 1955073260U);
}

// From kat_vectors of Random123.
TEST(RandomStream, GivesTheKnownAnswers) {
  random_stream zeros(0, 0);
  EXPECT_EQ(zeros(), 0xE169C58D'6627E8D5U);
  EXPECT_EQ(zeros(), 0x9B00DBD8'BC57AC4CU);

  random_stream ones(all_ones, all_ones);
  ones.discard(all_ones);
  ones.discard(all_ones);
  EXPECT_EQ(ones(), 0x41C83B0E'408F276DU);
  EXPECT_EQ(ones(), 0x6D5451FD'A20BC7C6U);

  random_stream pi(0x299F31D0'A4093822U, 0x03707344'13198A2EU);
  pi.discard(0x85A308D3'243F6A88U);
  pi.discard(0x85A308D3'243F6A88U);
  EXPECT_EQ(pi(), 0x94FDCCEB'D16CFE09U);
  EXPECT_EQ(pi(), 0x24126EA1'5001E420U);
}

RC_GTEST_PROP(RandomStream, HasTheWordsOfTheStandardsEngineFromAnyBlockOn,
              (std::uint64_t seed, std::uint64_t index)) {
  const auto block = *rc::gen::element<std::uint64_t>(0, 1, 0x7FFF'FFFE, 0xFFFF'FFFE, 0xFFFF'FFFF,
                                                      0x1'0000'0000, 0x7FFF'FFFF'FFFF'FFFE,
                                                      0xFFFF'FFFE'FFFF'FFFF, 0x1234'5678'FFFF'FFFE);
  random_stream random(seed, index);
  random.discard(block);
  random.discard(block);
  standard_engine engine(
      static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(high(seed)),
      {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(high(block)),
       static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(high(index))});
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t word = random();
    RC_ASSERT(low(word) == engine());
    RC_ASSERT(high(word) == engine());
  }
}

RC_GTEST_PROP(RandomStream, HasTheWordsOfRandom123,
              (std::uint64_t seed, std::uint64_t index, std::uint32_t block)) {
  random_stream random(seed, index);
  random.discard(std::uint64_t{block} * 2);
  const r123::Philox4x32::ctr_type words = r123::Philox4x32()(
      {{block, 0, static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(high(index))}},
      {{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(high(seed))}});
  RC_ASSERT(random() == (words[0] | std::uint64_t{words[1]} << 32));
  RC_ASSERT(random() == (words[2] | std::uint64_t{words[3]} << 32));
}

TEST(RandomStream, BeginsAgainBehindItsLastWord) {
  random_stream random(7, 9);
  const std::uint64_t first = random();
  const std::uint64_t second = random();
  random.discard(all_ones);
  random.discard(all_ones - 1);
  EXPECT_NE(random(), first);
  EXPECT_EQ(random(), first);
  EXPECT_EQ(random(), second);
  EXPECT_FALSE(random == random_stream(7, 10));
}

RC_GTEST_PROP(RandomStream, DiscardsAsManyWordsAsAreDrawn, (std::uint64_t seed)) {
  random_stream drawn(seed, 1);
  random_stream discarded(seed, 1);
  for (const auto n : *rc::gen::container<std::vector<std::uint8_t>>(rc::gen::inRange(0, 9))) {
    for (int i = 0; i < n; ++i) drawn();
    discarded.discard(n);
    RC_ASSERT(drawn == discarded);
  }
  RC_ASSERT(drawn() == discarded());
}

TEST(RandomStream, IsEqualToAnotherAtTheSamePlace) {
  random_stream a(1, 2);
  random_stream b(1, 2);
  EXPECT_TRUE(a == b);
  a();
  EXPECT_FALSE(a == b);
  b();
  EXPECT_TRUE(a == b);
  a();
  EXPECT_FALSE(a == b);
  b.discard(1);
  EXPECT_TRUE(a == b);
  EXPECT_FALSE(random_stream(1, 2) == random_stream(2, 1));
  EXPECT_FALSE(random_stream(1, 2) == random_stream(1, 3));
}

// ---- Reals

TEST(RandomStream, DrawsUniformNumbersFromTheUpper53Bits) {
  random_stream words(3, 4);
  random_stream random(3, 4);
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(random.uniform(), std::ldexp(static_cast<double>(words() >> 11), -53));
  EXPECT_EQ(random::uniform_from(0x7FF), 0);
  EXPECT_EQ(random::uniform_from(all_ones), 1 - 0x1p-53);
  EXPECT_EQ(random::inner_uniform_from(0), 0x1p-53);
  EXPECT_EQ(random::inner_uniform_from(all_ones), 1 - 0x1p-53);
}

// Words at both ends of each segment of each octave, and some from everywhere.
std::vector<std::uint64_t> telling_words() {
  std::vector<std::uint64_t> words{0, 1, 2, 3, all_ones, all_ones - 1};
  std::mt19937_64 engine(2024);
  for (int leading = 0; leading < 64; ++leading) {
    const std::uint64_t octave = std::uint64_t{1} << 63 >> leading;
    for (std::uint64_t segment = 0; segment < 16; ++segment) {
      const std::uint64_t first = octave + octave / 16 * segment;
      for (const std::uint64_t word : {first - 1, first, first + 1}) words.push_back(word);
      for (int i = 0; i < 5; ++i) words.push_back(octave | engine() % octave);
    }
  }
  for (int i = 0; i < 20'000; ++i) words.push_back(engine());
  return words;
}

TEST(NormalNumbers, AreTheInverseOfTheDistributionFunction) {
  const boost::math::normal_distribution<long double> standard;
  long double worst = 0;
  for (const std::uint64_t word : telling_words()) {
    const double z = random::normal_from(word);
    const std::uint64_t v = word << 1 >> 1;
    const long double tail = std::ldexp(static_cast<long double>(2 * v + 1), -65);
    const long double expected = quantile(complement(standard, tail));
    worst = std::max(worst, std::abs(std::abs(z) - expected));
    ASSERT_EQ(std::signbit(z), word >> 63 != 0) << word;
  }
  EXPECT_LT(worst, 4e-15L);
  RecordProperty("worst", std::to_string(static_cast<double>(worst * 1e15L)) + "e-15");
}

TEST(NormalNumbers, EndWhereTheWordsDoAndAreNeverZero) {
  constexpr std::uint64_t sign = std::uint64_t{1} << 63;
  EXPECT_NEAR(random::normal_from(0), 9.155, 0.001);
  EXPECT_EQ(random::normal_from(sign), -random::normal_from(0));
  EXPECT_GT(random::normal_from(sign - 1), 0);
  EXPECT_LT(random::normal_from(sign - 1), 0x1p-50);
  EXPECT_EQ(random::normal_from(all_ones), -random::normal_from(sign - 1));
}

TEST(NormalNumbers, FallAsTheirWordsGrow) {
  constexpr std::uint64_t sign = std::uint64_t{1} << 63;
  std::vector<std::uint64_t> words = telling_words();
  std::erase_if(words, [](std::uint64_t word) { return word >= sign; });
  std::ranges::sort(words);
  for (std::size_t i = 1; i < words.size(); ++i) {
    const double before = random::normal_from(words[i - 1]);
    ASSERT_LE(random::normal_from(words[i]), before + 2e-15) << words[i];
  }
}

TEST(ExponentialNumbers, AreMinusTheLogarithm) {
  long double worst = 0;
  for (const std::uint64_t word : telling_words()) {
    // From the nearer end, where the long double is exact.
    const long double expected =
        word >> 63 == 0 ? -std::log(std::ldexp(static_cast<long double>(2 * word + 1), -65))
                        : -std::log1p(-std::ldexp(static_cast<long double>(2 * ~word + 1), -65));
    const double x = random::exponential_from(word);
    ASSERT_GT(x, 0) << word;
    worst = std::max(worst, std::abs(x - expected));
    // So small ones come from words that differ in their last bits only.
    ASSERT_LE(std::abs(x - expected), 0x1p-59L + 0x1p-51L * expected) << word;
  }
  EXPECT_LT(worst, 1e-14L);
  RecordProperty("worst", std::to_string(static_cast<double>(worst * 1e15L)) + "e-15");
}

TEST(Logarithm, IsWithinRoundingErrorsOfTheTrueOne) {
  std::mt19937_64 engine(5);
  std::uniform_real_distribution<double> exponent(-1000, 1000);
  for (int i = 0; i < 20'000; ++i) {
    const double x = std::exp2(exponent(engine));
    const long double expected = std::log(static_cast<long double>(x));
    ASSERT_LT(std::abs(random::logarithm(x) - expected), 0x1p-51L * (1 + std::abs(expected))) << x;
  }
  for (const double f : {0.0, 1e-300, 1e-20, 0.01, 0.0625, 0.5, 0.99, 1.0}) {
    const long double expected = -std::log1p(-static_cast<long double>(f) / 2);
    EXPECT_LE(std::abs(random::minus_log_beside(f) - expected), 0x1p-51L * expected) << f;
  }
}

// ---- Spans

std::vector<random::instructions> available_instructions() {
  std::vector<random::instructions> all{random::instructions::scalar};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") != 0) all.push_back(random::instructions::avx2);
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
      __builtin_cpu_supports("avx512cd") != 0)
    all.push_back(random::instructions::avx512);
#endif
  return all;
}

TEST(FilledSpans, AreOfTheSameWordsWithAllInstructions) {
  constexpr std::uint64_t seed = 0xFEDC'BA98'7654'3210U;
  constexpr std::uint64_t index = 0x0123'4567'89AB'CDEFU;
  for (const auto with : available_instructions()) {
    for (const std::uint64_t block :
         {std::uint64_t{0}, std::uint64_t{0xFFFF'FFF3}, std::uint64_t{1} << 63, all_ones - 7}) {
      random_stream random(seed, index);
      random.discard(block);
      random.discard(block);
      std::vector<std::uint64_t> words(3 * random::group);
      random::make_words(words.data(), words.size(), {seed, index, block}, with);
      for (const std::uint64_t word : words) ASSERT_EQ(word, random());
    }
  }
}

// Words that a stream hardly ever has, too: those of all octaves.
TEST(FilledSpans, AreOfTheSameNumbersWithAllInstructions) {
  std::vector<std::uint64_t> words = telling_words();
  words.resize(words.size() / random::group * random::group);
  std::vector<double> numbers(words.size());
  for (const auto with : available_instructions()) {
    random::uniform_from_words(numbers.data(), words.data(), words.size(), with);
    for (std::size_t i = 0; i < words.size(); ++i)
      ASSERT_EQ(numbers[i], random::uniform_from(words[i])) << words[i];
    random::normal_from_words(numbers.data(), words.data(), words.size(), with);
    for (std::size_t i = 0; i < words.size(); ++i)
      ASSERT_EQ(numbers[i], random::normal_from(words[i])) << words[i];
  }
}

TEST(FilledSpans, ContinueAndLeaveTheStreamAsSingleNumbersDo) {
  random_stream filled(1, 2);
  random_stream drawn(1, 2);
  std::vector<double> numbers(100);
  for (std::size_t n = 0; n <= 100; ++n) {
    const auto part = std::span(numbers).first(n);
    filled.fill_normal(part);
    for (const double x : part) ASSERT_EQ(x, drawn.normal());
    ASSERT_TRUE(filled == drawn);
    filled.fill_uniform(part);
    for (const double x : part) ASSERT_EQ(x, drawn.uniform());
    ASSERT_TRUE(filled == drawn);
    if (n % 3 == 0) {
      ASSERT_EQ(filled(), drawn());
    }
  }
}

// ---- Whole numbers

TEST(RandomStream, DrawsBelowABoundByLemiresMultiplication) {
  random_stream words(11, 12);
  random_stream random(11, 12);
  for (const std::uint64_t n :
       {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3}, std::uint64_t{1000},
        std::uint64_t{1} << 63, all_ones / 4 * 3, (std::uint64_t{1} << 63) + 1, all_ones}) {
    for (int i = 0; i < 1000; ++i) {
      // The words whose product leaves a remainder of less than 2^64 mod n are too many.
      const std::uint64_t too_many = (all_ones % n + 1) % n;
      std::uint64_t word = words();
      while (word * n < too_many) word = words();
      __extension__ using wide = unsigned __int128;
      ASSERT_EQ(random.below(n), static_cast<std::uint64_t>(wide{word} * n >> 64));
    }
    ASSERT_TRUE(words == random) << n;
  }
}

TEST(Masses, AreThoseOfBoost) {
  for (const double mean : {0.5, 10.0, 11.3, 1e3, 1e6}) {
    const boost::math::poisson_distribution<long double> law(mean);
    for (const double at : {-3.0, -1.0, 0.0, 0.5, 2.0, 8.0}) {
      const double k = std::floor(mean + at * std::sqrt(mean));
      if (k < 0) continue;
      EXPECT_NEAR(random::log_poisson_mass(k, mean),
                  static_cast<double>(std::log(pdf(law, static_cast<long double>(k)))), 1e-12)
          << k << " of " << mean;
    }
  }
  for (const auto& [n, p] : std::vector<std::pair<double, double>>{
           {20, 0.5}, {100, 0.1}, {1000, 0.3}, {1e6, 0.25}, {1e6, 2e-5}}) {
    const boost::math::binomial_distribution<long double> law(n, p);
    for (const double at : {-3.0, -1.0, 0.0, 0.5, 2.0, 8.0}) {
      const double k = std::floor(n * p + at * std::sqrt(n * p * (1 - p)));
      if (k < 0 || k > n) continue;
      EXPECT_NEAR(random::log_binomial_mass(k, n, p, 1 - p),
                  static_cast<double>(std::log(pdf(law, static_cast<long double>(k)))), 1e-9)
          << k << " of " << n << " with " << p;
    }
  }
}

// ---- Distributions. The seeds are fixed, and so are the results: nothing here fails by chance.

constexpr double least_probability = 1e-4;

// The probability that independent draws lie farther from their law than these, by the statistic of
// Kolmogorov and Smirnov.
template <class Law>
double kolmogorov_smirnov(std::vector<double> draws, const Law& law) {
  std::ranges::sort(draws);
  const auto n = static_cast<double>(draws.size());
  double farthest = 0;
  for (std::size_t i = 0; i < draws.size(); ++i) {
    const double expected = cdf(law, draws[i]);
    const auto below = static_cast<double>(i);
    farthest = std::max({farthest, expected - below / n, (below + 1) / n - expected});
  }
  const double x = farthest * std::sqrt(n);
  double probability = 0;
  for (int k = 1; k < 100; ++k) probability += (k % 2 != 0 ? 2 : -2) * std::exp(-2 * k * k * x * x);
  return x < 0.3 ? 1 : probability;
}

// The probability that counts differ more from those expected, by Pearson's chi-squared.
double chi_squared(const std::vector<double>& counted, const std::vector<double>& expected) {
  double sum = 0;
  for (std::size_t i = 0; i < counted.size(); ++i)
    sum += (counted[i] - expected[i]) * (counted[i] - expected[i]) / expected[i];
  return cdf(complement(
      boost::math::chi_squared_distribution<double>(static_cast<double>(counted.size() - 1)), sum));
}

// The same of whole numbers with a law; those of which fewer than 10 are expected together.
template <class Law>
double chi_squared(const std::vector<std::uint64_t>& draws, const Law& law) {
  std::map<std::uint64_t, double> often;
  for (const std::uint64_t x : draws) ++often[x];
  const auto n = static_cast<double>(draws.size());
  std::vector<double> counted{0};
  std::vector<double> expected{0};
  double inside = 0;
  const auto centre = static_cast<std::uint64_t>(mean(law));
  const auto reach = static_cast<std::uint64_t>(10 * standard_deviation(law)) + 20;
  for (std::uint64_t x = centre > reach ? centre - reach : 0; x <= centre + reach; ++x) {
    if (static_cast<double>(x) > support(law).second) break;
    const double probability = pdf(law, static_cast<double>(x));
    if (n * probability < 10) continue;
    counted.push_back(often[x]);
    expected.push_back(n * probability);
    inside += probability;
  }
  counted[0] = n - std::accumulate(counted.begin() + 1, counted.end(), 0.0);
  expected[0] = n * (1 - inside);
  if (expected[0] < 10) {
    counted[1] += counted[0];
    expected[1] += expected[0];
    counted.erase(counted.begin());
    expected.erase(expected.begin());
  }
  return chi_squared(counted, expected);
}

template <class Draw>
auto draws_of(std::size_t count, std::uint64_t seed, Draw draw) {
  std::vector<decltype(draw(std::declval<random_stream&>()))> all;
  for (std::uint64_t index = 0; all.size() < count; ++index) {
    random_stream random(seed, index);
    for (int i = 0; i < 100; ++i) all.push_back(draw(random));
  }
  return all;
}

TEST(Distributions, OfRealsAreTheirLaws) {
  constexpr std::size_t n = 200'000;
  const auto uniform = draws_of(n, 1, [](random_stream& r) { return r.uniform(); });
  EXPECT_GT(kolmogorov_smirnov(uniform, boost::math::uniform_distribution<double>(0, 1)),
            least_probability);
  const auto normal = draws_of(n, 2, [](random_stream& r) { return r.normal(); });
  EXPECT_GT(kolmogorov_smirnov(normal, boost::math::normal_distribution<double>()),
            least_probability);
  const auto exponential = draws_of(n, 3, [](random_stream& r) { return r.exponential(); });
  EXPECT_GT(kolmogorov_smirnov(exponential, boost::math::exponential_distribution<double>()),
            least_probability);
}

// The first number of each of many streams, too, whose seeds and indices differ in few bits.
TEST(Distributions, HoldAcrossStreams) {
  std::vector<double> by_index;
  std::vector<double> by_seed;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    by_index.push_back(random_stream(1, i).normal());
    by_seed.push_back(random_stream(i << 32, 1).normal());
  }
  const boost::math::normal_distribution<double> standard;
  EXPECT_GT(kolmogorov_smirnov(by_index, standard), least_probability);
  EXPECT_GT(kolmogorov_smirnov(by_seed, standard), least_probability);
  const double together =
      std::inner_product(by_index.begin(), by_index.end(), by_seed.begin(), 0.0);
  EXPECT_LT(std::abs(together), 4 * std::sqrt(100'000.0));
}

TEST(Distributions, OfNormalNumbersHaveTheMomentsOfTheLaw) {
  constexpr int n = 1'000'000;
  std::vector<double> z(n);
  random_stream(4, 4).fill_normal(z);
  std::array<double, 4> moments{};
  for (const double x : z) {
    double power = 1;
    for (double& moment : moments) moment += (power *= x) / n;
  }
  // Within four standard errors.
  EXPECT_NEAR(moments[0], 0, 4 * std::sqrt(1.0 / n));
  EXPECT_NEAR(moments[1], 1, 4 * std::sqrt(2.0 / n));
  EXPECT_NEAR(moments[2], 0, 4 * std::sqrt(15.0 / n));
  EXPECT_NEAR(moments[3], 3, 4 * std::sqrt(96.0 / n));
}

TEST(Distributions, OfBoundedWholeNumbersAreEven) {
  for (const std::uint64_t n : {1U, 2U, 7U, 100U}) {
    std::vector<double> counted(n);
    for (const std::uint64_t x : draws_of(100'000, n, [=](random_stream& r) { return r.below(n); }))
      ++counted.at(x);
    if (n == 1) continue;
    EXPECT_GT(chi_squared(counted, std::vector<double>(n, 1e5 / static_cast<double>(n))),
              least_probability);
  }
  // Three quarters of 2^64: without rejection every third number would come twice as often.
  std::vector<double> thirds(3);
  for (const std::uint64_t x :
       draws_of(100'000, 5, [](random_stream& r) { return r.below(std::uint64_t{3} << 62); }))
    ++thirds[x % 3];
  EXPECT_GT(chi_squared(thirds, std::vector<double>(3, 1e5 / 3)), least_probability);
}

TEST(Distributions, OfPoissonNumbersAreTheirLaws) {
  for (const double mean : {1e-3, 0.5, 3.0, 9.9, 10.0, 10.5, 25.0, 300.0, 5000.0}) {
    const auto draws = draws_of(200'000, 6, [=](random_stream& r) { return r.poisson(mean); });
    EXPECT_GT(chi_squared(draws, boost::math::poisson_distribution<double>(mean)),
              least_probability)
        << mean;
  }
}

TEST(Distributions, OfBinomialNumbersAreTheirLaws) {
  struct attempts {
    std::uint64_t n;
    double p;
  };
  for (const attempts& of : std::vector<attempts>{{1, 0.5},
                                                  {7, 0.3},
                                                  {19, 0.5},
                                                  {20, 0.5},
                                                  {21, 0.5},
                                                  {50, 0.9},
                                                  {100, 0.1},
                                                  {100, 0.101},
                                                  {1000, 0.001},
                                                  {1000, 0.35},
                                                  {1'000'000, 1e-6},
                                                  {1'000'000, 0.25},
                                                  {1'000'000, 0.9999}}) {
    const auto draws =
        draws_of(200'000, 7, [&](random_stream& r) { return r.binomial(of.n, of.p); });
    const boost::math::binomial_distribution<double> law(static_cast<double>(of.n), of.p);
    EXPECT_GT(chi_squared(draws, law), least_probability) << of.n << " with " << of.p;
  }
}

// Where counts are so many that they are nearly normal.
TEST(Distributions, OfHugeCountsAreNearlyNormal) {
  const boost::math::normal_distribution<double> standard;
  for (const double mean : {1e9, 1e12, 0x1p52}) {
    auto draws = draws_of(20'000, 8, [=](random_stream& r) {
      return (static_cast<double>(r.poisson(mean)) - mean) / std::sqrt(mean);
    });
    EXPECT_GT(kolmogorov_smirnov(draws, standard), least_probability) << mean;
  }
  constexpr std::uint64_t most = std::uint64_t{1} << 52;
  for (const double p : {1e-6, 0.5, 0.75}) {
    const double mean = 0x1p52 * p;
    auto draws = draws_of(20'000, 9, [=](random_stream& r) {
      return (static_cast<double>(r.binomial(most, p)) - mean) / std::sqrt(mean * (1 - p));
    });
    EXPECT_GT(kolmogorov_smirnov(draws, standard), least_probability) << p;
  }
}

TEST(Distributions, OfCertainCountsAreCertain) {
  random_stream random(1, 1);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(random.poisson(0), 0U);
    EXPECT_EQ(random.poisson(-0.0), 0U);
    EXPECT_EQ(random.poisson(std::numeric_limits<double>::denorm_min()), 0U);
    EXPECT_EQ(random.binomial(0, 0.5), 0U);
    EXPECT_EQ(random.binomial(1000, 0), 0U);
    EXPECT_EQ(random.binomial(1000, -0.0), 0U);
    EXPECT_EQ(random.binomial(1000, 1), 1000U);
    EXPECT_EQ(random.binomial(std::uint64_t{1} << 52, 1), std::uint64_t{1} << 52);
    EXPECT_LE(random.binomial(20, 0.5), 20U);
    EXPECT_EQ(random.below(1), 0U);
  }
}

// ---- Orders

TEST(Shuffle, SwapsFromTheLastElementDown) {
  random_stream random(5, 6);
  random_stream again(5, 6);
  std::vector<int> a(100);
  std::iota(a.begin(), a.end(), 0);
  std::vector<int> b = a;
  random.shuffle(a);
  for (std::size_t i = b.size(); i-- > 1;) std::swap(b[i], b[again.below(i + 1)]);
  EXPECT_EQ(a, b);
  EXPECT_TRUE(random == again);
}

TEST(Shuffle, MakesAllOrdersEquallyOften) {
  std::map<std::array<int, 4>, double> often;
  for (std::uint64_t i = 0; i < 24'000; ++i) {
    std::array<int, 4> order{0, 1, 2, 3};
    random_stream(10, i).shuffle(order);
    ++often[order];
  }
  std::vector<double> counted;
  for (const auto& [order, times] : often) counted.push_back(times);
  ASSERT_EQ(counted.size(), 24U);
  EXPECT_GT(chi_squared(counted, std::vector<double>(24, 1000)), least_probability);
}

TEST(Shuffle, OfNothingAndOfOneTakesNoNumbers) {
  random_stream random(1, 2);
  std::vector<int> none;
  random.shuffle(none);
  random.shuffle(std::span<int>());
  std::array<int, 1> one{7};
  random.shuffle(one);
  EXPECT_TRUE(random == random_stream(1, 2));
}

// By what the documents say, with all n numbers in memory.
std::vector<std::size_t> first_of_shuffled(std::size_t k, std::size_t n, random_stream& random) {
  std::vector<std::size_t> all(n);
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (std::size_t i = 0; i < k; ++i) std::swap(all[i], all[i + random.below(n - i)]);
  all.resize(k);
  return all;
}

RC_GTEST_PROP(Sample, IsTheBeginningOfAShuffle, (std::uint64_t seed)) {
  const auto n = *rc::gen::inRange<std::size_t>(0, 300);
  const auto k = *rc::gen::inRange<std::size_t>(0, n + 1);
  random_stream random(seed, 0);
  random_stream again(seed, 0);
  RC_ASSERT(random.sample(k, n) == first_of_shuffled(k, n, again));
  RC_ASSERT(random == again);
}

TEST(Sample, TakesEachPairInEachOrderEquallyOften) {
  std::map<std::vector<std::size_t>, double> often;
  for (std::uint64_t i = 0; i < 72'000; ++i) ++often[random_stream(11, i).sample(2, 9)];
  std::vector<double> counted;
  for (const auto& [pair, times] : often) counted.push_back(times);
  ASSERT_EQ(counted.size(), 72U);
  EXPECT_GT(chi_squared(counted, std::vector<double>(72, 1000)), least_probability);
}

TEST(Sample, OfHugeSetsTakesLittleMemory) {
  auto taken = random_stream(1, 1).sample(1000, all_ones);
  std::ranges::sort(taken);
  EXPECT_EQ(std::ranges::adjacent_find(taken), taken.end());
  EXPECT_EQ(taken.size(), 1000U);
}

// ---- The same bits

void expect_golden_draws() {
  const auto drawn = shard::testing::make_all_draws();
  ASSERT_EQ(drawn.size(), shard::testing::golden_draws.size());
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    EXPECT_EQ(drawn[i].kind, shard::testing::golden_draws[i].kind);
    EXPECT_EQ(drawn[i].hash, shard::testing::golden_draws[i].hash) << drawn[i].kind;
  }
}

TEST(RandomStream, HasTheSameBitsEverywhere) { expect_golden_draws(); }

#if defined(__x86_64__)

// As in a program that is linked with -ffast-math.
class flushing_to_zero {
 public:
  flushing_to_zero() { _mm_setcsr(before_ | 0x8040); }
  flushing_to_zero(const flushing_to_zero&) = delete;
  flushing_to_zero& operator=(const flushing_to_zero&) = delete;
  ~flushing_to_zero() { _mm_setcsr(before_); }

 private:
  unsigned before_ = _mm_getcsr();
};

TEST(RandomStream, HasTheSameBitsWhereTheProcessorFlushesSubnormals) {
  const flushing_to_zero here;
  expect_golden_draws();
}

// Nothing underflows, and so nothing is flushed: the processor's own flags say so.
TEST(RandomStream, ComputesWithoutSubnormals) {
  constexpr unsigned denormal_or_underflow = 0x12;
  _mm_setcsr(_mm_getcsr() & ~denormal_or_underflow);
  shard::testing::make_all_draws();
  for (const std::uint64_t word : telling_words()) {
    random::normal_from(word);
    random::exponential_from(word);
  }
  EXPECT_EQ(_mm_getcsr() & denormal_or_underflow, 0U);
}

#endif

// ---- Refusals

TEST(RandomStream, RefusesWhatHasNoDistribution) {
  constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double least = std::numeric_limits<double>::denorm_min();
  random_stream random(1, 2);
  EXPECT_TRUE(mentions(refusal([&] { random.below(0); }), {"n = 0", "at least 1"}));
  EXPECT_TRUE(mentions(refusal([&] { random.poisson(-1); }), {"a mean of -1", "from 0 to 2^52"}));
  for (const double mean :
       {-least, -1e300, not_a_number, -not_a_number, infinity, 0x1.0000000000001p52})
    EXPECT_TRUE(mentions(refusal([&] { random.poisson(mean); }), {"a mean of", "from 0 to 2^52"}));
  for (const double p : {-least, -0.5, 1 + 0x1p-52, not_a_number, infinity, -infinity})
    EXPECT_TRUE(
        mentions(refusal([&] { random.binomial(9, p); }), {"a probability of", "from 0 to 1"}));
  EXPECT_TRUE(mentions(refusal([&] { random.binomial((std::uint64_t{1} << 52) + 1, 0.5); }),
                       {"4503599627370497 attempts", "at most 2^52"}));
  EXPECT_TRUE(mentions(refusal([&] { random.sample(4, 3); }), {"4 numbers of 3", "at most 3"}));
  // Nothing was taken.
  EXPECT_TRUE(random == random_stream(1, 2));
}

}  // namespace
