// expect: can't tell which bytes of the struct are padding
#include <complex>
#include <shard/shard.hpp>

struct sample {
  std::complex<float> wave;
  float weight;
  char tag;
  char other;  // would be cleared as padding
};
template <>
inline constexpr auto shard::fields<sample> =
    std::tuple{shard::field{"wave", &sample::wave}, shard::field{"weight", &sample::weight},
               shard::field{"tag", &sample::tag}};

shard::buffer<sample> all(10);
