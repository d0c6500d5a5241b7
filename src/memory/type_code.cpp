#include "memory/type_code.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <utility>

#include "shard/element.hpp"

namespace shard::memory {
namespace {

// The sizes that the digits may give. None: any.
struct family {
  char letter;
  std::array<std::size_t, 6> sizes;
};
constexpr std::array families{
    family{'b', {1}},
    family{'i', {1, 2, 4, 8}},
    family{'u', {1, 2, 4, 8}},
    family{'f', {2, 4, 8, 12, 16}},  // 12 on x86 of 32 bits
    family{'c', {8, 16, 24, 32}},
    family{'S', {}},
    family{'a', {}},  // the same
    family{'U', {}},
    family{'V', {}},
    family{'M', {8}},
    family{'m', {8}},
    family{'O', {4, 8}},  // what a pointer takes where it was written
};

struct spelling {
  std::string_view text;
  char letter;
  std::size_t count;
};
// Letters that need no digits, as Linux of 64 bits has them.
constexpr std::array letters{
    spelling{"?", 'b', 1},  spelling{"b", 'i', 1}, spelling{"B", 'u', 1},  spelling{"h", 'i', 2},
    spelling{"H", 'u', 2},  spelling{"i", 'i', 4}, spelling{"I", 'u', 4},  spelling{"l", 'i', 8},
    spelling{"L", 'u', 8},  spelling{"q", 'i', 8}, spelling{"Q", 'u', 8},  spelling{"p", 'i', 8},
    spelling{"P", 'u', 8},  spelling{"e", 'f', 2}, spelling{"f", 'f', 4},  spelling{"d", 'f', 8},
    spelling{"g", 'f', 16}, spelling{"F", 'c', 8}, spelling{"D", 'c', 16}, spelling{"G", 'c', 32},
    spelling{"c", 'S', 1},  spelling{"S", 'S', 0}, spelling{"a", 'S', 0},  spelling{"U", 'U', 0},
    spelling{"V", 'V', 0},  spelling{"M", 'M', 8}, spelling{"m", 'm', 8},  spelling{"O", 'O', 8},
};
// Names, which no order of bytes may precede.
constexpr std::array names{
    spelling{"bool", 'b', 1},         spelling{"bool_", 'b', 1},
    spelling{"bool8", 'b', 1},        spelling{"int8", 'i', 1},
    spelling{"int16", 'i', 2},        spelling{"int32", 'i', 4},
    spelling{"int64", 'i', 8},        spelling{"uint8", 'u', 1},
    spelling{"uint16", 'u', 2},       spelling{"uint32", 'u', 4},
    spelling{"uint64", 'u', 8},       spelling{"byte", 'i', 1},
    spelling{"ubyte", 'u', 1},        spelling{"short", 'i', 2},
    spelling{"ushort", 'u', 2},       spelling{"intc", 'i', 4},
    spelling{"uintc", 'u', 4},        spelling{"int", 'i', 8},
    spelling{"int_", 'i', 8},         spelling{"uint", 'u', 8},
    spelling{"intp", 'i', 8},         spelling{"uintp", 'u', 8},
    spelling{"longlong", 'i', 8},     spelling{"ulonglong", 'u', 8},
    spelling{"float16", 'f', 2},      spelling{"float32", 'f', 4},
    spelling{"float64", 'f', 8},      spelling{"float128", 'f', 16},
    spelling{"half", 'f', 2},         spelling{"single", 'f', 4},
    spelling{"double", 'f', 8},       spelling{"float", 'f', 8},
    spelling{"float_", 'f', 8},       spelling{"longdouble", 'f', 16},
    spelling{"longfloat", 'f', 16},   spelling{"complex64", 'c', 8},
    spelling{"complex128", 'c', 16},  spelling{"complex256", 'c', 32},
    spelling{"csingle", 'c', 8},      spelling{"singlecomplex", 'c', 8},
    spelling{"cdouble", 'c', 16},     spelling{"cfloat", 'c', 16},
    spelling{"complex", 'c', 16},     spelling{"complex_", 'c', 16},
    spelling{"clongdouble", 'c', 32}, spelling{"clongfloat", 'c', 32},
    spelling{"longcomplex", 'c', 32}, spelling{"bytes", 'S', 0},
    spelling{"bytes_", 'S', 0},       spelling{"string_", 'S', 0},
    spelling{"str", 'U', 0},          spelling{"str_", 'U', 0},
    spelling{"unicode_", 'U', 0},     spelling{"void", 'V', 0},
    spelling{"object", 'O', 8},       spelling{"object_", 'O', 8},
};

std::optional<type_code> found_in(std::span<const spelling> all, std::string_view text) {
  const auto found = std::ranges::find(all, text, &spelling::text);
  if (found == all.end()) return std::nullopt;
  return type_code{.letter = found->letter, .count = found->count};
}

std::optional<type_code> with_digits(std::string_view text) {
  const auto found = std::ranges::find(families, text[0], &family::letter);
  if (found == families.end()) return std::nullopt;
  std::size_t count = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, status] = std::from_chars(text.data() + 1, end, count);
  if (status != std::errc{} || stopped != end) return std::nullopt;
  const bool any = found->sizes[0] == 0;
  if (!any && (count == 0 || std::ranges::count(found->sizes, count) == 0)) return std::nullopt;
  return type_code{.letter = text[0] == 'a' ? 'S' : text[0], .count = count};
}

// Dates and spans of time, by letter or name; either may have a unit.
std::optional<type_code> time(std::string_view text) {
  const std::size_t bracket = std::min(text.find('['), text.size());
  const std::optional<time_unit> unit = read_time_unit(text.substr(bracket));
  text = text.substr(0, bracket);
  const bool date = text == "M8" || text == "datetime64";
  const bool span = text == "m8" || text == "timedelta64";
  if ((!date && !span) || !unit) return std::nullopt;
  return type_code{.letter = date ? 'M' : 'm', .count = 8, .unit = *unit};
}

bool is_order(char c) { return c == '<' || c == '>' || c == '|' || c == '='; }

// '<' also where numpy takes the machine's own order: shard runs on little-endian machines.
char order_of(char given, const type_code& code) {
  const bool bytes = code.letter == 'S' || code.letter == 'V' || code.letter == 'O';
  if (bytes || (code.count == 1 && code.letter != 'U')) return '|';
  return given == '>' ? '>' : '<';
}

std::string spelled(const type_code& code) {
  const bool sized = code.letter != 'O';
  return std::string{code.order, code.letter} + (sized ? std::to_string(code.count) : "") +
         text(code.unit);
}

}  // namespace

