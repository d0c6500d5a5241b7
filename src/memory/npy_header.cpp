#include "memory/npy_header.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "memory/dtype.hpp"
#include "memory/malformed.hpp"
#include "memory/type_code.hpp"
#include "memory/utf8.hpp"

namespace shard::memory {
namespace {

constexpr std::string_view magic("\x93NUMPY", 6);
// More dimensions than numpy has.
constexpr std::size_t most_dimensions = 64;
// numpy itself refuses more than 10,000 bytes; this is what version 1 can say.
constexpr std::size_t longest_dictionary_bytes = 65'535;
// Structs inside structs: far more than anyone writes, far less than a stack holds.
constexpr std::size_t most_levels = 16;

// Walks the dictionary once, from left to right. Python's syntax for it allows far more than anyone
// writes; here is what numpy writes, with either quote, the u of Python 2 before strings, and free
// spaces between tokens.
class reader {
 public:
  explicit reader(std::string_view text) : rest_(text) {}

  npy_header dictionary() {
    npy_header header;
    take("{");
    while (!next_is("}")) {
      value(header);
      if (!next_is(",")) {
        take("}");
        break;
      }
    }
    skip_spaces();
    if (!rest_.empty()) refuse("the end of the header");
    if (seen_ != 7) refuse("the keys 'descr', 'fortran_order' and 'shape'");
    return header;
  }

 private:
  void value(npy_header& header) {
    const std::string key = quoted("a quoted key");
    take(":");
    if (key == "descr") {
      once(1);
      header.descr = type(0);
    } else if (key == "fortran_order") {
      once(2);
      header.fortran_order = truth();
    } else if (key == "shape") {
      once(4);
      header.shape = shape();
    } else {
      throw malformed("key '" + shown(key) + "' in its header",
                      "'descr', 'fortran_order' or 'shape'");
    }
  }

  void once(unsigned key) {
    if ((seen_ & key) != 0) refuse("each key once");
    seen_ |= key;
  }

  detail::dtype type(std::size_t level) {
    if (!next_is("[")) return {canonical_code(quoted("a quoted type, or a list of fields")), {}};
    if (level == most_levels) refuse("at most 16 levels of fields");
    detail::dtype list;
    if (next_is("]")) return {"|V0", {}};  // a struct without fields: no bytes
    do {
      list.fields.push_back(field(level + 1));
      if (!next_is(",")) {
        take("]");
        return list;
      }
    } while (!next_is("]"));
    return list;
  }

  detail::dtype_field field(std::size_t level) {
    detail::dtype_field one;
    take("(");
    one.name = name(one.title);
    take(",");
    std::vector<std::size_t> inner;
    one.type = repeated_type(level, inner);
    if (next_is(",") && !starts_with(")")) {
      one.shape = shape();
      next_is(",");
    }
    take(")");
    one.shape.insert(one.shape.end(), inner.begin(), inner.end());
    if (one.shape.size() > most_dimensions) refuse("at most 64 extents");
    return one;
  }

  // 'name', or ('title', 'name').
  std::string name(std::string& title) {
    constexpr const char* expected = "a quoted name of a field";
    if (!next_is("(")) return quoted(expected);
    title = quoted("a quoted title of a field");
    take(",");
    std::string found = quoted(expected);
    next_is(",");
    take(")");
    return found;
  }

  // A type, or ('<f8', (2,)): an array of arrays.
  detail::dtype repeated_type(std::size_t level, std::vector<std::size_t>& extents) {
    if (!next_is("(")) return type(level);
    if (level == most_levels) refuse("at most 16 levels of fields");
    std::vector<std::size_t> inner;
    detail::dtype found = repeated_type(level + 1, inner);
    take(",");
    extents = shape();
    next_is(",");
    take(")");
    extents.insert(extents.end(), inner.begin(), inner.end());
    return found;
  }

  std::string quoted(const char* expected) {
    skip_spaces();
    const bool marked = rest_.starts_with('u') || rest_.starts_with('U');
    const std::string_view text = rest_.substr(marked ? 1 : 0);
    if (text.empty() || (text[0] != '\'' && text[0] != '"')) refuse(expected);
    const char quote = text[0];
    std::string_view left = text.substr(1);
    std::string made;
    while (!left.starts_with(quote)) {
      if (left.empty()) refuse("a closing quote");
      const char next = left[0];
      // Python writes them as escapes.
      if ((next >= 0 && next < ' ') || next == '\x7f') refuse(expected);
      left.remove_prefix(1);
      if (next != '\\') {
        made += next;
      } else if (!unescape(left, made)) {
        refuse("escapes as Python writes them");
      }
    }
    if (!is_utf8(made)) refuse("UTF-8");
    rest_ = left.substr(1);
    return made;
  }

  // Takes what is behind a backslash from the text, and appends what it stands for.
  static bool unescape(std::string_view& text, std::string& to) {
    constexpr std::string_view from = "\\'\"abfnrtv";
    constexpr std::string_view means = "\\'\"\a\b\f\n\r\t\v";
    if (text.empty()) return false;
    const char letter = text[0];
    if (const std::size_t at = from.find(letter); at != std::string_view::npos) {
      to += means[at];
      text.remove_prefix(1);
      return true;
    }
    const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    if (digits == 0 || text.size() <= digits) return false;
    std::uint32_t character = 0;
    const char* const end = text.data() + 1 + digits;
    const auto [stopped, status] = std::from_chars(text.data() + 1, end, character, 16);
    if (status != std::errc{} || stopped != end) return false;
    text.remove_prefix(1 + digits);
    return append_utf8(to, character);
  }

  bool truth() {
    if (next_is("True")) return true;
    take("False");
    return false;
  }

