// Where a transfer touches the stripes: one of them, those of one stretch, or of many. All kinds
// have
//   every(visit)  calls visit(stripe&, bytes_in_stripe, index) for each stripe, in ascending order,
//                 until one returns false; says whether none did
//   each(visit)   the same with visit(stripe&), which is less work
//   plan()        how the stripes divide the data
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "memory/control.hpp"
#include "shard/detail/index.hpp"

namespace shard::memory {

// The bytes of one stripe that are in [first, last) of the data. Requires: some are.
inline bytes_in_stripe part_of(std::size_t stripe, unsigned shift, std::size_t first,
                               std::size_t last) noexcept {
  const std::size_t start = stripe << shift;
  const std::size_t size = std::size_t{1} << shift;
  return {first > start ? first - start : 0, std::min(last - start, size)};
}

// What most transfers touch. Nothing is left of this class, nor of a loop, where it is inlined.
class one_stripe {
 public:
  // Whether these bytes of the data are some, and in one stripe.
  static bool holds(const control& of, std::size_t first_byte, std::size_t bytes) noexcept {
    const unsigned shift = of.plan().stripe_shift;
    return bytes > 0 && first_byte >> shift == (first_byte + bytes - 1) >> shift;
  }
  // Requires: holds().
  one_stripe(const control& of, std::size_t first_byte, std::size_t bytes) noexcept
      : plan_(of.plan()),
        index_(first_byte >> plan_.stripe_shift),
        one_(of.stripes().data()[index_]),
        first_byte_(first_byte),
        bytes_(bytes) {}

  template <class Visit>
  bool every(Visit visit) const {
    const std::size_t first = first_byte_ - (index_ << plan_.stripe_shift);
    return visit(one_, bytes_in_stripe{first, first + bytes_}, index_);
  }
  template <class Visit>
  bool each(Visit visit) const {
    return visit(one_);
  }
  const control_plan& plan() const noexcept { return plan_; }

 private:
  const control_plan& plan_;
  std::size_t index_;
  stripe& one_;
  std::size_t first_byte_, bytes_;
};

// The stripes of one stretch, which take no memory.
class one_stretch {
 public:
  one_stretch(const control& of, const detail::stretch& covered, std::size_t element_bytes) noexcept
      : all_(of.stripes().data()),
        plan_(of.plan()),
        first_byte_(covered.first * element_bytes),
        last_byte_(first_byte_ + covered.count * element_bytes) {
    if (covered.count == 0) return;
    first_ = all_ + (first_byte_ >> plan_.stripe_shift);
    last_ = all_ + ((last_byte_ - 1) >> plan_.stripe_shift) + 1;
  }

  template <class Visit>
  bool every(Visit visit) const {
    return each([&](stripe& one) {
      const auto s = static_cast<std::size_t>(&one - all_);
      return visit(one, part_of(s, plan_.stripe_shift, first_byte_, last_byte_), s);
    });
  }
  template <class Visit>
  bool each(Visit visit) const {
    for (stripe* one = first_; one != last_; ++one) {
      if (!visit(*one)) return false;
    }
    return true;
  }
  const control_plan& plan() const noexcept { return plan_; }

 private:
  stripe* all_;
  const control_plan& plan_;
  std::size_t first_byte_, last_byte_;  // of the data
  stripe* first_ = nullptr;
  stripe* last_ = nullptr;
};

class many_stretches {
 public:
  many_stretches(const control& of, std::span<const detail::stretch> stretches,
                 std::size_t element_bytes)
      : stripes_(of.stripes().data()), plan_(of.plan()) {
    std::size_t low = ~std::size_t{0};
    std::size_t high = 0;
    for (const detail::stretch& each : stretches) {
      if (each.count == 0) continue;
      low = std::min(low, each.first * element_bytes);
      high = std::max(high, (each.first + each.count) * element_bytes);
    }
    if (high == 0) return;
    first_ = low >> plan_.stripe_shift;
    parts_.resize(((high - 1) >> plan_.stripe_shift) + 1 - first_);
    for (const detail::stretch& each : stretches) {
      if (each.count > 0)
        add(each.first * element_bytes, (each.first + each.count) * element_bytes);
    }
  }

  template <class Visit>
  bool every(Visit visit) const {
    for (std::size_t k = 0; k < parts_.size(); ++k) {
      if (parts_[k].empty()) continue;
      if (!visit(stripes_[first_ + k], parts_[k], first_ + k)) return false;
    }
    return true;
  }
  template <class Visit>
  bool each(Visit visit) const {
    return every([&](stripe& one, bytes_in_stripe, std::size_t) { return visit(one); });
  }
  const control_plan& plan() const noexcept { return plan_; }

 private:
  void add(std::size_t first, std::size_t last) {
    const unsigned shift = plan_.stripe_shift;
    for (std::size_t s = first >> shift; s <= (last - 1) >> shift; ++s) {
      parts_[s - first_].include(part_of(s, shift, first, last));
    }
  }

  stripe* stripes_;
  const control_plan& plan_;
  std::size_t first_ = 0;               // stripe
  std::vector<bytes_in_stripe> parts_;  // of the stripes from there on
};

// Calls use(footprint) with that of these stretches.
template <class Use>
auto with_footprint(const control& area, std::span<const detail::stretch> stretches,
                    std::size_t element_bytes, const Use& use) {
  if (stretches.size() == 1) return use(one_stretch(area, stretches[0], element_bytes));
  return use(many_stretches(area, stretches, element_bytes));
}

}  // namespace shard::memory
