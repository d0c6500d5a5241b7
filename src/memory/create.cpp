// New arrays: in memory, in a file, and copied to a file.

#include <algorithm>
#include <limits>

#include "memory/attempt.hpp"
#include "memory/control.hpp"
#include "memory/create.hpp"
#include "memory/dtype.hpp"
#include "memory/malformed.hpp"
#include "memory/name.hpp"
#include "memory/npy_header.hpp"
#include "memory/observed.hpp"
#include "memory/output_file.hpp"
#include "memory/padding.hpp"
#include "memory/segment.hpp"
#include "os/file.hpp"
#include "os/headroom.hpp"
#include "shard/detail/index.hpp"

namespace shard::detail {
namespace {

using memory::attempt;
using memory::header_bytes;
using memory::output_file;

static_assert(header_bytes % most_alignment == 0, "the data of every array begin there");

// What sizes of files can be (off_t has a sign), less room for the control area.
constexpr std::size_t longest_bytes =
    std::numeric_limits<std::ptrdiff_t>::max() - (std::ptrdiff_t{1} << 40);

// How much data there is, what is mapped for it, and what the whole file takes.
struct sizes {
  std::size_t data_bytes = 0;
  bool has_control = false;  // room for the words that processes share, from the start
  std::size_t mapped_bytes() const noexcept { return header_bytes + data_bytes; }
  std::size_t file_bytes() const noexcept {
    return has_control ? memory::control_end(mapped_bytes(), data_bytes) : mapped_bytes();
  }
};

// A file grows by its control area when that is first needed.
sizes sizes_of(const std::string& what, backing kind, const element_type& type,
               std::span<const std::size_t> shape) {
  // An extent of 0 anywhere makes any other harmless.
  std::size_t bytes = type.size_bytes;
  if (std::ranges::count(shape, std::size_t{0}) > 0) bytes = 0;
  for (std::size_t extent : shape) {
    if (bytes != 0 && extent > (longest_bytes - header_bytes) / bytes) {
      throw error(std::errc::value_too_large,
                  "cannot create " + what + ": found shape " + memory::tuple(shape) +
                      " of elements of " + std::to_string(type.size_bytes) +
                      " bytes, expected at most " + std::to_string(longest_bytes - header_bytes) +
                      " bytes in all");
    }
    bytes *= extent;
  }
  return {bytes, kind != backing::file};
}

std::string sized(const std::string& what, sizes size) {
  return what + " of " + std::to_string(size.data_bytes) + " bytes";
}

[[noreturn]] void refuse_room(std::errc code, const std::string& what, sizes size,
                              const os::headroom& found, const std::string& advice) {
  throw error(code, "cannot create " + sized(what, size) + ": found " +
                        std::to_string(found.available_bytes) + " available (" + found.limit +
                        "), expected " + std::to_string(size.file_bytes()) + " with its header; " +
                        advice);
}

void require_file_size(const std::string& what, sizes size) {
  const os::headroom room = os::file_size_headroom();
  if (size.file_bytes() <= room.available_bytes) return;
  refuse_room(std::errc::file_too_large, what, size, room,
              "raise the limit (ulimit -f) or make it smaller");
}

// What other buffers of this process were promised and have not touched yet is spoken for, too.
void require_memory(const std::string& what, sizes size) {
  const std::size_t most = size.file_bytes() + segment::most_promised_bytes();
  if (os::memory_headroom(most).available_bytes >= most) return;
  const std::size_t promised = attempt(
      "create " + sized(what, size), "this process's buffers to be open", segment::promised_bytes);
  os::headroom room = os::memory_headroom(size.file_bytes() + promised);
  room.available_bytes -= std::min(room.available_bytes, promised);
  if (size.file_bytes() <= room.available_bytes) return;
  refuse_room(std::errc::not_enough_memory, what, size, room,
              "make it smaller, free memory, or create it in a file");
}

array array_of(segment::parts parts, std::span<const std::size_t> shape) {
  auto owner = std::make_shared<segment>(std::move(parts));
  std::byte* data = owner->data();
  return {std::move(owner), data, {shape.begin(), shape.end()}};
}

void write_header(const os::descriptor& file, const element_type& type,
                  std::span<const std::size_t> shape) {
  os::write_all(file, memory::written(type.description, shape), 0);
}

output_file begin_output(const std::string& what, const std::filesystem::path& path,
                         memory::taking name) {
  return memory::naming("create " + what, "a folder that can be written to",
                        [&] { return output_file(path, name); });
}

[[noreturn]] void refuse_cut(const segment& from) {
  const std::size_t expected = from.data_offset() + from.data_bytes();
  const std::size_t found = os::status(from.descriptor()).size_bytes;
  if (found < expected) {
    throw memory::malformed(from.name() + " cut to " + std::to_string(found) + " bytes",
                            std::to_string(expected));
  }
  throw memory::malformed("elements of " + from.name() + " that can't be read",
                          "its disk to give them");
}

// With zeros in their padding. They are read by a system call: of a file that somebody has cut that
// is an error, where an access would be a fault.
void write_cleared(const os::descriptor& to, const segment& from, const memory::padding& between) {
  constexpr std::size_t block_bytes = std::size_t{1} << 20;
  const std::size_t size = from.element_bytes();
  const std::size_t bytes = from.data_bytes();
  std::vector<std::byte> block(
      std::min(bytes, std::max<std::size_t>(block_bytes / size, 1) * size));
  for (std::size_t done = 0; done < bytes; done += block.size()) {
    const std::span part(block.data(), std::min(block.size(), bytes - done));
    if (os::read_some(from.file(), part, from.data_offset() + done) != part.size()) {
      refuse_cut(from);
    }
    between.clear(part);
    os::write_all(to, part, header_bytes + done);
  }
}

// What the system calls a bad address has no file behind it any more.
void write_elements(const os::descriptor& to, const element_type& type, const segment& from) try {
  const memory::padding between(type);
  if (between) return write_cleared(to, from, between);
  os::write_all(to, {from.data(), from.data_bytes()}, header_bytes);
} catch (const os::call_failed& e) {
  if (e.code() != std::errc::bad_address) throw;
  refuse_cut(from);
}

// From the pages that the system has in reserve; false if those are not enough. Their file system
// has no write(2), so the header goes through the mapping.
bool made_of_huge_pages(segment::parts& parts, sizes size, std::span<const std::byte> header) try {
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
  const sizes size = sizes_of(what, backing::memory, type, shape);
  require_file_size(what, size);
  require_memory(what, size);
  return attempt(
      "create " + sized(what, size), "memory, descriptors and address space (ulimit -v) for it",
      [&] {
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
          if (made_of == pages::huge) os::prefer_huge_pages(parts.mapped);
        }
        return array_of(std::move(parts), shape);
      });
}

array create_file(const std::filesystem::path& path, const element_type& type,
                  std::span<const std::size_t> shape) {
  return memory::unpublished(memory::file_location(path), type, shape, memory::taking::replaces);
}

void save_file(const std::filesystem::path& path, const element_type& type,
               std::span<const std::size_t> shape, const std::shared_ptr<segment>& from,
               durability needed) {
  if (!from) refuse_closed();
  const std::string what = memory::file_location(path).name;
  const sizes size = sizes_of(what, backing::file, type, shape);
  require_file_size(what, size);
  output_file output = begin_output(what, path, memory::taking::replaces);
  memory::attempt("save " + sized(what, size), "room for it on its disk", [&] {
    write_header(output.file(), type, shape);
    write_elements(output.file(), type, *from);
    // Behind the copy: a writer who died in these elements meanwhile counts, too.
    memory::require_whole(from->torn(), "save", from->name());
  });
  memory::naming("save " + what, memory::what_naming_needs(needed),
                 [&] { output.finish(output.file(), needed); });
}

}  // namespace shard::detail

namespace shard::memory {

detail::array unpublished(const location& at, const detail::element_type& type,
                          std::span<const std::size_t> shape, taking name) {
  const std::string what = label(at);
  const detail::sizes size = detail::sizes_of(what, at.kind, type, shape);
  detail::require_file_size(what, size);
  if (at.kind == backing::named) detail::require_memory(what, size);
  output_file output = detail::begin_output(what, at.path, name);
  return attempt("create " + detail::sized(what, size), "room for it, and address space", [&] {
    detail::segment::parts parts{
        .name = at.name, .element_bytes = type.size_bytes, .padding = memory::padding(type)};
    parts.kind = at.kind;
    parts.path = absolute_path(at.path);
    parts.file = output.take_descriptor();
    os::reserve(parts.file, size.file_bytes());
    detail::write_header(parts.file, type, shape);
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
    return detail::array_of(std::move(parts), shape);
  });
}

}  // namespace shard::memory
