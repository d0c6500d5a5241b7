#include "mapping/execute.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mapping/checks.hpp"
#include "mapping/nesting.hpp"
#include "mapping/replay.hpp"
#include "mapping/second_run.hpp"
#include "mapping/unknown_variables.hpp"
#include "memory/segment.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"
#include "shard/error.hpp"

namespace shard::mapping {
namespace {

using detail::grant;
using detail::job;
using detail::space;

std::vector<std::size_t> output_row_bytes(const job& what) {
  std::vector<std::size_t> bytes;
  for (const grant& one : what.grants) {
    if (one.partitioned && !one.by_chunk) bytes.push_back(one.row_bytes);
  }
  return bytes;
}

by_memory need_of(const space& where) { return {where.all, where.index_bytes, where.budget_bytes}; }

plan::partition partition_of(const job& what, const options& given, std::size_t grain) {
  const space& where = what.where;
  if (where.own_grain && given.grain.value_or(0) != 0) {
    throw error(std::errc::invalid_argument,
                "cannot use the option grain: found " + std::to_string(*given.grain) +
                    " for a space that says itself how it is cut, expected 0");
  }
  switch (where.by) {
    case space::cut::listed: return plan::partition::listed({where.all, where.parts});
    case space::cut::weighted: return plan::partition::balanced({where.all, where.cost});
    case space::cut::by_memory: return plan::partition::within(need_of(where));
    case space::cut::strided: return plan::partition::interleaved({where.all, where.stride});
    case space::cut::tiled:
    case space::cut::even: break;
  }
  if (where.own_grain) return plan::partition::uniform(where.all, where.grain);
  if (grain == 0 && where.all.first <= where.all.last) {
    grain = plan::default_grain(where.all.size(), output_row_bytes(what));
  }
  return plan::partition::uniform(where.all, grain);
}

// Whether a complete map has written every row.
bool fills(const job& what, const plan::partition& chunks, const grant& one) {
  if (!one.partitioned) return false;
  return one.by_chunk || what.where.by == space::cut::tiled || chunks.indices() == one.rows;
}

// Before anything runs: a file that another process has created can't be finished by this one.
void check_filled_outputs(const job& what, const plan::partition& chunks) {
  for (const grant& one : what.grants) {
    if (fills(what, chunks, one)) one.owner->require_own("map to " + one.owner->name());
  }
}

}  // namespace

unsigned most_workers_of(const job& what) noexcept {
  constexpr std::size_t any = std::numeric_limits<unsigned>::max();
  if (what.where.by != space::cut::by_memory) return any;
  return static_cast<unsigned>(std::min(any, plan::chunks_at_a_time(need_of(what.where))));
}

order::order(const job& what, const options& given, const settings& decided)
    : began(clock::now()),
      number(number_of_this_map()),
      how(where_it_runs(decided)),
      chunks(partition_of(what, given, how.grain)),
      most_workers(most_workers_of(what)) {
  if (what.whole_chunks) chunks.keep_whole();
  check_chunks(chunks);
  check_arguments(what, chunks);
  check_filled_outputs(what, chunks);
}

report finished(const job& what, const plan::partition& chunks, report result) {
  if (!result.complete()) return result;
  std::optional<error> first;
  const auto name = [&first](const auto& file) {
    try {
      file();
    } catch (const error& e) {
      if (!first) first = e;
    }
  };
  for (const grant& one : what.grants) {
    if (!fills(what, chunks, one)) continue;
    name([&] { one.owner->finish_cleared(durability::memory); });
  }
  for (const detail::reduction& one : what.reductions) {
    if (one.finish != nullptr) name([&] { one.finish(one.reducer); });
  }
  if (first) throw map_error(std::move(result), *first);
  return result;
}

report carry_out(const job& what, const options& given, const settings& decided,
                 family::warm_family* pool, const family::warm_family::order* fresh) {
  const order settled(what, given, decided);
  if (settled.is_replayed()) {
    return finished(what, settled.chunks,
                    replay(what, settled.chunks, settled.how.replay, settled.how.record_chunks));
  }
  std::optional<second_run> expected;
  if (fresh != nullptr) expected.emplace(what, given, settled, *fresh);
  report result;
  {
    flight run(what, given, settled, pool);
    run.begin(false, true);
    result = run.join();
  }
  if (pool != nullptr) pool->wait_for_output();
  if (expected) expected->compare(result);  // before files get their names
  return finished(what, settled.chunks, std::move(result));
}

std::shared_ptr<detail::pool_state> pool_to_spawn(const job& what, const options& given,
                                                  const settings& decided) {
  if (threads_in_this_kernel() || decided.run_on != executor::processes) return nullptr;
  if (decided.start == start_by::fork) {
    refuse_what_forks_have(given);
    return nullptr;
  }
  if (what.by.unpack == nullptr) {
    throw error(std::errc::invalid_argument,
                "cannot start workers by spawn for this map: found a kernel that captures "
                "variables, or an argument that holds pointers, expected a kernel that captures "
                "nothing and gets what it needs as parameters, in value(x), in(buffer), "
                "out(buffer); or start_by::fork");
  }
  const std::size_t chunks = partition_of(what, given, decided.grain).chunks();
  const unsigned most = std::min(workers_of(decided), most_workers_of(what));
  options how = given;
  how.workers = static_cast<unsigned>(std::clamp<std::size_t>(chunks, 1, most));
  return detail::make_pool_for_one_map(how);
}

}  // namespace shard::mapping

namespace shard::detail {

report execute(const job& what, const options& given) {
  mapping::tell_unknown_variables();
  const mapping::settings decided = mapping::resolve(given);
  if (const auto pool = mapping::pool_to_spawn(what, given, decided)) {
    return execute_in(*pool, what, nullptr);
  }
  return mapping::carry_out(what, given, decided);
}

}  // namespace shard::detail
