#include "journal.hpp"

#include <algorithm>
#include <string>

namespace flights {

shard::options journal::stage(std::string_view name) {
  shard::options how = how_;
  how.record_chunks = true;  // for the page
  how.on_progress = shard::progress_line(std::string(name));
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
  if (map.elapsed() > longest_.elapsed()) longest_ = map;
}

}  // namespace flights
