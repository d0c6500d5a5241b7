#include "chaos/jobs.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "shard/shard.hpp"

namespace shard_chaos {
namespace {

using number = std::int64_t;

struct plan {
  std::size_t indices = 1;
  std::size_t grain = 1;
  int maps = 1;
  bool durable = false;
  bool in_place = false;
  bool reuse_workers = false;
  shard::executor where = shard::executor::processes;
  shard::start_by start = shard::start_by::fork;
  int us = 0;              // that each index takes
  std::size_t poison = 0;  // this one fails in all starts but the last; indices: none does
};

struct orders {
  number step = 0;
  std::int64_t us = 0;
  std::uint64_t poison = 0;
};

// What differs from start to start is no part of what a map is.
bool* still_poisoned = nullptr;

number next(number x, number step) { return (x * 31 + step * 7 + 1) % 1'000'003; }

constexpr auto kernel = [](std::size_t i, shard::view<number> from, shard::slice<number> to,
                           auto& total, auto& ordered, auto& low, const orders& what) {
  if (what.us != 0) std::this_thread::sleep_for(std::chrono::microseconds(what.us));
  if (i == what.poison && still_poisoned != nullptr && *still_poisoned) {
    throw std::runtime_error("poison");
  }
  to[i] = next(from[i], what.step);
  total += static_cast<double>(to[i]) * 0.1;
  ordered += static_cast<double>(to[i]) * 0.1;
  low(to[i]);
};

constexpr auto kernel_in_place = [](std::size_t i, shard::slice<number> cell, const orders& what) {
  if (what.us != 0) std::this_thread::sleep_for(std::chrono::microseconds(what.us));
  cell[i] = next(cell[i], what.step);
};

// One start. Empty: it is done, and right.
std::string carry_out(const std::filesystem::path& at, const plan& what, unsigned workers) {
  shard::job job(at, {.checkpoint = std::chrono::milliseconds(what.durable ? 1 : 0),
                      .reuse_workers = what.reuse_workers,
                      .maps = {.workers = workers,
                               .grain = what.grain,
                               .retries_kill = 10'000,
                               .keep_going = true,
                               .run_on = what.where,
                               .start = what.start}});
  auto a = job.create<number>("a.npy", what.indices);
  auto b = job.create<number>("b.npy", what.indices);
  std::vector<number> expected(what.indices);
  for (int map = 0; map < what.maps; ++map) {
    shard::sum<double> total;
    shard::ordered_sum<double> ordered;
    shard::minimum<number> low;
    const orders now{map, what.us, what.poison};
    const bool in_place = what.in_place && map % 2 == 1;
    if (in_place) {
      job.map(what.indices, shard::inout(a), shard::value(now), kernel_in_place);
      for (number& x : expected) x = next(x, map);
      continue;
    }
    job.map(what.indices, shard::in(a), shard::out(b), shard::reduce(total), shard::reduce(ordered),
            shard::reduce(low), shard::value(now), kernel);
    shard::sum<double> exact;
    shard::map({.run_on = shard::executor::serial}, what.indices, shard::reduce(exact),
               shard::value(std::uintptr_t(expected.data())), shard::value(map),
               [](std::size_t i, auto& all, std::uintptr_t from, int step) {
                 // NOLINTNEXTLINE(performance-no-int-to-ptr): of this process
                 all += static_cast<double>(next(reinterpret_cast<const number*>(from)[i], step)) *
                        0.1;
               });
    double in_order = 0;
    number least = 0;
    for (std::size_t first = 0; first < what.indices; first += what.grain) {
      double of_chunk = 0;
      for (std::size_t i = first; i < std::min(first + what.grain, what.indices); ++i) {
        expected[i] = next(expected[i], map);
        of_chunk += static_cast<double>(expected[i]) * 0.1;
        least = i == 0 ? expected[i] : std::min(least, expected[i]);
      }
      in_order += of_chunk;
    }
    if (total.value() != exact.value()) return "the sum differs";
    if (ordered.value() != in_order) return "the sum in order differs";
    if (low.value() != least) return "the minimum differs";
    std::swap(a, b);
  }
  for (std::size_t i = 0; i < what.indices; ++i) {
    if (a[i] != expected[i])
      return fmt::format("element {} is {}, expected {}", i, a[i], expected[i]);
  }
  return {};
}

plan any_plan(std::mt19937& random) {
  plan what;
  what.indices = 1 + random() % 600;
  what.grain = 1 + random() % 9;
  what.maps = 1 + static_cast<int>(random() % 3);
  what.durable = random() % 3 == 0;
  what.in_place = !what.durable && random() % 3 == 0;
  what.reuse_workers = random() % 3 == 0;
  if (random() % 4 == 0) what.where = shard::executor::threads;
  if (random() % 6 == 0) what.start = shard::start_by::spawn;
  what.us = random() % 3 == 0 ? 0 : static_cast<int>(random() % 300);
  const bool may_fail = !what.in_place && what.start == shard::start_by::fork;
  what.poison = may_fail && random() % 2 == 0 ? random() % what.indices : what.indices;
  return what;
}

}  // namespace

void have_a_job(std::mt19937& random, const shard_test::family& relatives, job_totals& into) {
  // A chunk that is under way when everything is killed is given up after the fourth time.
  constexpr int most_kills = 3;
  constexpr int most_starts = 60;
  const plan what = any_plan(random);
  std::string pattern = (std::filesystem::temp_directory_path() / "shard-chaos-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a folder");
  const std::filesystem::path at = std::filesystem::path(pattern) / "job";
  ++into.jobs;
  int kills = static_cast<int>(random() % (most_kills + 1));
  std::string fault = "it does not come to its end";
  for (int start = 0; start < most_starts; ++start) {
    ++into.starts;
    const unsigned workers = 1 + static_cast<unsigned>(random() % 4);
    const pid_t child = fork();
    if (child == 0) {
      int status = 2;  // it is to be started again
      bool poisoned = kills > 0 || start < 2;
      still_poisoned = &poisoned;
      try {
        const std::string wrong = carry_out(at, what, workers);
        status = wrong.empty() ? 0 : 1;
        if (!wrong.empty()) fmt::print(stderr, "shard_chaos: job: {}\n", wrong);
      } catch (const std::exception& e) {
        if (start > most_starts - 3) fmt::print(stderr, "shard_chaos: job: {}\n", e.what());
      }
      std::fflush(nullptr);
      _exit(status);
    }
    if (kills > 0) {
      --kills;
      ++into.kills;
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
      for (auto living = relatives.living(); !living.empty(); living = relatives.living()) {
        for (const auto& each : living) ::kill(each.pid, SIGKILL);
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      fault.clear();
      break;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1) {
      fault = "its results are wrong";
      break;
    }
  }
  if (!fault.empty()) {
    ++into.mismatches;
    fmt::print(stderr,
               "shard_chaos: job {}: {} ({} indices, grain {}, {} maps{}{}{}, executor {}, start "
               "{}) in {}\n",
               into.jobs, fault, what.indices, what.grain, what.maps,
               what.durable ? ", durable" : "", what.in_place ? ", in place" : "",
               what.reuse_workers ? ", a pool" : "", static_cast<int>(what.where),
               static_cast<int>(what.start), at.string());
    return;
  }
  std::filesystem::remove_all(pattern);
}

}  // namespace shard_chaos
