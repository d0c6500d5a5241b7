# The sources of src/exact, and what they are compiled with whatever the rest is: they cut numbers by
# additions that -ffast-math would simplify away.
set(shard_exact_sources
    src/exact/block_avx2.cpp
    src/exact/block_avx512.cpp
    src/exact/block_baseline.cpp
    src/exact/dot.cpp
    src/exact/instruction_set.cpp
    src/exact/moments.cpp
    src/exact/natural.cpp
    src/exact/products.cpp
    src/exact/sum.cpp
    src/exact/summation.cpp)
list(TRANSFORM shard_exact_sources PREPEND ${PROJECT_SOURCE_DIR}/)
set_source_files_properties(${shard_exact_sources} PROPERTIES COMPILE_OPTIONS
                                                              "-ffp-contract=off;-fno-fast-math")
# These are called only where the processor has the instructions. A header that was precompiled is for
# other ones.
if(CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  set(shard_exact_avx2 ${PROJECT_SOURCE_DIR}/src/exact/block_avx2.cpp)
  set(shard_exact_avx512 ${PROJECT_SOURCE_DIR}/src/exact/block_avx512.cpp)
  set_property(SOURCE ${shard_exact_avx2} APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mfma -mbmi2)
  set_property(SOURCE ${shard_exact_avx512} APPEND PROPERTY COMPILE_OPTIONS -mavx512f -mavx2 -mfma -mbmi2)
  set_source_files_properties(${shard_exact_avx2} ${shard_exact_avx512} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
endif()
