// The program `shard`: looks into arrays and at the machine, without a line of code.

#include <csignal>
#include <exception>
#include <sstream>
#include <string>

#include "command/command.hpp"
#include "command/output.hpp"
#include "shard/version.hpp"

namespace {

using shard::command::complain;
using shard::command::output;
using shard::command::reader_gone;
using shard::command::status;

int ended(status how) { return static_cast<int>(how); }

void describe(CLI::App& program, status& result) {
  program.set_version_flag("--version", fmt::format("shard {}.{}.{}", SHARD_VERSION_MAJOR,
                                                    SHARD_VERSION_MINOR, SHARD_VERSION_PATCH));
  program.require_subcommand(1);
  program.footer(
      "Exit status: 0 done; 1 failed, or a problem was found; 2 the command line makes no sense.\n"
      "`shard SUBCOMMAND --help` says more, with examples.");
  shard::command::add_info(program, result);
  shard::command::add_head(program, result);
  shard::command::add_cat(program, result);
  shard::command::add_stats(program, result);
  shard::command::add_gc(program, result);
  shard::command::add_doctor(program, result);
}

// Help and versions go to standard output, and are no errors.
status answer(const CLI::App& program, const CLI::ParseError& why) {
  std::ostringstream out;
  std::ostringstream err;
  const bool failed = program.exit(why, out, err) != 0;
  output to;
  to.put(out.str());
  to.flush();
  std::istringstream lines(err.str());
  for (std::string line; failed && std::getline(lines, line);) complain(line);
  return failed ? status::usage : status::ok;
}

// CLI11 would only say that there is no subcommand.
void require_known(const CLI::App& program, int argc, char** argv) {
  const std::string first = argc < 2 ? "-" : argv[1];
  std::string known;
  for (const CLI::App* each : program.get_subcommands({})) {
    if (each->get_name() == first) return;
    known += (known.empty() ? "" : ", ") + each->get_name();
  }
  if (first.starts_with('-')) return;
  throw CLI::ValidationError("found '" + first + "', expected one of " + known);
}

int run(int argc, char** argv) try {
  status result = status::failed;
  CLI::App program("Looks into shard's arrays (.npy files, named buffers) and at the machine.",
                   "shard");
  describe(program, result);
  try {
    require_known(program, argc, argv);
    program.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    result = answer(program, e);
  }
  return ended(result);
} catch (const reader_gone&) {
  return ended(status::ok);
} catch (const std::exception& e) {
  complain(e.what());
  return ended(status::failed);
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that has seen enough, such as `head`, is an end like any other, also under pipefail.
  std::signal(SIGPIPE, SIG_IGN);
  // Output that grows beyond `ulimit -f` is an error to report, and no reason to die.
  std::signal(SIGXFSZ, SIG_IGN);
  return run(argc, argv);
}
