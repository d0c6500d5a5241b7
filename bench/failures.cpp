// The group `failures`: what it takes when workers die, and what being ready for that takes when
// none does.

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <shard/shard.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "budget.hpp"
#include "family.hpp"
#include "measure.hpp"
#include "orbit.hpp"
#include "os/process.hpp"

namespace bench {
namespace {

namespace os = shard::os;
using namespace std::chrono_literals;
using numbers = shard::buffer<std::int64_t>;

constexpr std::size_t gibibyte = std::size_t{1} << 30;

// A moment as it is kept in shared memory: nanoseconds of the steady clock, which is the same one
// in every process. 0 is none.
std::int64_t now() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds_between(std::int64_t from, std::int64_t to) {
  return 1e-9 * static_cast<double>(to - from);
}

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(fmt::format("cannot measure failures: found {}", what));
}

// --- deaths: in each of its chunks a run loses its worker once
// ------------------------------------------------------------------------------------------------

// One run with a death in each chunk. By number of the chunk:
struct deaths {
  explicit deaths(std::size_t chunks)
      : began(chunks), forked(chunks), ended(chunks), again(chunks) {}

  numbers began;   // when its first attempt began,
  numbers forked;  // what a fork of the same image took just before its worker was killed,
  numbers ended;   // when the death of that worker could be seen,
  numbers again;   // and when its second attempt began
};

// From before a fork of this process to the child's first look at the clock, in ns.
std::int64_t fork_time() {
  numbers first_look(1);
  const std::int64_t before = now();
  const os::process child = os::start_process(
      os::child_exit::quiet,
      [](void* look) {
        static_cast<numbers*>(look)->store(0, now());
        os::leave(0);
      },
      &first_look);
  child.wait();
  return first_look.load(0) - before;
}

// Notes when workers end, as far as their pidfds tell. A process of its own, since a caller that
// has threads can't fork. If it is late itself, no figure looks better for that.
class death_watch {
 public:
  enum class task { look_on, kill };

  // Requires: `seen` outlives this.
  death_watch(deaths& seen, task what) : seen_(seen), what_(what), calls_(os::make_pipe()) {
    watcher_ = os::start_process(
        os::child_exit::quiet, [](void* self) { static_cast<death_watch*>(self)->watch(); }, this);
  }

  death_watch(const death_watch&) = delete;
  death_watch& operator=(const death_watch&) = delete;

  // In a kernel: has the end of this worker noted as that of `chunk`, and waits for it.
  [[noreturn]] void hang(std::size_t chunk) const {
    const call here{chunk, ::getpid()};
    if (::write(calls_.write.get(), &here, sizeof here) != sizeof here) std::abort();
    for (;;) ::pause();
  }

  // Returns when all deaths are noted.
  void finish() {
    calls_.write = {};
    watcher_.wait();
  }

 private:
  struct call {
    std::size_t chunk;
    pid_t worker;
  };

  [[noreturn]] void watch() {
    calls_.write = {};
    for (call next{}; ::read(calls_.read.get(), &next, sizeof next) == sizeof next;) {
      const os::descriptor pidfd = os::watch_process(next.worker);
      if (what_ == task::kill) {
        seen_.forked.store(next.chunk, fork_time());
        seen_.ended.store(next.chunk, kill(next.worker, pidfd));
      } else {
        seen_.ended.store(next.chunk, wait_for_end(pidfd));
      }
    }
    os::leave(0);
  }

  // Returns the last moment at which the death could not be seen.
  static std::int64_t kill(pid_t worker, const os::descriptor& pidfd) {
    os::watched end{pidfd.get()};
    std::int64_t unseen = now();
    os::kill_process(worker);
    for (;;) {
      const std::int64_t looking = now();
      os::wait_ready({&end, 1}, 0ms);
      if (end.ready) return unseen;
      unseen = looking;
    }
  }

  // Returns the first moment at which the death was seen.
  static std::int64_t wait_for_end(const os::descriptor& pidfd) {
    os::watched end{pidfd.get()};
    while (!end.ready) os::wait_ready({&end, 1}, std::nullopt);
    return now();
  }

