include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(TBB)
find_dependency(Boost 1.74 CONFIG)

include(${CMAKE_CURRENT_LIST_DIR}/shard-targets.cmake)
