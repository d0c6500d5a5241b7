#include "family/share.hpp"

#include <oneapi/tbb/global_control.h>

#include "os/parallel_libraries.hpp"

namespace shard::family {
namespace {

unsigned share = 0;

}  // namespace

void take_share(unsigned threads) {
  share = threads;
  os::limit_parallel_libraries(threads);
  // As long as the process: not even its end may destroy it, which comes while kernels' threads
  // run.
  using oneapi::tbb::global_control;
  static_cast<void>(new global_control(global_control::max_allowed_parallelism, threads));
}

unsigned share_of_this_process() noexcept { return share; }

}  // namespace shard::family
