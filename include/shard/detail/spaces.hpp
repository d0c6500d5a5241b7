// The spaces of a map: what the user gives is made one of these. Each describes the index space to
// a job. What describe() returns runs a kernel on one chunk of it, and owns nothing. Not for users.
#pragma once

#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/buffer.hpp"
#include "shard/detail/arguments.hpp"
#include "shard/detail/job.hpp"
#include "shard/detail/kernel_check.hpp"
#include "shard/detail/packing.hpp"
#include "shard/plan.hpp"
#include "shard/slice.hpp"

namespace shard::detail {

// Says which index comes next to the accumulators that ask for it.
template <class P>
void tell_one([[maybe_unused]] std::size_t index, [[maybe_unused]] P& parameter) {
  if constexpr (requires { typename P::hears_of_indices; }) parameter.begin_index(index);
}
template <class... P>
void tell([[maybe_unused]] std::size_t index, P&... parameters) {
  (tell_one(index, parameters), ...);
}

// Counts, ranges, chunks, chunk lists and weights: the kernel is called for chunks or for indices.
struct index_space {
  space where;

  static constexpr bool has_effect = false;
  static constexpr bool shows_chunks = false;
  index_space describe(job& to) const {
    to.where = where;
    return *this;
  }
  static range cells(range chunk) noexcept { return chunk; }

  // The job has what workers need to know of it.
  void pack(packer&) const noexcept {}
  static index_space unpack(unpacker&) noexcept { return {}; }

  template <class Kernel, class... P>
  static constexpr kernel_form form = form_of_chunk_kernel<Kernel, P...>();

  template <class Kernel, class... P>
  static void run(const Kernel& kernel, const worker_memory&, range chunk, P&... parameters) {
    if constexpr (form<Kernel, P...> == kernel_form::chunk) {
      kernel(chunk, parameters...);
    } else {
      for (std::size_t i = chunk.first; i != chunk.last; ++i) {
        tell(i, parameters...);
        kernel(i, parameters...);
      }
    }
  }
};

// A slice that a kernel is given for one index after the other has the row of that index.
template <class P>
void move_one([[maybe_unused]] std::size_t index, [[maybe_unused]] P& parameter) {}
template <class T, std::size_t Rank>
void move_one(std::size_t index, slice<T, Rank>& parameter) noexcept {
  slice_mover::move(parameter, index);
}

// Strides: the kernel is called for indices. What the job calls a chunk is a range of places.
struct strided_space {
  strided cut;

  static constexpr bool has_effect = false;
  strided_space describe(job& to) const {
    to.where = {.all = cut.all, .by = space::cut::strided, .own_grain = true, .stride = cut.stride};
    return *this;
  }
  index_row cells(range chunk) const noexcept {
    if (chunk.empty()) return {};
    const strided_order order{cut.all, cut.stride};
    return {order.index_at(chunk.first), cut.stride, chunk.size()};
  }

  template <class Kernel, class... P>
  static constexpr kernel_form form = form_of_index_kernel<Kernel, P...>();

  template <class Kernel, class... P>
  static void run(const Kernel& kernel, const worker_memory&, const index_row& cells,
                  P&... parameters) {
    std::size_t i = cells.first;
    for (std::size_t left = cells.count; left != 0; --left, i += cells.stride) {
      (move_one(i, parameters), ...);
      tell(i, parameters...);
      kernel(i, parameters...);
    }
  }
};

// Tiles, numbered row by row; each is a chunk.
struct tile_space {
  tiles cut;

  static constexpr bool has_effect = false;
  tile_space describe(job& to) const {
    to.where = where();
    return *this;
  }
  tile cells(range chunk) const noexcept { return where().tile_number(chunk.first); }

  bool overflows() const noexcept {
    return across(1) != 0 && across(0) > std::numeric_limits<std::size_t>::max() / across(1);
  }

  template <class Kernel, class... P>
  static constexpr kernel_form form = form_of_tile_kernel<Kernel, P...>();

  template <class Kernel, class... P>
  static void run(const Kernel& kernel, const worker_memory&, const tile& cells, P&... parameters) {
    kernel(cells, parameters...);
  }

 private:
  std::size_t across(std::size_t d) const noexcept {
    return cut.shape[d] / cut.step[d] + (cut.shape[d] % cut.step[d] != 0);
  }
  space where() const noexcept {
    return {.all = {0, across(0) * across(1)},
            .by = space::cut::tiled,
            .grain = 1,
            .own_grain = true,
            .rows = cut.shape[0],
            .columns = cut.shape[1],
            .tile_rows = cut.step[0],
            .tile_columns = cut.step[1]};
  }
};

// One or several buffers of rank 1: what the kernel returns becomes element i of each.
template <class... T>
struct element_runner {
  std::tuple<slice_binding<T, 1>...> outputs;

  static range cells(range chunk) noexcept { return chunk; }

  void pack(packer& to) const {
    std::apply([&](const auto&... output) { (to.put(output), ...); }, outputs);
  }
  static element_runner unpack(unpacker& from) {
    return {{from.get<slice_binding<T, 1>>()...}};  // braces: in their order
  }

  template <class Kernel, class... P>
  void run(const Kernel& kernel, const worker_memory& memory, range chunk, P&... parameters) const {
    run_on(std::index_sequence_for<T...>(), kernel, memory, chunk, parameters...);
  }

