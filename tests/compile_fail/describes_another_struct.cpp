// expect: a struct is described with a field of another struct
// Where a field is can only be told in its own struct.
#include <shard/buffer.hpp>

struct tick {
  double price;
};
struct quote {
  double bid;
};
template <>
inline constexpr auto shard::fields<tick> = std::tuple{shard::field{"price", &quote::bid}};

shard::buffer<tick> ticks(10);
