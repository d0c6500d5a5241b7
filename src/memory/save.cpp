// Arrays copied to files.

#include <algorithm>
#include <vector>

#include "memory/attempt.hpp"
#include "memory/dtype.hpp"
#include "memory/location.hpp"
#include "memory/malformed.hpp"
#include "memory/npy_file.hpp"
#include "memory/npy_header.hpp"
#include "memory/observed.hpp"
#include "memory/output_file.hpp"
#include "memory/padding.hpp"
#include "memory/room.hpp"
#include "memory/segment.hpp"
#include "os/file.hpp"
#include "shard/detail/index.hpp"

namespace shard::detail {
namespace {

using memory::header_bytes;
using memory::output_file;

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

// What the segment's own header says of bytes that the program does not look into.
dtype type_of_elements(const element_type& type, const segment& from) {
  if (!memory::takes_any(type.description)) return type.description;
  const dtype found = memory::read_npy_file(from.file()).header.descr;
  memory::differences(found, type.description);
  return memory::converted(found, type.description);
}

}  // namespace

void save_file(const std::filesystem::path& path, const element_type& type,
               std::span<const std::size_t> shape, const std::shared_ptr<segment>& from,
               durability needed, asked_permissions asked) {
  if (!from) refuse_closed();
  const std::string what = memory::file_location(path).name;
  const memory::sizes size = memory::sizes_of(what, backing::file, type, shape);
  memory::require_file_size(what, size);
  output_file output = memory::naming("create " + what, "a folder that can be written to", [&] {
    return output_file(path, memory::taking::replaces, asked);
  });
  memory::attempt("save " + memory::sized(what, size), "room for it on its disk", [&] {
    os::write_all(output.file(), memory::written(type_of_elements(type, *from), shape), 0);
    write_elements(output.file(), type, *from);
    // Behind the copy: a writer who died in these elements meanwhile counts, too.
    memory::require_whole(from->torn(), "save", from->name());
  });
  memory::naming("save " + what, memory::what_naming_needs(needed),
                 [&] { output.finish(output.file(), needed); });
}

}  // namespace shard::detail
