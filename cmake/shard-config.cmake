include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(Boost 1.74 CONFIG)

include(${CMAKE_CURRENT_LIST_DIR}/shard-targets.cmake)

# A shared library finds them by itself.
get_target_property(shard_type shard::shard TYPE)
if(shard_type STREQUAL STATIC_LIBRARY)
  find_dependency(TBB)
  list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
  find_dependency(Hwloc)
  list(POP_BACK CMAKE_MODULE_PATH)
endif()
