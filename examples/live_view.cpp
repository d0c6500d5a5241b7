// Two processes: one maps, the other one draws in the terminal what the map has done so far. They
// know each other by the names of three buffers, and in no other way.
//
//   live_view fill [NAME]     maps
//   live_view watch [NAME]    in another terminal, before or after: draws until the map has ended
//   live_view                 both
//
// The map is over the parameter r, from 3 to 4, of the logistic map x → r·x·(1-x). Its output is
// the Lyapunov exponent: where that is above 0, the map is chaotic. Its histogram counts where x
// came to.
#include <shard/shard.hpp>

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace named = shard::named;
using namespace std::chrono_literals;

constexpr std::size_t elements = 32'768, columns = 64, rows = 4, bins = 12;

int fill(const std::string& name, std::size_t watchers) {
  auto exponent = named::create<double>(name + ".exponent", elements);  // the output itself
  auto counts = named::create<std::int64_t>(name + ".counts", bins);
  counts.fill({0, bins}, 0);  // from now on counts.stats() has a writer
  auto filled =
      named::create<std::size_t>(name + ".filled", 1);  // so many elements, from the first
  while (counts.stats().handles <= watchers) std::this_thread::sleep_for(1ms);  // are they there?

  shard::histogram where{shard::axis::regular(bins, 0.0, 1.0)};
  shard::run run = shard::start(exponent, shard::reduce(where), [](std::size_t i, auto& x_came_to) {
    const double r = 3 + double(i) / elements;
    const std::size_t steps = 8000 + i % 8;  // or all of one cycle would end at the same point
    double x = 0.4, sum = 0;
    for (std::size_t step = 0; step < steps; ++step, x = r * x * (1 - x))
      sum += std::log(std::abs(r * (1 - 2 * x)) + 1e-12);
    x_came_to(x);
    return sum / double(steps);
  });
  // The counts of whole chunks, by one write(): no read() sees half of it, and no index counts
  // twice, even if its worker died. (Kernels could fetch_add() to shared(counts) themselves. Then
  // an index that is run again would count again.)
  const auto show = [&] { counts.write({0, bins}, run.snapshot(where).counts().span()); };
  for (const shard::range done : run.chunks(shard::chunk_order::ascending)) {
    filled.store(0, done.last);  // whoever loads this sees the elements before it
    show();
  }
  const bool complete = run.wait().complete();
  show();
  return complete ? 0 : 1;
}

std::string picture(std::span<const double> exponent, std::span<const std::int64_t> counts) {
  const char* const eighths[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::size_t width = elements / columns;
  std::string text =
      "Lyapunov exponent, r from 3 to 4: " + std::to_string(100 * exponent.size() / elements) +
      " %\n";
  for (std::size_t row = rows; row-- > 0; text += "\n") {
    for (std::size_t first = 0; first + width <= exponent.size(); first += width) {
      const auto all = exponent.subspan(first, width);
      const double mean = std::accumulate(all.begin(), all.end(), 0.0) / width;
      const double height = (mean + 1) / 1.75 * rows;  // from -1 to 0.75
      text += eighths[std::size_t(std::clamp(8 * (height - double(row)), 0.0, 8.0))];
    }
  }
  const auto where = shard::tabulate(counts, shard::axis::regular(bins, 0.0, 1.0));
  return text + shard::draw(where, {.title = "where x came to", .width = columns});
}

int watch(const std::string& name) {
  std::string back;  // over the last picture
  for (;; std::this_thread::sleep_for(10ms)) {
    try {
      const auto filled = named::open<std::size_t>(name + ".filled");  // first: it is made last
      const auto exponent = named::open<double>(name + ".exponent");
      const auto counts = named::open<std::int64_t>(name + ".counts");
      std::vector<std::int64_t> now(bins);
      for (;; std::this_thread::sleep_for(200ms)) {
        const bool ended = counts.stats().writers == 0;  // or was killed
        const std::size_t done = filled.load(0);
        counts.read({0, bins}, now);
        const std::string text = picture(exponent.span().first(done), now);
        std::cout << back << text << std::flush;
        if (isatty(STDOUT_FILENO))
          back = "\033[" + std::to_string(std::ranges::count(text, '\n')) + "A\033[J";
        if (!ended) continue;
        return done == elements && std::reduce(now.begin(), now.end()) == elements ? 0 : 1;
      }
    } catch (const shard::error& e) {  // not there yet, or left by a process that was killed
      if (e.code() != std::errc::no_such_file_or_directory && e.code() != std::errc::owner_dead)
        throw;
    }
  }
}

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "";
  const std::string name = argc > 2 ? argv[2] : "live_view";
  if (role == "fill") return fill(name, 0);
  if (role == "watch") return watch(name);
  const std::string own = name + "." + std::to_string(getpid());
  const pid_t watcher = fork();
  if (watcher == 0) return prctl(PR_SET_PDEATHSIG, SIGTERM), watch(own);
  const int failed = fill(own, 1);
  int status = 0;
  return waitpid(watcher, &status, 0) != watcher || status != 0 || failed != 0;
}
