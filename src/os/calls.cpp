#include "os/calls.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "os/descriptor.hpp"

namespace shard::os {

call_table& calls() noexcept {
  static constinit call_table table{
      .openat =
          [](int directory, const char* path, int flags, mode_t mode) {
            return above_standard_streams(::openat(directory, path, flags, mode));
          },
      .memfd_create =
          [](const char* name, unsigned flags) {
            return above_standard_streams(::memfd_create(name, flags));
          },
      .close = ::close,
      .pread = ::pread,
      .pwrite = ::pwrite,
      .fstat = [](int descriptor, struct stat* found) { return ::fstat(descriptor, found); },
      .fstatat = [](int directory, const char* path, struct stat* found,
                    int flags) { return ::fstatat(directory, path, found, flags); },
      .fstatfs = ::fstatfs,
      .fchmod = ::fchmod,
      .fchown = ::fchown,
      .getxattr = ::getxattr,
      .fsetxattr = ::fsetxattr,
      .fremovexattr = ::fremovexattr,
      .ftruncate = ::ftruncate,
      .fallocate = ::fallocate,
      .posix_fallocate = ::posix_fallocate,
      .fsync = ::fsync,
      .fdatasync = ::fdatasync,
      .get_flags = [](int descriptor) { return ::fcntl(descriptor, F_GETFL); },
      .get_seals = [](int descriptor) { return ::fcntl(descriptor, F_GET_SEALS); },
      .add_seals = [](int descriptor,
                      int seals) { return ::fcntl(descriptor, F_ADD_SEALS, seals); },
      .lock_file = [](int descriptor, int command,
                      struct flock* lock) { return ::fcntl(descriptor, command, lock); },
      .readlink = ::readlink,
      .linkat = ::linkat,
      .renameat = ::renameat,
      .renameat2 = ::renameat2,
      .unlinkat = ::unlinkat,
      .mmap = ::mmap,
      .msync = ::msync,
      .munmap = ::munmap,
      .mprotect = ::mprotect,
      .sendmsg = ::sendmsg,
      .recvmsg = ::recvmsg,
  };
  return table;
}

std::string_view remedy_for(int error) noexcept {
  if (error == EMFILE) return "more descriptors (ulimit -n)";
  if (error == ENFILE) return "more descriptors (fs.file-max)";
  if (error == EFBIG) return "larger files to be allowed (ulimit -f)";
  if (error == ENOMEM) return "more memory, or address space (ulimit -v)";
  return {};
}

bool is_denial(int error) noexcept { return error == EPERM || error == ENOSYS; }

constinit const std::string_view remedy_for_denial =
    "a sandbox that allows the call (seccomp; older profiles of Docker and Podman don't allow "
    "all), "
    "or a kernel that has it";

std::string_view remedy_for(int error, std::string_view call) noexcept {
  if (error == ENOSYS ||
      (error == EPERM && (call == "memfd_create" || call == "eventfd" || call == "pipe2"))) {
    return remedy_for_denial;
  }
  return remedy_for(error);
}

void fail(const char* call) { throw call_failed(errno, call); }

}  // namespace shard::os
