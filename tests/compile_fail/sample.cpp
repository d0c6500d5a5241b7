// expect: narrowing|cannot be narrowed
// A range takes unsigned indices: a negative one is a mistake that must be seen.
#include <shard/range.hpp>

shard::range before(int n) { return {-1, n}; }
