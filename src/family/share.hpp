// How many threads a worker process may run.
#pragma once

namespace shard::family {

// This process, which is a worker, has so many from now on: oneTBB and other libraries keep to
// that.
void take_share(unsigned threads);

// 0: nobody has said anything.
unsigned share_of_this_process() noexcept;

}  // namespace shard::family
