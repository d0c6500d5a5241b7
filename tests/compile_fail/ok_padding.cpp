// The twin of hides_its_padding: what says where its padding is, or that it stays, compiles.
#include <shard/shard.hpp>

union either {
  double real;
  std::int32_t whole;
};
struct tagged {
  char tag;
  either value;
};
template <>
inline constexpr bool shard::keeps_padding<tagged> = true;

struct wave {
  char tag;
  std::complex<float> z;
};
template <>
inline constexpr auto shard::fields<wave> =
    std::tuple{shard::field{"tag", &wave::tag}, shard::field{"z", &wave::z}};

struct hit {
  char flag;
  double energy;
};

shard::buffer<tagged> values(10);
shard::buffer<wave> waves(10);
shard::buffer<hit> hits(10);
