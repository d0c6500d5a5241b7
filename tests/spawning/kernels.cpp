// A library with a kernel: tests build it twice, to have two builds.
#include <cstddef>

extern "C" int kernel(std::size_t i) { return FACTOR * static_cast<int>(i); }
