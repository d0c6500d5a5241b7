// Existing arrays, from files and descriptors. Nothing a header says is believed before it is
// checked against the file's own size.

#include <algorithm>
#include <array>

#include "memory/attempt.hpp"
#include "memory/npy_header.hpp"
#include "memory/segment.hpp"
#include "os/file.hpp"

namespace shard::detail {
namespace {

using memory::attempt;
using memory::malformed;

// What a caller wants to find.
struct wanted {
  const element_type& type;
  std::size_t rank;
  access rights;

  bool writing() const noexcept { return rights == access::write; }
  os::protection protection() const noexcept {
    return writing() ? os::protection::write : os::protection::read;
  }
};

// What was found to be there.
struct image {
  std::vector<std::size_t> shape;
  std::size_t data_offset = 0;
  std::size_t data_bytes = 0;
};

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::size_t checked_data_bytes(const std::vector<std::size_t>& shape, std::size_t element_bytes,
                               std::size_t available) {
  if (std::ranges::count(shape, std::size_t{0}) > 0) return 0;
  std::size_t bytes = element_bytes;
  for (std::size_t extent : shape) {
    std::size_t product = 0;
    if (__builtin_mul_overflow(bytes, extent, &product)) {
      throw malformed("shape " + memory::tuple(shape), "one whose size does not overflow");
    }
    bytes = product;
  }
  if (bytes > available) {
    throw malformed(std::to_string(available) + " bytes of data",
                    std::to_string(bytes) + " for shape " + memory::tuple(shape));
  }
  return bytes;
}

void require_type(const memory::npy_header& header, const wanted& want) {
  if (header.descr != want.type.descr)
    throw malformed(quoted(header.descr), quoted(want.type.descr));
  if (header.shape.size() != want.rank) {
    throw malformed("shape " + memory::tuple(header.shape),
                    std::to_string(want.rank) + (want.rank == 1 ? " dimension" : " dimensions"));
  }
  // Column-major and row-major are one in a single dimension.
  if (header.fortran_order && want.rank > 1) {
    throw malformed("column-major data (fortran_order)",
                    "row-major; numpy.ascontiguousarray makes it so");
  }
}

memory::prologue prologue_of(const os::descriptor& file, std::size_t file_bytes) {
  std::array<std::byte, memory::longest_prologue_bytes> first{};
  const std::size_t found = os::read_some(file, first, 0);
  const memory::prologue begins = memory::read_prologue(std::span(first).first(found));
  if (begins.data_offset() > file_bytes) {
    throw malformed("a file of " + std::to_string(file_bytes) + " bytes",
                    "at least its header's " + std::to_string(begins.data_offset()));
  }
  return begins;
}

image inspect(const os::descriptor& file, std::size_t file_bytes, const wanted& want) {
  const memory::prologue begins = prologue_of(file, file_bytes);
  std::string dictionary(begins.dictionary_bytes, '\0');
  const auto bytes = std::as_writable_bytes(std::span(dictionary));
  if (os::read_some(file, bytes, begins.dictionary_offset) < bytes.size()) {
    throw malformed("the end of the file", "the rest of its header");
  }
  memory::npy_header header = memory::parse(dictionary);
  require_type(header, want);
  const std::size_t offset = begins.data_offset();
  if (offset % want.type.alignment != 0) {
    throw malformed(
        "data at byte " + std::to_string(offset),
        "a multiple of " + std::to_string(want.type.alignment) + ", for aligned elements");
  }
  const std::size_t data =
      checked_data_bytes(header.shape, want.type.size_bytes, file_bytes - offset);
  return {std::move(header.shape), offset, data};
}

// Checks an open file and maps it. Throws malformed and os::call_failed.
array mapped(std::string name, os::descriptor file, const wanted& want) {
  const os::file_status status = os::status(file.get());
  if (!status.regular) throw malformed(status.kind, "a regular file");
  image found = inspect(file, status.size_bytes, want);
  segment::parts parts{.name = std::move(name), .element_bytes = want.type.size_bytes};
  parts.mapped = os::mapping(file.get(), found.data_offset + found.data_bytes, want.protection());
  parts.file = std::move(file);
  parts.data_offset = found.data_offset;
  parts.data_bytes = found.data_bytes;
  parts.writable = want.writing();
  auto owner = std::make_shared<segment>(std::move(parts));
  std::byte* data = owner->data();
  return {std::move(owner), data, std::move(found.shape)};
}

// Runs `steps`, with what is malformed as an error.
template <class Steps>
array checked(const std::string& what, const std::string& expected, Steps steps) try {
  return attempt(what, expected, steps);
} catch (const malformed& e) {
  throw error(std::errc::invalid_argument,
              "cannot " + what + ": found " + e.what() + ", expected " + e.expected());
}

// A memory file that can shrink would turn into a SIGBUS in whoever has it mapped.
void require_sealed(int descriptor) {
  if (!os::sealed(descriptor)) {
    throw malformed("memory that can be resized", "memory sealed against shrinking and growing");
  }
}

void require_rights(int descriptor, const wanted& want) {
  if (want.writing() && !os::open_for_writing(descriptor)) {
    throw malformed("a descriptor open for reading only",
                    "one open for writing, or a buffer of const elements");
  }
}

}  // namespace

array open_file(const std::filesystem::path& path, const element_type& type, std::size_t rank,
                access rights) {
  const wanted want{type, rank, rights};
  const char* expected =
      want.writing() ? "a .npy file that can be written to" : "a readable .npy file";
  return checked("open " + path.string(), expected, [&] {
    return mapped(path.string(), os::open(path.string(), want.protection()), want);
  });
}

array reopen(int descriptor, const element_type& type, std::size_t rank, access rights) {
  const wanted want{type, rank, rights};
  const std::string label = "descriptor " + std::to_string(descriptor);
  return checked("reopen " + label, "an open descriptor of a buffer, and /proc mounted", [&] {
    const os::file_status status = os::status(descriptor);
    if (!status.regular) throw malformed(status.kind, "a buffer's descriptor");
    require_rights(descriptor, want);
    const std::string link = os::name_of(descriptor);
    const bool memory = link.starts_with("/memfd:");
    if (memory) require_sealed(descriptor);
    return mapped(memory           ? "memory"
                  : status.unnamed ? label
                                   : link,
                  os::open_again(descriptor, want.protection()), want);
  });
}

}  // namespace shard::detail
