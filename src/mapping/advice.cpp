// What a report's figures say against how its map was run.

#include <algorithm>
#include <iomanip>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "mapping/failure_text.hpp"
#include "mapping/ranges.hpp"
#include "shard/report.hpp"

namespace shard {
namespace {

using mapping::brief;
using mapping::plural;

constexpr std::size_t most_said = 3;
constexpr seconds worth_advice{0.1};  // shorter maps are mostly their start

std::string gibibytes(std::size_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(bytes < (std::size_t{1} << 30) ? 2 : 1)
       << static_cast<double>(bytes) / (1 << 30) << " GiB";
  return text.str();
}

std::string percent(double part) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(0) << 100 * part << " %";
  return text.str();
}

// ---- Each says one thing, or nothing.

using advice = std::optional<std::string>;

// And since the caller is large, not since the map was short.
advice on_forks(const report& of) {
  constexpr std::size_t large = std::size_t{64} << 20;
  const run_counts& counts = of.counts();
  if (counts.forked_bytes < large || 2 * counts.forking <= of.elapsed()) return {};
  return brief(counts.forking) + " of " + brief(of.elapsed()) +
         " went into forking a caller that has " + gibibytes(counts.forked_bytes) +
         " of memory of its own: data in a shard::buffer would cost nothing";
}

advice on_memory(const report& of) {
  constexpr double close = 0.9;
  const std::size_t limit = of.resources().memory_limit_bytes;
  const auto& workers = of.resources().workers;
  if (limit == 0 || workers.empty()) return {};
  const auto most = std::ranges::max_element(workers, {}, &worker_resources::peak_private_bytes);
  const std::size_t replaced = of.counts().replacements;
  if (static_cast<double>(most->peak_private_bytes) < close * static_cast<double>(limit) &&
      replaced == 0) {
    return {};
  }
  std::string text = "worker " + std::to_string(most->worker) + " had up to " +
                     gibibytes(most->peak_private_bytes) +
                     " of memory of its own, where memory_limit_bytes allows " + gibibytes(limit);
  if (replaced != 0) {
    text += ", and " + plural(replaced, "worker") +
            (replaced == 1 ? " was replaced" : " were replaced");
  }
  return text + ": a higher limit, or fewer workers, would replace none";
}

advice on_output(const report& of) {
  constexpr double much = 0.05;
  const seconds stalled = of.resources().output_stalled;
  if (stalled < much * of.elapsed()) return {};
  return "for " + brief(stalled) + " of " + brief(of.elapsed()) +
         " nobody took what workers printed, and those that printed waited: print less, or let "
         "stdout be a file";
}

advice on_one_chunk(const report& of) {
  constexpr double much = 0.1;
  constexpr double far = 5;  // from the median: else all chunks are long
  const run_resources& used = of.resources();
  if (!used.slowest || used.workers.size() < 2) return {};
  const seconds took = used.slowest->duration;
  if (took < much * of.elapsed() || took < far * used.median_chunk) return {};
  return "chunk " + std::to_string(used.slowest->chunk) + " took " + brief(took) + " of " +
         brief(of.elapsed()) + ", and the median chunk " + brief(used.median_chunk) +
         ": shard::weighted makes chunks that cost the same";
}

advice on_few_chunks(const report& of) {
  constexpr std::size_t few = 4;  // for each worker
  constexpr std::size_t enough = 16;
  constexpr double much = 0.2;
  const run_resources& used = of.resources();
  const std::size_t workers = used.workers.size();
  const std::size_t chunks = of.counts().chunks;
  const bool may_be_cut = of.counts().grain > 1;
  if (workers < 2 || chunks >= few * workers || !may_be_cut || used.waiting < much) return {};
  const std::size_t grain = std::max<std::size_t>(of.indices() / (enough * workers), 1);
  return plural(chunks, "chunk") + (chunks == 1 ? " is" : " are") + " few for " +
         plural(workers, "worker") + ", which waited for " + percent(used.waiting) +
         " of their time: a grain of " + std::to_string(grain) + " would give each of them " +
         std::to_string(enough) + " or more";
}

advice on_short_chunks(const report& of) {
  constexpr std::size_t many = 8192;  // more than by default
  constexpr seconds brief_chunk{5e-6};
  constexpr seconds good{100e-6};
  const run_counts& counts = of.counts();
  if (counts.grain == 0 || counts.chunks < many) return {};
  seconds worked{};
  for (const worker_resources& one : of.resources().workers) worked += one.working;
  const seconds mean = worked / static_cast<double>(counts.chunks);
  if (mean <= seconds(0) || mean >= brief_chunk) return {};
  const double factor = std::min(good / mean, static_cast<double>(counts.chunks) / (many / 2));
  const auto grain = static_cast<std::size_t>(static_cast<double>(counts.grain) * factor);
  return "a chunk took " + brief(mean) +
         " on average, of which much is spent on handing it out: " + "a grain of " +
         std::to_string(grain) + ", or none, would cost less";
}

advice on_pages(const report& of) {
  constexpr std::size_t many = 50'000;  // 200 MB
  constexpr double much = 0.2;
  seconds user{};
  seconds system{};
  std::size_t faults = 0;
  for (const worker_resources& one : of.resources().workers) {
    user += one.user_time;
    system += one.system_time;
    faults += one.page_faults;
  }
  if (faults < many || system < much * (user + system)) return {};
  return percent(system / (user + system)) + " of the processor time went into the system, with " +
         std::to_string(faults) +
         " page faults: buffers of huge pages, shard::pages::huge, have far fewer";
}

}  // namespace

std::vector<std::string> report::advice() const {
  std::vector<std::string> all;
  const auto say = [&](const std::optional<std::string>& what) {
    if (what && all.size() < most_said) all.push_back(*what);
  };
  say(on_forks(*this));
  if (elapsed_ < worth_advice) return all;
  for (const auto each :
       {on_memory, on_output, on_one_chunk, on_few_chunks, on_short_chunks, on_pages}) {
    say(each(*this));
  }
  return all;
}

}  // namespace shard