  deaths& seen_;
  task what_;
  os::pipe_ends calls_;
  os::process watcher_;
};

// One worker: who else may run doesn't matter to the one that dies, and the machine may be small.
deaths lose_every_worker(shard::buffer<double>& output, std::size_t chunks,
                         shard::seconds timeout) {
  using task = death_watch::task;
  const std::size_t grain = output.size() / chunks;
  deaths seen(chunks);
  death_watch watch(seen, timeout.count() == 0 ? task::kill : task::look_on);
  const shard::report report =
      shard::map(shard::options{.workers = 1, .grain = grain, .timeout = timeout}, output.size(),
                 shard::out(output), shard::shared(seen.began), shard::shared(seen.again),
                 [&watch, grain](shard::range chunk, shard::slice<double> values,
                                 shard::shared_view<std::int64_t> began,
                                 shard::shared_view<std::int64_t> again) {
                   const std::size_t number = chunk.first / grain;
                   if (began.load(number) == 0) {
                     began.store(number, now());
                     for (const std::size_t i : chunk) values[i] = -1;
                     watch.hang(number);
                   }
                   again.store(number, now());
                   for (const std::size_t i : chunk) values[i] = static_cast<double>(i);
                 });
  watch.finish();
  require(report.counts().deaths == chunks, "another number of deaths than of chunks");
  for (std::size_t k = 0; k < chunks; ++k) {
    require(seen.ended.load(k) != 0 && seen.again.load(k) != 0, "a death that nobody saw");
  }
  return seen;
}

void require_filled(const shard::buffer<double>& output) {
  for (std::size_t i = 0; i < output.size(); ++i) {
    require(output[i] == static_cast<double>(i), "a wrong output");
  }
}

// The median over a run's chunks of what `of` makes of each.
template <class Of>
double median_of(const deaths& seen, Of of) {
  std::vector<double> values;
  for (std::size_t k = 0; k < seen.began.size(); ++k) values.push_back(of(k));
  return median(std::move(values));
}

// --- recovery: from a death that can be seen to the chunk's second attempt
// ------------------------------------------------------------------------------------------------

constexpr double recovery_allowed = 5e-3;  // above a fork

make_workload recovery(std::size_t output_bytes) {
  return [=](const settings& with) -> workload {
    const std::size_t chunks = with.quick ? 5 : 101;
    const std::size_t bytes = with.quick ? std::min(output_bytes, gibibyte / 64) : output_bytes;
    const std::size_t grain = bytes / sizeof(double) / chunks + 1;
    auto output = std::make_shared<shard::buffer<double>>(chunks * grain);
    const auto lose = [=] { return lose_every_worker(*output, chunks, {}); };
    return {[=] { return lose(), require_filled(*output), 0; },
            [=] {
              const deaths seen = lose();
              return median_of(seen, [&](std::size_t k) {
                const double took = seconds_between(seen.ended.load(k), seen.again.load(k));
                return (took - seconds_between(0, seen.forked.load(k))) / recovery_allowed;
              });
            }};
  };
}

// --- timeout: from the beginning of a chunk that hangs to its end
// ------------------------------------------------------------------------------------------------

make_workload timeout(shard::seconds allowed, std::size_t hangs) {
  return [=](const settings& with) -> workload {
    const std::size_t chunks = with.quick ? 1 : hangs;
    const double tolerance = std::max(0.1 * allowed.count(), 10e-3);
    auto output = std::make_shared<shard::buffer<double>>(chunks);
    return {[=] { return lose_every_worker(*output, 1, allowed), require_filled(*output), 0; },
            [=] {
              const deaths seen = lose_every_worker(*output, chunks, allowed);
              return median_of(seen, [&](std::size_t k) {
                const double took = seconds_between(seen.began.load(k), seen.ended.load(k));
                return std::abs(took - allowed.count()) / tolerance;
              });
            }};
  };
}

// --- supervision: the same forked processes, with and without it
// ------------------------------------------------------------------------------------------------

constexpr std::size_t bins = 8192;  // 64 KiB of accumulators: published every 10 ms

std::size_t points(const settings& with) {
  return with.workers * (with.quick ? std::size_t{1} << 12 : std::size_t{1} << 20);
}

std::size_t points_in_chunk(const settings& with) { return points(with) / 4096; }

int bin_of(std::size_t i) { return static_cast<int>(orbit(i) * bins); }

workload supervised(const settings& with) {
  const std::size_t n = points(with);
  const shard::options options{.workers = with.workers, .grain = points_in_chunk(with)};
  const auto once = [=] {
    shard::histogram counts(shard::axis::integer(0, bins));
    shard::map(options, n, shard::reduce(counts),
               [](std::size_t i, auto& counted) { counted(bin_of(i)); });
    return digest(counts.counts().span());
  };
  return {once, [=] { return time_of(once); }};
}

// What supervision has to beat: processes that claim the same chunks from a cursor, count in
// private memory, and leave their counts behind in the end. If one dies, its counts are lost.
struct bare_processes {
  explicit bare_processes(const settings& with)
      : n(points(with)), grain(points_in_chunk(with)), left(with.workers, bins) {}

