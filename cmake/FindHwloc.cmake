# hwloc, by its header and its library: Debian's package brings no file for CMake. Gives the target
# hwloc::hwloc. Is installed with shard, since a static library hands it on.

find_path(HWLOC_INCLUDE_DIR hwloc.h)
find_library(HWLOC_LIBRARY hwloc)
mark_as_advanced(HWLOC_INCLUDE_DIR HWLOC_LIBRARY)

# 0x00020800 is 2.8.
set(Hwloc_VERSION)
if(HWLOC_INCLUDE_DIR)
  file(STRINGS ${HWLOC_INCLUDE_DIR}/hwloc.h shard_hwloc_version REGEX "^#define HWLOC_API_VERSION 0x")
  if(shard_hwloc_version MATCHES "0x([0-9a-f][0-9a-f][0-9a-f][0-9a-f])([0-9a-f][0-9a-f])")
    math(EXPR shard_hwloc_major "0x${CMAKE_MATCH_1}")
    math(EXPR shard_hwloc_minor "0x${CMAKE_MATCH_2}")
    set(Hwloc_VERSION ${shard_hwloc_major}.${shard_hwloc_minor})
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Hwloc
  REQUIRED_VARS HWLOC_LIBRARY HWLOC_INCLUDE_DIR
  VERSION_VAR Hwloc_VERSION)

if(Hwloc_FOUND AND NOT TARGET hwloc::hwloc)
  add_library(hwloc::hwloc UNKNOWN IMPORTED)
  set_target_properties(
    hwloc::hwloc PROPERTIES IMPORTED_LOCATION ${HWLOC_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES
                                                               ${HWLOC_INCLUDE_DIR})
endif()
