# The program `shard`, and its completion in bash.

find_package(CLI11 REQUIRED)
find_package(fmt REQUIRED)

add_executable(
  shard_command
  src/command/array_file.cpp
  src/command/cat.cpp
  src/command/dates.cpp
  src/command/doctor.cpp
  src/command/gc.cpp
  src/command/head.cpp
  src/command/info.cpp
  src/command/job.cpp
  src/command/listing.cpp
  src/command/main.cpp
  src/command/output.cpp
  src/command/print.cpp
  src/command/report.cpp
  src/command/stats.cpp
  src/command/values.cpp)
# Not beside the library, whose target has the same name.
set_target_properties(shard_command PROPERTIES OUTPUT_NAME shard RUNTIME_OUTPUT_DIRECTORY
                                                                 ${PROJECT_BINARY_DIR}/bin)
target_include_directories(shard_command PRIVATE src)
target_link_libraries(shard_command PRIVATE shard::shard shard_warnings CLI11::CLI11 fmt::fmt
                                            nlohmann_json::nlohmann_json)

if(shard_type STREQUAL SHARED_LIBRARY)
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR}
             OUTPUT_VARIABLE shard_bin_to_lib)
  set_target_properties(shard_command PROPERTIES INSTALL_RPATH $ORIGIN/${shard_bin_to_lib})
endif()
install(TARGETS shard_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES src/command/shard.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME shard)
