// expect: shard: a buffer can't hold std::string or std::string_view
#include <shard/collect.hpp>
#include <string>

shard::collect<std::string> items;
