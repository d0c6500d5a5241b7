// The group `jobs`: what it takes a map to be kept by a job, and to go on.

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <new>
#include <shard/shard.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "budget.hpp"
#include "orbit.hpp"

namespace bench {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// Where outputs are, removed in the end.
class place {
 public:
  place() : path_((fs::current_path() / "shard-bench-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot make a folder");
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;
  ~place() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path operator/(const char* name) const { return fs::path(path_) / name; }

 private:
  std::string path_;
};

std::uint64_t digest_of(const shard::buffer<double>& all) {
  const std::vector<double> values(all.begin(), all.end());
  return digest(std::span<const double>(values));
}

// --- kept: a map of a second and more, in a job, and over the same files without one

double some_work(std::size_t i) {
  double sum = 0;
  for (std::size_t k = 0; k < 16; ++k) sum += orbit(i + k);
  return sum;
}

std::size_t indices_of_seconds(const settings& with) {
  return with.quick ? 2000 : 60'000 * with.workers;
}

make_workload plain_map() {
  return [](const settings& with) {
    const auto here = std::make_shared<place>();
    const std::size_t n = indices_of_seconds(with);
    const auto once = [=] {
      fs::remove(*here / "out.npy");
      auto out = shard::create_live<double>(*here / "out.npy", n);
      shard::map({.workers = with.workers}, out, some_work);
      return out;
    };
    return workload{.check = [=] { return digest_of(once()); },
                    .measure = [=] { return time_of([=] { once(); }); }};
  };
}

make_workload map_in_a_job(shard::seconds checkpoint) {
  return [checkpoint](const settings& with) {
    const auto here = std::make_shared<place>();
    const std::size_t n = indices_of_seconds(with);
    const auto once = [=] {
      fs::remove_all(*here / "job");
      shard::job job(*here / "job", {.checkpoint = checkpoint});
      auto out = job.create<double>("out.npy", n);
      job.map({.workers = with.workers}, out, some_work);
      return out;
    };
    return workload{.check = [=] { return digest_of(once()); },
                    .measure = [=] { return time_of([=] { once(); }); }};
  };
}

// --- resume: until the first new chunk runs, over 20 ms

using clock_word = std::atomic<std::int64_t>;
clock_word* first_chunk = nullptr;  // shared with workers: when it ran

std::int64_t now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The last index fails, so that the job is not complete. The first start is not measured. The one
// behind it has most to read: where each chunk stands in a log.
workload time_to_resume(const settings& with) {
  const std::size_t chunks = with.quick ? 10'000 : 1'000'000;
  void* const memory = ::mmap(nullptr, sizeof(clock_word), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  first_chunk = new (memory) clock_word{};
  const auto here = std::make_shared<place>();
  const auto start = [=] {
    first_chunk->store(0);
    const std::int64_t begin = now();
    shard::job job(*here / "job", {.checkpoint = 0s});
    auto out = job.create<double>("out.npy", chunks);
    const shard::report told =
        job.try_map({.workers = with.workers, .grain = 1, .keep_going = true}, out,
                    shard::value(chunks - 1), [](std::size_t i, std::size_t last) {
                      std::int64_t none = 0;
                      first_chunk->compare_exchange_strong(none, now());
                      if (i == last) throw std::runtime_error("as ever");
                      return static_cast<double>(i);
                    });
    if (told.missing_chunks().size() != 1) throw std::runtime_error("cannot resume");
    return 1e-9 * static_cast<double>(first_chunk->load() - begin);
  };
  const auto ratio = [=] {
    std::vector<double> all(with.quick ? 1 : 5);
    for (double& each : all) {
      fs::remove_all(*here / "job");
      start();
      each = start() / 0.020;
    }
    std::ranges::nth_element(all, all.begin() + std::ssize(all) / 2);
    return all[all.size() / 2];
  };
  return {.check = [] { return std::uint64_t{0}; }, .measure = ratio};
}

// --- log: its bytes, over those of two records

workload size_of_the_log(const settings& with) {
  const auto ratio = [=] {
    const place here;
    shard::job job(here / "job", {.checkpoint = 1ms});
    auto out = job.create<double>("out.npy", 100'000);
    shard::sum<double> total;
    std::size_t bytes = 0;
    const auto look = [&](const shard::progress&) {
      std::error_code none;
      const auto found = fs::file_size((here / "job") / ".shard" / "1.log", none);
      if (!none) bytes = found;
    };
    job.map({.workers = with.workers, .on_progress = look}, out, shard::reduce(total),
            [](std::size_t i, auto& sum) {
              const double x = some_work(i);
              sum += x;
              return x;
            });
    constexpr std::size_t state_bytes = 1024;  // of an exact sum, generously
    constexpr std::size_t page = 4096;
    const std::size_t record = 100'000 / 8 + with.workers * state_bytes + page;
    return static_cast<double>(bytes) / static_cast<double>(2 * record);
  };
  return {.check = [] { return std::uint64_t{0}; }, .measure = ratio};
}

}  // namespace

std::vector<budget> resume_budgets() {
  std::vector<budget> all;
  all.push_back({"jobs", "kept", "the same map over the same file", 1.01, 60s,
                 map_in_a_job(shard::seconds{}), plain_map()});
  all.back().half_width = 0.004;
  all.push_back({"jobs", "checkpoints", "the same map over the same file", 1.03, 60s,
                 map_in_a_job(shard::seconds{30}), plain_map()});
  all.back().half_width = 0.01;
  all.push_back(
      {"jobs", "resume", "20 ms until the first new chunk of 10^6 runs", 1, {}, time_to_resume});
  all.push_back({"jobs", "log", "two records", 1, {}, size_of_the_log});
  return all;
}

}  // namespace bench
