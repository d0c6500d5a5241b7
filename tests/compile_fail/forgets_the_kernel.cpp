// expect: shard: the kernel is missing
// A buffer alone says what, not how.
#include <shard/map.hpp>

void run(shard::buffer<double>& out) { shard::map(out); }
