// The twin of the describes_… cases: the same program without a mistake must compile.
#include <shard/buffer.hpp>

struct tick {
  double price;
  char venue[4];
};
template <>
inline constexpr auto shard::fields<tick> =
    std::tuple{shard::field{"price", &tick::price}, shard::field{"venue", &tick::venue}};

shard::buffer<tick> ticks(10);
