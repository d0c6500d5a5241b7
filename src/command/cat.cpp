// shard cat: an array as CSV, JSON or text.

#include <algorithm>
#include <charconv>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "command/command.hpp"
#include "command/print.hpp"

namespace shard::command {
namespace {

struct request {
  std::string file;
  std::string as = "text";
  std::string rows = ":";
};

format format_of(const std::string& name) {
  return name == "csv" ? format::csv : name == "json" ? format::json : format::text;
}

// A:B, of which each may be missing. Nothing where that is not what it says.
struct ends {
  std::size_t first = 0;
  std::size_t last = std::numeric_limits<std::size_t>::max();
};
std::optional<ends> ends_of(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto reads = [](std::string_view digits, std::size_t& to) {
    if (digits.empty()) return true;
    const char* const end = digits.data() + digits.size();
    const auto [stopped, status] = std::from_chars(digits.data(), end, to);
    return status == std::errc{} && stopped == end;
  };
  ends found;
  if (!reads(text.substr(0, colon), found.first)) return std::nullopt;
  if (!reads(text.substr(colon + 1), found.last)) return std::nullopt;
  return found;
}

// As Python slices: what is not there is left out.
range rows_of(const ends& asked, std::size_t rows) {
  const std::size_t last = std::min(asked.last, rows);
  return {std::min(asked.first, last), last};
}

}  // namespace

void add_cat(CLI::App& program, status& result) {
  CLI::App* const cat = program.add_subcommand("cat", "Print an array as CSV, JSON or text");
  const auto asked = std::make_shared<request>();
  cat->add_option("FILE", asked->file, "A .npy file, or the name of a buffer")->required();
  cat->add_option("-f,--format", asked->as, "csv, json or text; text if not given")
      ->check(CLI::IsMember({"csv", "json", "text"}).description(""))
      ->type_name("FORMAT");
  cat->add_option("-r,--rows", asked->rows,
                  "Only rows A to B - 1, counted from 0 in the first dimension; A:, :B")
      ->check([](const std::string& text) {
        return ends_of(text) ? "" : "found '" + text + "', expected A:B, two numbers from 0 on";
      })
      ->type_name("A:B");
  cat->footer(std::string(formats_help) + "\n" + torn_help +
              "\n\nExamples:\n"
              "  shard cat score.npy --format csv > score.csv\n"
              "  shard cat trades.npy -f json --rows 100:200 | jq '.[].price'");
  cat->callback([asked, &result] {
    const array_file array = open_array(asked->file, "print");
    result = print(array, rows_of(*ends_of(asked->rows), array.rows()), format_of(asked->as));
  });
}

}  // namespace shard::command
