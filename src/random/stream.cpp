#include <algorithm>
#include <array>
#include <bit>
#include <boost/config.hpp>
#include <numeric>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>

#include "random/counts.hpp"
#include "random/distributions.hpp"
#include "random/philox.hpp"
#include "random/wide.hpp"
#include "shard/error.hpp"
#include "shard/random.hpp"

namespace shard {

namespace {

// Whole numbers up to here are doubles, with their sums and differences.
constexpr double most_counts = 0x1p52;

[[noreturn]] void refuse(const std::string& what, const std::string& found,
                         const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot draw " + what + ": found " + found + ", expected " + expected);
}

std::string printed(double x) {
  std::ostringstream text;
  text << x;
  return text.str();
}

// Whether 0 <= x <= most. As integers, since negative subnormals would be 0 to a processor that
// flushes them.
bool is_within(double x, double most) noexcept {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  return bits <= std::bit_cast<std::uint64_t>(most) || bits == std::bit_cast<std::uint64_t>(-0.0);
}

}  // namespace

std::uint64_t random_stream::next_block() noexcept {
  const random::block made = random::philox(seed_, index_, block_++);
  word_ = made.second;
  has_word_ = true;
  return made.first;
}

void random_stream::discard(std::uint64_t n) noexcept {
  if (n == 0) return;
  if (has_word_) {
    has_word_ = false;
    --n;
  }
  block_ += n / 2;
  if (n % 2 != 0) next_block();
}

double random_stream::uniform() noexcept { return random::uniform_from((*this)()); }

double random_stream::normal() noexcept { return random::normal_from((*this)()); }

double random_stream::exponential() noexcept { return random::exponential_from((*this)()); }

std::uint64_t random_stream::below(std::uint64_t n) {
  if (n == 0) refuse("a number below n", "n = 0", "at least 1");
  boost::uint128_type product = boost::uint128_type{(*this)()} * n;
  if (static_cast<std::uint64_t>(product) < n) [[unlikely]] {
    // 2^64 mod n of the words are too many to give each result as often as another.
    const std::uint64_t surplus = (0 - n) % n;
    while (static_cast<std::uint64_t>(product) < surplus)
      product = boost::uint128_type{(*this)()} * n;
  }
  return static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t random_stream::poisson(double mean) {
  if (!is_within(mean, most_counts))
    refuse("a Poisson number", "a mean of " + printed(mean), "one from 0 to 2^52");
  return random::poisson(*this, mean);
}

std::uint64_t random_stream::binomial(std::uint64_t n, double p) {
  if (n > static_cast<std::uint64_t>(most_counts))
    refuse("a binomial number", std::to_string(n) + " attempts", "at most 2^52");
  if (!is_within(p, 1))
    refuse("a binomial number", "a probability of " + printed(p), "one from 0 to 1");
  return random::binomial(*this, n, p);
}

std::vector<std::size_t> random_stream::sample(std::size_t k, std::size_t n) {
  if (k > n)
    refuse("a sample", std::to_string(k) + " numbers of " + std::to_string(n),
           "at most " + std::to_string(n));
  std::vector<std::size_t> taken(k);
  if (n / 4 <= k) {
    std::vector<std::size_t> all(n);
    std::iota(all.begin(), all.end(), std::size_t{0});
    for (std::size_t i = 0; i < k; ++i) std::swap(all[i], all[i + below(n - i)]);
    std::copy_n(all.begin(), k, taken.begin());
    return taken;
  }
  // The same, with a note of only those places whose number is not their own.
  std::unordered_map<std::size_t, std::size_t> moved;
  const auto at = [&](std::size_t place) {
    const auto found = moved.find(place);
    return found == moved.end() ? place : found->second;
  };
  for (std::size_t i = 0; i < k; ++i) {
    const std::size_t place = i + below(n - i);
    taken[i] = at(place);
    moved[place] = at(i);
  }
  return taken;
}

template <class Many, class One>
void random_stream::fill(std::span<double> to, Many many, One one) noexcept {
  if (has_word_ && !to.empty()) {
    to.front() = one((*this)());
    to = to.subspan(1);
  }
  // A batch stays in the first-level cache between its two steps.
  constexpr std::size_t batch = 8 * random::group;
  std::array<std::uint64_t, batch> words;
  const random::instructions with = random::widest();
  while (to.size() >= random::group) {
    const std::size_t count = std::min(batch, to.size() / random::group * random::group);
    random::make_words(words.data(), count, {seed_, index_, block_}, with);
    many(to.data(), words.data(), count, with);
    block_ += count / 2;
    to = to.subspan(count);
  }
  for (double& x : to) x = one((*this)());
}

void random_stream::fill_uniform(std::span<double> to) noexcept {
  fill(to, random::uniform_from_words, random::uniform_from);
}

void random_stream::fill_normal(std::span<double> to) noexcept {
  fill(to, random::normal_from_words, random::normal_from);
}

}  // namespace shard
