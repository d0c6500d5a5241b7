#include <cmath>
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
          {"at", one.at.count()},
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

ordered_json as_json(const chunk_record& one) {
  return {{"chunk", one.chunk},
          {"indices", as_json(one.indices)},
          {"stride", one.stride},
          {"worker", one.worker},
          {"attempt", one.attempt},
          {"start", one.start.count()},
          {"duration", one.duration.count()},
          {"cause", one.cause},
          {"peak_private_bytes", one.peak_private_bytes}};
}

ordered_json as_json(const worker_resources& one) {
  ordered_json busy = ordered_json::array();
  // Without the digits by which a float misses three decimals.
  for (const float part : one.busy) busy.push_back(std::round(double{part} * 1000) / 1000);
  return {{"worker", one.worker},
          {"processes", one.processes},
          {"chunks", one.chunks},
          {"user_time", one.user_time.count()},
          {"system_time", one.system_time.count()},
          {"page_faults", one.page_faults},
          {"peak_private_bytes", one.peak_private_bytes},
          {"began", one.began.count()},
          {"ended", one.ended.count()},
          {"working", one.working.count()},
          {"publishing", one.publishing.count()},
          {"waiting", one.waiting.count()},
          {"busy", std::move(busy)}};
}

ordered_json as_json(const run_resources& used) {
  ordered_json workers = ordered_json::array();
  for (const worker_resources& one : used.workers) workers.push_back(as_json(one));
  ordered_json replacements = ordered_json::array();
  for (const replacement& one : used.replacements) {
    replacements.push_back({{"worker", one.worker}, {"at", one.at.count()}});
  }
  return {{"recorded", used.recorded},
          {"processes", used.processes},
          {"starting", used.starting},
          {"working", used.working},
          {"publishing", used.publishing},
          {"waiting", used.waiting},
          {"slowest", used.slowest ? as_json(*used.slowest) : ordered_json(nullptr)},
          {"median_chunk", used.median_chunk.count()},
          {"output_stalled", used.output_stalled.count()},
          {"memory_limit_bytes", used.memory_limit_bytes},
          {"replacements", std::move(replacements)},
          {"workers", std::move(workers)}};
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
                           {"resources", as_json(used_)},
                           {"failures", std::move(failures)}};
  return whole.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace shard
