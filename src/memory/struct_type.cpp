// The types of structs, from their fields, and the padding of their elements.

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "memory/dtype.hpp"
#include "shard/detail/segment.hpp"
#include "shard/error.hpp"

namespace shard::detail {
namespace {

// So that a header of ours has room for it, and for any shape.
constexpr std::size_t longest_description = 2048;

void pad(dtype& type, std::size_t from, std::size_t to) {
  if (from < to) type.fields.push_back({"", {"|V" + std::to_string(to - from), {}}, {}});
}

[[noreturn]] void refuse_fields(const std::string& found, const std::string& expected) {
  throw error(std::errc::invalid_argument,
              "cannot describe a struct: found " + found + ", expected " + expected);
}

}  // namespace

dtype struct_of(std::size_t size_bytes, std::vector<placed_field> fields) {
  std::ranges::sort(fields, {}, &placed_field::offset);
  dtype type;
  std::size_t end = 0;
  for (placed_field& each : fields) {
    if (each.offset < end) {
      refuse_fields("field '" + each.field.name + "' inside another", "fields that don't overlap");
    }
    pad(type, end, each.offset);
    end = each.offset + each.size_bytes;
    type.fields.push_back(std::move(each.field));
  }
  pad(type, end, size_bytes);
  if (const std::size_t length = memory::text(type).size(); length > longest_description) {
    refuse_fields(std::to_string(length) + " bytes of names and types",
                  "at most " + std::to_string(longest_description));
  }
  return type;
}

std::vector<gap> gaps_between(std::span<const std::byte> values) {
  constexpr std::byte all{0xff};
  std::vector<gap> found;
  for (std::size_t at = 0; at < values.size(); ++at) {
    if (values[at] == all) continue;
    const bool goes_on = values[at] == std::byte{0} && !found.empty() &&
                         found.back().kept == std::byte{0} &&
                         found.back().offset + found.back().bytes == at;
    if (goes_on) {
      ++found.back().bytes;
    } else {
      found.push_back({at, 1, values[at]});
    }
  }
  return found;
}

}  // namespace shard::detail
