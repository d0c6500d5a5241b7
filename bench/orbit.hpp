// Work that touches no memory.
#pragma once

#include <cstddef>

namespace bench {

// A point of a chaotic orbit: a chain of dependent multiplications, some 1.5 µs long. Not inlined,
// so that every rival runs the same machine code.
[[gnu::noinline]] inline double orbit(std::size_t i) {
  double x = 0.1 + 0.8 * static_cast<double>(i % 1024) / 1024.0;
  for (int step = 0; step < 400; ++step) x = 3.9 * x * (1.0 - x);
  return x;
}

}  // namespace bench
