// Arrays of whatever numbers a file holds.
#pragma once

#include <algorithm>
#include <array>
#include <complex>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <type_traits>
#include <utility>

#include "shard/detail/segment.hpp"
#include "shard/element.hpp"
#include "shard/inspect.hpp"
#include "shard/strided.hpp"

namespace shard {

// Calls f with the elements of a file as what they are, numbers of any type:
//
//   shard::visit("x.npy", []<class T>(shard::strided_view<const T> x) {
//     if constexpr (std::convertible_to<T, double>) std::cout << std::accumulate(x.begin(),
//     x.end(), 0.0);
//   });
//
// The view has all elements in row-major order, whatever the rank of the array; visit<2> takes
// arrays of rank 2, with a strided_view<const T, 2>, and so on. If f takes two arguments, the
// second one is the array_info. T is bool, an integer of 8 to 64 bits, float16, float, double, long
// double or std::complex of the last three. The file is mapped if it can be, and else loaded, and
// the view is valid during the call only.
//
// Throws shard::error as inspect(), open() and load() do, and shard::error(invalid_argument) if the
// elements are no numbers, if f does not take their type, or if the array has another rank.
template <std::size_t Rank = 1, class F>
void visit(const std::filesystem::path& path, F f);

namespace detail {

// In memory that is row-major, mapped or read.
array open_or_load(const std::filesystem::path& path, const element_type& type,
                   const array_info& info);
[[noreturn]] void refuse_visit(const std::filesystem::path& path, const array_info& info);
[[noreturn]] void refuse_visit(const std::filesystem::path& path, const array_info& info,
                               std::size_t rank);

template <class T, std::size_t Rank, class F>
void visit_as(const std::filesystem::path& path, const array_info& info, F& f) {
  using view = strided_view<const T, Rank>;
  constexpr bool takes_info = std::invocable<F&, view, const array_info&>;
  if constexpr (takes_info || std::invocable<F&, view>) {
    if (Rank > 1 && info.shape.size() != Rank) refuse_visit(path, info, Rank);
    const array found = open_or_load(path, type_of<T>(), info);
    std::array<std::size_t, Rank> shape{1};
    if constexpr (Rank == 1) {
      for (const std::size_t extent : found.shape) shape[0] *= extent;
    } else {
      std::ranges::copy(found.shape, shape.begin());
    }
    const view elements(reinterpret_cast<const T*>(found.data), shape);
    if constexpr (takes_info) {
      f(elements, info);
    } else {
      f(elements);
    }
  } else {
    refuse_visit(path, info);
  }
}

// Calls function with the one of these types that has so many bytes. Returns whether there is one.
template <class... T, class Function>
bool call_for_size(std::size_t bytes, Function& function) {
  return ((sizeof(T) == bytes && (function(std::type_identity<T>()), true)) || ...);
}

template <class Function>
bool call_for_type(const element_info& type, Function function) {
  const std::size_t bytes = type.size_bytes;
  switch (type.kind) {
    case element_kind::boolean: return call_for_size<bool>(bytes, function);
    case element_kind::integer:
      return call_for_size<std::int8_t, std::int16_t, std::int32_t, std::int64_t>(bytes, function);
    case element_kind::natural:
      return call_for_size<std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t>(bytes,
                                                                                      function);
    case element_kind::real:
      if constexpr (has_long_double) {
        if (call_for_size<long double>(bytes, function)) return true;
      }
      return call_for_size<float16, float, double>(bytes, function);
    case element_kind::complex:
      if constexpr (has_long_double) {
        if (call_for_size<std::complex<long double>>(bytes, function)) return true;
      }
      return call_for_size<std::complex<float>, std::complex<double>>(bytes, function);
    default: return false;
  }
}

}  // namespace detail

template <std::size_t Rank, class F>
void visit(const std::filesystem::path& path, F f) {
  static_assert(Rank >= 1 && Rank <= detail::most_dimensions);
  const array_info info = inspect(path);
  const bool numbers = detail::call_for_type(
      info.type, [&]<class T>(std::type_identity<T>) { detail::visit_as<T, Rank>(path, info, f); });
  if (!numbers) detail::refuse_visit(path, info);
}

}  // namespace shard