std::optional<type_code> read_type_code(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const char given = is_order(text[0]) ? text[0] : '\0';
  const std::string_view code = text.substr(given == '\0' ? 0 : 1);
  if (code.empty()) return std::nullopt;
  std::optional<type_code> found = time(code);
  if (!found) found = found_in(letters, code);
  if (!found) found = with_digits(code);
  if (!found && given == '\0') found = found_in(names, code);
  if (found) found->order = order_of(given, *found);
  return found;
}

std::string canonical_code(std::string_view text) {
  const std::optional<type_code> code = read_type_code(text);
  return code ? spelled(*code) : std::string(text);
}

std::string time_name(const type_code& code) {
  return (code.letter == 'M' ? "datetime64" : "timedelta64") + text(code.unit);
}

std::string foreign_name(const type_code& code) {
  const std::string bits = std::to_string(code.count * 8);
  const auto own = [](std::size_t bytes) {
    return detail::has_long_double && bytes == sizeof(long double);
  };
  switch (code.letter) {
    case 'f': return code.count <= 8 || own(code.count) ? "" : "float" + bits;
    case 'c': return code.count <= 16 || own(code.count / 2) ? "" : "complex" + bits;
    case 'M':
    case 'm':
      if (has_fixed_length(code.unit)) return "";
      return time_name(code) + (code.unit.base == time_base::none
                                    ? ", which has no unit"
                                    : ", whose unit has no fixed length");
    case 'O': return "Python objects";
    default: return {};
  }
}

}  // namespace shard::memory
