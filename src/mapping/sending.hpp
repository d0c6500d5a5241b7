// A job as the workers of a pool get it: in bytes, of which they make what they work with.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "board/owner.hpp"
#include "family/assignment.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/detail/packing.hpp"

namespace shard::mapping {

// The same bytes for the same job. Throws shard::error if it can't be sent.
void pack(const detail::job& what, const plan::partition& chunks, detail::packer& to);

// As a family wants it: see service::make_task.
std::shared_ptr<const board::task> unpack(std::span<const std::byte> packed,
                                          std::vector<std::byte*> data, unsigned worker);

// What a worker needs to map each of the job's buffers: a family::lent_buffer for each.
void lend(const detail::job& what, detail::packer& to);

}  // namespace shard::mapping
