# `cmake --install`, and the package that find_package(shard) reads.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(shard_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/shard)

install(
  TARGETS shard
  EXPORT shard-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(
  EXPORT shard-targets
  NAMESPACE shard::
  DESTINATION ${shard_package_dir})

# Before 1.0 a minor version may change anything, so only the same minor version will do.
write_basic_package_version_file(
  ${CMAKE_CURRENT_BINARY_DIR}/shard-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/shard-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/shard-config-version.cmake
        DESTINATION ${shard_package_dir})
