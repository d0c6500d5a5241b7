// The subcommands of `shard`, after the command line has been read. Each subcommand is one source
// file.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shard::command {

// The exit status of the program.
enum class status : int {
  ok = 0,
  failed = 1,  // an error, which standard error tells; or doctor has found a problem
  usage = 2,   // the command line is wrong
};

// Several arrays, one after the other.
struct listing {
  std::vector<std::string> files{};
  bool as_json = false;
};

// What a map has left.
struct report_request {
  std::string file{};  // in JSON, or a folder that has report.json
  bool as_html = false;
  std::string to{};  // a file; empty: standard output
};

// Rows as in a slice of Python's: rows that do not exist are left out.
struct row_ends {
  std::size_t first = 0;
  std::size_t last = std::numeric_limits<std::size_t>::max();
};
// Reads "A:B", where A, B or both may be missing. Nothing if the text is something else.
std::optional<row_ends> row_ends_of(std::string_view text);

// All throw shard::error.
status info(const listing& asked);
status head(const std::string& file, std::size_t rows);
status cat(const std::string& file, const std::string& format, const row_ends& rows);
status stats(const listing& asked);
status report_of(const report_request& asked);
status gc(bool dry_run, bool as_json);
status doctor(const std::string& path, bool as_json);
status job_status_of(const std::string& folder, bool why, bool as_json);
status watch(const std::string& folder, double every);

}  // namespace shard::command
