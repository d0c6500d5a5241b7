// expect: shard: drawings have one or two axes
#include <shard/shard.hpp>

#include <string>

std::string drawn() {
  const auto along = shard::axis::integer(0, 3);
  return shard::draw(shard::histogram(along, along, along));
}
