// shard_bench: measures shard against the best other way to do the same work, and prints one line
// for each budget. docs/benchmarks.md says how, and what not to conclude.

#include <fmt/format.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <shard/spawn.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "budget.hpp"
#include "measure.hpp"
#include "side_process.hpp"

namespace {

struct command_line {
  std::string group;
  std::string json_path;
  bool list = false;
  bool strict = false;
  bool details = false;
  bench::settings with;
  // Set only where the harness starts a side of itself.
  std::optional<std::size_t> side;
  std::string role = "ours";
};

unsigned processors() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&allowed));
}

void describe(CLI::App& app, command_line& into) {
  app.add_option("group", into.group, "run only this group of budgets, or one of it: dispatch/sum");
  app.add_option("--json", into.json_path, "also write the results to this file");
  app.add_flag("--list", into.list, "print the budgets and measure nothing");
  app.add_flag("--details", into.details, "print intervals and absolute times to stderr");
  app.add_flag("--strict", into.strict, "exit with status 1 if a budget is missed");
  app.add_flag("--quick", into.with.quick, "run everything once, small; ratios mean nothing then");
  app.add_option("--workers", into.with.workers, "workers of shard and threads of its rivals")
      ->default_val(processors())
      ->check(CLI::PositiveNumber);
  app.add_option("--side", into.side)->group("");
  app.add_option("--role", into.role)->group("");
}

std::vector<bench::budget> every_budget() {
  std::vector<bench::budget> all = bench::core_budgets();
  std::ranges::move(bench::long_array_budgets(), std::back_inserter(all));
  std::ranges::move(bench::dispatch_budgets(), std::back_inserter(all));
  std::ranges::move(bench::buffers_budgets(), std::back_inserter(all));
  std::ranges::move(bench::page_budgets(), std::back_inserter(all));
  std::ranges::move(bench::failures_budgets(), std::back_inserter(all));
  std::ranges::move(bench::resume_budgets(), std::back_inserter(all));
  std::ranges::move(bench::reduction_budgets(), std::back_inserter(all));
  std::ranges::move(bench::histogram_budgets(), std::back_inserter(all));
  std::ranges::move(bench::random_budgets(), std::back_inserter(all));
  std::ranges::move(bench::selection_budgets(), std::back_inserter(all));
  return all;
}

bool wanted(const bench::budget& each, const std::string& group) {
  return group.empty() || group == each.group || group == each.group + "/" + each.name;
}

void print_line(const bench::budget& judged, const bench::verdict& found, bool quick) {
  const char* word = quick ? "quick" : found.within(judged) ? "ok" : "MISS";
  fmt::print("{:<24}  {:<28}  {:>6.3f}  {:>5.2f}  {}\n", judged.group + "/" + judged.name,
             judged.rival, found.ratio, judged.limit, word);
  std::fflush(stdout);
}

void print_unmeasured(const bench::budget& each) {
  fmt::print("{:<24}  {:<28}  {:>6}  {:>5.2f}  needs {} processors\n", each.group + "/" + each.name,
             each.rival, "", each.limit, each.processors);
}

void print_details(const bench::verdict& found) {
  if (found.our_seconds == 0) return;  // a figure
  fmt::print(stderr, "    {} {:.3f}–{:.3f} from {} starts; medians {:.6f} s and {:.6f} s\n",
             found.starts < bench::fewest_starts ? "extremes" : "95% interval", found.low,
             found.high, found.starts, found.our_seconds, found.their_seconds);
}

nlohmann::ordered_json as_json(const bench::budget& judged, const bench::verdict& found) {
  return {{"group", judged.group}, {"name", judged.name},    {"rival", judged.rival},
          {"ratio", found.ratio},  {"budget", judged.limit}, {"ok", found.within(judged)}};
}

void write_json(const std::string& path, const nlohmann::ordered_json& results) {
  std::ofstream file(path);
  file << results.dump(2) << '\n';
  file.close();
  if (!file) throw std::runtime_error(fmt::format("cannot write {}", path));
}

// Returns whether every budget is kept that can be measured here.
bool run(const std::vector<bench::budget>& budgets, const command_line& asked) {
  bench::start_measuring("shard_bench");
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  bool all_kept = true;
  for (std::size_t number = 0; number < budgets.size(); ++number) {
    const bench::budget& each = budgets[number];
    if (!wanted(each, asked.group)) continue;
    if (processors() < each.processors && !asked.with.quick) {
      print_unmeasured(each);
      continue;
    }
    const bench::verdict found = bench::judge(each, number, asked.with);
    print_line(each, found, asked.with.quick);
    if (asked.details) print_details(found);
    results.push_back(as_json(each, found));
    all_kept = all_kept && found.within(each);
  }
  if (!asked.json_path.empty()) write_json(asked.json_path, results);
  return all_kept || asked.with.quick;
}

int serve_side(const bench::budget& of, const command_line& asked) {
  return bench::serve(asked.role == "ours" ? of.ours : of.theirs, asked.with);
}

void list(const std::vector<bench::budget>& budgets, const std::string& group) {
  for (const bench::budget& each : budgets) {
    if (!wanted(each, group)) continue;
    fmt::print("{}/{}  {}  {:.2f}\n", each.group, each.name, each.rival, each.limit);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  shard::init(argc, argv);
  command_line asked;
  CLI::App app{"Measures shard against the best other way to do the same work."};
  describe(app, asked);
  CLI11_PARSE(app, argc, argv);

  const std::vector<bench::budget> budgets = every_budget();
  if (asked.side) return serve_side(budgets.at(*asked.side), asked);
  if (std::none_of(budgets.begin(), budgets.end(),
                   [&](const bench::budget& each) { return wanted(each, asked.group); })) {
    fmt::print(stderr, "shard_bench: cannot run the group {}: found no budget in it\n",
               asked.group);
    return 2;
  }
  if (asked.list) {
    list(budgets, asked.group);
    return 0;
  }
  ::signal(SIGPIPE, SIG_IGN);  // a side that died is told by its answer that doesn't come
  return run(budgets, asked) || !asked.strict ? 0 : 1;
} catch (const std::exception& failure) {
  fmt::print(stderr, "shard_bench: {}\n", failure.what());
  return 3;
}