  std::uint64_t run() {
    cursor.store(0, 0);
    std::vector<os::process> all;
    for (worker = 0; worker < left.shape()[0]; ++worker) {
      all.push_back(os::start_process(
          os::child_exit::quiet, [](void* self) { static_cast<bare_processes*>(self)->work(); },
          this));
    }
    for (const os::process& one : all) one.wait();
    std::vector<std::int64_t> sum(bins);
    for (std::size_t k = 0; k < left.shape()[0]; ++k) {
      for (std::size_t bin = 0; bin < bins; ++bin) sum[bin] += left(k, bin);
    }
    return digest(std::span<const std::int64_t>(sum));
  }

  [[noreturn]] void work() {
    std::vector<std::int64_t> counts(bins);
    const auto claim = [this] {
      return static_cast<std::size_t>(cursor.fetch_add(0, static_cast<std::int64_t>(grain)));
    };
    for (std::size_t first = claim(); first < n; first = claim()) {
      const std::size_t last = std::min(first + grain, n);
      for (std::size_t i = first; i < last; ++i) ++counts[static_cast<std::size_t>(bin_of(i))];
    }
    for (std::size_t bin = 0; bin < bins; ++bin) left(worker, bin) = counts[bin];
    os::leave(0);
  }

  std::size_t n;
  std::size_t grain;
  std::size_t worker = 0;  // number of the one that is forked next
  numbers cursor{std::size_t{1}};
  shard::buffer<std::int64_t, 2> left;  // counts, by worker
};

workload unsupervised(const settings& with) {
  auto all = std::make_shared<bare_processes>(with);
  return {[=] { return all->run(); }, [=] { return time_of([&] { all->run(); }); }};
}

// --- crash_large: a worker that has 1 GiB of output mapped and written, and crashes
// ------------------------------------------------------------------------------------------------

constexpr double crash_allowed = 0.1;              // of delay
constexpr std::uintmax_t core_allowed = 32 << 20;  // the program, its heap and stacks

// Where this process and its children leave core dumps, as far as the machine wants them there.
class core_folder {
 public:
  core_folder() {
    std::string name = std::filesystem::temp_directory_path() / "shard_bench.XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::system_error(errno, std::generic_category(), "cannot make a folder for cores");
    }
    path_ = name;
    std::filesystem::current_path(path_);
    rlimit size{};
    ::getrlimit(RLIMIT_CORE, &size);
    size.rlim_cur = size.rlim_max;
    ::setrlimit(RLIMIT_CORE, &size);
  }
  ~core_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  core_folder(const core_folder&) = delete;
  core_folder& operator=(const core_folder&) = delete;

  void check_and_empty() const {
    for (const auto& core : std::filesystem::directory_iterator(path_)) {
      require(core.file_size() <= core_allowed, "a large core dump");
      std::filesystem::remove(core);
    }
  }

 private:
  std::filesystem::path path_;
};

