// All of shard. The headers stand in the order in which data flows through a map. Each can be
// included alone.
#pragma once

// clang-format off
#include "shard/error.hpp"          // what every failure throws
#include "shard/range.hpp"          // indices
#include "shard/plan.hpp"           // how indices are cut into chunks
#include "shard/text.hpp"           // text of a fixed width
#include "shard/float16.hpp"        // numbers in 16 bits
#include "shard/u32text.hpp"        // text of characters
#include "shard/times.hpp"          // dates and spans of time
#include "shard/raw.hpp"            // bytes of any other type
#include "shard/fields.hpp"         // names for the fields of a struct
#include "shard/element.hpp"        // what buffers hold
#include "shard/atomics.hpp"        // types that a processor changes in one step
#include "shard/strided.hpp"        // parts of arrays
#include "shard/backing.hpp"        // where the bytes of an array are
#include "shard/bulk.hpp"           // transfers of many elements at once
#include "shard/lock.hpp"           // one lock for each array
#include "shard/notifications.hpp"  // processes wake each other
#include "shard/buffer.hpp"         // arrays in shared memory
#include "shard/npy.hpp"            // arrays in .npy files
#include "shard/named.hpp"          // arrays under names that processes share
#include "shard/inspect.hpp"        // what a file holds, before it is opened
#include "shard/visit.hpp"          // numbers of whatever type a file has
#include "shard/texts.hpp"          // texts whose width only the file knows
#include "shard/slice.hpp"          // what a kernel sees of an array
#include "shard/exact.hpp"          // sums that are rounded once
#include "shard/reduce.hpp"         // results that all chunks add to
#include "shard/moments.hpp"        // exact products, means and variances
#include "shard/ranking.hpp"        // where the smallest and the largest are
#include "shard/quantiles.hpp"      // medians and other quantiles
#include "shard/collect.hpp"        // any number of results for each index
#include "shard/custom_reducer.hpp" // results of your own
#include "shard/axis.hpp"           // bins and their edges
#include "shard/histogram.hpp"      // counts in bins
#include "shard/weighted_histogram.hpp"  // exact sums of weights in bins
#include "shard/profile.hpp"        // means and variances in bins
#include "shard/bin_table.hpp"      // what is in the bins of any histogram
#include "shard/from_boost.hpp"     // histograms that Boost has filled
#include "shard/histogram_files.hpp" // histograms in files
#include "shard/drawing.hpp"        // histograms as pictures
#include "shard/category_counts.hpp"  // counts of what is found on the way
#include "shard/random.hpp"         // random numbers, a stream for each index
#include "shard/options.hpp"        // how a map is run
#include "shard/progress_line.hpp"  // how far a map is, on stderr
#include "shard/stop.hpp"           // Ctrl-C stops a map, not the program
#include "shard/report.hpp"         // what a map did
#include "shard/map.hpp"            // the call
#include "shard/run.hpp"            // a map that goes on by itself
#include "shard/pool.hpp"           // workers for many maps
#include "shard/job.hpp"            // maps that go on after a kill
#include "shard/spawn.hpp"          // workers that are no copies of the caller
#include "shard/version.hpp"
// clang-format on
