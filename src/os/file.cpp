#include "os/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>

#include "os/calls.hpp"

namespace shard::os {
namespace {

constexpr mode_t owner_only = 0600;
constexpr const char* list_attribute = "system.posix_acl_access";
constexpr int needed_seals = F_SEAL_SHRINK | F_SEAL_GROW;

std::string proc_path(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

// Repeats a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

descriptor open_from(int directory, const std::string& path, int flags, mode_t mode) {
  descriptor opened(uninterrupted(
      [&] { return calls().openat(directory, path.c_str(), flags | O_CLOEXEC, mode); }));
  if (!opened) fail("open");
  return opened;
}

int flags_of(protection rights) {
  return (rights == protection::write ? O_RDWR : O_RDONLY) | O_NONBLOCK;
}

const char* kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return "a regular file";
    case S_IFDIR: return "a directory";
    case S_IFLNK: return "a symlink";
    case S_IFIFO: return "a FIFO or pipe";
    case S_IFSOCK: return "a socket";
    case S_IFCHR: return "a character device";
    case S_IFBLK: return "a block device";
    default: return "no file at all";
  }
}

file_status status_of(const struct stat& found) {
  constexpr std::size_t block_bytes = 512;  // of st_blocks, whatever the file system
  return {.kind = kind_of(found.st_mode),
          .regular = S_ISREG(found.st_mode),
          .symlink = S_ISLNK(found.st_mode),
          .names = static_cast<std::size_t>(found.st_nlink),
          .size_bytes = static_cast<std::size_t>(found.st_size),
          .allocated_bytes = static_cast<std::size_t>(found.st_blocks) * block_bytes,
          .modified_ns = std::int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec,
          .mode = found.st_mode & 07777u,
          .group = found.st_gid,
          .identity = {found.st_dev, found.st_ino},
          .ours = found.st_uid == geteuid()};
}

// A file that is none in memory has no seals, which is EINVAL.
int seals_of(int descriptor) {
  const int seals = calls().get_seals(descriptor);
  if (seals < 0 && errno != EINVAL) fail("fcntl");
  return seals < 0 ? 0 : seals;
}

descriptor sealed_file(const std::string& name, unsigned flags, std::size_t size_bytes) {
  descriptor file(calls().memfd_create(name.c_str(), flags | MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) fail("memfd_create");
  restrict_to_owner(file);
  const auto size = static_cast<off_t>(round_to_pages(file.get(), size_bytes));
  if (uninterrupted([&] { return calls().ftruncate(file.get(), size); }) != 0) fail("ftruncate");
  // F_SEAL_SEAL is left out: a seal against writing may follow.
  if (calls().add_seals(file.get(), needed_seals) != 0) fail("fcntl");
  return file;
}

}  // namespace

descriptor open(const std::string& path, protection rights) {
  return open_from(AT_FDCWD, path, flags_of(rights), 0);
}

descriptor open_at(const descriptor& directory, const std::string& name, protection rights) {
  return open_from(directory.get(), name, flags_of(rights) | O_NOFOLLOW, 0);
}

descriptor open_directory(const std::string& path) {
  return open_from(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
}

descriptor open_to_flush(const descriptor& directory) {
  return open_from(directory.get(), ".", O_RDONLY | O_DIRECTORY, 0);
}

descriptor create_new(const descriptor& directory, const std::string& name) {
  return open_from(directory.get(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, owner_only);
}

void restrict_to_owner(const descriptor& file) { set_mode(file, owner_only); }

void set_mode(const descriptor& file, unsigned mode) {
  if (calls().fchmod(file.get(), static_cast<mode_t>(mode)) != 0) fail("fchmod");
}

bool set_group(const descriptor& file, unsigned group) noexcept {
  constexpr auto as_it_is = static_cast<uid_t>(-1);
  return calls().fchown(file.get(), as_it_is, static_cast<gid_t>(group)) == 0;
}

// By its path in /proc: a descriptor that was opened to look at a file tells no attributes.
std::optional<access_list> access_list_of(const descriptor& file) {
  access_list found(65536);  // XATTR_SIZE_MAX
  const ssize_t bytes =
      calls().getxattr(proc_path(file.get()).c_str(), list_attribute, found.data(), found.size());
  if (bytes < 0 && (errno == ENODATA || errno == EOPNOTSUPP)) return access_list{};
  if (bytes < 0) return std::nullopt;
  found.resize(static_cast<std::size_t>(bytes));
  return found;
}

bool set_access_list(const descriptor& file, const access_list& to) noexcept {
  return calls().fsetxattr(file.get(), list_attribute, to.data(), to.size(), 0) == 0;
}

bool drop_access_list(const descriptor& file) noexcept {
  return calls().fremovexattr(file.get(), list_attribute) == 0 || errno == ENODATA ||
         errno == EOPNOTSUPP;
}

descriptor memory_file(const std::string& name, std::size_t size_bytes) {
  return sealed_file(name, 0, size_bytes);
}

descriptor huge_memory_file(const std::string& name, std::size_t size_bytes) {
  return sealed_file(name, MFD_HUGETLB, size_bytes);
}
descriptor unnamed_file(const descriptor& directory) {
  constexpr int flags = O_TMPFILE | O_RDWR | O_CLOEXEC;
  descriptor file(
      uninterrupted([&] { return calls().openat(directory.get(), ".", flags, owner_only); }));
  // File systems without unnamed files say EOPNOTSUPP; kernels without them read the flags as a
  // wish to open the directory for writing (EISDIR), or don't know the flag (EINVAL, ENOENT).
  if (!file && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT))
    return {};
  if (!file) fail("open");
  return file;
}

void reserve(const descriptor& file, std::size_t size_bytes, std::size_t offset) {
  const auto size = static_cast<off_t>(size_bytes);
  const auto from = static_cast<off_t>(offset);
  if (uninterrupted([&] { return calls().fallocate(file.get(), 0, from, size); }) == 0) return;
  if (errno != EOPNOTSUPP) fail("fallocate");
  // Writes into every block where the file system can't reserve.
  errno = calls().posix_fallocate(file.get(), from, size);
  if (errno != 0) fail("posix_fallocate");
}

void cut(const descriptor& file, std::size_t size_bytes) {
  const auto size = static_cast<off_t>(size_bytes);
  if (uninterrupted([&] { return calls().ftruncate(file.get(), size); }) != 0) fail("ftruncate");
}

void write_all(const descriptor& file, std::span<const std::byte> bytes, std::size_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = uninterrupted([&] {
      return calls().pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    });
    if (written < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::size_t>(written);
  }
}

std::size_t read_some(const descriptor& file, std::span<std::byte> bytes, std::size_t offset) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t found = uninterrupted([&] {
      return calls().pread(file.get(), bytes.data() + done, bytes.size() - done,
                           static_cast<off_t>(offset + done));
    });
    if (found < 0) fail("read");
    if (found == 0) break;
    done += static_cast<std::size_t>(found);
  }
  return done;
}

