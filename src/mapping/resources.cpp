#include "mapping/resources.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace shard::mapping {
namespace {

// A page shows so many parts of a run, and so many numbers for all workers are not too much in
// JSON.
constexpr std::size_t most_parts = 240;
constexpr std::size_t most_numbers = 20'000;

worker_resources worker_at(const board::board& on, unsigned slot, seconds elapsed) {
  const board::spending& spent = on.at(slot).spent;
  worker_resources one{.worker = slot, .processes = spent.owners.load()};
  const os::usage before = spent.before.get();
  const os::usage now = spent.now.get();
  one.user_time = before.user + now.user;
  one.system_time = before.system + now.system;
  one.page_faults = before.faults + now.faults;
  one.peak_private_bytes = spent.peak_private_bytes.load();
  if (one.processes == 0) {
    one.waiting = elapsed;
    return one;
  }
  one.chunks = on.covered(slot);
  const auto since = [&](const std::atomic<std::chrono::nanoseconds>& when) {
    return std::clamp<seconds>(when.load() - on.began(), seconds(0), elapsed);
  };
  one.began = since(spent.began);
  one.ended = std::max(one.began, since(spent.ended));
  const seconds present = elapsed - one.began;
  one.working = std::min<seconds>(spent.working.load(), present);
  one.publishing = std::min<seconds>(spent.publishing.load(), present - one.working);
  one.waiting = present - one.working - one.publishing;
  return one;
}

}  // namespace

run_resources resources_of(const board::board& on, unsigned workers, seconds elapsed,
                           std::span<const chunk_record> chunks) {
  run_resources all;
  all.recorded = on.size().notes != 0;
  for (unsigned slot = 0; slot < on.size().slots; ++slot) {
    worker_resources one = worker_at(on, slot, elapsed);
    if (slot < workers || one.processes != 0) all.workers.push_back(std::move(one));
  }
  for (const board::board::succession& one : on.successions()) {
    if (one.when.count() != 0) all.replacements.push_back({one.slot, one.when - on.began()});
  }
  add_shares(all, elapsed);
  if (all.recorded) add_records(all, elapsed, chunks);
  return all;
}

void add_shares(run_resources& to, seconds elapsed) {
  if (to.workers.empty() || elapsed <= seconds(0)) return;
  for (const worker_resources& one : to.workers) {
    if (one.processes != 0) to.starting += one.began / elapsed;
    to.working += one.working / elapsed;
    to.publishing += one.publishing / elapsed;
    to.waiting += one.waiting / elapsed;
  }
  const auto count = static_cast<double>(to.workers.size());
  for (double* const part : {&to.starting, &to.working, &to.publishing, &to.waiting}) {
    *part /= count;
  }
}

void add_records(run_resources& to, seconds elapsed, std::span<const chunk_record> chunks) {
  std::vector<seconds> times;
  times.reserve(chunks.size());
  for (const chunk_record& one : chunks) {
    if (!one.cause.empty()) continue;
    times.push_back(one.duration);
    if (!to.slowest || one.duration > to.slowest->duration) to.slowest = one;
  }
  if (!times.empty()) {
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>((times.size() - 1) / 2);
    std::ranges::nth_element(times, middle);
    to.median_chunk = *middle;
  }
  if (to.workers.empty() || elapsed <= seconds(0)) return;

  const std::size_t parts =
      std::clamp<std::size_t>(most_numbers / to.workers.size(), 1, most_parts);
  std::vector<std::vector<double>> busy(to.workers.back().worker + 1, std::vector<double>(parts));
  const double scale = static_cast<double>(parts) / elapsed.count();
  for (const chunk_record& one : chunks) {
    if (one.worker >= busy.size()) continue;
    const double end = std::min((one.start + one.duration).count() * scale, double(parts));
    double at = std::clamp(one.start.count() * scale, 0.0, end);
    while (at < end) {
      const auto part = std::min(static_cast<std::size_t>(at), parts - 1);
      const double next = std::min(end, static_cast<double>(part + 1));
      busy[one.worker][part] += next - at;
      if (next <= at) break;
      at = next;
    }
  }
  for (worker_resources& one : to.workers) {
    one.busy.reserve(parts);
    for (const double part : busy[one.worker]) {
      // A thousandth is more than anybody sees.
      one.busy.push_back(static_cast<float>(std::round(std::min(part, 1.0) * 1000) / 1000));
    }
  }
}

}  // namespace shard::mapping
