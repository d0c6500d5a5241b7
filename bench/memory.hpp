// What a run costs in memory while its whole output is resident: figures, not times.
#pragma once

#include "budget.hpp"

namespace bench {

// Proportional set size of every process of a run with 8 workers and 1 GiB of output, over 1 GiB.
workload resident_memory(const settings&);

// Page tables of the same processes, over 2 MiB for each: what 1 GiB takes in 4 KiB pages.
workload page_tables(const settings&);

}  // namespace bench
