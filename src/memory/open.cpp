// Existing arrays, from files and descriptors: mapped in place, or read and converted. Nothing a
// header says is believed before it is checked against the file's own size.

#include <algorithm>

#include "memory/attempt.hpp"
#include "memory/conversion.hpp"
#include "memory/image.hpp"
#include "memory/location.hpp"
#include "memory/malformed.hpp"
#include "memory/name.hpp"
#include "memory/named.hpp"
#include "memory/observed.hpp"
#include "os/file.hpp"

namespace shard::detail {
namespace {

using memory::attempt;
using memory::image;
using memory::inspect;
using memory::malformed;
using memory::mapped;
using memory::wanted;

// How much is read at once: long enough for the disk, short enough for the cache.
constexpr std::size_t block_bytes = std::size_t{1} << 20;

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

// A memory file that can shrink would turn into a SIGBUS in whoever has it mapped.
void require_sealed(int descriptor) {
  if (!os::sealed(descriptor)) {
    throw malformed("memory that can be resized", "memory sealed against shrinking and growing");
  }
}

void require_rights(int descriptor, const wanted& want) {
  if (want.writing() && os::sealed_against_writing(descriptor)) {
    throw malformed("a frozen buffer", "one that can be written to, or a buffer of const elements",
                    std::errc::permission_denied);
  }
  if (want.writing() && !os::open_for_writing(descriptor)) {
    throw malformed("a descriptor open for reading only",
                    "one open for writing, or a buffer of const elements",
                    std::errc::permission_denied);
  }
}

// A memfd, which has no name but what /proc calls it.
bool is_memory(int descriptor, const os::file_status& status) {
  return status.names == 0 && os::name_of(descriptor).starts_with("/memfd:");
}

memory::location place_of(int descriptor, const os::file_status& status, const std::string& label) {
  if (is_memory(descriptor, status)) return {"memory", {}, backing::memory};
  if (status.names == 0) return {label, {}, backing::file};
  if (const auto name = memory::name_of_shared(descriptor)) return memory::shared_location(*name);
  const std::string link = os::name_of(descriptor);
  // Of a file that had no name when it was opened, as create() makes them, or has lost the one that
  // it was opened by.
  const bool told = !link.ends_with(" (deleted)");
  return {told ? link : label, link, backing::file};
}

}  // namespace

array open_file(const std::filesystem::path& path, const element_type& type, std::size_t rank,
                access rights) {
  const wanted want{type, rank, rights};
  const char* expected =
      want.writing() ? "a .npy file that can be written to" : "a readable .npy file";
  memory::location at = memory::file_location(path);
  return attempt("open " + at.name, expected, [&] {
    os::descriptor file = os::open(at.name, want.protection());
    if (is_memory(file.get(), os::status(file.get()))) {  // /proc/PID/fd/N
      require_sealed(file.get());
      require_rights(file.get(), want);
      at = {at.name, {}, backing::memory};
    }
    return mapped(at, std::move(file), want);
  });
}

array load_file(const std::filesystem::path& path, const element_type& type, std::size_t rank) {
  const wanted want{type, rank, access::read};
  const std::string name = memory::file_location(path).name;
  return attempt("load " + name, "a readable .npy file", [&] {
    const os::descriptor file = os::open(name, want.protection());
    const image found = inspect(file, want);
    element_type made_of = type;
    made_of.description = found.becomes;
    array made = create_memory(made_of, found.shape);
    read_elements(file, found, type.size_bytes, made.data);
    const std::size_t data_end = found.data_offset + found.data_bytes;
    memory::require_whole(
        memory::torn_elements(file, {file.get(), data_end, found.data_bytes}, type.size_bytes),
        "load", name);
    return made;
  });
}

array reopen(int descriptor, const element_type& type, std::size_t rank, access rights) {
  const wanted want{type, rank, rights};
  const std::string label = "descriptor " + std::to_string(descriptor);
  return attempt("reopen " + label,
                 "an open descriptor of a buffer, which this user may open, and /proc mounted",
                 [&] {
                   const os::file_status status = os::status(descriptor);
                   if (!status.regular) throw malformed(status.kind, "a buffer's descriptor");
                   require_rights(descriptor, want);
                   const memory::location at = place_of(descriptor, status, label);
                   if (at.kind == backing::memory) require_sealed(descriptor);
                   os::descriptor own = os::open_again(descriptor, want.protection());
                   if (at.kind == backing::named) memory::hold(own);
                   return mapped(at, std::move(own), want);
                 });
}

}  // namespace shard::detail
