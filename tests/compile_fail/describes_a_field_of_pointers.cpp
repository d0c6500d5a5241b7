// expect: a described field must be an element
// What a pointer points to is not in the buffer.
#include <shard/buffer.hpp>

struct tick {
  double price;
  const char* venues[2];
};
template <>
inline constexpr auto shard::fields<tick> =
    std::tuple{shard::field{"price", &tick::price}, shard::field{"venues", &tick::venues}};

shard::buffer<tick> ticks(10);
