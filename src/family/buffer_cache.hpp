// The buffers that a worker of a pool has mapped: each for reading, for writing, or twice, since a
// run that only reads a buffer is given no address at which it could be written to.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "family/assignment.hpp"
#include "family/roster.hpp"
#include "os/mapping.hpp"

namespace shard::family {

class buffer_cache {
 public:
  // So many are kept although nobody needs them now.
  static constexpr std::size_t capacity = 256;

  // caller: the process that lends.
  buffer_cache(pid_t caller, const roster& family) noexcept : caller_(caller), family_(family) {}

  // Throws shard::error if it can't be mapped. Whoever needs it holds it.
  std::shared_ptr<const os::mapping> map(const lent_buffer& what);

  // Was closed. Who holds it must let go of it, too.
  void drop(std::uint64_t number);
  void drop_all() { kept_.clear(); }

 private:
  struct entry {
    std::uint64_t number;
    bool writable;
    std::uint64_t used;
    std::shared_ptr<const os::mapping> mapping;
  };

  std::shared_ptr<const os::mapping> map_anew(const lent_buffer& what) const;

  pid_t caller_;
  const roster& family_;
  std::vector<entry> kept_;
  std::uint64_t uses_ = 0;
};

}  // namespace shard::family
