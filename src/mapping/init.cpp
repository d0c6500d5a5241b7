#include "family/spawning.hpp"
#include "mapping/sending.hpp"
#include "shard/spawn.hpp"

void shard::init(int argc, char** argv) {
  const bool first = family::remember_arguments(argc, argv);
  if (first && family::is_spawned()) family::be_spawned_supervisor(mapping::unpack);
}
