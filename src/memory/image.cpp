#include "memory/image.hpp"

#include <utility>

#include "memory/name.hpp"
#include "memory/npy_file.hpp"
#include "memory/npy_header.hpp"
#include "memory/padding.hpp"
#include "memory/segment.hpp"

namespace shard::memory {
namespace {

// numpy's array without dimensions has one element: to a buffer of rank 1, an extent of 1.
std::vector<std::size_t> shape_of(const npy_header& header, std::size_t rank) {
  if (header.shape.empty() && rank == 1) return {1};
  if (header.shape.size() != rank) {
    throw malformed("shape " + shown(tuple(header.shape)),
                    std::to_string(rank) + (rank == 1 ? " dimension" : " dimensions"));
  }
  return header.shape;
}

}  // namespace

image inspect(const os::descriptor& file, const wanted& want) {
  const npy_file read = read_npy_file(file);
  const npy_header& header = read.header;
  image found;
  found.type = text(header.descr);
  found.swaps = differences(header.descr, want.type.description);
  found.becomes = converted(header.descr, want.type.description);
  found.shape = shape_of(header, want.rank);
  found.column_major = read.column_major();
  found.data_offset = read.data_offset;
  found.data_bytes = data_bytes(found.shape, want.type.size_bytes, read.available_bytes());
  return found;
}

std::optional<malformed> obstacle(const image& found, const detail::element_type& type) {
  if (!found.swaps.empty()) return malformed(shown(found.type), text(type.description));
  if (found.column_major) return malformed("column-major data (fortran_order)", "row-major");
  if (found.data_offset % type.alignment != 0) {
    return malformed("data at byte " + std::to_string(found.data_offset),
                     "a multiple of " + std::to_string(type.alignment) + ", for aligned elements");
  }
  return std::nullopt;
}

detail::array mapped(const location& at, os::descriptor file, const wanted& want) {
  image found = inspect(file, want);
  if (const auto why = obstacle(found, want.type)) {
    throw malformed(why->what(), why->expected() + "; shard::load converts it");
  }
  detail::segment::parts parts{
      .name = at.name, .element_bytes = want.type.size_bytes, .padding = padding(want.type)};
  parts.mapped = os::mapping(file.get(), found.data_offset + found.data_bytes, want.protection());
  parts.file = std::move(file);
  parts.data_offset = found.data_offset;
  parts.data_bytes = found.data_bytes;
  parts.writable = want.writing();
  parts.kind = at.kind;
  if (!at.path.empty()) parts.path = absolute_path(at.path);
  if (at.kind == backing::named) parts.kept_name = keep_name(parts.path, parts.file);
  return detail::segment::make_array(std::move(parts), std::move(found.shape));
}

}  // namespace shard::memory
