// Two files in one. What the first one gives to the second has or has not the checks of
// SHARD_CHECKED, and so it is for each of the two.
#include <cstddef>
#include <cstdio>

#include "shard/slice.hpp"

#ifdef TAKES
std::size_t take(shard::view<double> v) { return v.size(); }
#else
std::size_t take(shard::view<double> v);
int main() {
  const double x[3] = {1, 2, 3};
  const shard::view<double> v(x, {3});
  return v[1] == 2 && take(v) == 3 ? 0 : 1;
}
#endif
