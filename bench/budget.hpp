// What a benchmark is: two ways to do the same work, and the ratio of times that may lie between
// them. Each side lives in a process of its own (side_process.hpp), so nothing here is shared
// between rivals.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace bench {

struct settings {
  unsigned workers = 0;  // processes of shard, threads of its rivals
  bool quick = false;    // small sizes: proves that everything runs, judges nothing
};

// One side, set up: inputs are filled, outputs allocated, pools started.
struct workload {
  // Does the work once and returns a digest of its results. Throws if they are wrong in themselves.
  std::function<std::uint64_t()> check;

  // Does the work once more and returns the seconds it took. Of a figure (a budget without a rival
  // side): returns the ratio itself.
  std::function<double()> measure;
};

using make_workload = std::function<workload(const settings&)>;

struct budget {
  std::string group;
  std::string name;
  std::string rival;  // what the ratio is relative to
  double limit = 1.0;
  std::chrono::duration<double> time_cap{};  // how long to go on narrowing the ratio's interval
  make_workload ours;
  make_workload theirs = {};  // empty for a figure, which has nothing to be interleaved with
  unsigned processors = 1;    // without so many the ratio says nothing
  std::string their_environment = {};  // "NAME=value", set for their side alone
  double half_width = 0.015;  // of the ratio's 95% interval, relative: narrow enough to stop at
};

std::vector<budget> core_budgets();
std::vector<budget> long_array_budgets();
std::vector<budget> dispatch_budgets();
std::vector<budget> buffers_budgets();
std::vector<budget> page_budgets();
std::vector<budget> failures_budgets();
std::vector<budget> resume_budgets();
std::vector<budget> reduction_budgets();
std::vector<budget> histogram_budgets();
std::vector<budget> random_budgets();
std::vector<budget> selection_budgets();

// Runs `work` and returns the wall-clock seconds that it took.
template <class Work>
double time_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The processor time that `work` took in this thread: for work that has no other thread or process,
// where it leaves out what the machine was busy with meanwhile.
template <class Work>
double thread_time_of(Work&& work) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  };
  const double start = now();
  work();
  return now() - start;
}

// FNV-1a over the elements' bit patterns: results count as equal only where every bit is.
template <class T>
std::uint64_t digest(std::span<const T> elements) {
  using bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint8_t>>;
  static_assert(sizeof(bits) == sizeof(T));
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const T& element : elements) {
    hash = (hash ^ __builtin_bit_cast(bits, element)) * 0x100000001b3U;
  }
  return hash;
}

}  // namespace bench
