// expect: shard: from_boost takes counts, and neither weighted sums nor means
#include <boost/histogram/make_profile.hpp>
#include <shard/shard.hpp>

void take() { shard::from_boost(boost::histogram::make_profile(shard::axis::integer(0, 3))); }
