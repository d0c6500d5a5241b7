#include "shard/report.hpp"

#include <algorithm>
#include <iomanip>
#include <iterator>
#include <ostream>
#include <span>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "mapping/failure_text.hpp"
#include "mapping/printable.hpp"
#include "mapping/ranges.hpp"

namespace shard {
namespace {

using mapping::brief;
using mapping::hint_after;
using mapping::indices_in;
using mapping::is_at;
using mapping::plural;
using mapping::printable;
using mapping::same_chunk;
using mapping::telling;

// What a printed report tells: failures, and of each of them frames and lines of stderr.
constexpr std::size_t most_shown = 20;
constexpr std::size_t most_frames = 12;
constexpr std::size_t most_lines = 5;
constexpr std::size_t longest_line = 200;

// From the program's own code on, to the kernel.
void print_stack(std::ostream& to, const std::vector<std::string>& stack) {
  const std::vector<std::string> lines = mapping::printed_frames(stack);
  constexpr std::size_t outermost = 5;
  const bool all = lines.size() <= most_frames;
  for (std::size_t k = 0; k < lines.size(); ++k) {
    if (!all && k == most_frames - outermost) {
      to << "\n    and " << plural(lines.size() - most_frames, "line") << " more";
      k = lines.size() - outermost;
    }
    to << "\n" << lines[k];
  }
}

void print_stderr(std::ostream& to, std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text.empty()) return;
  std::vector<std::string_view> lines;
  for (std::size_t end = 0; end != std::string_view::npos && lines.size() < most_lines;) {
    end = text.rfind('\n');
    lines.push_back(text.substr(end + 1));  // npos + 1 is 0
    text = text.substr(0, end == std::string_view::npos ? 0 : end);
  }
  std::ranges::reverse(lines);
  for (const std::string_view line : lines) {
    to << "\n    stderr: " << printable(line.substr(0, longest_line))
       << (line.size() > longest_line ? "..." : "");
  }
}

void print(std::ostream& to, const failure& one, const failure* before) {
  to << mapping::line_of(one);
  if (before == nullptr || before->stack != one.stack) print_stack(to, one.stack);
  print_stderr(to, one.stderr_tail);
}

// ", 2 failed, 30 not tried"; empty if all are completed.
std::string missing_from(const report& result) {
  std::string text;
  if (const std::size_t count = indices_in(result.failed()); count != 0)
    text += ", " + std::to_string(count) + " failed";
  if (const std::size_t count = indices_in(result.not_tried()); count != 0)
    text += ", " + std::to_string(count) + " not tried";
  // Where no index says it.
  if (text.empty() && !result.complete()) {
    text += ", without " + plural(indices_in(result.missing_chunks()), "empty part");
  }
  return text;
}

// The one line that a map_error says: what is missing, and the first reason, as closely as it is
// known.
std::string summary(const report& result) {
  std::ostringstream text;
  text << "cannot complete the map: found " << indices_in(result.completed()) << " of "
       << result.indices() << " indices done" << missing_from(result) << "; expected all";
  if (!result.trouble().empty()) text << "; " << result.trouble();
  if (!result.failures().empty()) {
    text << "; ";
    const auto all = telling(result.failures());
    const auto other = [&](const failure* one) { return !same_chunk(*all.front(), *one); };
    const auto next = std::find_if(all.begin() + 1, all.end(), other);
    text << mapping::line_of(**std::prev(next));
  }
  return text.str();
}

}  // namespace

report::report(index_sets indices, std::vector<failure> failures, run_counts counts,
               seconds elapsed, std::string trouble, run_resources used,
               std::vector<chunk_record> chunks)
    : sets_(std::move(indices)),
      missing_(mapping::joined(sets_.failed, sets_.not_tried)),
      failures_(std::move(failures)),
      counts_(std::move(counts)),
      elapsed_(elapsed),
      trouble_(std::move(trouble)),
      used_(std::move(used)),
      chunks_(chunks.empty()
                  ? nullptr
                  : std::make_shared<const std::vector<chunk_record>>(std::move(chunks))) {}

std::span<const chunk_record> report::chunks() const noexcept {
  return chunks_ ? std::span<const chunk_record>(*chunks_) : std::span<const chunk_record>();
}

std::size_t report::indices() const noexcept {
  return indices_in(sets_.completed) + indices_in(missing_);
}

std::string report::replay(const failure& one) const {
  if (counts_.map == 0 || !is_at(one) || one.from_outside) return {};
  const std::string which = "SHARD_REPLAY=" + std::to_string(counts_.map) + ":";
  if (one.empty_part) return which + "chunk" + std::to_string(one.chunk);
  return which + std::to_string(one.indices.first) + "-" + std::to_string(one.indices.last) +
         (one.stride == 1 ? "" : "/" + std::to_string(one.stride));
}

std::ostream& operator<<(std::ostream& to, const report& result) {
  const run_counts& counts = result.counts();
  std::ostringstream line;
  const std::string missing = missing_from(result);
  line << indices_in(result.completed()) << " of " << result.indices() << " indices" << missing
       << (missing.empty() ? " in " : ", in ") << plural(counts.chunks, "chunk");
  if (counts.carried_over != 0) line << ", " << counts.carried_over << " of them done before,";
  line << " on " << plural(counts.workers, "worker") << ", ";
  line << brief(result.elapsed());
  if (counts.retries != 0)
    line << ", " << counts.retries << (counts.retries == 1 ? " retry" : " retries");
  if (counts.deaths != 0) line << ", " << plural(counts.deaths, "death");
  if (counts.replacements != 0) {
    line << ", " << plural(counts.replacements, "worker") << " replaced for taking too much memory";
  }
  if (counts.takeovers != 0) line << ", " << plural(counts.takeovers, "supervisor") << " replaced";
  if (counts.output_lost != 0)
    line << ", " << plural(counts.output_lost, "byte") << " of output lost";
  to << line.str();
  const std::vector<const failure*> all = telling(result.failures());
  const std::size_t shown = std::min(all.size(), most_shown);
  for (std::size_t k = 0; k < shown; ++k) {
    to << "\n  ";
    print(to, *all[k], k == 0 ? nullptr : all[k - 1]);
    if (const std::string hint = hint_after(result, all, k); !hint.empty())
      to << "\n    to debug it: " << hint;
  }
  const std::size_t more = all.size() - shown + counts.failures_lost;
  if (more != 0) to << "\n  and " << plural(more, "failure") << " more";
  if (!result.trouble().empty()) to << "\n  " << printable(result.trouble());
  for (const std::string& each : counts.without) to << "\n  went without " << printable(each);
  for (const std::string& each : result.advice()) to << "\n  " << each;
  return to;
}

map_error::map_error(report result)
    : error(std::errc::operation_canceled, summary(result)), result_(std::move(result)) {}

map_error::map_error(report result, const error& cause)
    : error(cause.code(), std::string(cause.what()) +
                              "; every index is completed, and the output keeps its elements: "
                              "call finish() again, or save() a copy"),
      result_(std::move(result)) {}

}  // namespace shard
