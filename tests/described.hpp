// How a header describes a type of elements.
#pragma once

#include <string>

#include "memory/dtype.hpp"
#include "shard/element.hpp"

namespace shard_test {

template <class T>
std::string described() {
  return shard::memory::text(shard::detail::dtype_of<T>());
}

}  // namespace shard_test
