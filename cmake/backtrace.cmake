# libbacktrace names the functions and lines of a stack. Debian's g++ brings it along, in its own
# folder, where clang++ finds the library but not the header. Without it, reports name only functions
# that a program exports, and for all others their place in it.

include(CheckCXXSourceCompiles)

find_path(
  SHARD_BACKTRACE_HEADER backtrace.h
  PATHS ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES} ${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES}
  PATH_SUFFIXES include)
mark_as_advanced(SHARD_BACKTRACE_HEADER)

# After all others: beside it lie g++'s own versions of headers that clang++ has, too.
set(SHARD_BACKTRACE_INCLUDE)
if(SHARD_BACKTRACE_HEADER)
  set(SHARD_BACKTRACE_INCLUDE -idirafter ${SHARD_BACKTRACE_HEADER})
endif()

set(CMAKE_REQUIRED_FLAGS)
string(JOIN " " CMAKE_REQUIRED_FLAGS ${SHARD_BACKTRACE_INCLUDE})
set(CMAKE_REQUIRED_LIBRARIES backtrace)
check_cxx_source_compiles(
  "#include <backtrace.h>
   int main() { return backtrace_create_state(nullptr, 0, nullptr, nullptr) == nullptr; }"
  SHARD_HAS_BACKTRACE)
unset(CMAKE_REQUIRED_FLAGS)
unset(CMAKE_REQUIRED_LIBRARIES)
