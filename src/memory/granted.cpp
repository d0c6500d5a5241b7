#include "memory/granted.hpp"

#include <system_error>

#include "memory/attempt.hpp"
#include "os/file.hpp"
#include "shard/error.hpp"

namespace shard::memory {

os::mapping map_again(const detail::segment& of, detail::access rights) {
  const bool write = rights == detail::access::write;
  if (write && !of.writable()) {
    throw error(std::errc::permission_denied, "cannot map " + of.name() +
                                                  " for writing: found it open for reading only, "
                                                  "expected a buffer of non-const elements");
  }
  return attempt("map " + of.name() + " again",
                 "a file that this user may open, /proc mounted, and room for the mapping", [&] {
                   const auto narrowed = write ? os::protection::write : os::protection::read;
                   const os::descriptor own = os::open_again(of.descriptor(), narrowed);
                   return os::mapping(own.get(), of.length_bytes(), narrowed);
                 });
}

}  // namespace shard::memory
