// A million draws of each kind, as one hash each. Every build on every machine has these.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shard/random.hpp"

namespace shard::testing {

struct hashed_draws {
  std::string kind;
  std::uint64_t hash;

  friend bool operator==(const hashed_draws&, const hashed_draws&) = default;
};

inline const std::vector<hashed_draws> golden_draws{
    {"words", 0x71F3DD47E9F189AA},       {"uniform", 0x9941EB3D53288AB1},
    {"normal", 0xA2AA8D11AD25F06E},      {"exponential", 0x4BDBFFCEAFE55879},
    {"below", 0x9555057430FD1729},       {"poisson", 0x67922DA85089AD1B},
    {"binomial", 0xF00BCA529B1C6B11},    {"shuffle", 0x0C95484B0663C009},
    {"sample", 0x0197A42E85CBB9E3},      {"fill_uniform", 0x3B29A3623CF6C35B},
    {"fill_normal", 0x1E0CD1534B47E481},
};

// FNV-1a, of words.
class hash_of_words {
 public:
  void add(std::uint64_t word) { hash_ = (hash_ ^ word) * 0x100000001B3U; }
  void add(double x) { add(std::bit_cast<std::uint64_t>(x)); }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xCBF29CE484222325U;
};

// A thousand draws from each of a thousand streams.
template <class Draw>
hashed_draws draw_a_million(std::string kind, Draw draw) {
  hash_of_words hash;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    random_stream random(0x9E3779B97F4A7C15U * i, i);
    for (std::size_t k = 0; k < 1000; ++k) hash.add(draw(random, k));
  }
  return {std::move(kind), hash.value()};
}

// A million elements, in spans of a thousand and one.
template <class Fill>
hashed_draws fill_a_million(std::string kind, Fill fill) {
  hash_of_words hash;
  std::array<double, 1001> numbers;
  for (std::uint64_t i = 0; i < 500; ++i) {
    random_stream random(i, 0x9E3779B97F4A7C15U * i);
    for (int twice = 0; twice < 2; ++twice) {
      fill(random, numbers);
      for (const double x : numbers) hash.add(x);
    }
  }
  return {std::move(kind), hash.value()};
}

inline std::vector<hashed_draws> make_all_draws() {
  constexpr std::array<double, 8> means{0, 0.1, 3, 9.99, 10, 37.5, 1e4, 1e15};
  constexpr std::array<std::pair<std::uint64_t, double>, 8> attempts{
      {{0, 0.5},
       {7, 0.3},
       {1000, 0.005},
       {40, 0.5},
       {1000, 0.9},
       {100'000, 0.1},
       {std::uint64_t{1} << 52, 1e-9},
       {std::uint64_t{1} << 52, 0.75}}};
  std::vector<std::uint32_t> deck(1000);
  std::iota(deck.begin(), deck.end(), 0U);

  std::vector<hashed_draws> all;
  all.push_back(draw_a_million("words", [](random_stream& r, std::size_t) { return r(); }));
  all.push_back(
      draw_a_million("uniform", [](random_stream& r, std::size_t) { return r.uniform(); }));
  all.push_back(draw_a_million("normal", [](random_stream& r, std::size_t) { return r.normal(); }));
  all.push_back(
      draw_a_million("exponential", [](random_stream& r, std::size_t) { return r.exponential(); }));
  all.push_back(draw_a_million("below", [](random_stream& r, std::size_t k) {
    return r.below(~std::uint64_t{0} >> k % 64);
  }));
  all.push_back(draw_a_million("poisson", [&](random_stream& r, std::size_t k) {
    return r.poisson(means[k % means.size()]);
  }));
  all.push_back(draw_a_million("binomial", [&](random_stream& r, std::size_t k) {
    const auto [n, p] = attempts[k % attempts.size()];
    return r.binomial(n, p);
  }));
  all.push_back(draw_a_million("shuffle", [&](random_stream& r, std::size_t k) {
    if (k == 0) r.shuffle(deck);
    return std::uint64_t{deck[k]};
  }));
  all.push_back(draw_a_million("sample", [&](random_stream& r, std::size_t k) {
    return std::uint64_t{r.sample(2, 3 + k)[1]};
  }));
  all.push_back(fill_a_million("fill_uniform",
                               [](random_stream& r, std::span<double> to) { r.fill_uniform(to); }));
  all.push_back(fill_a_million("fill_normal",
                               [](random_stream& r, std::span<double> to) { r.fill_normal(to); }));
  return all;
}

}  // namespace shard::testing
