// Random numbers for maps: a stream of its own for each index, with the same bits everywhere.
//
// A number depends on the seed, the index and its place in the stream. It does not depend on the
// worker, the compiler, its options or the processor. docs/random.md specifies each function bit
// for bit; a later version of shard that changes a bit says so in its changelog.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <ranges>
#include <span>
#include <vector>

namespace shard {

// The stream number `index` of a seed: 2^65 words of 64 bits, made by Philox4x32-10 (J. K. Salmon
// et al., "Parallel random numbers: as easy as 1, 2, 3", SC11). A
// std::uniform_random_bit_generator. To make one takes no time. A copy continues on its own, with
// the same numbers.
//
// Requires: one thread at a time, and the floating-point rounding mode "to nearest". Flush-to-zero,
// as -ffast-math sets it, changes nothing.
class random_stream {
 public:
  using result_type = std::uint64_t;

  // Streams of the same seed and index have the same numbers. All others are independent of each
  // other. Give each map of a program a seed of its own.
  constexpr random_stream(std::uint64_t seed, std::uint64_t index) noexcept
      : seed_(seed), index_(index) {}

  // The next word: two words of std::philox4x32, the first one in the lower half.
  result_type operator()() noexcept {
    if (!has_word_) return next_block();
    has_word_ = false;
    return word_;
  }
  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return std::numeric_limits<result_type>::max(); }

  // As n calls of operator(), in constant time. So what follows discard(n) is the number after n of
  // the numbers that take one word each: uniform, normal, exponential.
  void discard(std::uint64_t n) noexcept;

  // A multiple of 2^-53 in [0, 1): 0 is possible, 1 is not. Takes one word.
  double uniform() noexcept;

  // Mean 0, variance 1. Takes one word: the inverse of the distribution function, within 4e-15, at
  // one of 2^64 points that are symmetric to 0. Never 0, and never beyond 9.1553 on either side.
  double normal() noexcept;

  // Mean 1: the time between arrivals that come at a rate of 1. Takes one word, of which it is
  // -log((2 word + 1) / 2^65), with an error of at most 2^-51 times that, plus 2^-59. Greater than
  // 0, and at most 45.06.
  double exponential() noexcept;

  // One of 0, 1, …, n - 1, each as probable as another. Takes one word; another one with
  // probability below n / 2^64. (D. Lemire, "Fast random integer generation in an interval", 2019.)
  // Throws shard::error if n is 0.
  std::uint64_t below(std::uint64_t n);

  // How many arrivals there are in a time of `mean`. From a mean of 10 on by rejection, PTRS of
  // W. Hörmann, "The transformed rejection method for generating Poisson random variables", 1993:
  // two words in each attempt, and 1.1 to 1.4 attempts. Below by counting: one word for each
  // arrival and one more. Throws shard::error unless mean is in [0, 2^52].
  std::uint64_t poisson(double mean);

  // How many of n attempts succeed, each with probability p. If n p or n (1 - p) is less than 10,
  // by the waiting times of L. Devroye, "Non-uniform random variate generation", 1986, X.4.3: one
  // word for each rarer outcome and one more. Else by rejection, BTRS of W. Hörmann, "The
  // generation of binomial random variates", 1993: two words in each attempt. Throws shard::error
  // unless n is at most 2^52 and p in [0, 1].
  std::uint64_t binomial(std::uint64_t n, double p);

  // As `x = uniform()`, or `x = normal()`, for each x from the first to the last, but quicker.
  void fill_uniform(std::span<double> to) noexcept;
  void fill_normal(std::span<double> to) noexcept;

  // Brings the elements into a random order, each as probable as another. Takes one below() for
  // each element but the first one.
  template <std::ranges::random_access_range R>
    requires std::permutable<std::ranges::iterator_t<R>> && std::ranges::sized_range<R>
  void shuffle(R&& elements);

  // k different numbers of 0, 1, …, n - 1, in random order: the first k elements that a shuffle of
  // all n, from the first on, would give. Takes k below(). In memory for k numbers. Throws
  // shard::error if k is greater than n.
  std::vector<std::size_t> sample(std::size_t k, std::size_t n);

  // Whether both will give the same numbers from here on, since they are at the same place of the
  // same stream.
  friend constexpr bool operator==(const random_stream& a, const random_stream& b) noexcept {
    return a.seed_ == b.seed_ && a.index_ == b.index_ && a.block_ == b.block_ &&
           a.has_word_ == b.has_word_;
  }

 private:
  std::uint64_t next_block() noexcept;
  template <class Many, class One>
  void fill(std::span<double> to, Many many, One one) noexcept;

  // In this order, block_ has neighbours that nothing changes. Compilers join loads and stores of
  // what lies side by side, and a block would wait for the one before.
  std::uint64_t block_ = 0;  // the lower half of the counter: the next block to make
  std::uint64_t seed_;       // the key
  std::uint64_t index_;      // the upper half of the counter
  std::uint64_t word_ = 0;   // the second word of the block before, if it is not taken yet
  bool has_word_ = false;
};

template <std::ranges::random_access_range R>
  requires std::permutable<std::ranges::iterator_t<R>> && std::ranges::sized_range<R>
void random_stream::shuffle(R&& elements) {
  const auto first = std::ranges::begin(elements);
  using distance = std::iter_difference_t<decltype(first)>;
  for (auto left = static_cast<std::uint64_t>(std::ranges::size(elements)); left > 1; --left) {
    std::ranges::iter_swap(first + static_cast<distance>(left - 1),
                           first + static_cast<distance>(below(left)));
  }
}

}  // namespace shard
