// Existing arrays, from files and descriptors: mapped in place, or read and converted. Nothing a
// header says is believed before it is checked against the file's own size.

#include <algorithm>
#include <array>

#include "memory/attempt.hpp"
#include "memory/conversion.hpp"
#include "memory/dtype.hpp"
#include "memory/malformed.hpp"
#include "memory/npy_header.hpp"
#include "memory/segment.hpp"
#include "os/file.hpp"

namespace shard::detail {
namespace {

using memory::attempt;
using memory::malformed;

// How much is read at once: long enough for the disk, short enough for the cache.
constexpr std::size_t block_bytes = std::size_t{1} << 20;

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
  std::string type;  // as the file writes it
  std::vector<std::size_t> shape;
  std::vector<memory::swap> swaps;  // what makes its elements those that are wanted
  bool column_major = false;
  std::size_t data_offset = 0;
  std::size_t data_bytes = 0;
};

// With one dimension at most, or no elements, the two orders are the same.
bool is_column_major(const memory::npy_header& header) {
  const auto several = [](std::size_t extent) { return extent != 1; };
  return header.fortran_order && std::ranges::count_if(header.shape, several) > 1 &&
         std::ranges::count(header.shape, std::size_t{0}) == 0;
}

// numpy's array without dimensions has one element: to a buffer of rank 1, an extent of 1.
std::vector<std::size_t> shape_of(const memory::npy_header& header, std::size_t rank) {
  if (header.shape.empty() && rank == 1) return {1};
  if (header.shape.size() != rank) {
    throw malformed("shape " + memory::shown(memory::tuple(header.shape)),
                    std::to_string(rank) + (rank == 1 ? " dimension" : " dimensions"));
  }
  return header.shape;
}

// What has to be as it is wanted for a mapping, and not for reading.
void require_in_place(const image& found, const element_type& type) {
  if (!found.swaps.empty()) {
    throw malformed(memory::shown(found.type),
                    memory::text(type.description) + "; shard::load converts the order of bytes");
  }
  if (found.column_major) {
    throw malformed("column-major data (fortran_order)", "row-major; shard::load converts it");
  }
  if (found.data_offset % type.alignment != 0) {
    throw malformed("data at byte " + std::to_string(found.data_offset),
                    "a multiple of " + std::to_string(type.alignment) +
                        ", for aligned elements; shard::load copies them");
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
  const memory::npy_header header = memory::parse(dictionary);
  image found;
  found.type = memory::text(header.descr);
  found.swaps = memory::differences(header.descr, want.type.description);
  found.shape = shape_of(header, want.rank);
  found.column_major = is_column_major(header);
  found.data_offset = begins.data_offset();
  found.data_bytes =
      memory::data_bytes(found.shape, want.type.size_bytes, file_bytes - found.data_offset);
  return found;
}

std::size_t size_of(const os::descriptor& file) {
  const os::file_status status = os::status(file.get());
  if (!status.regular) throw malformed(status.kind, "a regular file");
  return status.size_bytes;
}

// Checks an open file and maps it. Throws malformed and os::call_failed.
array mapped(std::string name, os::descriptor file, const wanted& want) {
  image found = inspect(file, size_of(file), want);
  require_in_place(found, want.type);
  segment::parts parts{.name = std::move(name), .element_bytes = want.type.size_bytes};
  parts.mapped = os::mapping(file.get(), found.data_offset + found.data_bytes, want.protection());
  parts.file = std::move(file);
  parts.data_offset = found.data_offset;
  parts.writable = want.writing();
  auto owner = std::make_shared<segment>(std::move(parts));
  std::byte* data = owner->data();
  return {std::move(owner), data, std::move(found.shape)};
}

void read_exactly(const os::descriptor& file, std::span<std::byte> to, std::size_t offset) {
  if (os::read_some(file, to, offset) < to.size()) {
    throw malformed("a file that became shorter", "the rest of its data");
  }
}

// Block by block, so that a conversion takes no second copy of the array.
void read_elements(const os::descriptor& file, const image& from, std::size_t element_bytes,
                   std::byte* to) {
  const std::size_t block = std::min(
      from.data_bytes, std::max<std::size_t>(block_bytes / element_bytes, 1) * element_bytes);
  std::vector<std::byte> columns(from.column_major ? block : 0);
  for (std::size_t done = 0; done < from.data_bytes; done += block) {
    const std::size_t bytes = std::min(block, from.data_bytes - done);
    const std::span elements(from.column_major ? columns.data() : to + done, bytes);
    read_exactly(file, elements, from.data_offset + done);
    memory::swap_bytes(elements, element_bytes, from.swaps);
    if (from.column_major) {
      memory::place_columns(elements, done / element_bytes, from.shape, element_bytes, to);
    }
  }
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

array load_file(const std::filesystem::path& path, const element_type& type, std::size_t rank) {
  const wanted want{type, rank, access::read};
  return checked("load " + path.string(), "a readable .npy file", [&] {
    const os::descriptor file = os::open(path.string(), want.protection());
    const image found = inspect(file, size_of(file), want);
    array made = create_memory(type, found.shape);
    read_elements(file, found, type.size_bytes, made.data);
    return made;
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