  std::vector<std::size_t> shape() {
    std::vector<std::size_t> extents;
    take("(");
    bool comma = true;
    while (!next_is(")")) {
      if (!comma || extents.size() == most_dimensions) refuse("a tuple of at most 64 extents");
      extents.push_back(extent());
      comma = next_is(",");
    }
    // To Python (3) is a number.
    if (extents.size() == 1 && !comma) refuse("a tuple as 'shape'");
    return extents;
  }

  std::size_t extent() {
    skip_spaces();
    std::size_t value = 0;
    const auto [end, status] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (status != std::errc{}) refuse("an extent from 0 to 2^64 - 1");
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    // Python 2 wrote (3L,).
    if (rest_.starts_with('L')) rest_.remove_prefix(1);
    return value;
  }

  void skip_spaces() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  bool starts_with(std::string_view token) {
    skip_spaces();
    return rest_.starts_with(token);
  }

  bool next_is(std::string_view token) {
    if (!starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  void take(std::string_view token) {
    if (!next_is(token)) refuse("'" + std::string(token) + "'");
  }

  [[noreturn]] void refuse(const std::string& expected) const {
    const std::string found = shown(rest_.substr(0, 20));
    throw malformed(found.empty() ? "the end of its header" : "\"" + found + "\" in its header",
                    expected);
  }

  std::string_view rest_;
  unsigned seen_ = 0;
};

// Most of a header is blanks up to the first element, 4 KiB of them in our own, and a line's end:
// too many to be looked at one by one.
std::string_view without_filling(std::string_view text) {
  static constexpr std::string_view blanks = "                                ";
  if (text.ends_with('\n')) text.remove_suffix(1);
  while (text.ends_with(blanks)) text.remove_suffix(blanks.size());
  return text;
}

std::size_t little_endian(std::span<const std::byte> bytes) {
  std::size_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;)
    value = value << 8 | std::to_integer<std::size_t>(bytes[i]);
  return value;
}

}  // namespace

std::string dictionary(const npy_header& header) {
  return "{'descr': " + text(header.descr) +
         ", 'fortran_order': " + (header.fortran_order ? "True" : "False") +
         ", 'shape': " + tuple(header.shape) + ", }";
}

std::array<std::byte, header_bytes> written(const detail::dtype& descr,
                                            std::span<const std::size_t> shape) {
  const std::string dictionary = memory::dictionary({descr, false, {shape.begin(), shape.end()}});
  const bool ascii =
      std::ranges::none_of(dictionary, [](char each) { return each < 0 || each == '\x7f'; });
  const std::size_t dictionary_offset = ascii ? 10 : 12;
  const std::size_t length = header_bytes - dictionary_offset;
  if (dictionary.size() >= length) {
    throw malformed("a type and a shape of " + std::to_string(dictionary.size()) + " bytes of text",
                    "fewer than " + std::to_string(length));
  }
  std::string text(magic);
  text += {ascii ? '\x01' : '\x03', '\x00', static_cast<char>(length & 0xff),
           static_cast<char>(length >> 8)};
  text.resize(dictionary_offset, '\x00');
  text += dictionary;
  text.resize(header_bytes - 1, ' ');
  text += '\n';
  std::array<std::byte, header_bytes> bytes{};
  std::memcpy(bytes.data(), text.data(), bytes.size());
  return bytes;
}

prologue read_prologue(std::span<const std::byte> first_bytes) {
  constexpr std::size_t version_at = magic.size();
  constexpr std::size_t length_at = version_at + 2;
  if (first_bytes.size() < length_at + 2) {
    throw malformed(std::to_string(first_bytes.size()) + " bytes", "a .npy file");
  }
  if (std::memcmp(first_bytes.data(), magic.data(), magic.size()) != 0) {
    throw malformed("another kind of file", "a .npy file, which begins with \\x93NUMPY");
  }
  const auto major = std::to_integer<unsigned>(first_bytes[version_at]);
  const auto minor = std::to_integer<unsigned>(first_bytes[version_at + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    throw malformed(".npy version " + std::to_string(major) + "." + std::to_string(minor),
                    "version 1.0, 2.0 or 3.0");
  }
  const std::size_t digits = major == 1 ? 2 : 4;
  if (first_bytes.size() < length_at + digits)
    throw malformed("the end of the file", "a .npy header");
  const std::size_t length = little_endian(first_bytes.subspan(length_at, digits));
  if (length > longest_dictionary_bytes) {
    throw malformed("a header of " + std::to_string(length) + " bytes",
                    "at most " + std::to_string(longest_dictionary_bytes));
  }
  return {length_at + digits, length, major < 3 ? encoding::latin1 : encoding::utf8};
}

npy_header parse(std::string_view dictionary, encoding characters) {
  dictionary = without_filling(dictionary);
  if (characters == encoding::utf8) return reader(dictionary).dictionary();
  const std::string converted = utf8_of_latin1(dictionary);
  return reader(converted).dictionary();
}

std::size_t data_bytes(std::span<const std::size_t> shape, std::size_t element_bytes,
                       std::size_t available) {
  if (std::ranges::count(shape, std::size_t{0}) > 0) return 0;
  std::size_t bytes = element_bytes;
  for (std::size_t extent : shape) {
    std::size_t product = 0;
    if (__builtin_mul_overflow(bytes, extent, &product)) {
      throw malformed("shape " + shown(tuple(shape)), "one whose size does not overflow");
    }
    bytes = product;
  }
  if (bytes > available) {
    throw malformed(std::to_string(available) + " bytes of data",
                    std::to_string(bytes) + " for shape " + shown(tuple(shape)));
  }
  return bytes;
}

}  // namespace shard::memory
