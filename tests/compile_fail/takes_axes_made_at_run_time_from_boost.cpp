// expect: shard: from_boost takes a histogram whose axes are a std::tuple
#include <boost/histogram/make_histogram.hpp>
#include <shard/shard.hpp>
#include <vector>

void take() {
  const std::vector<shard::axis::integer_axis> axes{shard::axis::integer(0, 3)};
  shard::from_boost(boost::histogram::make_histogram(axes));
}
