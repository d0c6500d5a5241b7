// expect: two described fields have the same name
// numpy finds fields by their names.
#include <shard/buffer.hpp>

struct tick {
  double price;
  double size;
};
template <>
inline constexpr auto shard::fields<tick> =
    std::tuple{shard::field{"price", &tick::price}, shard::field{"price", &tick::size}};

shard::buffer<tick> ticks(10);