// What a core dump of this process may hold of large mappings, those of a megabyte and more.
std::size_t dumpable_bytes() {
  std::ifstream file("/proc/self/smaps");
  std::size_t sum = 0;
  std::size_t size = 0;  // of the mapping whose lines are being read
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Size:")) size = std::stoul(line.substr(5)) * 1024;
    const bool flags = line.starts_with("VmFlags:");
    const bool dumpable = flags && line.find(" dd") == std::string::npos;
    if (dumpable && size >= (std::size_t{1} << 20)) sum += size;
  }
  return sum;
}

[[gnu::noinline]] void crash() {
  volatile int* volatile nowhere = nullptr;
  *nowhere = 0;
}

struct large_run {
  explicit large_run(const settings& with)
      : output((with.quick ? gibibyte / 16 : gibibyte) / sizeof(double)),
        rounds(with.quick ? 1 : 15) {}

  // One worker: when it crashes, in the last chunk, it has the whole output mapped and written.
  double run(bool crashing) {
    const std::size_t n = output.size();
    numbers attempts(1);
    const double took = time_of([&] {
      shard::map(shard::options{.workers = 1}, n, shard::out(output), shard::shared(attempts),
                 [=](shard::range chunk, shard::slice<double> values,
                     shard::shared_view<std::int64_t> attempt) {
                   for (const std::size_t i : chunk) values[i] = static_cast<double>(i);
                   if (!crashing || chunk.last != n) return;
                   if (attempt.fetch_add(0, 1) == 0) crash();
                 });
    });
    require(!crashing || attempts[0] == 2, "no crash");
    cores.check_and_empty();
    return took;
  }

  std::uint64_t check() {
    run(true);
    require_filled(output);
    numbers dumpable(1);
    shard::map(1, shard::in(output), shard::shared(dumpable),
               [](std::size_t, shard::view<double>, shard::shared_view<std::int64_t> found) {
                 found.store(0, static_cast<std::int64_t>(dumpable_bytes()));
               });
    require(static_cast<std::uintmax_t>(dumpable[0]) <= core_allowed,
            "buffers that a core dump would hold");
    return 0;
  }

  double measure() {
    std::vector<double> delays(rounds);
    for (std::size_t k = 0; k < rounds; ++k) {
      const bool crash_first = k % 2 == 0;
      const double first = run(crash_first);
      const double second = run(!crash_first);
      delays[k] = crash_first ? first - second : second - first;
    }
    return median(std::move(delays)) / crash_allowed;
  }

  core_folder cores;
  shard::buffer<double> output;
  std::size_t rounds;
};

workload crash_large(const settings& with) {
  auto large = std::make_shared<large_run>(with);
  return {[=] { return large->check(); }, [=] { return large->measure(); }};
}

// --- idle: everybody but a sleeping kernel
// ------------------------------------------------------------------------------------------------

struct activity {
  std::uint64_t wakeups = 0;
  std::uint64_t processor_ns = 0;
};

activity activity_of(const std::vector<pid_t>& processes) {
  activity sum;
  for (const pid_t pid : processes) {
    sum.wakeups += number_after("voluntary_ctxt_switches:", fmt::format("/proc/{}/status", pid));
    std::ifstream file(fmt::format("/proc/{}/schedstat", pid));
    std::uint64_t nanoseconds = 0;
    require(static_cast<bool>(file >> nanoseconds), "no processor times in /proc/PID/schedstat");
    sum.processor_ns += nanoseconds;
  }
  return sum;
}

// A kernel sleeps, and looks at the others before and after: caller, supervisor, standby, and the
// workers that have nothing left to do.
activity look_at_idle_run(const settings& with) {
  const auto settling = with.quick ? 100ms : 500ms;
  const auto watched = with.quick ? 100ms : 1000ms;
  const pid_t caller = ::getpid();
  shard::buffer<std::uint64_t> found(3);
  shard::map(shard::options{.workers = with.workers, .grain = 1}, std::size_t{with.workers},
             shard::shared(found), [=](std::size_t i, shard::shared_view<std::uint64_t> tell) {
               if (i != 0) return;
               std::this_thread::sleep_for(settling);
               std::vector<pid_t> others = family_of(caller);
               std::erase(others, ::getpid());
               const activity before = activity_of(others);
               std::this_thread::sleep_for(watched);
               const activity after = activity_of(others);
               tell.store(0, others.size());
               tell.store(1, after.wakeups - before.wakeups);
               tell.store(2, after.processor_ns - before.processor_ns);
             });
  require(found[0] >= 3, "no supervisor, or no standby");
  return {found[1], found[2]};
}

