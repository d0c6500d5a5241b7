// The program `shard`: looks into arrays and at the machine, without a line of code. All that it
// can be asked for, and its help.

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <exception>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <system_error>

#include "command/command.hpp"
#include "command/output.hpp"
#include "shard/version.hpp"

namespace shard::command {
namespace {

int ended(status how) { return static_cast<int>(how); }

// ---- Subcommands ----

constexpr const char* torn_help =
    "Elements that a writer who died may have left half written are printed as they are; then "
    "standard\n"
    "error says which those are, and the exit status is 1.";

constexpr const char* formats_help =
    "Formats:\n"
    "  text  for people: like csv with tabs; of texts (S), bytes that are not printable ASCII as\n"
    "        \\xNN; of texts (U), control characters as \\xNN or \\uNNNN\n"
    "  csv   one element a line; a matrix: one row a line. Structs: a column for each field, and "
    "a\n"
    "        header. More dimensions (structs: two or more): columns for the indices, and a "
    "header.\n"
    "        Quotes as in RFC 4180, lines end with \\n; texts (S) are the bytes that are there,\n"
    "        texts (U) are UTF-8\n"
    "  json  arrays in arrays, structs as objects, complex numbers as [real, imaginary]; NaN and\n"
    "        infinities are null; what is no character becomes U+FFFD; no elements: []\n"
    "Floats are the shortest decimals that read back as the same bits. Dates are ISO 8601, as far\n"
    "as their unit goes; spans of time are numbers of their unit; NaT is NaT, and null in json.\n"
    "Opaque bytes are hexadecimal. Padding of structs is left out.";

// The files and --json of a subcommand; they are filled in once the command line is read.
std::shared_ptr<listing> add_listing(CLI::App& subcommand) {
  auto asked = std::make_shared<listing>();
  subcommand.add_option("FILE", asked->files, "A .npy file, or the name of a buffer")->required();
  subcommand.add_flag("--json", asked->as_json, "As a JSON array, with an object for each");
  return asked;
}

void add_info(CLI::App& program, status& result) {
  CLI::App* const info =
      program.add_subcommand("info", "Show type, shape and order of arrays, and how to open them");
  const auto asked = add_listing(*info);
  info->footer(
      "Reads no elements, only headers (of version 1 to 3 and any type but Python objects) and "
      "the\n"
      "marks of writers who died: elements that they may have left half written are torn. "
      "`access`\n"
      "says whether shard::open maps the file in place, or shard::load has to convert it, and "
      "why;\n"
      "`element` the T of the buffer<T>. Types that shard has not are bytes: shard::raw.\n"
      "\n"
      "Examples:\n"
      "  shard info *.npy\n"
      "  shard info --json delay.npy | jq '.[0].shape'");
  info->callback([asked, &result] { result = command::info(*asked); });
}

void add_head(CLI::App& program, status& result) {
  struct request {
    std::string file;
    std::size_t rows = 10;
  };
  CLI::App* const head = program.add_subcommand("head", "Print the first rows of an array as text");
  const auto asked = std::make_shared<request>();
  head->add_option("FILE", asked->file, "A .npy file, or the name of a buffer")->required();
  head->add_option("-n,--rows", asked->rows, "How many rows; 10 if not given")
      ->check([](const std::string& text) {
        std::size_t rows = 0;
        const char* const end = text.data() + text.size();
        const auto [stopped, status] = std::from_chars(text.data(), end, rows);
        if (status == std::errc{} && stopped == end) return std::string();
        return "found '" + text + "', expected a number from 0 to " +
               std::to_string(std::numeric_limits<std::size_t>::max());
      })
      ->type_name("ROWS");
  head->footer(
      std::string("A row is one index of the first dimension. `shard cat --help` says how values "
                  "are printed.\n") +
      torn_help +
      "\n\nExamples:\n"
      "  shard head delay.npy\n"
      "  shard head prices.npy -n 3");
  head->callback([asked, &result] { result = command::head(asked->file, asked->rows); });
}

void add_cat(CLI::App& program, status& result) {
  struct request {
    std::string file;
    std::string as = "text";
    std::string rows = ":";
  };
  CLI::App* const cat = program.add_subcommand("cat", "Print an array as CSV, JSON or text");
  const auto asked = std::make_shared<request>();
  cat->add_option("FILE", asked->file, "A .npy file, or the name of a buffer")->required();
  cat->add_option("-f,--format", asked->as, "csv, json or text; text if not given")
      ->check(CLI::IsMember({"csv", "json", "text"}).description(""))
      ->type_name("FORMAT");
  cat->add_option("-r,--rows", asked->rows,
                  "Only rows A to B - 1, counted from 0 in the first dimension; A:, :B")
      ->check([](const std::string& text) {
        return row_ends_of(text) ? "" : "found '" + text + "', expected A:B, two numbers from 0 on";
      })
      ->type_name("A:B");
  cat->footer(std::string(formats_help) + "\n" + torn_help +
              "\n\nExamples:\n"
              "  shard cat score.npy --format csv > score.csv\n"
              "  shard cat trades.npy -f json --rows 100:200 | jq '.[].price'");
  cat->callback([asked, &result] {
    result = command::cat(asked->file, asked->as, *row_ends_of(asked->rows));
  });
}

void add_stats(CLI::App& program, status& result) {
  CLI::App* const stats = program.add_subcommand(
      "stats", "Show what arrays take, who holds them, and what the dead have left");
  const auto asked = add_listing(*stats);
  stats->footer(
      "Of arrays of any type, and without changing or waiting for anything. Threads go by their\n"
      "number in the kernel (ps -L). A handle is an open file: one that was inherited by a fork\n"
      "counts once. A buffer in memory is /proc/PID/fd/N of a process that has it.\n\n"
      "  handles        in all processes: all of a named buffer; of others, those attached\n"
      "  control words  what the first transfer, lock or notification adds; writers attach\n"
      "  abandoned      an exclusive holder died: what it was changing may be half changed\n"
      "  torn           writers died there; transfers refuse it until clear_torn\n"
      "  recoveries     how often locks of the dead were put right\n\n"
      "Examples:\n"
      "  shard stats tally\n"
      "  shard stats --json *.npy | jq '.[] | select(.torn != []) | .name'\n"
      "  shard stats /proc/4711/fd/5");
  stats->callback([asked, &result] { result = command::stats(*asked); });
}

void add_report(CLI::App& program, status& result) {
  CLI::App* const report =
      program.add_subcommand("report", "Show what a map did, from its report in JSON");
  const auto asked = std::make_shared<report_request>();
  report->add_option("FILE", asked->file, "A report in JSON, or a folder that has report.json")
      ->required();
  report->add_flag("--html", asked->as_html, "As a page for a browser, in one file");
  report->add_option("-o,--output", asked->to, "Write to this file, not to standard output")
      ->type_name("FILE");
  report->footer(
      "Programs write it by report::json(). The text is what a program prints by operator<<. The\n"
      "page has no scripts, and needs no network. It also shows where time and memory went.\n\n"
      "Examples:\n"
      "  shard report results/\n"
      "  shard report report.json --html -o report.html");
  report->callback([asked, &result] { result = command::report_of(*asked); });
}

void add_gc(CLI::App& program, status& result) {
  struct request {
    bool dry_run = false;
    bool as_json = false;
  };
  CLI::App* const gc =
      program.add_subcommand("gc", "Remove named buffers that killed processes have left");
  const auto asked = std::make_shared<request>();
  gc->add_flag("-n,--dry-run", asked->dry_run, "Only show what would be removed");
  gc->add_flag("--json", asked->as_json, "As a JSON array, with an object for each");
  gc->footer(
      "A named buffer (/dev/shm/shard.NAME) goes with its last handle, unless that was killed.\n"
      "Whether anyone holds it is told by a lock that the kernel drops, never by a process's\n"
      "number. What is held, another user's, or no buffer is left alone.\n\n"
      "Examples:\n"
      "  shard gc --dry-run\n"
      "  shard gc --json | jq 'map(.bytes) | add'");
  gc->callback([asked, &result] { result = command::gc(asked->dry_run, asked->as_json); });
}

void add_doctor(CLI::App& program, status& result) {
  struct request {
    std::string path = ".";
    bool as_json = false;
  };
  CLI::App* const doctor =
      program.add_subcommand("doctor", "Check what this machine means for a job");
  const auto asked = std::make_shared<request>();
  doctor->add_option("PATH", asked->path, "The folder for outputs; the current one if not given");
  doctor->add_flag("--json", asked->as_json, "As a JSON array, with an object for each check");
  doctor->footer(
      "Each line is ok, a note (good to know), or a problem; the exit status is 1 if there is "
      "one.\n"
      "Needs no rights, and leaves nothing behind.\n\n"
      "Examples:\n"
      "  shard doctor /scratch/results\n"
      "  shard doctor --json | jq -r '.[] | select(.verdict != \"ok\") | .subject'");
  doctor->callback([asked, &result] { result = command::doctor(asked->path, asked->as_json); });
}

void add_status(CLI::App& program, status& result) {
  struct request {
    std::string folder;
    bool why = false;
    bool as_json = false;
  };
  CLI::App* const job = program.add_subcommand("status", "Show how far a job is");
  const auto asked = std::make_shared<request>();
  job->add_option("FOLDER", asked->folder, "The folder of a shard::job")->required();
  job->add_flag("--why", asked->why, "What keeps its next start from going on: changed inputs");
  job->add_flag("--json", asked->as_json, "As a JSON object; with --why, an array of texts");
  job->footer(
      "Reads the job's notes, and changes nothing; the job may be at work, or may have been "
      "killed.\n"
      "A chunk counts as done if the next start would not run it again. With --why the exit status "
      "is 1\n"
      "if an input has changed.\n\n"
      "Examples:\n"
      "  shard status results\n"
      "  shard status results --json | jq '.maps[-1].committed'");
  job->callback([asked, &result] {
    result = command::job_status_of(asked->folder, asked->why, asked->as_json);
  });
}

// Empty: there is none. The comparison is false of NaN, too.
std::string complaint_about_seconds(const std::string& text) {
  constexpr double least = 0.01;  // shorter ones would take a whole processor
  constexpr double most = 86400;
  double seconds = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, status] = std::from_chars(text.data(), end, seconds);
  const bool is_number = status == std::errc{} && stopped == end;
  if (is_number && seconds >= least && seconds <= most) return {};
  return "found '" + text + "', expected a number of seconds from 0.01 to 86400";
}

void add_watch(CLI::App& program, status& result) {
  struct request {
    std::string folder;
    double every = 1;
  };
  CLI::App* const job = program.add_subcommand("watch", "Follow a job until nobody works on it");
  const auto asked = std::make_shared<request>();
  job->add_option("FOLDER", asked->folder, "The folder of a shard::job")->required();
  job->add_option("-s,--seconds", asked->every, "Between two looks; 1 if not given")
      ->check([](const std::string& text) { return complaint_about_seconds(text); })
      ->type_name("SECONDS");
  job->footer(
      "On a terminal, one line that is written over; elsewhere, a line for each change. Ctrl-C "
      "ends\n"
      "it, and not the job.\n\n"
      "Examples:\n"
      "  shard watch results\n"
      "  shard watch results -s 60 >> progress.log");
  job->callback([asked, &result] { result = command::watch(asked->folder, asked->every); });
}

// ---- The program ----

void describe(CLI::App& program, status& result) {
  program.set_version_flag("--version", fmt::format("shard {}.{}.{}", SHARD_VERSION_MAJOR,
                                                    SHARD_VERSION_MINOR, SHARD_VERSION_PATCH));
  program.require_subcommand(1);
  program.footer(
      "Exit status: 0 done; 1 failed, or a problem was found; 2 the command line makes no sense.\n"
      "`shard SUBCOMMAND --help` says more, with examples.");
  add_info(program, result);
  add_head(program, result);
  add_cat(program, result);
  add_stats(program, result);
  add_report(program, result);
  add_gc(program, result);
  add_doctor(program, result);
  add_status(program, result);
  add_watch(program, result);
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
  CLI::App program(
      "Looks into shard's arrays (.npy files, named buffers), at jobs, reports and the machine.",
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
}  // namespace shard::command

int main(int argc, char** argv) {
  // A reader that has seen enough, such as `head`, is an end like any other, also under pipefail.
  std::signal(SIGPIPE, SIG_IGN);
  // Output that grows beyond `ulimit -f` is an error to report, and no reason to die.
  std::signal(SIGXFSZ, SIG_IGN);
  return shard::command::run(argc, argv);
}
