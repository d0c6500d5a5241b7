// shard cat: an array as CSV, JSON or text.

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "command/command.hpp"
#include "command/print.hpp"

namespace shard::command {
namespace {

format format_of(const std::string& name) {
  return name == "csv" ? format::csv : name == "json" ? format::json : format::text;
}

}  // namespace

std::optional<row_ends> row_ends_of(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto reads = [](std::string_view digits, std::size_t& to) {
    if (digits.empty()) return true;
    const char* const end = digits.data() + digits.size();
    const auto [stopped, status] = std::from_chars(digits.data(), end, to);
    return status == std::errc{} && stopped == end;
  };
  row_ends found;
  if (!reads(text.substr(0, colon), found.first)) return std::nullopt;
  if (!reads(text.substr(colon + 1), found.last)) return std::nullopt;
  return found;
}

status cat(const std::string& file, const std::string& format, const row_ends& rows) {
  const array_file array = open_array(file, "print");
  const std::size_t last = std::min(rows.last, array.rows());
  return print(array, {std::min(rows.first, last), last}, format_of(format));
}

}  // namespace shard::command
