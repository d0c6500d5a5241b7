#include "shard/report.hpp"

#include <algorithm>
#include <ostream>
#include <sstream>
#include <utility>

namespace shard {
namespace {

constexpr std::size_t most_shown = 20;  // failures that a printed report tells

std::size_t indices_in(std::span<const range> ranges) {
  std::size_t sum = 0;
  for (const range part : ranges) sum += part.size();
  return sum;
}

std::string plural(std::size_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

void print(std::ostream& to, const failure& one) {
  if (one.indices.empty()) {
    to << "worker " << one.worker << " outside of any chunk";
  } else if (one.indices.size() == 1) {
    to << "index " << one.indices.first << " (chunk " << one.chunk << "), attempt " << one.attempt;
  } else {
    to << "indices [" << one.indices.first << ", " << one.indices.last << ") (chunk " << one.chunk
       << "), attempt " << one.attempt;
  }
  to << ": " << (one.kind == "exception" ? "exception " : "") << one.what;
}

// The one line that a map_error says: what is missing, and the first reason.
std::string summary(const report& result) {
  std::ostringstream text;
  text << "cannot complete the map: found " << indices_in(result.completed()) << " of "
       << result.indices() << " indices done, expected all";
  if (!result.trouble().empty()) text << "; " << result.trouble();
  if (!result.failures().empty()) {
    text << "; ";
    print(text, result.failures().front());
  }
  return text.str();
}

}  // namespace

report::report(std::size_t indices, std::vector<range> completed, std::vector<failure> failures,
               run_counts counts, seconds elapsed, std::string trouble)
    : indices_(indices),
      completed_(std::move(completed)),
      failures_(std::move(failures)),
      counts_(counts),
      elapsed_(elapsed),
      trouble_(std::move(trouble)) {}

bool report::complete() const noexcept { return indices_in(completed_) == indices_; }

std::string report::replay(const failure& one) const {
  if (counts_.map == 0 || one.indices.empty()) return {};
  return "SHARD_REPLAY=" + std::to_string(counts_.map) + ":" + std::to_string(one.indices.first) +
         "-" + std::to_string(one.indices.last);
}

std::ostream& operator<<(std::ostream& to, const report& result) {
  const run_counts& counts = result.counts();
  std::ostringstream line;
  line << indices_in(result.completed()) << " of " << result.indices() << " indices in "
       << plural(counts.chunks, "chunk") << " on " << plural(counts.workers, "worker") << ", ";
  line.precision(3);
  line << result.elapsed().count() << " s";
  if (counts.retries != 0)
    line << ", " << counts.retries << (counts.retries == 1 ? " retry" : " retries");
  if (counts.deaths != 0) line << ", " << plural(counts.deaths, "death");
  if (counts.replacements != 0) {
    line << ", " << plural(counts.replacements, "worker") << " replaced for taking too much memory";
  }
  if (counts.takeovers != 0) line << ", " << plural(counts.takeovers, "supervisor") << " replaced";
  to << line.str();
  const std::size_t shown = std::min(result.failures().size(), most_shown);
  for (const failure& one : result.failures().first(shown)) {
    to << "\n  ";
    print(to, one);
  }
  const std::size_t more = result.failures().size() - shown + counts.failures_lost;
  if (more != 0) to << "\n  and " << plural(more, "failure") << " more";
  if (!result.trouble().empty()) to << "\n  " << result.trouble();
  return to;
}

map_error::map_error(report result)
    : error(std::errc::operation_canceled, summary(result)), result_(std::move(result)) {}

}  // namespace shard
