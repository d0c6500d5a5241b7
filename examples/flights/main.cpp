// The statistics of flight delays by origin and by hour, from columns on disk to columns on disk,
// in three parallel maps. The same bytes come out whatever the workers and the grain.
//
//   flights DATA OUT [--workers N] [--grain N]
//
// reads date.npy, delay.npy, distance.npy, origin.npy and destination.npy from the folder DATA, and
// writes to the folder OUT
//
//   airports.csv       origin,flights,mean_delay,sd_delay: one row for each origin, sorted by code
//   zscore.npy         float32, for each flight: (delay - mean of its origin) / sd of its origin
//   delay_by_hour.npy  int64, 24 × 120: UTC hour of date × delay, 120 bins over [-60, 180) minutes
//   flights.html       where the time of the longest map went, for a browser
//
// Exit status: 0 all four are written; 2 the command line or the input is wrong, 1 anything else
// failed: one line on stderr says what, and nothing is written. SIGINT (Ctrl-C) and SIGTERM end it
// by the signal, and nothing is written either.
//
// Expected on examples/data/flights: "200000 flights from 223 airports", and the picture of a
// distribution with its peak around 0 and a long tail to the right.

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <shard/shard.hpp>

#include "airport_index.hpp"
#include "columns.hpp"
#include "journal.hpp"
#include "outputs.hpp"
#include "picture.hpp"
#include "statistics.hpp"

namespace {

constexpr int failed = 1;
constexpr int misused = 2;

struct request {
  std::filesystem::path data;
  std::filesystem::path out;
  shard::options how;
};

int complain(std::string_view what, int status) {
  fmt::print(stderr, "flights: {}\n", what);
  return status;
}

// CLI11 alone would read 010 as eight and take -1 for a large number.
template <class Unsigned>
Unsigned positive(const std::string& option, const std::string& text) {
  Unsigned n = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, why] = std::from_chars(text.data(), end, n);
  if (why != std::errc() || stopped != end || n == 0) {
    throw CLI::ValidationError(option,
                               fmt::format("found '{}', expected a whole number from 1 to {}", text,
                                           std::numeric_limits<Unsigned>::max()));
  }
  return n;
}

// The exit status instead, if there is nothing to run.
std::optional<int> parse(int argc, char** argv, request& wanted) {
  CLI::App app{"Statistics of flight delays, by origin and by hour.", "flights"};
  app.add_option("DATA", wanted.data, "folder with the columns of the flights")->required();
  app.add_option("OUT", wanted.out, "folder to write the results to")->required();
  std::string workers;
  std::string grain;
  app.add_option("--workers", workers, "processes at a time (default: one for each CPU)");
  app.add_option("--grain", grain, "flights in a chunk (default: for about 4096 chunks)");
  try {
    app.parse(argc, argv);
    if (app.count("--workers") > 0) wanted.how.workers = positive<unsigned>("--workers", workers);
    if (app.count("--grain") > 0) wanted.how.grain = positive<std::size_t>("--grain", grain);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& e) {
    return complain(e.what(), misused);
  }
  return std::nullopt;
}

void describe(const flights::columns& rows, const flights::statistics& found,
              const flights::journal& log, shard::seconds took) {
  const shard::run_counts& did = log.counts();
  fmt::print("{} flights from {} airports in {:.3f} s\n", rows.rows(), found.airports.size(),
             took.count());
  fmt::print("{} maps, {} chunks of up to {} flights, {} worker{}\n", log.maps(), did.chunks,
             did.grain, did.workers, did.workers == 1 ? "" : "s");
  if (did.deaths > 0) fmt::print("workers that died and were replaced: {}\n", did.deaths);
  fmt::print("\nflights by delay in minutes\n{}\n", flights::picture(found.delay_by_hour));
}

void run(const request& wanted, const flights::columns& rows) {
  const auto start = std::chrono::steady_clock::now();
  flights::outputs results(wanted.out);
  flights::journal log(wanted.how);
  const auto index = flights::index_airports(rows.origin, log);
  const auto found = flights::measure(rows, index, log);
  {
    auto scores = shard::create<float>(results.draft("zscore.npy"), rows.rows());
    flights::score(scores, rows, index, found.airports, log);
  }
  shard::save(results.draft("delay_by_hour.npy"), found.delay_by_hour);
  flights::write_csv(results.draft("airports.csv"), found.airports);
  flights::write_text(results.draft("flights.html"), log.longest().html("Flights"));
  results.publish();
  describe(rows, found, log, std::chrono::steady_clock::now() - start);
  for (const char* name : flights::outputs::names) fmt::print("{}\n", (wanted.out / name).string());
}

// Ends the program by the signal that has stopped it, so that a shell sees why it ended.
[[noreturn]] void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  std::abort();  // raise() of a signal at its default doesn't return
}

}  // namespace

int main(int argc, char** argv) {
  request wanted;
  if (const auto status = parse(argc, argv, wanted)) return *status;
  std::optional<flights::columns> rows;
  try {
    rows.emplace(flights::open_columns(wanted.data));
  } catch (const std::exception& e) {
    return complain(e.what(), misused);
  }
  const shard::stop_on_signals guard;
  try {
    run(wanted, *rows);
  } catch (const std::exception& e) {
    if (guard.signal() != 0) end_by(guard.signal());
    return complain(e.what(), failed);
  }
  return 0;
}
