#include "os/machine.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <utility>

#include "os/anonymous.hpp"
#include "os/calls.hpp"
#include "os/cgroup.hpp"
#include "os/robust_mutex.hpp"

namespace shard::os {
namespace {

struct known_kind {
  std::uint32_t magic;
  const char* name;
  bool network;
};
// statfs(2), and linux/magic.h of newer kernels.
constexpr std::array known_kinds{
    known_kind{0xef53, "ext4", false},         known_kind{0x58465342, "xfs", false},
    known_kind{0x9123683e, "btrfs", false},    known_kind{0x01021994, "tmpfs", false},
    known_kind{0x794c7630, "overlay", false},  known_kind{0x2fc12fc1, "zfs", false},
    known_kind{0xf2f52010, "f2fs", false},     known_kind{0xca451a4e, "bcachefs", false},
    known_kind{0x4d44, "vfat", false},         known_kind{0x2011bab0, "exfat", false},
    known_kind{0x5346544e, "ntfs", false},     known_kind{0x9660, "iso9660", false},
    known_kind{0x73717368, "squashfs", false}, known_kind{0x9fa0, "proc", false},
    known_kind{0x62656572, "sysfs", false},    known_kind{0x858458f6, "ramfs", false},
    known_kind{0x65735546, "fuse", true},      known_kind{0x6969, "nfs", true},
    known_kind{0xff534d42, "cifs", true},      known_kind{0xfe534d42, "smb2", true},
    known_kind{0x01021997, "9p", true},        known_kind{0x00c36400, "ceph", true},
    known_kind{0x0bd00bd0, "lustre", true},    known_kind{0x47504653, "gpfs", true},
    known_kind{0x19830326, "beegfs", true},    known_kind{0x6b414653, "afs", true},
};

// "always [never] advise": the word in brackets.
std::string chosen(const std::string& words) {
  const std::size_t first = words.find('[');
  const std::size_t last = words.find(']');
  if (first == std::string::npos || last == std::string::npos || last < first) return {};
  return words.substr(first + 1, last - first - 1);
}

struct group_files {
  const char* limit;
  const char* used;
};

// Version 1 says "no limit" by the largest number of whole pages.
constexpr std::size_t no_limit = std::size_t{1} << 62;

std::optional<group_limit> tightest(const std::string& controller, const group_files& first,
                                    const group_files& second, const std::filesystem::path& root) {
  std::optional<group_limit> found;
  const auto left = [](const group_limit& of) { return of.most - std::min(of.used, of.most); };
  for (const control_group& each : control_groups(controller, root)) {
    const group_files& files = each.second_version ? second : first;
    const std::optional<std::size_t> most = number(contents(each.files / files.limit));
    if (!most || *most >= no_limit) continue;
    group_limit here{*most, number(contents(each.files / files.used)).value_or(0), each.name};
    if (!found || left(here) < left(*found)) found = std::move(here);
  }
  return found;
}

}  // namespace

kernel_version kernel() {
  struct utsname names {};
  if (::uname(&names) != 0) fail("uname");
  kernel_version found{.release = names.release};
  std::sscanf(names.release, "%u.%u", &found.major, &found.minor);
  return found;
}

bool has_process_descriptors() noexcept {
  return static_cast<bool>(descriptor(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0))));
}

bool has_memory_files() noexcept {
  return static_cast<bool>(descriptor(calls().memfd_create("shard-doctor", MFD_CLOEXEC)));
}

bool has_robust_mutexes() {
  const anonymous_memory shared(sizeof(robust_mutex), sharing::with_children);
  auto* const mutex = new (shared.base()) robust_mutex;
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    mutex->lock();
    ::_exit(0);
  }
  while (::waitpid(child, nullptr, 0) == -1 && errno == EINTR) {
  }
  return mutex->try_lock() == robust_mutex::outcome::owner_died;
}

bool has_proc() noexcept { return ::access("/proc/self/fd", R_OK | X_OK) == 0; }

memory_status machine_memory() {
  constexpr std::size_t kibi = 1024;
  const std::string table = contents("/proc/meminfo");
  return {
      .total_bytes = field(table, "MemTotal") * kibi,
      .available_bytes = field(table, "MemAvailable") * kibi,
      .swap_bytes = field(table, "SwapTotal") * kibi,
      .free_swap_bytes = field(table, "SwapFree") * kibi,
      .huge_page_bytes = field(table, "Hugepagesize") * kibi,
      .free_huge_pages = field(table, "HugePages_Free"),
      .huge_shared_memory = chosen(contents("/sys/kernel/mm/transparent_hugepage/shmem_enabled"))};
}

std::optional<group_limit> memory_limit(const std::filesystem::path& root) {
  return tightest("memory", {"memory.limit_in_bytes", "memory.usage_in_bytes"},
                  {"memory.max", "memory.current"}, root);
}

std::optional<group_limit> process_limit(const std::filesystem::path& root) {
  constexpr group_files files{"pids.max", "pids.current"};
  return tightest("pids", files, files, root);
}

file_system file_system_of(const std::string& path) {
  struct statfs kind {};
  struct statvfs room {};
  if (::statfs(path.c_str(), &kind) != 0) fail("statfs");
  if (::statvfs(path.c_str(), &room) != 0) fail("statvfs");
  const auto magic = static_cast<std::uint32_t>(kind.f_type);
  std::array<char, 16> number{};
  std::snprintf(number.data(), number.size(), "0x%x", magic);
  file_system found{.kind = number.data(),
                    .read_only = (room.f_flag & ST_RDONLY) != 0,
                    .size_bytes = room.f_blocks * room.f_frsize,
                    .free_bytes = room.f_bavail * room.f_frsize};
  for (const known_kind& each : known_kinds) {
    if (each.magic != magic) continue;
    found.kind = each.name;
    found.network = each.network;
  }
  return found;
}

bool reserves(const descriptor& file) noexcept { return ::fallocate(file.get(), 0, 0, 4096) == 0; }

std::optional<std::size_t> limit_of(resource what) noexcept {
  constexpr std::array ids{RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_AS, RLIMIT_FSIZE, RLIMIT_CORE};
  struct rlimit limit {};
  if (::getrlimit(ids[static_cast<std::size_t>(what)], &limit) != 0) return std::nullopt;
  if (limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}

}  // namespace shard::os
