#include "memory/layout.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string_view>
#include <utility>

#include "memory/dtype.hpp"
#include "memory/malformed.hpp"
#include "shard/fields.hpp"

namespace shard::memory {
namespace {

// numpy's letters. The sizes are those that the digits may give; none: any.
struct family {
  char letter;
  memory::kind kind;
  std::array<std::size_t, 4> sizes;
  std::size_t unit_bytes;  // what the digits count
};
constexpr std::array families{
    family{'b', kind::boolean, {1}, 1},
    family{'i', kind::integer, {1, 2, 4, 8}, 1},
    family{'u', kind::natural, {1, 2, 4, 8}, 1},
    family{'f', kind::real, {4, 8}, 1},
    family{'c', kind::complex, {8, 16}, 1},
    family{'S', kind::text, {}, 1},
    family{'V', kind::opaque, {}, 1},
    family{'f', kind::foreign, {2, 12, 16}, 1},
    family{'c', kind::foreign, {24, 32}, 1},
    family{'U', kind::foreign, {}, 4},
    family{'M', kind::foreign, {8}, 1},
    family{'m', kind::foreign, {8}, 1},
};

[[noreturn]] void refuse(const detail::dtype& type) {
  throw malformed("type " + shown(text(type)), "a type of numpy's, such as '<f8'");
}

bool fits(const family& one, char letter, std::size_t digits) {
  if (one.letter != letter) return false;
  if (one.sizes[0] == 0) return true;
  return digits > 0 && std::ranges::find(one.sizes, digits) != one.sizes.end();
}

// Only dates have something behind the digits: "[ns]".
bool ends_well(std::string_view rest, char letter) {
  const bool dated = letter == 'M' || letter == 'm';
  return rest.empty() || (dated && rest.starts_with('[') && rest.ends_with(']'));
}

layout plain(const detail::dtype& type) {
  std::string_view code = type.code;
  char order = '|';
  if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) {
    order = code[0];
    code.remove_prefix(1);
  }
  if (code.empty()) refuse(type);
  const char letter = code[0];
  if (letter == 'O') throw malformed("pickled Python objects", "numbers, text or structs of them");
  std::size_t digits = 0;
  const auto [end, status] = std::from_chars(code.data() + 1, code.data() + code.size(), digits);
  if (status != std::errc{}) refuse(type);
  code.remove_prefix(static_cast<std::size_t>(end - code.data()));
  const auto* const found =
      std::ranges::find_if(families, [&](const family& one) { return fits(one, letter, digits); });
  if (found == families.end() || !ends_well(code, letter)) refuse(type);

  layout made;
  made.kind = found->kind;
  made.has_foreign = found->kind == kind::foreign;
  if (__builtin_mul_overflow(digits, found->unit_bytes, &made.size_bytes)) refuse(type);
  const bool numbers = found->kind != kind::text && found->kind != kind::opaque;
  const bool ours = numbers && found->kind != kind::foreign;
  made.big_endian = order == '>' && numbers && digits > 1;
  if (ours) made.alignment = found->kind == kind::complex ? digits / 2 : digits;
  return made;
}

std::size_t product(std::size_t a, std::size_t b, const detail::dtype& in) {
  std::size_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) refuse(in);
  return result;
}

std::size_t sum(std::size_t a, std::size_t b, const detail::dtype& in) {
  std::size_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) refuse(in);
  return result;
}

std::size_t count_of(const std::vector<std::size_t>& shape, const detail::dtype& in) {
  if (std::ranges::count(shape, std::size_t{0}) > 0) return 0;
  std::size_t count = 1;
  for (const std::size_t extent : shape) count = product(count, extent, in);
  return count;
}

char letter_of(const layout& type) {
  const auto* const found =
      std::ranges::find(families, type.kind, [](const family& one) { return one.kind; });
  return found->letter;
}

void require_describable(const layout_field& field, std::span<const detail::placed_field> before) {
  if (!detail::is_field_name(field.name)) {
    throw malformed("a field '" + shown(field.name) + "'",
                    "names of printable ASCII without quotes, and no name for padding alone");
  }
  if (field.type.size_bytes == 0 || field.count == 0) {
    throw malformed("no bytes in field '" + field.name + "'", "one or more");
  }
  const auto same = [&](const detail::placed_field& other) {
    return other.field.name == field.name;
  };
  if (std::ranges::any_of(before, same)) {
    throw malformed("two fields '" + field.name + "'", "names that differ");
  }
}

detail::dtype description_of(const layout& type) {
  if (type.kind != kind::structure) {
    const bool bytes = type.kind == kind::text || type.kind == kind::opaque;
    return {(bytes || type.size_bytes == 1 ? "|" : "<") + std::string(1, letter_of(type)) +
                std::to_string(type.size_bytes),
            {}};
  }
  std::vector<detail::placed_field> fields;
  for (const layout_field& field : type.fields) {
    if (field.padding) continue;
    require_describable(field, fields);
    fields.push_back({{field.name, description_of(field.type), field.shape},
                      field.offset,
                      field.type.size_bytes * field.count});
  }
  // Without fields a struct is not described, and opaque.
  if (fields.empty()) return {"|V" + std::to_string(type.size_bytes), {}};
  return detail::struct_of(type.size_bytes, std::move(fields));
}

}  // namespace

detail::element_type element_type_of(const layout& type) {
  return {description_of(type), type.size_bytes, type.alignment};
}

layout layout_of(const detail::dtype& type) {
  if (type.fields.empty()) return plain(type);
  layout made;
  made.kind = kind::structure;
  made.values = 0;
  for (const detail::dtype_field& from : type.fields) {
    layout_field field;
    field.name = from.name;
    field.offset = made.size_bytes;
    field.shape = from.shape;
    field.type = layout_of(from.type);
    field.count = count_of(from.shape, type);
    field.padding = field.name.empty() && field.type.kind == kind::opaque;
    made.size_bytes = sum(made.size_bytes, product(field.type.size_bytes, field.count, type), type);
    made.alignment = std::max(made.alignment, field.type.alignment);
    made.has_foreign |= field.type.has_foreign;
    if (!field.padding) {
      made.values = sum(made.values, product(field.type.values, field.count, type), type);
    }
    made.fields.push_back(std::move(field));
  }
  // One at least, so that it bounds how long a walk takes, too.
  made.values = std::max<std::size_t>(made.values, 1);
  return made;
}

std::string words(const layout& type) {
  const std::string bytes = std::to_string(type.size_bytes);
  const std::string bits = std::to_string(type.size_bytes * 8);
  switch (type.kind) {
    case kind::boolean: return "bool";
    case kind::integer: return "int" + bits;
    case kind::natural: return "uint" + bits;
    case kind::real: return "float" + bits;
    case kind::complex: return "complex" + bits;
    case kind::text: return "text of up to " + bytes + " bytes";
    case kind::opaque: return bytes + " opaque bytes";
    case kind::foreign: return bytes + " bytes of a type that shard does not have";
    case kind::structure: return "struct of " + bytes + " bytes";
  }
  return {};
}

}  // namespace shard::memory
