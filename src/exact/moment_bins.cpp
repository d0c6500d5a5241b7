#include "shard/detail/moment_bins.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "exact/ieee.hpp"
#include "exact/instruction_set.hpp"
#include "exact/kinds.hpp"

namespace shard::detail {
namespace {

using exact::mean_variance_state;
using exact::uint128;
namespace kind = exact::kind;

constexpr std::size_t head_bytes = 64;
struct head {
  std::uint64_t bins;
  std::uint64_t states_used;
};

head* head_of(std::byte* state) noexcept { return reinterpret_cast<head*>(state); }

// Where the first number of a bin is in its window: about in the middle.
constexpr unsigned first_order = 30;

// Adds words, and 1 if the highest bit of `sign` is set, and carries. On x86-64 in assembly: g++ 12
// sends each sum of _addcarry_u64 through memory.
[[gnu::always_inline]] inline void add_words(std::uint64_t (&to)[2], const std::uint64_t (&more)[2],
                                             std::uint64_t sign) noexcept {
#if defined(__x86_64__)
  std::uint64_t low = to[0], high = to[1];
  asm("btq $63, %2\n\tadcq %3, %0\n\tadcq %4, %1"
      : "+&r"(low), "+&r"(high)
      : "r"(sign), "r"(more[0]), "r"(more[1])
      : "cc");
  to[0] = low;
  to[1] = high;
#else
  const uint128 sum = (uint128{to[1]} << 64 | to[0]) + (uint128{more[1]} << 64 | more[0]);
  const uint128 all = sum + (sign >> 63);
  to[0] = static_cast<std::uint64_t>(all);
  to[1] = static_cast<std::uint64_t>(all >> 64);
#endif
}
[[gnu::always_inline]] inline void add_words(std::uint64_t (&to)[4],
                                             const std::uint64_t (&more)[4]) noexcept {
#if defined(__x86_64__)
  std::uint64_t a = to[0], b = to[1], c = to[2], d = to[3];
  asm("addq %4, %0\n\tadcq %5, %1\n\tadcq %6, %2\n\tadcq %7, %3"
      : "+&r"(a), "+&r"(b), "+&r"(c), "+&r"(d)
      : "r"(more[0]), "r"(more[1]), "r"(more[2]), "r"(more[3])
      : "cc");
  to[0] = a;
  to[1] = b;
  to[2] = c;
  to[3] = d;
#else
  std::uint64_t carry = 0;
  for (std::size_t k = 0; k < 4; ++k) {
    const uint128 sum = uint128{to[k]} + more[k] + carry;
    to[k] = static_cast<std::uint64_t>(sum);
    carry = static_cast<std::uint64_t>(sum >> 64);
  }
#endif
}

// Whether a number more, or a window more, might not fit. Numbers are below 2^117, and their
// squares below 2^234: the former have room for 2^8, which must be of one sign, before they are
// moved.
[[gnu::always_inline]] inline bool is_nearly_full(const moment_window& bin) noexcept {
  return ((bin.sum[1] + (std::uint64_t{1} << 61)) | bin.squares[3]) >> 62 != 0;
}

// Adds the number with these bits. False: it isn't in the bin's window.
[[gnu::always_inline]] inline bool add_inside(moment_window& bin, std::uint64_t bits) noexcept {
  const unsigned field = static_cast<unsigned>(bits >> 52) & exact::special_field;
  // Where there is no window yet, this is too large as well.
  const unsigned shift = field + moment_window::chosen - bin.place;
  if (shift >= moment_window::orders) [[unlikely]]
    return false;
  const std::uint64_t mantissa = (bits & exact::fraction_mask) | std::uint64_t{1} << 52;
  const auto flip = static_cast<std::uint64_t>(static_cast<std::int64_t>(bits) >> 63);
  const std::uint64_t more[2] = {mantissa << shift ^ flip, mantissa >> 1 >> (63 - shift) ^ flip};
  add_words(bin.sum, more, bits);

  // 106 bits, which are shifted by up to 126: by a word or none, as a mask says, and by bits.
  const uint128 square = uint128{mantissa} * mantissa;
  const unsigned by = 2 * shift % 64;
  const auto low = static_cast<std::uint64_t>(square);
  const auto high = static_cast<std::uint64_t>(square >> 64);
  const std::uint64_t words[3] = {low << by, high << by | low >> 1 >> (63 - by),
                                  high >> 1 >> (63 - by)};
  const std::uint64_t next = std::uint64_t{0} - shift / 32;
  const std::uint64_t more_squares[4] = {
      words[0] & ~next, words[1] ^ ((words[0] ^ words[1]) & next),
      words[2] ^ ((words[1] ^ words[2]) & next), words[2] & next};
  add_words(bin.squares, more_squares);
  ++bin.count;
  return true;
}

void clear_sums(moment_window& bin) noexcept {
  std::ranges::fill(bin.sum, 0);
  std::ranges::fill(bin.squares, 0);
  bin.count = 0;
}

// A bin, and the full states of all bins. Requires: there is room for one more of them.
struct place {
  moment_window& bin;
  mean_variance_state* states;
  std::uint64_t& states_used;

