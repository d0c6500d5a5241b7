#include "memory/dtype.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "memory/layout.hpp"
#include "memory/malformed.hpp"
#include "memory/type_code.hpp"

namespace shard::memory {
namespace {

using detail::dtype;
using detail::dtype_field;

// What numpy's codes have after the order of bytes: a kind, and how many bytes.
constexpr std::size_t kind_at = 1;
constexpr std::size_t digits_at = 2;
constexpr std::size_t character_bytes = 4;

// As Python writes strings, but what is not ASCII stays as it is.
std::string quoted(const std::string& name) {
  const bool has_single = name.find('\'') != std::string::npos;
  const char quote = has_single && name.find('"') == std::string::npos ? '"' : '\'';
  constexpr std::string_view hexadecimal = "0123456789abcdef";
  std::string text(1, quote);
  for (const char each : name) {
    const auto byte = static_cast<unsigned char>(each);
    if (each == quote || each == '\\') {
      text += {'\\', each};
    } else if (each == '\n') {
      text += "\\n";
    } else if (each == '\r') {
      text += "\\r";
    } else if (each == '\t') {
      text += "\\t";
    } else if (byte < ' ' || byte == 0x7f) {
      text += {'\\', 'x', hexadecimal[byte >> 4], hexadecimal[byte & 15]};
    } else {
      text += each;
    }
  }
  return text + quote;
}

std::string text(const dtype_field& field) {
  const std::string shape = field.shape.empty() ? "" : ", " + tuple(field.shape);
  const std::string name = field.title.empty()
                               ? quoted(field.name)
                               : "(" + quoted(field.title) + ", " + quoted(field.name) + ")";
  return "(" + name + ", " + memory::text(field.type) + shape + ")";
}

std::size_t volume(const std::vector<std::size_t>& shape) {
  std::size_t count = 1;
  for (std::size_t extent : shape) count *= extent;
  return count;
}

// Of a type of ours: nothing that a file says gets here, so it neither overflows nor fails.
std::size_t size_of(const dtype& type) {
  std::size_t bytes = 0;
  if (type.fields.empty()) {
    std::from_chars(type.code.data() + digits_at, type.code.data() + type.code.size(), bytes);
    if (type.code[kind_at] == 'U') bytes *= character_bytes;
  }
  for (const dtype_field& field : type.fields) bytes += size_of(field.type) * volume(field.shape);
  return bytes;
}

// What a file has, for messages. A type that shard does not have is named in words, too.
std::string described(const dtype& found) {
  std::string line = shown(memory::text(found));
  const auto code = read_type_code(found.code);
  if (!found.fields.empty() || !code) return line;
  const std::string name = foreign_name(*code);
  return name.empty() ? line : line + " (" + name + ")";
}

// "<M8[60s]" and "<M8[m]" are the same type.
bool equal_times(const std::string& found, const std::string& wanted) {
  const auto is_time = [](const std::string& code) {
    return code.size() > kind_at && (code[kind_at] == 'M' || code[kind_at] == 'm');
  };
  if (!is_time(found) || !is_time(wanted) || found[kind_at] != wanted[kind_at]) return false;
  const auto a = read_type_code(found);
  const auto b = read_type_code(wanted);
  return a && b && a->order == b->order && has_fixed_length(a->unit) && has_fixed_length(b->unit) &&
         equally_long(a->unit, b->unit);
}

// Throws malformed if the type is none of numpy's.
layout whole_of(const dtype_field& field) { return layout_of({"", {field}}); }

// A field that is bytes to the program may be an array to numpy.
bool takes_all_of(const dtype_field& wanted) { return wanted.type.any && wanted.shape.empty(); }

// Collects swaps while it walks two types side by side.
class comparison {
 public:
  std::vector<swap> swaps;

  // `count` elements of each type from byte `at` on. `where` names the field they are in.
  void compare(const dtype& found, const dtype& wanted, std::size_t at, std::size_t count,
               const std::string& where) {
    if (wanted.any) {
      require_bytes(layout_of(found), found, wanted, where);
      return;
    }
    if (wanted.fields.empty()) {
      compare_codes(found, wanted, at, count, where);
      return;
    }
    if (found.fields.empty()) {
      throw malformed(said(where, " as ") + described(found), "the fields " + memory::text(wanted));
    }
    const std::size_t before = swaps.size();
    compare_fields(found.fields, wanted.fields, at, where);
    repeat(before, size_of(wanted), count);
  }

