# src/exact: the same bits under any flags that the rest is compiled with. Sums are cut by additions that
# -ffast-math would simplify away.
set(shard_exact_options -ffp-contract=off -fno-fast-math)
file(GLOB shard_exact_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/exact/*.cpp)
set_property(SOURCE ${shard_exact_sources} APPEND PROPERTY COMPILE_OPTIONS ${shard_exact_options})
# These are called only on processors that have the instructions. A precompiled header is for other ones.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/exact/block_avx2.cpp
               APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mfma -mbmi2)
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/exact/block_avx512.cpp
               APPEND PROPERTY COMPILE_OPTIONS -mavx512f -mavx2 -mfma -mbmi2)
endif()
set_property(SOURCE ${shard_exact_sources} PROPERTY SKIP_PRECOMPILE_HEADERS ON)
