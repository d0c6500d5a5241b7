// Loaded into a program (LD_PRELOAD), records what a disk would have of a folder if the power
// failed, and stops all of the program at a point. record.hpp says where, and what is recorded.
//
// A point is a call that changes the folder, or syncs something in it. Such calls are made one at a
// time, whoever makes them. A sync takes a copy of what it would bring to the disk, and does
// nothing else. So stores to mapped files need not be seen.
//
// Programs call these functions in signal handlers and after fork: nothing here allocates, or waits
// for anything but the lock.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/stat.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "power/record.hpp"

namespace {

using shard_test::power::state;

// The system's calls, which nothing here replaces.
template <class... Arguments>
long kernel(long number, Arguments... arguments) {
  return ::syscall(number, arguments...);
}

using path = std::array<char, PATH_MAX>;
using line = std::array<char, 3 * PATH_MAX>;

state* shared = nullptr;  // null: nothing is recorded
path folder, record, boot;

[[noreturn]] void give_up(const char* what) {
  const char* const parts[] = {"cannot record: ", what, "\n"};
  for (const char* part : parts) kernel(SYS_write, 2, part, std::strlen(part));
  kernel(SYS_exit_group, 99);
  __builtin_unreachable();
}

template <class To, class... Fields>
void print(To& to, const char* format, Fields... fields) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
  const int length = std::snprintf(to.data(), to.size(), format, fields...);
#pragma GCC diagnostic pop
  if (length < 0 || static_cast<std::size_t>(length) >= to.size()) give_up("a path is too long");
}

void take(path& to, const char* variable) {
  const char* const value = std::getenv(variable);
  print(to, "%s", value ? value : "");
}

