#include "family/spawning.hpp"
#include "mapping/sending.hpp"
#include "shard/spawn.hpp"

void shard::init(int argc, char** argv) {
  family::remember_arguments(argc, argv);
  if (family::is_spawned()) family::be_spawned_supervisor(mapping::unpack);
}
