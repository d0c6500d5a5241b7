# The sources whose results have the same bits whatever the project is built with, and what they are
# compiled with whatever the rest is. Each operation is rounded by itself, in the order in which it is
# written.
set(shard_strict_options -fno-fast-math -ffp-contract=off)
# Tests with sanitizers spend most of their time in these sources, if nothing is optimised.
set(shard_strict_level)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
  set(shard_strict_level -O1)
endif()

# They cut numbers by additions that -ffast-math would simplify away.
set(shard_exact_sources
    src/exact/block_avx2.cpp
    src/exact/block_avx512.cpp
    src/exact/block_baseline.cpp
    src/exact/dot.cpp
    src/exact/instruction_set.cpp
    src/exact/moment_bins.cpp
    src/exact/moments.cpp
    src/exact/natural.cpp
    src/exact/products.cpp
    src/exact/sum.cpp
    src/exact/summation.cpp)
set(shard_random_sources
    src/random/counts.cpp
    src/random/mass.cpp
    src/random/stream.cpp
    src/random/tables.cpp
    src/random/wide.cpp)
list(TRANSFORM shard_exact_sources PREPEND ${PROJECT_SOURCE_DIR}/)
list(TRANSFORM shard_random_sources PREPEND ${PROJECT_SOURCE_DIR}/)
# Headers were precompiled with other options. In regular_places.cpp, NaNs have a bin.
set_source_files_properties(
  ${shard_exact_sources} ${shard_random_sources} ${PROJECT_SOURCE_DIR}/src/mapping/regular_places.cpp
  PROPERTIES COMPILE_OPTIONS "${shard_strict_options};${shard_strict_level}" SKIP_PRECOMPILE_HEADERS ON)

# These are called only where the processor has the instructions.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  set(shard_exact_avx2 ${PROJECT_SOURCE_DIR}/src/exact/block_avx2.cpp)
  set(shard_exact_avx512 ${PROJECT_SOURCE_DIR}/src/exact/block_avx512.cpp)
  set_property(SOURCE ${shard_exact_avx2} APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mfma -mbmi2)
  set_property(SOURCE ${shard_exact_avx512} APPEND PROPERTY COMPILE_OPTIONS -mavx512f -mavx2 -mfma -mbmi2)
endif()