 private:
  void compare_codes(const dtype& found, const dtype& wanted, std::size_t at, std::size_t count,
                     const std::string& where) {
    std::string code = found.code;
    if (found.fields.empty() && code == wanted.code) return;
    if (code.starts_with('>')) code[0] = '<';
    if (found.fields.empty() && equal_times(code, wanted.code)) {
      if (found.code.starts_with('<')) return;
      code = wanted.code;
    }
    if (!found.fields.empty() || code != wanted.code) {
      const bool opaque = !found.fields.empty() && wanted.code[kind_at] == 'V';
      throw malformed(said(where, " as ") + described(found),
                      memory::text(wanted) + (opaque ? "; shard::fields describes a struct" : ""));
    }
    const std::size_t bytes = size_of(wanted);
    const std::size_t parts = code[kind_at] == 'c'   ? 2
                              : code[kind_at] == 'U' ? bytes / character_bytes
                                                     : 1;
    swaps.push_back({at, bytes / parts, count * parts});
  }

  static void require_bytes(const layout& of, const dtype& found, const dtype& wanted,
                            const std::string& where) {
    if (of.has_objects || of.size_bytes != size_of(wanted)) {
      throw malformed(said(where, " as ") + described(found),
                      "any type of " + std::to_string(size_of(wanted)) +
                          (size_of(wanted) == 1 ? " byte" : " bytes") + ", not of Python objects");
    }
  }

  void compare_fields(const std::vector<dtype_field>& found, const std::vector<dtype_field>& wanted,
                      std::size_t at, const std::string& where) {
    const std::size_t most = std::max(found.size(), wanted.size());
    for (std::size_t i = 0; i < most; ++i) {
      const bool both = i < found.size() && i < wanted.size();
      const bool bytes = both && takes_all_of(wanted[i]);
      if (!both || found[i].name != wanted[i].name ||
          (found[i].shape != wanted[i].shape && !bytes)) {
        throw malformed(i < found.size()
                            ? "field " + shown(text(found[i])) + " at byte " + std::to_string(at)
                            : "no field at byte " + std::to_string(at),
                        i < wanted.size() ? expected(wanted[i]) : "no more fields");
      }
      const std::size_t count = volume(wanted[i].shape);
      const std::string name = where.empty() ? wanted[i].name : where + "." + wanted[i].name;
      if (bytes) {
        require_bytes(whole_of(found[i]), found[i].type, wanted[i].type, name);
      } else {
        compare(found[i].type, wanted[i].type, at, count, name);
      }
      at += size_of(wanted[i].type) * count;
    }
  }

  // What was found in the first of `count` structs is in the others, too.
  void repeat(std::size_t before, std::size_t size_bytes, std::size_t count) {
    const std::size_t end = swaps.size();
    for (std::size_t i = 1; i < count; ++i) {
      for (std::size_t j = before; j < end; ++j) {
        swap again = swaps[j];
        again.offset += i * size_bytes;
        swaps.push_back(again);
      }
    }
  }

  static std::string said(const std::string& where, const char* then) {
    return where.empty() ? "" : "field '" + where + "'" + then;
  }

  static std::string expected(const dtype_field& field) {
    return text(field) +
           (field.name.empty() ? ", padding as numpy.dtype(..., align=True) has" : "");
  }
};

}  // namespace

std::string tuple(std::span<const std::size_t> shape) {
  std::string text = "(";
  for (std::size_t extent : shape) text += std::to_string(extent) + ", ";
  if (!shape.empty()) text.resize(text.size() - (shape.size() == 1 ? 1 : 2));
  return text + ")";
}

std::string text(const dtype& type) {
  if (type.fields.empty()) return quoted(type.code);
  std::string list;
  for (const dtype_field& field : type.fields) {
    list += (list.empty() ? "[" : ", ") + text(field);
  }
  return list + "]";
}

std::string shown(std::string_view found) {
  constexpr std::size_t longest = 120;
  std::string line(found.substr(0, longest));
  std::ranges::replace_if(
      line, [](char c) { return c < ' ' || c > '~'; }, '?');
  return found.size() > longest ? line + "..." : line;
}

std::vector<swap> differences(const dtype& found, const dtype& wanted) {
  comparison both;
  both.compare(found, wanted, 0, 1, "");
  return std::move(both.swaps);
}

bool takes_any(const dtype& type) {
  return type.any || std::ranges::any_of(
                         type.fields, [](const dtype_field& each) { return takes_any(each.type); });
}

dtype converted(const dtype& found, const dtype& wanted) {
  if (wanted.any) return found;
  dtype made = wanted;
  for (std::size_t i = 0; i < made.fields.size(); ++i) {
    dtype_field& field = made.fields[i];
    if (takes_all_of(field)) {
      field = found.fields[i];
    } else {
      field.type = converted(found.fields[i].type, field.type);
    }
  }
  return made;
}

}  // namespace shard::memory
