// All of shard. The headers in the order in which data flows through a map; each can be included by
// itself.
#pragma once

// clang-format off
#include "shard/error.hpp"      // what every failure throws
#include "shard/range.hpp"      // indices
#include "shard/plan.hpp"       // how they are cut into chunks
#include "shard/text.hpp"       // text of a fixed width
#include "shard/fields.hpp"     // names for the fields of a struct
#include "shard/element.hpp"    // what buffers hold
#include "shard/atomics.hpp"    // what processors change in one step
#include "shard/strided.hpp"    // parts of arrays
#include "shard/backing.hpp"    // where their bytes are
#include "shard/buffer.hpp"     // arrays in shared memory
#include "shard/npy.hpp"        // and in files
#include "shard/named.hpp"      // and under names that processes share
#include "shard/slice.hpp"      // what a kernel sees of them
#include "shard/reduce.hpp"     // results that all chunks add to
#include "shard/histogram.hpp"  // counts in bins
#include "shard/options.hpp"    // how a map is run
#include "shard/stop.hpp"       // Ctrl-C, if it is to end a map and not the program
#include "shard/report.hpp"     // what it did
#include "shard/map.hpp"        // the call
#include "shard/version.hpp"
// clang-format on
