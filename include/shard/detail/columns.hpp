// Many values at once, as fill() takes them: an array, or every stride-th element of one. Not for
// users.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

namespace shard::detail {

[[noreturn]] void refuse_columns(std::size_t column, std::size_t found, std::size_t expected);

template <class X>
struct column {
  const X* first;
  std::size_t size;
  std::ptrdiff_t stride;

  const X& operator[](std::size_t i) const noexcept {
    return first[static_cast<std::ptrdiff_t>(i) * stride];
  }
};

// A span, a vector, an array, a view.
template <class Values>
concept contiguous_values = requires(const Values& values) { std::span(values); };
// A strided_view of one dimension.
template <class Values>
concept strided_values = !contiguous_values<Values> && requires(const Values& values) {
  *values.data();
  requires std::tuple_size_v<std::remove_cvref_t<decltype(values.strides())>> == 1;
};

template <class Values>
constexpr bool check_values() {
  static_assert(contiguous_values<Values> || strided_values<Values>,
                "shard: fill() takes many values for each axis: a span, a view, a vector or an "
                "array, or a strided part of one");
  return contiguous_values<Values> || strided_values<Values>;
}

template <class Values>
auto column_of(const Values& values) noexcept {
  if constexpr (contiguous_values<Values>) {
    const std::span all(values);
    using value = std::remove_cv_t<typename decltype(all)::element_type>;
    return column<value>{all.data(), all.size(), 1};
  } else {
    using value = std::remove_cvref_t<decltype(*values.data())>;
    return column<value>{values.data(), values.size(),
                         static_cast<std::ptrdiff_t>(values.strides()[0])};
  }
}

// How many values each column has. Throws shard::error if they don't have the same number.
template <class... X>
std::size_t common_size(const column<X>&... columns) {
  const std::array sizes{columns.size...};
  for (std::size_t k = 1; k < sizes.size(); ++k)
    if (sizes[k] != sizes[0]) refuse_columns(k, sizes[k], sizes[0]);
  return sizes[0];
}

}  // namespace shard::detail
