// Every system call on the way to a buffer, as a table of function pointers: tests replace an entry
// to make that call fail. Nothing else in shard opens, sizes or maps files.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <string_view>
#include <system_error>

struct flock;   // <fcntl.h>
struct statfs;  // <sys/statfs.h>
struct msghdr;  // <sys/socket.h>

namespace shard::os {

// Each entry has the contract of the call it is named after; the names that the variadic calls open
// and fcntl have here say which form is meant.
struct call_table {
  int (*openat)(int directory, const char* path, int flags, mode_t mode);
  int (*memfd_create)(const char* name, unsigned flags);
  int (*close)(int descriptor);
  ssize_t (*pread)(int descriptor, void* to, std::size_t bytes, off_t offset);
  ssize_t (*pwrite)(int descriptor, const void* from, std::size_t bytes, off_t offset);
  int (*fstat)(int descriptor, struct stat* found);
  int (*fstatat)(int directory, const char* path, struct stat* found, int flags);
  int (*fstatfs)(int descriptor, struct statfs* found);
  int (*fchmod)(int descriptor, mode_t mode);
  int (*fchown)(int descriptor, uid_t user, gid_t group);
  ssize_t (*getxattr)(const char* path, const char* name, void* to, std::size_t bytes);
  int (*fsetxattr)(int descriptor, const char* name, const void* from, std::size_t bytes,
                   int flags);
  int (*fremovexattr)(int descriptor, const char* name);
  int (*ftruncate)(int descriptor, off_t bytes);
  int (*fallocate)(int descriptor, int mode, off_t offset, off_t bytes);
  int (*posix_fallocate)(int descriptor, off_t offset, off_t bytes);  // returns its error
  int (*fsync)(int descriptor);
  int (*fdatasync)(int descriptor);
  int (*get_flags)(int descriptor);
  int (*get_seals)(int descriptor);
  int (*add_seals)(int descriptor, int seals);
  int (*lock_file)(int descriptor, int command, struct flock* lock);
  ssize_t (*readlink)(const char* path, char* to, std::size_t bytes);
  int (*linkat)(int from, const char* old_path, int to, const char* new_path, int flags);
  int (*renameat)(int from, const char* old_path, int to, const char* new_path);
  int (*renameat2)(int from, const char* old_path, int to, const char* new_path, unsigned flags);
  int (*unlinkat)(int directory, const char* path, int flags);
  void* (*mmap)(void* at, std::size_t bytes, int protection, int flags, int descriptor,
                off_t offset);
  int (*msync)(void* at, std::size_t bytes, int flags);
  int (*munmap)(void* at, std::size_t bytes);
  int (*mprotect)(void* at, std::size_t bytes, int protection);
  ssize_t (*sendmsg)(int socket, const struct msghdr* message, int flags);
  ssize_t (*recvmsg)(int socket, struct msghdr* message, int flags);
};

// The table in use. Only tests write to it, while one thread runs.
call_table& calls() noexcept;

// A system call that failed: its errno and its name. Nothing else is thrown here for a call. The
// layers above say what it was done for, and what would help.
class call_failed : public std::system_error {
 public:
  call_failed(int error, const char* call)
      : std::system_error(error, std::generic_category(), call), call_(call) {}

  const char* call() const noexcept { return call_; }

 private:
  const char* call_;
};

// Throws call_failed with the errno of the moment.
[[noreturn]] void fail(const char* call);

// What would help, whatever a call was for: "more descriptors (ulimit -n)"; empty if that depends.
std::string_view remedy_for(int error) noexcept;
// The same, of this call: some are denied by sandboxes alone.
std::string_view remedy_for(int error, std::string_view call) noexcept;

// Whether a call may have failed since a sandbox denies it: seccomp filters answer so.
bool is_denial(int error) noexcept;
// What would help then, after a call that no file's owner and no right of the user's can forbid.
extern const std::string_view remedy_for_denial;

}  // namespace shard::os
