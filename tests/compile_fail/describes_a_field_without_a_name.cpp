// expect: names_of_fields_are_printable_ascii_without_quotes|consteval function
// A field without a name is padding to numpy.
#include <shard/buffer.hpp>

struct tick {
  double price;
};
template <>
inline constexpr auto shard::fields<tick> = std::tuple{shard::field{"", &tick::price}};

shard::buffer<tick> ticks(10);
