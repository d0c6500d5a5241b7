// Blocks of numbers, cut into windows in vector registers.
//
// The sum of a block is split by magnitude. All numbers of the block are cut at the same powers of
// two, so each piece is a multiple of its window's quantum, and pieces of one window add up without
// rounding. (S. Rump, T. Ogita, S. Oishi, "Accurate floating-point summation", 2008, and J. Demmel,
// H. D. Nguyen, "Fast reproducible floating-point summation", 2013, cut so to get a rounded result.
// S. Collange, D. Defour, S. Graillat, R. Iakymchuk, "Full-speed deterministic bit-accurate
// parallel floating-point summation", 2014, put lanes of vectors in front of a superaccumulator.)
// What is below the last window of a number is left over: an exact number again, which is added
// elsewhere.
//
// The functions of this file are called through pointers: which ones depends on the processor. They
// need the default rounding, see arithmetic_mode.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shard::exact {

inline constexpr std::size_t block_size = 1024;
// What is cut at a window is at most 2^(window_bits - 1) of its quanta. So the sum of a block is at
// most 2^52 quanta, and a double.
inline constexpr int window_bits = 43;
inline constexpr unsigned fewest_windows = 2;
inline constexpr unsigned most_windows = 4;
// Of products: errors take a window more.
inline constexpr unsigned most_product_windows = 3;

// Blocks with more are given up: to cut them again, or to add them otherwise, is quicker.
inline constexpr std::size_t most_left_over = block_size / 4;
// A unit of the loop is written as a whole.
inline constexpr std::size_t left_over_room = most_left_over + 64 + 32;
inline constexpr int given_up = -1;

// The exponent of the quantum of a window where all numbers are below 2^(top + 1).
[[gnu::always_inline]] constexpr int quantum_exponent(int top, unsigned window) noexcept {
  return top + 2 - window_bits * static_cast<int>(window + 1);
}

// Exponents of the numbers of a block, as they are stored. `lowest` is of those that aren't zero,
// or one less, and 2047 if all are zero.
struct fields {
  unsigned lowest;
  unsigned highest;
};

// Where finite numbers are added one by one. A number's mantissa is shifted by the last five bits
// of its exponent, and its halves are added to two of these sums: those of its sign and of the
// exponent's first bits. So nothing is carried until the sums are full. (R. Neal's small
// superaccumulator, "Fast exact summation using small and large superaccumulators", 2015, has words
// of the same kind.)
struct groups {
  static constexpr std::size_t count = 128;  // 64 for each sign
  static constexpr std::size_t most_numbers = 4096;

  // Neighbours go to different copies: often they are of one size, and a processor waits for a sum
  // that it has just written.
  static constexpr std::size_t copies = 2;

  // The sum of low halves is worth 2^(32 (k % 64) - 1) in group k, that of high halves 2^32 times
  // that; both in units of 2^-1074.
  struct group {
    std::uint64_t low;
    std::uint64_t high;
  };
  alignas(16) group sums[copies][count];
};

struct block_functions {
  // Of the numbers of a block.
  fields (*exponents)(const double* x, std::size_t count);
  unsigned (*highest_exponent)(const double* x, std::size_t count);
  // Cuts `count` numbers into that many windows. `sums` gets the sum of each window, `left` what is
  // left over. Returns how many are left over, or given_up.
  // Requires: all |x| < 2^(top + 1), and quanta and 2^(top + 11) are doubles.
  int (*cut)(const double* x, std::size_t count, int top, unsigned windows, double* sums,
             double* left);
  // Requires: the numbers are finite, and there is room for them.
  void (*add_to_groups)(const double* x, std::size_t count, groups& to);

  // The same for products. Null where there is no fused multiplication: then add_products() it is.
  // Requires: all |x y| < 2^(top + 1). No product of two numbers that aren't zero has a digit below
  // 2^-1074.
  int (*cut_products)(const double* x, const double* y, std::size_t count, int top,
                      unsigned windows, double* sums, double* left);
  // Makes two doubles of each product, whose sum it is. Requires: the same, and no product
  // overflows.
  void (*split_products)(const double* x, const double* y, std::size_t count, double* products,
                         double* errors);
  // Adds the products of finite numbers, in units of 2^-2148, to those above or below zero.
  void (*add_products)(const double* x, const double* y, std::size_t count, std::uint64_t* positive,
                       std::uint64_t* negative);
};

extern const block_functions baseline_functions;
#if defined(__x86_64__)
extern const block_functions avx2_functions;
extern const block_functions avx512_functions;
// In registers of 32 bytes: parts of wider ones, read just behind their writing, come late.
void add_to_groups_by_avx2(const double* x, std::size_t count, groups& to);
#endif

}  // namespace shard::exact
