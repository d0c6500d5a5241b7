// shard info: what is in files and named buffers, and how a program opens them, as shard::inspect
// says.

#include <nlohmann/json.hpp>
#include <string>

#include "command/array_file.hpp"
#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "command/values.hpp"
#include "memory/dtype.hpp"
#include "memory/inspect.hpp"

namespace shard::command {
namespace {

using json = nlohmann::ordered_json;
using command::word;

const char* word(byte_order order) {
  switch (order) {
    case byte_order::none: return "none";
    case byte_order::little: return "little";
    case byte_order::big: return "big";
    case byte_order::mixed: return "mixed";
  }
  return "";
}

const char* sentence(byte_order order) {
  switch (order) {
    case byte_order::none: return "of no importance";
    case byte_order::little: return "little-endian";
    case byte_order::big: return "big-endian";
    case byte_order::mixed: return "mixed";
  }
  return "";
}

const char* word(way_in access) {
  switch (access) {
    case way_in::open: return "open";
    case way_in::load: return "load";
    case way_in::none: return "none";
  }
  return "";
}

const char* sentence(way_in access) {
  switch (access) {
    case way_in::open: return "maps in place: shard::open";
    case way_in::load: return "is read and converted by shard::load: ";
    case way_in::none: return "not with shard: ";
  }
  return "";
}

std::size_t count_of(const field_info& field) {
  std::size_t count = 1;
  for (const std::size_t extent : field.shape) count *= extent;
  return count;
}

json fields_as_json(const element_info& type) {
  json list = json::array();
  for (const field_info& field : type.fields) {
    if (field.padding) continue;
    json one{{"name", field.name},
             {"offset", field.offset},
             {"type", field.type.name},
             {"shape", field.shape},
             {"bytes", field.type.size_bytes * count_of(field)}};
    if (!field.type.fields.empty()) one["fields"] = fields_as_json(field.type);
    list.push_back(std::move(one));
  }
  return list;
}

json as_json(const array_file& of, const array_info& info) {
  json one{{"name", of.argument},
           {"backing", word(info.kind)},
           {"path", of.path},
           {"mode", fmt::format("{:04o}", of.mode)},
           {"descr", info.descr},
           {"type", info.type.name},
           {"element_bytes", info.type.size_bytes},
           {"shape", info.shape},
           {"order", info.column_major ? "column" : "row"},
           {"byte_order", word(info.order)},
           {"data_bytes", info.data_bytes},
           {"data_offset", info.data_offset},
           {"file_bytes", info.file_bytes},
           {"access", word(info.access)}};
  if (!info.element.empty()) one["element"] = info.element;
  if (!info.why.empty()) one["why"] = info.why;
  if (const auto torn = torn_elements(of); !torn.empty()) one["torn"] = ranges_as_json(torn);
  if (!info.type.fields.empty()) one["fields"] = fields_as_json(info.type);
  return one;
}

void put_fields(output& to, const element_info& type, std::size_t depth) {
  for (const field_info& field : type.fields) {
    const std::string shape = field.shape.empty() ? "" : " " + memory::tuple(field.shape);
    to.print("  {:>12}  {:{}}{}: {}{}\n", field.offset, "", 2 * depth,
             field.padding ? "(padding)" : printable(field.name), field.type.name, shape);
    put_fields(to, field.type, depth + 1);
  }
}

void put_text(output& to, const array_file& of, const array_info& info) {
  to.print("{}\n", printable(of.argument));
  to.print("  backing       {}{}, mode {:04o}\n", word(info.kind),
           info.kind == backing::named ? " buffer " + printable(of.path) : "", of.mode);
  to.print("  type          {}: {}\n", printable(info.descr), info.type.name);
  if (!info.type.fields.empty()) {
    to.print("  fields        at byte, name, type\n");
    put_fields(to, info.type, 0);
  }
  if (!info.element.empty()) to.print("  element       {}\n", info.element);
  to.print("  shape         {}\n", memory::tuple(info.shape));
  to.print("  order         {}\n", info.column_major ? "column-major (Fortran)" : "row-major");
  to.print("  byte order    {}\n", sentence(info.order));
  to.print("  data          {} bytes at byte {} of {}\n", info.data_bytes, info.data_offset,
           info.file_bytes);
  to.print("  access        {}{}\n", sentence(info.access), printable(info.why));
  if (const auto torn = torn_elements(of); !torn.empty()) {
    to.print("  torn          {}: a writer died there\n", elements(torn));
  }
}

}  // namespace

status info(const listing& asked) {
  return tell_of_each(asked, "describe", [](const array_file& of) {
    const array_info found =
        attempt("describe " + of.argument, [&] { return memory::described(of.file); });
    return said{as_json(of, found), [&of, found](output& to) { put_text(to, of, found); }};
  });
}

}  // namespace shard::command
