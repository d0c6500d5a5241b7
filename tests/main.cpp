// Of all test programs: as gtest_main, but workers can be spawned.
#include <gmock/gmock.h>

#include "shard/spawn.hpp"

int main(int argc, char** argv) {
  shard::init(argc, argv);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
