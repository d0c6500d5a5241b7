// shard info: what is in files and named buffers, and how a program opens them.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "command/array_file.hpp"
#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "command/values.hpp"
#include "memory/dtype.hpp"
#include "memory/image.hpp"
#include "memory/layout.hpp"
#include "shard/detail/index.hpp"

namespace shard::command {
namespace {

using json = nlohmann::ordered_json;
using memory::layout;
using memory::layout_field;

struct orders {
  bool little = false;
  bool big = false;
};

void note_orders(orders& found, const layout& type) {
  for (const layout_field& field : type.fields) note_orders(found, field.type);
  if (!type.fields.empty() || type.kind == memory::kind::opaque ||
      type.kind == memory::kind::text || type.size_bytes == 1) {
    return;
  }
  (type.big_endian ? found.big : found.little) = true;
}

const char* byte_order(const layout& type) {
  orders found;
  note_orders(found, type);
  if (found.big) return found.little ? "mixed" : "big";
  return found.little ? "little" : "none";
}

// How a program gets at it: by "open", "load" or "none", and why not by open.
struct access {
  std::string by;
  std::string element{};  // of the buffer; nothing if there is none
  std::string why{};
};

std::string reason(const memory::malformed& why) {
  return fmt::format("found {}, expected {}", why.what(), why.expected());
}

// As open and load would decide for a buffer of this type. Throws malformed.
access access_as(const array_file& of, const detail::element_type& type, std::size_t rank,
                 std::string element) {
  const memory::image found = memory::inspect(of.file, {type, rank, detail::access::read});
  const auto why = memory::obstacle(found, type);
  return why ? access{"load", std::move(element), reason(*why)}
             : access{"open", std::move(element)};
}

// Bytes that no type of shard's has the meaning of.
access access_as_bytes(const array_file& of, std::size_t rank) {
  const std::string bytes = std::to_string(of.type.size_bytes);
  const detail::element_type any{{"|V" + bytes, {}, true}, of.type.size_bytes, 1};
  return access_as(of, any, rank, "shard::raw<" + bytes + ">");
}

access access_to(const array_file& of) {
  if (of.type.has_objects) {
    return {"none", "",
            fmt::format("found {}, which Python alone can read, expected {}",
                        memory::foreign_part(of.type), memory::own_types)};
  }
  if (of.type.size_bytes == 0) return {"none", "", "its elements have no bytes"};
  const std::size_t rank = std::max<std::size_t>(of.shape().size(), 1);
  if (rank > detail::most_dimensions) {
    return {"none", "",
            fmt::format("found {} dimensions, expected at most {}", rank, detail::most_dimensions)};
  }
  return attempt("describe " + of.argument, [&]() -> access {
    try {
      return access_as(of, memory::element_type_of(of.type), rank, memory::element_words(of.type));
    } catch (const memory::malformed&) {
    } catch (const error&) {
    }
    return access_as_bytes(of, rank);
  });
}

json fields_as_json(const layout& type) {
  json list = json::array();
  for (const layout_field& field : type.fields) {
    if (field.padding) continue;
    json one{{"name", field.name},
             {"offset", field.offset},
             {"type", words(field.type)},
             {"shape", field.shape},
             {"bytes", field.type.size_bytes * field.count}};
    if (!field.type.fields.empty()) one["fields"] = fields_as_json(field.type);
    list.push_back(std::move(one));
  }
  return list;
}

json as_json(const array_file& of) {
  const access how = access_to(of);
  json one{{"name", of.argument},
           {"backing", word(of.kind)},
           {"path", of.path},
           {"mode", fmt::format("{:04o}", of.mode)},
           {"descr", memory::text(of.npy.header.descr)},
           {"type", words(of.type)},
           {"element_bytes", of.type.size_bytes},
           {"shape", of.shape()},
           {"order", of.npy.header.fortran_order ? "column" : "row"},
           {"byte_order", byte_order(of.type)},
           {"data_bytes", of.data_bytes},
           {"data_offset", of.npy.data_offset},
           {"file_bytes", of.npy.file_bytes},
           {"access", how.by}};
  if (!how.element.empty()) one["element"] = how.element;
  if (!how.why.empty()) one["why"] = how.why;
  if (const auto torn = torn_elements(of); !torn.empty()) one["torn"] = ranges_as_json(torn);
  if (!of.type.fields.empty()) one["fields"] = fields_as_json(of.type);
  return one;
}

void put_fields(output& to, const layout& type, std::size_t depth) {
  for (const layout_field& field : type.fields) {
    const std::string shape = field.shape.empty() ? "" : " " + memory::tuple(field.shape);
    to.print("  {:>12}  {:{}}{}: {}{}\n", field.offset, "", 2 * depth,
             field.padding ? "(padding)" : printable(field.name), words(field.type), shape);
    put_fields(to, field.type, depth + 1);
  }
}

void put_text(output& to, const array_file& of) {
  const access how = access_to(of);
  const std::string order = byte_order(of.type);
  to.print("{}\n", printable(of.argument));
  to.print("  backing       {}{}, mode {:04o}\n", word(of.kind),
           of.kind == backing::named ? " buffer " + printable(of.path) : "", of.mode);
  to.print("  type          {}: {}\n", printable(memory::text(of.npy.header.descr)),
           words(of.type));
  if (!of.type.fields.empty()) {
    to.print("  fields        at byte, name, type\n");
    put_fields(to, of.type, 0);
  }
  if (!how.element.empty()) to.print("  element       {}\n", how.element);
  to.print("  shape         {}\n", memory::tuple(of.shape()));
  to.print("  order         {}\n",
           of.npy.header.fortran_order ? "column-major (Fortran)" : "row-major");
  to.print("  byte order    {}\n", order == "none"    ? "of no importance"
                                   : order == "mixed" ? "mixed"
                                                      : order + "-endian");
  to.print("  data          {} bytes at byte {} of {}\n", of.data_bytes, of.npy.data_offset,
           of.npy.file_bytes);
  to.print("  access        {}{}\n",
           how.by == "open"   ? "maps in place: shard::open"
           : how.by == "load" ? "is read and converted by shard::load: "
                              : "not with shard: ",
           printable(how.why));
  if (const auto torn = torn_elements(of); !torn.empty()) {
    to.print("  torn          {}: a writer died there\n", elements(torn));
  }
}

}  // namespace

status info(const listing& asked) {
  return tell_of_each(asked, "describe", [](const array_file& of) {
    return said{as_json(of), [&of](output& to) { put_text(to, of); }};
  });
}

}  // namespace shard::command