file_status status(int descriptor) {
  struct stat found {};
  if (calls().fstat(descriptor, &found) != 0) fail("fstat");
  return status_of(found);
}

std::optional<file_status> status_at(const descriptor& directory, const std::string& name) {
  struct stat found {};
  if (calls().fstatat(directory.get(), name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) {
    return status_of(found);
  }
  if (errno != ENOENT) fail("fstatat");
  return std::nullopt;
}

descriptor look_at(const descriptor& directory, const std::string& name) try {
  return open_from(directory.get(), name, O_PATH | O_NOFOLLOW, 0);
} catch (const call_failed& e) {
  if (e.code() != std::errc::no_such_file_or_directory) throw;
  return {};
}

std::int64_t birth_of(int descriptor) noexcept {
  struct statx found {};
  const bool known = ::statx(descriptor, "", AT_EMPTY_PATH, STATX_BTIME, &found) == 0 &&
                     (found.stx_mask & STATX_BTIME) != 0;
  return known ? std::int64_t{found.stx_btime.tv_sec} * 1'000'000'000 + found.stx_btime.tv_nsec : 0;
}

std::vector<std::string> names_in(const std::string& folder) {
  descriptor opened = open_from(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
  const auto close = [](DIR* list) { ::closedir(list); };
  const std::unique_ptr<DIR, decltype(close)> list(::fdopendir(opened.get()), close);
  if (!list) fail("fdopendir");
  static_cast<void>(opened.release());  // the list's now
  std::vector<std::string> found;
  for (;;) {
    errno = 0;
    const dirent* const next = ::readdir(list.get());
    if (next == nullptr) break;
    const std::string name = next->d_name;
    if (name != "." && name != "..") found.push_back(name);
  }
  if (errno != 0) fail("readdir");
  return found;
}

name_obstacles obstacles_at(const descriptor& directory, const std::string& name) noexcept {
  struct statx found {};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  if (::statx(directory.get(), name.c_str(), flags, STATX_TYPE, &found) != 0) return {};
  const std::uint64_t told = found.stx_attributes & found.stx_attributes_mask;
  return {.immutable = (told & STATX_ATTR_IMMUTABLE) != 0,
          .append_only = (told & STATX_ATTR_APPEND) != 0,
          .mounted_on = (told & STATX_ATTR_MOUNT_ROOT) != 0};
}

bool may_remove_others_files() noexcept {
  struct __user_cap_header_struct header {
    _LINUX_CAPABILITY_VERSION_3, 0
  };
  std::array<struct __user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[0].effective & (1u << CAP_FOWNER)) != 0;
}

descriptor open_again(int descriptor, protection rights) try {
  return open(proc_path(descriptor), rights);
} catch (const call_failed& e) {
  throw call_failed(e.code().value(), "open in /proc/self/fd");
}

descriptor open_again_of(int process, int descriptor, protection rights) try {
  return open("/proc/" + std::to_string(process) + "/fd/" + std::to_string(descriptor), rights);
} catch (const call_failed& e) {
  throw call_failed(e.code().value(), "open in /proc of the caller");
}

std::string name_of(int descriptor) {
  std::array<char, PATH_MAX> name{};
  const ssize_t length = calls().readlink(proc_path(descriptor).c_str(), name.data(), name.size());
  if (length < 0) fail("readlink");
  return {name.data(), static_cast<std::size_t>(length)};
}

bool open_for_writing(int descriptor) {
  const int flags = calls().get_flags(descriptor);
  if (flags < 0) fail("fcntl");
  return (flags & O_ACCMODE) == O_RDWR;
}

bool may_write(int descriptor) {
  if (::faccessat(AT_FDCWD, proc_path(descriptor).c_str(), W_OK, AT_EACCESS) == 0) return true;
  if (errno != EACCES && errno != EPERM && errno != EROFS) fail("faccessat");
  return false;
}

bool sealed(int descriptor) { return (seals_of(descriptor) & needed_seals) == needed_seals; }

bool sealed_against_writing(int descriptor) { return (seals_of(descriptor) & F_SEAL_WRITE) != 0; }

void seal_against_writing(const descriptor& memory_file) {
  if (calls().add_seals(memory_file.get(), F_SEAL_WRITE) != 0) fail("fcntl");
}

void link_at(const descriptor& unnamed, const descriptor& directory, const std::string& name) {
  // By /proc, since naming the descriptor itself takes a capability.
  const std::string source = proc_path(unnamed.get());
  if (calls().linkat(AT_FDCWD, source.c_str(), directory.get(), name.c_str(), AT_SYMLINK_FOLLOW) !=
      0) {
    fail("linkat");
  }
}

void link_name_at(const descriptor& directory, const std::string& from, const std::string& to) {
  if (calls().linkat(directory.get(), from.c_str(), directory.get(), to.c_str(), 0) != 0) {
    fail("linkat");
  }
}

void rename_at(const descriptor& directory, const std::string& from, const std::string& to) {
  if (calls().renameat(directory.get(), from.c_str(), directory.get(), to.c_str()) != 0)
    fail("rename");
}

bool exchange_at(const descriptor& directory, const std::string& one, const std::string& other) {
  if (calls().renameat2(directory.get(), one.c_str(), directory.get(), other.c_str(),
                        RENAME_EXCHANGE) == 0) {
    return true;
  }
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EPERM) fail("rename");
  return false;
}

void unlink_at(const descriptor& directory, const std::string& name) {
  if (calls().unlinkat(directory.get(), name.c_str(), 0) != 0) fail("unlink");
}

void flush(const descriptor& file) {
  if (uninterrupted([&] { return calls().fsync(file.get()); }) != 0) fail("fsync");
}

void flush_data(int file) {
  if (uninterrupted([&] { return calls().fdatasync(file); }) != 0) fail("fdatasync");
}

}  // namespace shard::os
