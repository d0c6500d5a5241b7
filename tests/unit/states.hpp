// What a map does with a reducer, without processes: states, accumulators on them, and the merge.
#pragma once

#include <rapidcheck.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "shard/reduce.hpp"

namespace shard::testing {

// A zero-filled block as the framework provides it. Nothing lies behind it: ASan sees an overrun.
class state {
 public:
  template <reducer R>
  explicit state(const R& of) : bytes_(new(alignment) std::byte[of.state_bytes()]()) {
    of.start(data());
  }
  std::byte* data() { return bytes_.get(); }

 private:
  static constexpr std::align_val_t alignment{64};
  struct free {
    void operator()(std::byte* bytes) const { operator delete[](bytes, alignment); }
  };
  std::unique_ptr<std::byte[], free> bytes_;
};

template <class T>
using chunks_of = std::vector<std::vector<T>>;

template <class T>
chunks_of<T> split(const std::vector<T>& values, std::vector<std::size_t> borders) {
  borders.push_back(values.size());
  chunks_of<T> chunks;
  std::size_t first = 0;
  for (const std::size_t last : borders) {
    chunks.emplace_back(values.begin() + static_cast<std::ptrdiff_t>(first),
                        values.begin() + static_cast<std::ptrdiff_t>(last));
    first = last;
  }
  return chunks;
}

// Inside a property: the values in chunks of random sizes, some of them empty.
template <class T>
chunks_of<T> random_chunks(const std::vector<T>& values) {
  auto borders = *rc::gen::container<std::vector<std::size_t>>(
      rc::gen::inRange<std::size_t>(0, values.size() + 1));
  std::sort(borders.begin(), borders.end());
  return split(values, std::move(borders));
}

// Runs kernel(accumulator) once on a state, as a worker does for one chunk.
template <reducer R, class Kernel>
void add_to(const R& to, state& on, const Kernel& kernel) {
  typename R::accumulator a(to, on.data());
  kernel(a);
  a.store(on.data());
}

template <reducer R>
void merge(R& to, state& from) {
  to.merge(typename R::accumulator(to, from.data()));
}

template <reducer R, class Kernel>
void add_once(R& to, const Kernel& kernel) {
  state only(to);
  add_to(to, only, kernel);
  merge(to, only);
}

// Calls add(accumulator, value) for each value: on a state for each chunk where the reducer is
// ordered, otherwise on the states of three workers that take turns.
template <reducer R, class T, class Add>
void reduce_in_chunks(R& to, const chunks_of<T>& chunks, const Add& add) {
  std::vector<state> states;
  for (std::size_t k = 0; k < (R::ordered ? chunks.size() : 3); ++k) states.emplace_back(to);
  for (std::size_t k = 0; k < chunks.size(); ++k) {
    add_to(to, states[k % states.size()], [&](auto& a) {
      for (const T& x : chunks[k]) add(a, x);
    });
  }
  for (state& one : states) merge(to, one);
}

}  // namespace shard::testing
