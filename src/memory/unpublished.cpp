#include "memory/unpublished.hpp"

#include <utility>

#include "memory/attempt.hpp"
#include "memory/control.hpp"
#include "memory/name.hpp"
#include "memory/npy_header.hpp"
#include "memory/padding.hpp"
#include "memory/room.hpp"
#include "memory/segment.hpp"
#include "os/file.hpp"

namespace shard::memory {

detail::array unpublished(const location& at, const detail::element_type& type,
                          std::span<const std::size_t> shape, taking name,
                          asked_permissions asked) {
  const std::string what = label(at);
  const sizes size = sizes_of(what, at.kind, type, shape);
  require_file_size(what, size);
  if (at.kind == backing::named) require_memory(what, size);
  output_file output = naming("create " + what, "a folder that can be written to",
                              [&] { return output_file(at.path, name, asked); });
  return attempt("create " + sized(what, size), "room for it, and address space", [&] {
    detail::segment::parts parts{
        .name = at.name, .element_bytes = type.size_bytes, .padding = padding(type)};
    parts.kind = at.kind;
    parts.path = absolute_path(at.path);
    parts.file = output.take_descriptor();
    os::reserve(parts.file, size.file_bytes());
    os::write_all(parts.file, written(type.description, shape), 0);
    if (at.kind == backing::named) {
      make_permanent(parts.file, size.mapped_bytes());
      parts.kept_name = keep_name(parts.path, parts.file);
      hold(parts.file);
    }
    parts.mapped = os::mapping(parts.file.get(), size.mapped_bytes(), os::protection::write);
    parts.data_offset = header_bytes;
    parts.data_bytes = size.data_bytes;
    parts.writable = true;
    parts.created = true;
    parts.unfinished.emplace(std::move(output));
    return detail::segment::make_array(std::move(parts), {shape.begin(), shape.end()});
  });
}

}  // namespace shard::memory
