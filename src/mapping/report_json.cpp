#include <nlohmann/json.hpp>

#include "shard/report.hpp"

namespace shard {
namespace {

using nlohmann::ordered_json;

ordered_json as_json(range of) { return {of.first, of.last}; }

ordered_json as_json(std::span<const range> of) {
  ordered_json all = ordered_json::array();
  for (const range part : of) all.push_back(as_json(part));
  return all;
}

ordered_json as_json(const failure& one) {
  return {{"kind", one.kind},
          {"what", one.what},
          {"exception", one.exception},
          {"chunk", one.chunk},
          {"indices", as_json(one.indices)},
          {"stride", one.stride},
          {"empty_part", one.empty_part},
          {"attempt", one.attempt},
          {"worker", one.worker},
          {"pid", one.pid},
          {"signal", one.signal},
          {"exit_status", one.exit_status},
          {"elapsed", one.elapsed.count()},
          {"user_time", one.user_time.count()},
          {"system_time", one.system_time.count()},
          {"max_rss_bytes", one.max_rss_bytes},
          {"from_outside", one.from_outside},
          {"stack", one.stack},
          {"stderr_tail", one.stderr_tail}};
}

ordered_json as_json(const run_counts& counts) {
  return {{"map", counts.map},
          {"chunks", counts.chunks},
          {"grain", counts.grain},
          {"carried_over", counts.carried_over},
          {"workers", counts.workers},
          {"retries", counts.retries},
          {"deaths", counts.deaths},
          {"replacements", counts.replacements},
          {"takeovers", counts.takeovers},
          {"failures_lost", counts.failures_lost},
          {"output_lost", counts.output_lost},
          {"forking", counts.forking.count()},
          {"forked_bytes", counts.forked_bytes},
          {"looking", counts.looking.count()},
          {"without", counts.without}};
}

}  // namespace

std::string report::json() const {
  ordered_json failures = ordered_json::array();
  for (const failure& one : failures_) failures.push_back(as_json(one));
  const ordered_json whole{{"complete", complete()},
                           {"indices", indices()},
                           {"completed", as_json(completed())},
                           {"failed", as_json(failed())},
                           {"not_tried", as_json(not_tried())},
                           {"missing", as_json(missing())},
                           {"missing_chunks", as_json(missing_chunks())},
                           {"counts", as_json(counts_)},
                           {"elapsed", elapsed_.count()},
                           {"trouble", trouble_},
                           {"failures", std::move(failures)}};
  return whole.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace shard
