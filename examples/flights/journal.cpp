#include "journal.hpp"

#include <algorithm>
#include <memory>

#include "progress_line.hpp"

namespace flights {

shard::options journal::stage(std::string_view name) {
  shard::options how = how_;
  // Shared, since a std::function must be copyable; the line is wiped with the last copy.
  const auto line = std::make_shared<progress_line>(name);
  how.on_progress = [line](const shard::progress& now) { line->show(now); };
  return how;
}

void journal::add(const shard::report& map) {
  const shard::run_counts& did = map.counts();
  ++maps_;
  counts_.chunks += did.chunks;
  counts_.retries += did.retries;
  counts_.deaths += did.deaths;
  counts_.takeovers += did.takeovers;
  counts_.grain = std::max(counts_.grain, did.grain);
  counts_.workers = std::max(counts_.workers, did.workers);
}

}  // namespace flights
