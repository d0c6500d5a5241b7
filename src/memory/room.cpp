#include "memory/room.hpp"

#include <algorithm>
#include <limits>
#include <system_error>

#include "memory/attempt.hpp"
#include "memory/dtype.hpp"
#include "memory/segment.hpp"
#include "os/headroom.hpp"
#include "shard/error.hpp"

namespace shard::memory {
namespace {

// What sizes of files can be (off_t has a sign), less room for the control area.
constexpr std::size_t longest_bytes =
    std::numeric_limits<std::ptrdiff_t>::max() - (std::ptrdiff_t{1} << 40);

[[noreturn]] void refuse_room(std::errc code, const std::string& what, sizes size,
                              const os::headroom& found, const std::string& advice) {
  throw error(code, "cannot create " + sized(what, size) + ": found " +
                        std::to_string(found.available_bytes) + " available (" + found.limit +
                        "), expected " + std::to_string(size.file_bytes()) + " with its header; " +
                        advice);
}

}  // namespace

// A file grows by its control area when that is first needed.
sizes sizes_of(const std::string& what, backing kind, const detail::element_type& type,
               std::span<const std::size_t> shape) {
  // An extent of 0 anywhere makes any other harmless.
  std::size_t bytes = type.size_bytes;
  if (std::ranges::count(shape, std::size_t{0}) > 0) bytes = 0;
  for (std::size_t extent : shape) {
    if (bytes != 0 && extent > (longest_bytes - header_bytes) / bytes) {
      throw error(std::errc::value_too_large,
                  "cannot create " + what + ": found shape " + tuple(shape) + " of elements of " +
                      std::to_string(type.size_bytes) + " bytes, expected at most " +
                      std::to_string(longest_bytes - header_bytes) + " bytes in all");
    }
    bytes *= extent;
  }
  return {bytes, kind != backing::file};
}

std::string sized(const std::string& what, sizes size) {
  return what + " of " + std::to_string(size.data_bytes) + " bytes";
}

void require_file_size(const std::string& what, sizes size) {
  const os::headroom room = os::file_size_headroom();
  if (size.file_bytes() <= room.available_bytes) return;
  refuse_room(std::errc::file_too_large, what, size, room,
              "raise the limit (ulimit -f) or make it smaller");
}

// What other buffers of this process were promised and have not touched yet is spoken for, too.
void require_memory(const std::string& what, sizes size) {
  const std::size_t most = size.file_bytes() + detail::segment::most_promised_bytes();
  if (os::memory_headroom(most).available_bytes >= most) return;
  const std::size_t promised =
      attempt("create " + sized(what, size), "this process's buffers to be open",
              detail::segment::promised_bytes);
  os::headroom room = os::memory_headroom(size.file_bytes() + promised);
  room.available_bytes -= std::min(room.available_bytes, promised);
  if (size.file_bytes() <= room.available_bytes) return;
  refuse_room(std::errc::not_enough_memory, what, size, room,
              "make it smaller, free memory, or create it in a file");
}

}  // namespace shard::memory