 private:
  // The pointers are locals: a store through them can't then change where the next one goes.
  template <std::size_t... K, class Kernel, class... P>
  void run_on(std::index_sequence<K...>, const Kernel& kernel, const worker_memory& memory,
              range chunk, P&... parameters) const {
    const std::tuple<T*...> to{std::get<K>(outputs).first(memory)...};
    for (std::size_t i = chunk.first; i != chunk.last; ++i) {
      tell(i, parameters...);
      if constexpr (sizeof...(T) == 1) {
        std::get<0>(to)[i] = kernel(i, parameters...);
      } else {
        const auto result = kernel(i, parameters...);
        ((std::get<K>(to)[i] = std::get<K>(result)), ...);
      }
    }
  }
};

template <class... T>
struct element_space {
  std::tuple<out_argument<T, 1>...> outputs;

  static constexpr bool has_effect = true;
  static constexpr bool shows_chunks = false;
  element_runner<T...> describe(job& to) const {
    const std::size_t n = std::get<0>(outputs).shape()[0];
    to.where = {.all = {0, n}, .whole = true};
    return std::apply(
        [&](const auto&... output) {
          (
              [&] {
                if (output.shape()[0] != n) refuse_unequal_outputs(n, output.shape()[0]);
              }(),
              ...);
          return element_runner<T...>{{output.describe(to)...}};  // in their order
        },
        outputs);
  }

  template <class Kernel, class... P>
  static constexpr kernel_form form = form_of_element_kernel<Kernel, std::tuple<T...>, P...>();
};

// A buffer of rank 2: by element, or by row.
template <class T>
struct grid_runner {
  slice_binding<T, 2> output;

  static range cells(range chunk) noexcept { return chunk; }

  template <class Kernel, class... P>
  void run(const Kernel& kernel, const worker_memory& memory, range chunk, P&... parameters) const {
    const slice<T, 2> rows = output.bind(memory, chunk);
    for (std::size_t i = chunk.first; i != chunk.last; ++i) {
      const std::span<T> row = rows.row(i);
      tell(i, parameters...);
      if constexpr (form_of_grid_kernel<Kernel, T, P...>() == kernel_form::row) {
        kernel(i, row, parameters...);
      } else {
        for (std::size_t j = 0; j != row.size(); ++j) row[j] = kernel(i, j, parameters...);
      }
    }
  }
};

template <class T>
struct grid_space {
  out_argument<T, 2> output;

  static constexpr bool has_effect = true;
  grid_runner<T> describe(job& to) const {
    to.where = {.all = {0, output.shape()[0]}, .whole = true};
    return {output.describe(to)};
  }

  template <class Kernel, class... P>
  static constexpr kernel_form form = form_of_grid_kernel<Kernel, T, P...>();
};

// ---- Making a space of what the user gave. ----

template <class>
inline constexpr bool is_tie = false;
template <class... T>
inline constexpr bool is_tie<std::tuple<buffer<T, 1>&...>> = sizeof...(T) > 0;

template <std::integral N>
index_space space_of(N count) {
  if constexpr (std::is_signed_v<N>) {
    if (count < 0) refuse_negative_count(count);
  }
  return {{.all = {0, static_cast<std::size_t>(count)}, .whole = true}};
}
inline index_space space_of(range all) { return {{.all = all}}; }
inline index_space space_of(const chunks& cut) {
  return {{.all = cut.all, .grain = cut.grain, .own_grain = true}};
}
inline index_space space_of(const chunk_list& list) {
  return {{.all = list.all, .by = space::cut::listed, .own_grain = true, .parts = list.parts}};
}
inline index_space space_of(const weighted& items) {
  return {{.all = items.all, .by = space::cut::weighted, .own_grain = true, .cost = items.cost}};
}
inline index_space space_of(const by_memory& need) {
  return {{.all = need.all,
           .by = space::cut::by_memory,
           .own_grain = true,
           .index_bytes = need.index_bytes,
           .budget_bytes = need.budget_bytes}};
}
inline strided_space space_of(const strided& cut) { return {cut}; }
inline tile_space space_of(const tiles& cut) {
  if (cut.step[0] == 0 || cut.step[1] == 0) refuse_empty_step();
  const tile_space made{cut};
  if (made.overflows()) refuse_too_many_tiles();
  return made;
}
template <class T>
element_space<T> space_of(buffer<T, 1>& output) {
  return {out_argument<T, 1>(array_of(output))};
}
template <class T>
grid_space<T> space_of(buffer<T, 2>& output) {
  return {out_argument<T, 2>(array_of(output))};
}
template <class... T>
element_space<T...> space_of(const std::tuple<buffer<T, 1>&...>& outputs) {
  return std::apply(
      [](auto&... output) {
        return element_space<T...>{{out_argument<T, 1>(array_of(output))...}};
      },
      outputs);
}

template <class Space>
constexpr bool check_space() {
  using plain = std::remove_cvref_t<Space>;
  if constexpr (is_buffer<plain>) {
    static_assert(std::is_lvalue_reference_v<Space>,
                  "shard: the output buffer is a temporary; give it a name, or nobody can read it");
    static_assert(!std::is_const_v<std::remove_reference_t<Space>> &&
                      !std::is_const_v<typename plain::element_type>,
                  "shard: the output buffer is read-only; a map writes to it");
    static_assert(
        requires(plain& b) { space_of(b); },
        "shard: a buffer of rank 3 or more is mapped by rows: map(range, out(buffer), kernel)");
  } else {
    static_assert(
        requires(const plain& s) { space_of(s); },
        "shard: the first argument is the space: a count, range, chunks, chunk_list, "
        "weighted, by_memory, strided, tiles, a buffer, or std::tie of writable buffers");
  }
  return true;
}

}  // namespace shard::detail
