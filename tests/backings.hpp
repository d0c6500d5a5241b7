// A buffer in everything that can be behind one.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "refusal.hpp"
#include "shard/named.hpp"
#include "shard/npy.hpp"
#include "shared_names.hpp"

namespace shard_test {

// Calls `check` with a new buffer of these extents in each backing.
template <class T, class Check, class... N>
void for_each_backing(Check check, N... extents) {
  const shared_names names;
  const folder in;
  {
    SCOPED_TRACE("memory");
    check(shard::buffer<T, sizeof...(N)>(extents...));
  }
  {
    SCOPED_TRACE("huge pages");
    check(shard::buffer<T, sizeof...(N)>(shard::pages::huge, extents...));
  }
  {
    SCOPED_TRACE("a file");
    check(shard::create<T>(in / "created.npy", extents...));
  }
  {
    SCOPED_TRACE("a live file");
    check(shard::create_live<T>(in / "live.npy", extents...));
  }
  {
    SCOPED_TRACE("a file that was there");
    shard::create<T>(in / "there.npy", extents...).finish();
    check(shard::open_writable<T, sizeof...(N)>(in / "there.npy"));
  }
  {
    SCOPED_TRACE("named");
    check(shard::named::create<T>("x", extents...));
  }
}

// The same with a buffer of three ints.
template <class Check>
void for_each_backing(Check check) {
  for_each_backing<int>(check, 3);
}

}  // namespace shard_test