__attribute__((constructor)) void begin() {
  using namespace shard_test::power;
  take(folder, folder_variable);
  take(record, record_variable);
  take(boot, boot_variable);
  if (!folder[0] || !record[0]) return;
  path name;
  print(name, "%s/state", record.data());
  const auto file = static_cast<int>(kernel(SYS_openat, AT_FDCWD, name.data(), O_RDWR | O_CLOEXEC));
  if (file < 0) give_up("found no state");
  void* const memory = ::mmap(nullptr, sizeof(state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  kernel(SYS_close, file);
  if (memory == MAP_FAILED) give_up("cannot map its state");
  shared = static_cast<state*>(memory);
}

// ---- names
// ------------------------------------------------------------------------------------------

bool starts_with(const char* text, const path& prefix) {
  const std::size_t length = std::strlen(prefix.data());
  return std::strncmp(text, prefix.data(), length) == 0 && (text[length] == '/' || !text[length]);
}

bool path_of(int descriptor, path& found) {
  std::array<char, 64> link;
  print(link, "/proc/self/fd/%d", descriptor);
  const long length = kernel(SYS_readlinkat, AT_FDCWD, link.data(), found.data(), found.size() - 1);
  if (length < 0) return false;
  found[static_cast<std::size_t>(length)] = '\0';
  return true;
}

bool watched(int descriptor) {
  path found;
  return shared && path_of(descriptor, found) && starts_with(found.data(), folder);
}

// A name in a folder that is watched, or nothing.
class entry {
 public:
  entry(int directory, const char* given) {
    if (!shared || !given) return;
    if (given[0] == '/') {
      print(whole_, "%s", given);
    } else {
      path base;
      if (directory == AT_FDCWD) {
        if (kernel(SYS_getcwd, base.data(), base.size()) < 0) return;
      } else if (!path_of(directory, base)) {
        return;
      }
      print(whole_, "%s/%s", base.data(), given);
    }
    std::size_t length = std::strlen(whole_.data());
    while (length > 1 && whole_[length - 1] == '/') whole_[--length] = '\0';
    char* const slash = std::strrchr(whole_.data(), '/');
    if (!slash || slash == whole_.data()) return;
    name_ = slash + 1;
    *slash = '\0';
    parent_ = whole_;
    *slash = '/';
    watched_ = starts_with(parent_.data(), folder);
  }

  explicit operator bool() const { return watched_; }
  const char* whole() const { return whole_.data(); }
  const char* parent() const { return parent_.data(); }
  const char* name() const { return name_; }

 private:
  path whole_{};
  path parent_{};
  const char* name_ = "";
  bool watched_ = false;
};

struct file {
  bool exists = false;
  bool is_folder = false;
  bool is_regular = false;
  unsigned names = 0;
  std::array<char, 80> key{};
};

file look(int directory, const char* name, int flags) {
  struct statx found {};
  if (kernel(SYS_statx, directory, name, flags | AT_SYMLINK_NOFOLLOW,
             STATX_BASIC_STATS | STATX_BTIME, &found) != 0) {
    return {};
  }
  file it{.exists = true,
          .is_folder = S_ISDIR(found.stx_mode),
          .is_regular = S_ISREG(found.stx_mode),
          .names = found.stx_nlink};
  print(it.key, "%llu-%lld-%u", static_cast<unsigned long long>(found.stx_ino),
        static_cast<long long>(found.stx_btime.tv_sec), found.stx_btime.tv_nsec);
  return it;
}
file look(const char* name) { return look(AT_FDCWD, name, 0); }
file look(int descriptor) { return look(descriptor, "", AT_EMPTY_PATH); }

// ---- the record
// ---------------------------------------------------------------------------------------

template <class... Fields>
void note(const char* format, Fields... fields) {
  line text;
  print(text, format, fields...);
  path name;
  print(name, "%s/log", record.data());
  const long log = kernel(SYS_openat, AT_FDCWD, name.data(), O_WRONLY | O_APPEND | O_CLOEXEC);
  const std::size_t length = std::strlen(text.data());
  if (log < 0 || kernel(SYS_write, log, text.data(), length) != static_cast<long>(length)) {
    give_up("cannot write its log");
  }
  kernel(SYS_close, log);
}

// What a file has now, without its holes.
void copy(const char* from, const char* to) {
  const long source = kernel(SYS_openat, AT_FDCWD, from, O_RDONLY | O_CLOEXEC);
  const long target =
      kernel(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (source < 0 || target < 0) give_up("cannot copy a file");
  std::array<char, 4096> page;
  for (long at = 0; (at = kernel(SYS_lseek, source, at, SEEK_DATA)) >= 0;) {
    const long bytes = kernel(SYS_pread64, source, page.data(), page.size(), at);
    if (bytes <= 0) break;
    if (kernel(SYS_pwrite64, target, page.data(), bytes, at) != bytes) {
      give_up("cannot write a copy");
    }
    at += bytes;
  }
  const long size = kernel(SYS_lseek, source, 0L, SEEK_END);
  if (size < 0 || kernel(SYS_ftruncate, target, size) != 0) give_up("cannot write a copy");
  kernel(SYS_close, source);
  kernel(SYS_close, target);
}

bool is_last_match(const char* what, const char* object) {
  if (shared->matches_left == 0 || std::strcmp(what, shared->call.data()) != 0) return false;
  const std::size_t length = std::strlen(object);
  const std::size_t ending = std::strlen(shared->object.data());
  return length >= ending && std::strcmp(object + length - ending, shared->object.data()) == 0 &&
         --shared->matches_left == 0;
}

// One call that changes the disk. While one is made, no other is.
class call {
 public:
  explicit call(const char* what, const char* object) {
    path name;
    print(name, "%s/lock", record.data());
    lock_ = static_cast<int>(kernel(SYS_openat, AT_FDCWD, name.data(), O_RDWR | O_CLOEXEC));
    if (lock_ < 0) give_up("cannot open its lock");
    while (kernel(SYS_flock, lock_, LOCK_EX) != 0) {
      if (errno != EINTR) give_up("cannot lock");
    }
    if (shared->cut != 0) stay();
    const std::uint64_t point = ++shared->points;
    note("P\t%llu\t%s %s\n", static_cast<unsigned long long>(point), what, object);
    if (is_last_match(what, object)) shared->cut_at = point + shared->later;
    if (point == shared->cut_at) {
      shared->cut = 1;
      stay();
    }
  }
  call(const call&) = delete;
  call& operator=(const call&) = delete;
  ~call() {
    const int before = errno;
    kernel(SYS_close, lock_);
    errno = before;
  }

 private:
  [[noreturn]] void stay() const {
    kernel(SYS_close, lock_);
    for (;;) kernel(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
  }

  int lock_;
};

// Before a name goes: what the file has, if that was its last one.
void keep(const char* name) {
  const file it = look(name);
  if (!it.is_regular || it.names != 1) return;
  path kept;
  print(kept, "%s/kept/%s", record.data(), it.key.data());
  copy(name, kept.data());
}

void note_entry(const entry& of) {
  const file it = look(of.whole());
  note("C\t%s\t%s\t%s\t%c\n", look(of.parent()).key.data(), of.name(), it.key.data(),
       it.is_folder ? 'd' : 'f');
}

// EIO once, where a test wants it.
int sync(const file& it, const char* by_name) {
  if (it.is_folder) {
    note("S\t%s\n", it.key.data());
    return 0;
  }
  const std::uint64_t number = ++shared->syncs;
  if (number == shared->failing_sync) {
    errno = EIO;
    return -1;
  }
  path copied;
  print(copied, "%s/synced/%s.%llu", record.data(), it.key.data(),
        static_cast<unsigned long long>(number));
  copy(by_name, copied.data());
  note("F\t%s\t%llu\n", it.key.data(), static_cast<unsigned long long>(number));
  return 0;
}

int sync_descriptor(const char* what, long number, int descriptor) {
  path name;
  if (!watched(descriptor) || !path_of(descriptor, name)) {
    return static_cast<int>(kernel(number, descriptor));
  }
  const call one(what, name.data());
  std::array<char, 64> link;
  print(link, "/proc/self/fd/%d", descriptor);
  return sync(look(descriptor), link.data());
}

// `open` opens the file; whether the name is new is seen before and after.
template <class Open>
auto create(const char* what, int directory, const char* name, Open open) {
  const entry at(directory, name);
  if (!at) return open();
  const call one(what, at.whole());
  const bool existed = look(at.whole()).exists;
  const auto result = open();
  const int before = errno;
  if (!existed && look(at.whole()).exists) note_entry(at);
  errno = before;
  return result;
}

template <class Change>
auto change(const char* what, int descriptor, Change make) {
  path name;
  if (!watched(descriptor) || !path_of(descriptor, name)) return make();
  const call one(what, name.data());
  return make();
}

const char* faked(const char* name) {
  const bool asked = name && std::strcmp(name, "/proc/sys/kernel/random/boot_id") == 0;
  return asked && boot[0] ? boot.data() : name;
}

int open_at(int directory, const char* name, int flags, unsigned mode) {
  name = faked(name);
  const auto open = [&] {
    return static_cast<int>(kernel(SYS_openat, directory, name, flags, mode));
  };
  if ((flags & O_TMPFILE) == O_TMPFILE || (flags & (O_CREAT | O_TRUNC)) == 0) return open();
  return create("open", directory, name, open);
}

unsigned mode_of(int flags, va_list rest) {
  return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, unsigned) : 0;
}

int rename_at(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) {
  const auto rename = [&] {
    return static_cast<int>(kernel(SYS_renameat2, from_directory, from, to_directory, to, flags));
  };
  const entry old_one(from_directory, from);
  const entry new_one(to_directory, to);
  if (!old_one && !new_one) return rename();
  const call one("rename", new_one.whole());
  const bool exchanged = (flags & RENAME_EXCHANGE) != 0;
  if (!exchanged) keep(new_one.whole());
  if (rename() != 0) return -1;
  const file moved = look(new_one.whole());
  const file old_parent = look(old_one.parent());
  const file new_parent = look(new_one.parent());
  if (exchanged) {
    note("X\t%s\t%s\t%s\t%s\t%s\t%s\n", old_parent.key.data(), old_one.name(),
         look(old_one.whole()).key.data(), new_parent.key.data(), new_one.name(), moved.key.data());
  } else {
    note("R\t%s\t%s\t%s\t%s\t%s\n", old_parent.key.data(), old_one.name(), new_parent.key.data(),
         new_one.name(), moved.key.data());
  }
  return 0;
}

int unlink_at(int directory, const char* name, int flags) {
  const auto unlink = [&] {
    return static_cast<int>(kernel(SYS_unlinkat, directory, name, flags));
  };
  const entry at(directory, name);
  if (!at) return unlink();
  const call one("unlink", at.whole());
  const file it = look(at.whole());
  keep(at.whole());
  if (unlink() != 0) return -1;
  note("U\t%s\t%s\t%s\n", look(at.parent()).key.data(), at.name(), it.key.data());
  return 0;
}

template <class Link>
int link_to(int directory, const char* name, Link link) {
  const entry at(directory, name);
  if (!at) return link();
  const call one("link", at.whole());
  if (link() != 0) return -1;
  note_entry(at);
  return 0;
}

// A mapping's file has no descriptor that would be known here.
bool mapped_file(const void* where, path& found) {
  const long maps = kernel(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (maps < 0) return false;
  path text;
  std::size_t length = 0;
  bool known = false;
  for (char next = 0; !known && kernel(SYS_read, maps, &next, 1) == 1;) {
    if (next != '\n') {
      if (length + 1 < text.size()) text[length++] = next;
      continue;
    }
    text[length] = '\0';
    length = 0;
    unsigned long first = 0;
    unsigned long last = 0;
    int name = 0;
    if (std::sscanf(text.data(), "%lx-%lx %*s %*s %*s %*s %n", &first, &last, &name) < 2) continue;
    const auto at = reinterpret_cast<unsigned long>(where);
    if (at < first || at >= last) continue;
    print(found, "%s", text.data() + name);
    known = true;
  }
  kernel(SYS_close, maps);
  return known;
}

std::FILE* open_stream(const char* name, const char* mode, const char* function) {
  using opener = std::FILE* (*)(const char*, const char*);
  const auto real = reinterpret_cast<opener>(::dlsym(RTLD_NEXT, function));
  name = faked(name);
  const auto open = [&] { return real(name, mode); };
  if (mode[0] == 'r') return open();
  return create("fopen", AT_FDCWD, name, open);
}

}  // namespace

// The names under which programs know these functions. Headers declare them differently for each C
// library, so they have other names here.
#define REPLACES(function) __asm__(function) __attribute__((visibility("default"), used))

extern "C" {

int power_open(const char*, int, ...) REPLACES("open");
int power_open64(const char*, int, ...) REPLACES("open64");
int power_openat(int, const char*, int, ...) REPLACES("openat");
int power_openat64(int, const char*, int, ...) REPLACES("openat64");
int power_open_2(const char*, int) REPLACES("__open_2");
int power_open64_2(const char*, int) REPLACES("__open64_2");
int power_openat_2(int, const char*, int) REPLACES("__openat_2");
int power_openat64_2(int, const char*, int) REPLACES("__openat64_2");
int power_creat(const char*, unsigned) REPLACES("creat");
int power_creat64(const char*, unsigned) REPLACES("creat64");
std::FILE* power_fopen(const char*, const char*) REPLACES("fopen");
std::FILE* power_fopen64(const char*, const char*) REPLACES("fopen64");
int power_link(const char*, const char*) REPLACES("link");
int power_linkat(int, const char*, int, const char*, int) REPLACES("linkat");
int power_rename(const char*, const char*) REPLACES("rename");
int power_renameat(int, const char*, int, const char*) REPLACES("renameat");
int power_renameat2(int, const char*, int, const char*, unsigned) REPLACES("renameat2");
int power_unlink(const char*) REPLACES("unlink");
int power_unlinkat(int, const char*, int) REPLACES("unlinkat");
int power_remove(const char*) REPLACES("remove");
int power_mkdir(const char*, unsigned) REPLACES("mkdir");
int power_mkdirat(int, const char*, unsigned) REPLACES("mkdirat");
int power_rmdir(const char*) REPLACES("rmdir");
int power_ftruncate(int, off_t) REPLACES("ftruncate");
int power_ftruncate64(int, off_t) REPLACES("ftruncate64");
int power_fallocate(int, int, off_t, off_t) REPLACES("fallocate");
int power_fallocate64(int, int, off_t, off_t) REPLACES("fallocate64");
int power_posix_fallocate(int, off_t, off_t) REPLACES("posix_fallocate");
int power_posix_fallocate64(int, off_t, off_t) REPLACES("posix_fallocate64");
ssize_t power_write(int, const void*, std::size_t) REPLACES("write");
ssize_t power_writev(int, const iovec*, int) REPLACES("writev");
ssize_t power_pwrite(int, const void*, std::size_t, off_t) REPLACES("pwrite");
ssize_t power_pwrite64(int, const void*, std::size_t, off_t) REPLACES("pwrite64");
int power_fsync(int) REPLACES("fsync");
int power_fdatasync(int) REPLACES("fdatasync");
int power_msync(void*, std::size_t, int) REPLACES("msync");
int power_sync_file_range(int, off_t, off_t, unsigned) REPLACES("sync_file_range");
int power_syncfs(int) REPLACES("syncfs");

int power_open(const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = mode_of(flags, rest);
  va_end(rest);
  return open_at(AT_FDCWD, name, flags, mode);
}
int power_open64(const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = mode_of(flags, rest);
  va_end(rest);
  return open_at(AT_FDCWD, name, flags, mode);
}
int power_openat(int directory, const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = mode_of(flags, rest);
  va_end(rest);
  return open_at(directory, name, flags, mode);
}
int power_openat64(int directory, const char* name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const unsigned mode = mode_of(flags, rest);
  va_end(rest);
  return open_at(directory, name, flags, mode);
}
int power_open_2(const char* name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
int power_open64_2(const char* name, int flags) { return open_at(AT_FDCWD, name, flags, 0); }
int power_openat_2(int directory, const char* name, int flags) {
  return open_at(directory, name, flags, 0);
}
int power_openat64_2(int directory, const char* name, int flags) {
  return open_at(directory, name, flags, 0);
}
int power_creat(const char* name, unsigned mode) {
  return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int power_creat64(const char* name, unsigned mode) { return power_creat(name, mode); }
std::FILE* power_fopen(const char* name, const char* mode) {
  return open_stream(name, mode, "fopen");
}
std::FILE* power_fopen64(const char* name, const char* mode) {
  return open_stream(name, mode, "fopen64");
}

int power_link(const char* from, const char* to) {
  return power_linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int power_linkat(int from_directory, const char* from, int to_directory, const char* to,
                 int flags) {
  return link_to(to_directory, to, [&] {
    return static_cast<int>(kernel(SYS_linkat, from_directory, from, to_directory, to, flags));
  });
}
int power_rename(const char* from, const char* to) {
  return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}
int power_renameat(int from_directory, const char* from, int to_directory, const char* to) {
  return rename_at(from_directory, from, to_directory, to, 0);
}
int power_renameat2(int from_directory, const char* from, int to_directory, const char* to,
                    unsigned flags) {
  return rename_at(from_directory, from, to_directory, to, flags);
}
int power_unlink(const char* name) { return unlink_at(AT_FDCWD, name, 0); }
int power_unlinkat(int directory, const char* name, int flags) {
  return unlink_at(directory, name, flags);
}
int power_rmdir(const char* name) { return unlink_at(AT_FDCWD, name, AT_REMOVEDIR); }
int power_remove(const char* name) {
  return unlink_at(AT_FDCWD, name, look(name).is_folder ? AT_REMOVEDIR : 0);
}
int power_mkdirat(int directory, const char* name, unsigned mode) {
  return link_to(directory, name,
                 [&] { return static_cast<int>(kernel(SYS_mkdirat, directory, name, mode)); });
}
int power_mkdir(const char* name, unsigned mode) { return power_mkdirat(AT_FDCWD, name, mode); }

int power_ftruncate(int descriptor, off_t size) {
  return change("ftruncate", descriptor,
                [&] { return static_cast<int>(kernel(SYS_ftruncate, descriptor, size)); });
}
int power_ftruncate64(int descriptor, off_t size) { return power_ftruncate(descriptor, size); }
int power_fallocate(int descriptor, int mode, off_t first, off_t bytes) {
  return change("fallocate", descriptor, [&] {
    return static_cast<int>(kernel(SYS_fallocate, descriptor, mode, first, bytes));
  });
}
int power_fallocate64(int descriptor, int mode, off_t first, off_t bytes) {
  return power_fallocate(descriptor, mode, first, bytes);
}
int power_posix_fallocate(int descriptor, off_t first, off_t bytes) {
  const int before = errno;
  const int result = power_fallocate(descriptor, 0, first, bytes);
  return result == 0 ? 0 : std::exchange(errno, before);
}
int power_posix_fallocate64(int descriptor, off_t first, off_t bytes) {
  return power_posix_fallocate(descriptor, first, bytes);
}
ssize_t power_write(int descriptor, const void* bytes, std::size_t size) {
  return change("write", descriptor, [&] { return kernel(SYS_write, descriptor, bytes, size); });
}
ssize_t power_writev(int descriptor, const iovec* parts, int count) {
  return change("writev", descriptor, [&] { return kernel(SYS_writev, descriptor, parts, count); });
}
ssize_t power_pwrite(int descriptor, const void* bytes, std::size_t size, off_t at) {
  return change("pwrite", descriptor,
                [&] { return kernel(SYS_pwrite64, descriptor, bytes, size, at); });
}
ssize_t power_pwrite64(int descriptor, const void* bytes, std::size_t size, off_t at) {
  return power_pwrite(descriptor, bytes, size, at);
}

int power_fsync(int descriptor) { return sync_descriptor("fsync", SYS_fsync, descriptor); }
int power_fdatasync(int descriptor) {
  return sync_descriptor("fdatasync", SYS_fdatasync, descriptor);
}
int power_msync(void* at, std::size_t bytes, int flags) {
  path name;
  if (!shared || (flags & MS_SYNC) == 0 || !mapped_file(at, name) ||
      !starts_with(name.data(), folder)) {
    return static_cast<int>(kernel(SYS_msync, at, bytes, flags));
  }
  const call one("msync", name.data());
  return sync(look(name.data()), name.data());
}
// These two say nothing about what is on the disk.
int power_sync_file_range(int descriptor, off_t first, off_t bytes, unsigned flags) {
  return change("sync_file_range", descriptor, [&] {
    return static_cast<int>(kernel(SYS_sync_file_range, descriptor, first, bytes, flags));
  });
}
int power_syncfs(int descriptor) {
  return change("syncfs", descriptor, [] { return 0; });
}

}  // extern "C"
