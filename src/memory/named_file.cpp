#include "memory/named_file.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <system_error>

#include "memory/control.hpp"
#include "memory/malformed.hpp"
#include "memory/npy_header.hpp"
#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"

namespace shard::memory {
namespace {

[[noreturn]] void refuse_another_users() {
  throw malformed("another user's file", "one of this user's", std::errc::permission_denied);
}

}  // namespace

os::descriptor open_name(const name_in_folder& at, backing kind, os::protection rights) {
  try {
    return os::open_at(*at.folder, at.name, rights);
  } catch (const os::call_failed& e) {
    if (e.code() == std::errc::no_such_file_or_directory) return {};
    if (kind == backing::named && e.code() == std::errc::permission_denied) {
      const auto found = os::status_at(*at.folder, at.name);
      if (found && !found->ours) refuse_another_users();
    }
    throw;
  }
}

void require_array(const location& at, const os::descriptor& file) {
  const os::file_status found = os::status(file.get());
  if (!found.regular) throw malformed(found.kind, "a regular file");
  if (at.kind != backing::named) return;
  if (!found.ours) refuse_another_users();
  std::array<std::byte, longest_prologue_bytes> first{};
  read_prologue(std::span(first).first(os::read_some(file, first, 0)));
}

bool is_held(const os::descriptor& file) { return os::byte_is_locked(file, named_byte); }

}  // namespace shard::memory