template <auto Of>
workload idle(const settings& with) {
  return {[=] { return look_at_idle_run(with), 0; },
          [=] { return static_cast<double>(look_at_idle_run(with).*Of); }};
}

// --- throwing_rows: 1% of the rows throw; what they cost, against as many bare throws and catches
// ------------------------------------------------------------------------------------------------

std::size_t rows_that_completed(const shard::report& run) {
  std::size_t sum = 0;
  for (const shard::range part : run.completed()) sum += part.size();
  return sum;
}

struct throwing_rows {
  explicit throwing_rows(const settings& with)
      : score(with.quick ? std::size_t{100'000} : std::size_t{10'000'000}), workers(with.workers) {}

  double run(std::size_t one_in) {
    const double took = time_of([&] {
      const shard::report report =
          shard::try_map({.workers = workers, .keep_going = true}, score, [one_in](std::size_t i) {
            if (i % one_in == 0) throw std::invalid_argument("no data");
            return static_cast<float>(i);
          });
      require(rows_that_completed(report) == score.size() - (score.size() + one_in - 1) / one_in,
              "another number of rows than those that have data");
    });
    return took;
  }

  // The same chunks walked, of which almost nothing throws, are what is left out.
  double measure() {
    const std::size_t bad = score.size() / 100;
    const double few = run(1000);
    const double many = run(100);
    const double bare = time_of([&] {
      for (std::size_t k = 0; k < bad; ++k) {
        try {
          throw std::invalid_argument("no data");
        } catch (const std::exception& caught) {
          require(caught.what() != nullptr, "no text");
        }
      }
    });
    return std::max(0.0, (many - few) * static_cast<double>(workers)) / (0.9 * bare);
  }

  shard::buffer<float> score;
  unsigned workers;
};

workload throws(const settings& with) {
  auto rows = std::make_shared<throwing_rows>(with);
  return {[=] { return rows->run(100), 0; }, [=] { return rows->measure(); }};
}

// --- crashing_rows: 0.1% of the rows crash; deaths for each of them
// ------------------------------------------------------------------------------------------------

workload crashes(const settings& with) {
  const std::size_t n = with.quick ? 20'000 : 1'000'000;
  auto score = std::make_shared<shard::buffer<float>>(n);
  const auto run = [=] {
    const shard::report report =
        shard::try_map({.workers = with.workers, .keep_going = true}, *score, [](std::size_t i) {
          if (i % 1000 == 7) std::_Exit(1);
          return static_cast<float>(i);
        });
    require(rows_that_completed(report) == n - n / 1000,
            "another number of rows than those that don't crash");
    return static_cast<double>(report.counts().deaths) / static_cast<double>(n / 1000);
  };
  return {[=] { return run(), 0; }, run};
}

}  // namespace

std::vector<budget> failures_budgets() {
  std::vector<budget> all;
  const auto add = [&](const char* name, const char* rival, double limit, make_workload ours) {
    all.push_back({"failures", name, rival, limit, {}, std::move(ours)});
  };
  add("recovery", "5 ms above a fork", 1, recovery(0));
  add("recovery_1GiB", "5 ms above a fork", 1, recovery(gibibyte));
  all.push_back({"failures", "supervision", "bare processes", 1.01, 60s, supervised, unsupervised});
  all.back().half_width = 0.004;
  add("crash_large", "100 ms", 1, crash_large);
  add("idle_wakeups", "none in 1 s", 0, idle<&activity::wakeups>);
  add("idle_time", "0 ns in 1 s", 0, idle<&activity::processor_ns>);
  add("throwing_rows", "a bare throw", 5, throws);
  add("crashing_rows", "a death for each", 3, crashes);  // two alone, and one of its chunk
  add("timeout_50ms", "10 ms", 1, timeout(50ms, 41));
  add("timeout_200ms", "20 ms", 1, timeout(200ms, 21));
  return all;
}

}  // namespace bench
