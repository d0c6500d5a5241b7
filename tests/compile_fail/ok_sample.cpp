// A range of std::size_t: what the mistake beside it gets wrong.
#include <shard/range.hpp>

shard::range half(const shard::range& all) { return {all.first, all.first + all.size() / 2}; }
