#include "memory/layout.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "memory/dtype.hpp"
#include "memory/malformed.hpp"
#include "memory/type_code.hpp"
#include "shard/fields.hpp"

namespace shard::memory {
namespace {

[[noreturn]] void refuse(const detail::dtype& type) {
  throw malformed("type " + shown(text(type)), "a type of numpy's, such as '<f8'");
}

kind kind_of(const type_code& code) {
  switch (code.letter) {
    case 'b': return kind::boolean;
    case 'i': return kind::integer;
    case 'u': return kind::natural;
    case 'f': return foreign_name(code).empty() ? kind::real : kind::foreign;
    case 'c': return foreign_name(code).empty() ? kind::complex : kind::foreign;
    case 'S': return kind::text;
    case 'U': return kind::characters;
    case 'M': return kind::date;
    case 'm': return kind::span;
    case 'V': return kind::opaque;
    default: return kind::foreign;
  }
}

char letter_of(kind one) {
  switch (one) {
    case kind::boolean: return 'b';
    case kind::integer: return 'i';
    case kind::natural: return 'u';
    case kind::real: return 'f';
    case kind::complex: return 'c';
    case kind::text: return 'S';
    case kind::characters: return 'U';
    case kind::date: return 'M';
    case kind::span: return 'm';
    default: return 'V';
  }
}

constexpr std::size_t character_bytes = 4;

layout plain(const detail::dtype& type) {
  const std::optional<type_code> code = read_type_code(type.code);
  if (!code) refuse(type);
  layout made;
  made.kind = kind_of(*code);
  made.name = foreign_name(*code);
  made.has_foreign = made.kind == kind::foreign;
  made.has_objects = code->letter == 'O';
  made.big_endian = code->order == '>';
  made.unit = code->unit;
  const std::size_t unit = code->letter == 'U' ? character_bytes : 1;
  if (__builtin_mul_overflow(code->count, unit, &made.size_bytes)) refuse(type);
  const bool bytes = made.kind == kind::text || made.kind == kind::opaque;
  if (!bytes && made.name.empty()) {  // else it is a raw<N>
    made.alignment = made.kind == kind::complex      ? code->count / 2
                     : made.kind == kind::characters ? character_bytes
                                                     : code->count;
  }
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

void require_different_names(const std::vector<layout_field>& fields) {
  std::set<std::string_view> names;
  for (const layout_field& field : fields) {
    if (!field.padding && !names.insert(field.name).second) {
      throw malformed("two fields '" + shown(field.name) + "'", "names that differ");
    }
  }
}

void require_describable(const layout_field& field) {
  if (!detail::is_field_name(field.name)) {
    throw malformed("a field '" + shown(field.name) + "'",
                    "names of printable ASCII without quotes, and no name for padding alone");
  }
  if (field.type.size_bytes == 0 || field.count == 0) {
    throw malformed("no bytes in field '" + field.name + "'", "one or more");
  }
}

detail::dtype description_of(const layout& type) {
  if (type.kind != kind::structure) {
    if (type.has_objects) throw malformed(type.name, own_types);
    if (!type.name.empty()) return {"|V" + std::to_string(type.size_bytes), {}, true};
    const bool bytes = type.kind == kind::text || type.kind == kind::opaque;
    const std::size_t unit = type.kind == kind::characters ? character_bytes : 1;
    return {(bytes || type.size_bytes == 1 ? "|" : "<") + std::string(1, letter_of(type.kind)) +
                std::to_string(type.size_bytes / unit) + text(type.unit),
            {}};
  }
  std::vector<detail::placed_field> fields;
  for (const layout_field& field : type.fields) {
    if (field.padding) continue;
    require_describable(field);
    fields.push_back({{field.name, description_of(field.type), field.shape},
                      field.offset,
                      field.type.size_bytes * field.count});
  }
  // Without fields a struct is not described, and opaque.
  if (fields.empty()) return {"|V" + std::to_string(type.size_bytes), {}};
  return detail::struct_of(type.size_bytes, std::move(fields));
}

std::string real_words(std::size_t bytes) {
  switch (bytes) {
    case 2: return "shard::float16";
    case 4: return "float";
    case 8: return "double";
    default: return "long double";
  }
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
    made.has_objects |= field.type.has_objects;
    if (!field.padding) {
      made.values = sum(made.values, product(field.type.values, field.count, type), type);
    }
    made.fields.push_back(std::move(field));
  }
  require_different_names(made.fields);
  // One at least, so that it bounds how long a walk takes, too.
  made.values = std::max<std::size_t>(made.values, 1);
  return made;
}

std::string words(const layout& type) {
  const auto counted = [](std::size_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
  };
  const std::string bits = std::to_string(type.size_bytes * 8);
  switch (type.kind) {
    case kind::boolean: return "bool";
    case kind::integer: return "int" + bits;
    case kind::natural: return "uint" + bits;
    case kind::real: return "float" + bits;
    case kind::complex: return "complex" + bits;
    case kind::text: return "text of up to " + counted(type.size_bytes, "byte");
    case kind::characters:
      return "text of up to " + counted(type.size_bytes / character_bytes, "character");
    case kind::date: return "datetime64" + text(type.unit);
    case kind::span: return "timedelta64" + text(type.unit);
    case kind::opaque: return counted(type.size_bytes, "opaque byte");
    case kind::foreign: return type.name;
    case kind::structure: return "struct of " + counted(type.size_bytes, "byte");
  }
  return {};
}

std::string element_words(const layout& type) {
  const std::string bytes = std::to_string(type.size_bytes);
  const std::string bits = std::to_string(type.size_bytes * 8);
  if (!type.name.empty()) return "shard::raw<" + bytes + ">";
  switch (type.kind) {
    case kind::boolean: return "bool";
    case kind::integer: return "std::int" + bits + "_t";
    case kind::natural: return "std::uint" + bits + "_t";
    case kind::real: return real_words(type.size_bytes);
    case kind::complex: return "std::complex<" + real_words(type.size_bytes / 2) + ">";
    case kind::text: return "shard::text<" + bytes + ">";
    case kind::characters:
      return "shard::u32text<" + std::to_string(type.size_bytes / character_bytes) + ">";
    case kind::date: return "std::chrono::sys_time<" + duration_words(type.unit) + ">";
    case kind::span: return duration_words(type.unit);
    case kind::opaque:
    case kind::foreign: return "shard::raw<" + bytes + ">";
    case kind::structure: return "a described struct";
  }
  return {};
}

std::string foreign_part(const layout& type) {
  if (type.kind == kind::foreign) return type.name;
  const layout* inside = &type;
  std::string where;
  while (inside->has_foreign && inside->kind == kind::structure) {
    const auto field = std::ranges::find_if(inside->fields, [&](const layout_field& each) {
      return inside->has_objects ? each.type.has_objects : each.type.has_foreign;
    });
    where += (where.empty() ? "" : ".") + field->name;
    inside = &field->type;
  }
  if (inside == &type) return "";
  if (where.empty()) return inside->name + " in a field without a name";
  return inside->name + " in field '" + shown(where) + "'";
}

}  // namespace shard::memory