  mean_variance_state& elsewhere() const noexcept {
    if (bin.elsewhere == 0) {
      states[states_used] = mean_variance_state();  // what was there may be anything
      bin.elsewhere = static_cast<std::uint32_t>(++states_used);
    }
    return states[bin.elsewhere - 1];
  }
  void empty() const noexcept {
    elsewhere().merge(bin);
    clear_sums(bin);
  }

  void add_outside(double x) const noexcept;
};

void choose_window(moment_window& bin, unsigned field) noexcept {
  // Infinities and NaNs, whose exponents are stored as 2047, are above each window. Multiples of 8,
  // so that the windows of workers are likely to be the same.
  constexpr unsigned highest = exact::special_field - moment_window::orders;
  const unsigned low = field > first_order ? (field - first_order) / 8 * 8 : 0;
  bin.place = static_cast<std::uint16_t>(moment_window::chosen + std::clamp(low, 1u, highest));
  bin.kinds |= kind::finite;
}

[[gnu::noinline]] void place::add_outside(double x) const noexcept {
  const exact::parts of = exact::parts_of(x);
  if (of.field == exact::special_field) {
    bin.kinds |=
        (of.mantissa & exact::fraction_mask) != 0 ? kind::nan : kind::infinity(of.negative);
    ++bin.count;
  } else if (of.mantissa == 0) {
    bin.kinds |= kind::zero(of.negative);
    ++bin.count;
  } else {
    if (bin.place == 0) choose_window(bin, of.field);
    if (!add_inside(bin, std::bit_cast<std::uint64_t>(x))) elsewhere().add(x);
  }
}

// ---- merging

template <std::size_t Words>
void shift_left(std::uint64_t (&words)[Words], unsigned by) noexcept {
  for (; by >= 64; by -= 64) {
    std::copy_backward(words, words + Words - 1, words + Words);
    words[0] = 0;
  }
  if (by == 0) return;
  for (std::size_t k = Words - 1; k > 0; --k) words[k] = words[k] << by | words[k - 1] >> (64 - by);
  words[0] <<= by;
}

// Moves a window down to lower exponents. False: its sums are too large.
bool lower_to(moment_window& bin, std::uint16_t place) noexcept {
  const unsigned by = static_cast<unsigned>(bin.place) - place;
  const bool negative = bin.sum[1] >> 63 != 0;
  const std::uint64_t flip = negative ? ~std::uint64_t{0} : 0;
  // One bit for the sign, and two as is_nearly_full() wants.
  const uint128 magnitude = uint128{bin.sum[1] ^ flip} << 64 | (bin.sum[0] ^ flip);
  int zeros = 0;
  for (std::size_t k = 4; k > 0; --k) {
    if (bin.squares[k - 1] == 0) {
      zeros += 64;
    } else {
      zeros += std::countl_zero(bin.squares[k - 1]);
      break;
    }
  }
  if (static_cast<int>(by) + 3 > exact::leading_zeros(magnitude | 1) ||
      2 * static_cast<int>(by) + 3 > zeros)
    return false;
  shift_left(bin.sum, by);
  shift_left(bin.squares, 2 * by);
  bin.place = place;
  return true;
}

// Adds the sums of a window to another one. False: nothing is added.
bool merge_windows(moment_window& to, const moment_window& given) noexcept {
  moment_window part = given;
  if (part.place != 0) {
    if (to.place == 0) to.place = part.place;
    if (to.place > part.place && !lower_to(to, part.place)) return false;
    if (part.place > to.place && !lower_to(part, to.place)) return false;
    add_words(to.sum, part.sum, 0);
    add_words(to.squares, part.squares);
  }
  to.count += part.count;
  to.kinds = kind::both(to.kinds, part.kinds);
  return true;
}

}  // namespace

std::size_t moment_bins::state_bytes(std::size_t bins) noexcept {
  return head_bytes + bins * (sizeof(moment_window) + sizeof(mean_variance_state));
}

std::size_t moment_bins::live_bytes(const std::byte* state) noexcept {
  const auto* const its = reinterpret_cast<const head*>(state);
  return head_bytes + its->bins * sizeof(moment_window) +
         its->states_used * sizeof(mean_variance_state);
}

void moment_bins::start(std::byte* state, std::size_t bins) noexcept {
  head_of(state)->bins = bins;
}

moment_bins::moment_bins(std::byte* state) noexcept
    : windows_(reinterpret_cast<moment_window*>(state + head_bytes)),
      states_(reinterpret_cast<mean_variance_state*>(windows_ + head_of(state)->bins)),
      states_used_(&head_of(state)->states_used) {}

namespace {

// Adds numbers to the windows of a state.
using adder = void (*)(const std::uint32_t* places, const double* x, std::size_t count,
                       moment_window* windows, mean_variance_state* states,
                       std::uint64_t& states_used) noexcept;

[[gnu::always_inline]] inline void add_each(const std::uint32_t* places, const double* x,
                                            std::size_t count, moment_window* windows,
                                            mean_variance_state* states,
                                            std::uint64_t& states_used) noexcept {
  constexpr std::size_t ahead = 12;
  for (std::size_t i = 0; i < count; ++i) {
    if (i + ahead < count) __builtin_prefetch(windows + places[i + ahead], 1);
    moment_window& bin = windows[places[i]];
    if (!add_inside(bin, std::bit_cast<std::uint64_t>(x[i]))) [[unlikely]]
      place{bin, states, states_used}.add_outside(x[i]);
    if (is_nearly_full(bin)) [[unlikely]]
      place{bin, states, states_used}.empty();
  }
}

void add_baseline(const std::uint32_t* places, const double* x, std::size_t count,
                  moment_window* windows, mean_variance_state* states,
                  std::uint64_t& states_used) noexcept {
  add_each(places, x, count, windows, states, states_used);
}

#if defined(__x86_64__)
// With shifts by any register.
[[gnu::target("bmi2")]] void add_bmi2(const std::uint32_t* places, const double* x,
                                      std::size_t count, moment_window* windows,
                                      mean_variance_state* states,
                                      std::uint64_t& states_used) noexcept {
  add_each(places, x, count, windows, states, states_used);
}

adder best_adder() noexcept {
  return exact::instruction_sets().size() > 1 ? add_bmi2 : add_baseline;
}
#else
adder best_adder() noexcept { return add_baseline; }
#endif

}  // namespace

void moment_bins::add(const std::uint32_t* places, const double* x, std::size_t count) noexcept {
  static const adder best = best_adder();
  best(places, x, count, windows_, states_, *states_used_);
}

void moment_totals::merge(const moment_bins& part) {
  std::uint64_t used = states_.size();
  for (std::size_t k = 0; k < windows_.size(); ++k) {
    const moment_window& from = part.windows_[k];
    if (from.count == 0 && from.elsewhere == 0) continue;
    moment_window& bin = windows_[k];
    const auto elsewhere = [&]() -> mean_variance_state& {
      if (bin.elsewhere == 0) states_.emplace_back();
      return place{bin, states_.data(), used}.elsewhere();
    };
    if (!merge_windows(bin, from)) elsewhere().merge(from);
    if (is_nearly_full(bin)) {
      elsewhere().merge(bin);
      clear_sums(bin);
    }
    if (from.elsewhere != 0) elsewhere().merge(part.states_[from.elsewhere - 1]);
  }
}

mean_variance_state moment_totals::at(std::size_t bin) const noexcept {
  const moment_window& window = windows_[bin];
  mean_variance_state all;
  if (window.elsewhere != 0) all = states_[window.elsewhere - 1];
  all.merge(window);
  return all;
}

bool moment_totals::operator==(const moment_totals& other) const noexcept {
  if (size() != other.size()) return false;
  for (std::size_t k = 0; k < size(); ++k)
    if (!(at(k) == other.at(k))) return false;
  return true;
}

}  // namespace shard::detail
