// New arrays, in memory and in a file.

#include <algorithm>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/location.hpp"
#include "memory/npy_header.hpp"
#include "memory/output_file.hpp"
#include "memory/padding.hpp"
#include "memory/room.hpp"
#include "memory/segment.hpp"
#include "memory/unpublished.hpp"
#include "os/file.hpp"
#include "os/huge_pages.hpp"
#include "shard/detail/index.hpp"

namespace shard::detail {
namespace {

using memory::header_bytes;

static_assert(header_bytes % most_alignment == 0, "the data of every array begin there");

// From the pages that the system has in reserve; false if those are not enough. Their file system
// has no write(2), so the header goes through the mapping.
bool made_of_huge_pages(segment::parts& parts, memory::sizes size,
                        std::span<const std::byte> header) try {
  os::descriptor file = os::huge_memory_file("shard", size.file_bytes());
  os::mapping mapped(file.get(), os::round_to_pages(file.get(), size.file_bytes()),
                     os::protection::write);
  std::ranges::copy(header, mapped.base());
  parts.file = std::move(file);
  parts.mapped = std::move(mapped);
  return true;
} catch (const os::call_failed&) {
  return false;
}

}  // namespace

array create_memory(const element_type& type, std::span<const std::size_t> shape, pages made_of) {
  const std::string what = "a buffer";
  const memory::sizes size = memory::sizes_of(what, backing::memory, type, shape);
  memory::require_file_size(what, size);
  memory::require_memory(what, size);
  return memory::attempt(
      "create " + memory::sized(what, size),
      "memory, descriptors and address space (ulimit -v) for it", [&] {
        segment::parts parts{
            .name = "memory", .element_bytes = type.size_bytes, .padding = memory::padding(type)};
        parts.kind = backing::memory;
        parts.data_offset = header_bytes;
        parts.data_bytes = size.data_bytes;
        parts.writable = true;
        parts.made_in_memory = true;
        parts.created = true;
        const auto header = memory::written(type.description, shape);
        if (made_of == pages::normal || !made_of_huge_pages(parts, size, header)) {
          parts.file = os::memory_file("shard", size.file_bytes());
          os::write_all(parts.file, header, 0);
          parts.mapped = os::mapping(parts.file.get(), size.mapped_bytes(), os::protection::write);
          if (made_of == pages::huge) os::collapse(parts.mapped);
        }
        return segment::make_array(std::move(parts), {shape.begin(), shape.end()});
      });
}

array create_file(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape, asked_permissions asked) {
  return memory::unpublished(memory::file_location(path), type, shape, memory::taking::replaces,
                             asked);
}

}  // namespace shard::detail
