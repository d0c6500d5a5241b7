// What files hold, and how a program gets at it: as open and load would decide.

#include "memory/inspect.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/dtype.hpp"
#include "memory/image.hpp"
#include "memory/layout.hpp"
#include "memory/location.hpp"
#include "memory/named.hpp"
#include "memory/npy_file.hpp"
#include "memory/npy_header.hpp"
#include "os/file.hpp"
#include "shard/detail/index.hpp"
#include "shard/error.hpp"
#include "shard/visit.hpp"

namespace shard {
namespace {

using memory::layout;
using memory::layout_field;

element_kind kind_of(const layout& type) {
  if (type.has_objects) return element_kind::objects;
  switch (type.kind) {
    case memory::kind::boolean: return element_kind::boolean;
    case memory::kind::integer: return element_kind::integer;
    case memory::kind::natural: return element_kind::natural;
    case memory::kind::real: return element_kind::real;
    case memory::kind::complex: return element_kind::complex;
    case memory::kind::text: return element_kind::text;
    case memory::kind::characters: return element_kind::u32text;
    case memory::kind::date: return element_kind::date;
    case memory::kind::span: return element_kind::duration;
    case memory::kind::structure: return element_kind::structure;
    case memory::kind::opaque:
    case memory::kind::foreign: return element_kind::bytes;
  }
  return element_kind::bytes;
}

element_info info_of(const layout& type) {
  element_info info;
  info.kind = kind_of(type);
  info.size_bytes = type.size_bytes;
  info.big_endian = type.big_endian;
  info.name = memory::words(type);
  for (const layout_field& each : type.fields) {
    info.fields.push_back({each.name, each.offset, info_of(each.type), each.shape, each.padding});
  }
  return info;
}

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

byte_order order_of(const layout& type) {
  orders found;
  note_orders(found, type);
  if (found.big) return found.little ? byte_order::mixed : byte_order::big;
  return found.little ? byte_order::little : byte_order::none;
}

// What the header of an open file says.
struct contents {
  const os::descriptor& file;
  const memory::npy_file& npy;
  const layout& type;

  std::size_t rank() const { return std::max<std::size_t>(npy.header.shape.size(), 1); }
};

// Throws malformed, also if there is no room for the type in the header of what load() makes.
void say_access(array_info& to, const contents& of, const detail::element_type& as,
                std::string element) {
  const memory::image found = memory::inspect(of.file, {as, of.rank(), detail::access::read});
  const auto why = memory::obstacle(found, as);
  if (why) memory::written(found.becomes, found.shape);
  to.access = why ? way_in::load : way_in::open;
  to.element = std::move(element);
  if (why) to.why = std::string("found ") + why->what() + ", expected " + why->expected();
}

// As the type that comes closest, or as bytes, or not at all.
void say_access(array_info& to, const contents& of) {
  const std::string bytes = std::to_string(of.type.size_bytes);
  try {
    return say_access(to, of, memory::element_type_of(of.type), memory::element_words(of.type));
  } catch (const memory::malformed&) {
  } catch (const error&) {
  }
  const detail::element_type any{{"|V" + bytes, {}, true}, of.type.size_bytes, 1};
  try {
    say_access(to, of, any, "shard::raw<" + bytes + ">");
  } catch (const memory::malformed& e) {
    to.why = std::string("found ") + e.what() + ", expected " + e.expected();
  }
}

std::string why_nothing(const contents& of) {
  if (of.type.has_objects) {
    return "found " + memory::foreign_part(of.type) + ", which Python alone can read, expected " +
           memory::own_types;
  }
  if (of.type.size_bytes == 0) return "found elements without bytes, expected some";
  if (of.rank() > detail::most_dimensions) {
    return "found " + std::to_string(of.rank()) + " dimensions, expected at most " +
           std::to_string(detail::most_dimensions);
  }
  return {};
}

array_info described_at(const std::string& path) {
  return memory::described(os::open(path, os::protection::read));
}

}  // namespace

backing memory::kind_of(const os::descriptor& file) {
  if (os::sealed(file.get())) return backing::memory;
  return name_of_shared(file.get()) ? backing::named : backing::file;
}

array_info memory::described(const os::descriptor& file) {
  const npy_file npy = read_npy_file(file);
  const layout type = layout_of(npy.header.descr);
  const contents all{file, npy, type};
  array_info info;
  info.descr = text(npy.header.descr);
  info.type = info_of(type);
  info.shape = npy.header.shape;
  info.column_major = npy.header.fortran_order;
  info.order = order_of(type);
  info.data_offset = npy.data_offset;
  info.file_bytes = npy.file_bytes;
  info.kind = kind_of(file);
  const std::size_t available = npy.available_bytes();
  // Of elements without bytes, or of objects, the shape alone says how many there are.
  data_bytes(info.shape, 1, std::numeric_limits<std::size_t>::max());
  info.data_bytes =
      type.has_objects ? available : data_bytes(info.shape, type.size_bytes, available);
  info.why = why_nothing(all);
  if (info.why.empty()) say_access(info, all);
  return info;
}

std::size_t array_info::size() const noexcept {
  std::size_t count = 1;
  for (const std::size_t extent : shape) count *= extent;
  return count;
}

array_info inspect(const std::filesystem::path& path) {
  const std::string name = memory::file_location(path).name;
  return memory::attempt("inspect " + name, "a readable .npy file",
                         [&] { return described_at(name); });
}

array_info named::inspect(const std::string& name) {
  return memory::attempt("inspect named buffer " + name, "a readable buffer of that name",
                         [&] { return described_at(memory::shared_path(name)); });
}

namespace detail {

array open_or_load(const std::filesystem::path& path, const element_type& type,
                   const array_info& info) {
  const std::size_t rank = std::max<std::size_t>(info.shape.size(), 1);
  switch (info.access) {
    case way_in::open: return open_file(path, type, rank, access::read);
    case way_in::load: return load_file(path, type, rank);
    case way_in::none: break;
  }
  throw error(std::errc::invalid_argument, "cannot open " + path.string() + ": " + info.why);
}

void refuse_visit(const std::filesystem::path& path, const array_info& info) {
  throw error(std::errc::invalid_argument, "cannot visit " + path.string() + ": found " +
                                               info.type.name +
                                               ", expected numbers that the function takes");
}

void refuse_visit(const std::filesystem::path& path, const array_info& info, std::size_t rank) {
  throw error(std::errc::invalid_argument, "cannot visit " + path.string() + ": found shape " +
                                               memory::tuple(info.shape) + ", expected " +
                                               std::to_string(rank) + " dimensions");
}

}  // namespace detail

}  // namespace shard
