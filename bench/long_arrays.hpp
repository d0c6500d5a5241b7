// Work on long arrays: what fresh processes and fresh mappings would cost most.
#pragma once

#include <cstddef>

#include "budget.hpp"

namespace bench {

// Square roots of whole numbers.
workload roots_tbb(const settings& with, std::size_t full);

}  // namespace bench
