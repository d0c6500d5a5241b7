// A map from its order to its report.
#pragma once

#include <memory>

#include "family/warm_family.hpp"
#include "mapping/flight.hpp"
#include "mapping/settings.hpp"
#include "shard/detail/job.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

// decided: the options, resolved. pool: whose family carries it out; null: who is started for it.
// fresh: who does it a second time, see second_run; null: nobody.
report carry_out(const detail::job& what, const options& given, const settings& decided,
                 family::warm_family* pool = nullptr,
                 const family::warm_family::order* fresh = nullptr);

// The family of a pool that has these options. Throws shard::error if they ask for what forks, or
// this program, can't do.
family::warm_family::order family_for(const options& given, const settings& decided,
                                      unsigned workers);
// Throws shard::error if the options of one map settle what belongs to its pool.
void refuse_what_a_pool_settles(const options& one);

// For a map outside of a pool whose workers start by spawn: a pool of its own. Null: they are
// forked, or it has no worker processes. Throws shard::error if the job can't be sent to such
// workers.
std::shared_ptr<detail::pool_state> pool_to_spawn(const detail::job& what, const options& given,
                                                  const settings& decided);

// What comes after a run: files that a complete map has filled get their final names. If one can't,
// the others do, and map_error is thrown.
report finished(const detail::job& what, const plan::partition& chunks, report result);

}  // namespace shard::mapping
