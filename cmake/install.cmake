# `cmake --install`, and the packages that find_package(shard) and pkg-config read.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(shard_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/shard)

install(
  TARGETS shard
  EXPORT shard-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(
  EXPORT shard-targets
  NAMESPACE shard::
  DESTINATION ${shard_package_dir})

# Before 1.0 a minor version may change anything, so only the same minor version will do.
write_basic_package_version_file(
  ${CMAKE_CURRENT_BINARY_DIR}/shard-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/shard-config.cmake cmake/FindHwloc.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/shard-config-version.cmake DESTINATION ${shard_package_dir})

# For pkg-config. Everyone who links a static library needs what it uses: all of that is public here.
get_target_property(shard_type shard TYPE)
set(shard_pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
cmake_path(ABSOLUTE_PATH shard_pc_dir BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} NORMALIZE
           OUTPUT_VARIABLE shard_pc_folder)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${shard_pc_folder}
           OUTPUT_VARIABLE shard_pc_to_prefix)
set(shard_pc_libdir ${CMAKE_INSTALL_LIBDIR})
if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  set(shard_pc_libdir \${prefix}/${CMAKE_INSTALL_LIBDIR})
endif()
set(shard_pc_includedir ${CMAKE_INSTALL_INCLUDEDIR})
if(NOT IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
  set(shard_pc_includedir \${prefix}/${CMAKE_INSTALL_INCLUDEDIR})
endif()
set(shard_pc_private)
set(shard_pc_libs)
if(shard_type STREQUAL SHARED_LIBRARY)
  set(shard_pc_private .private)
else()
  # Not by hwloc's own file: for who says --static, that names libraries of hwloc's, which need not be
  # there.
  set(shard_pc_libs " -lhwloc")
  if(SHARD_HAS_BACKTRACE)
    string(APPEND shard_pc_libs " -lbacktrace")
  endif()
endif()
set(shard_pc_cflags)
if(SHARD_CHECKED)
  set(shard_pc_cflags " -DSHARD_CHECKED")
endif()
configure_file(cmake/shard.pc.in ${CMAKE_CURRENT_BINARY_DIR}/shard.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/shard.pc DESTINATION ${shard_pc_dir})
