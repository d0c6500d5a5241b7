#include "os/boot.hpp"

#include <signal.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "os/calls.hpp"
#include "os/file.hpp"

namespace shard::os {

std::string boot_id() try {
  const descriptor file = open("/proc/sys/kernel/random/boot_id", protection::read);
  std::array<std::byte, 64> bytes{};
  const std::size_t found = read_some(file, bytes, 0);
  std::string text(reinterpret_cast<const char*>(bytes.data()), found);
  std::erase(text, '\n');
  return text;
} catch (const call_failed&) {
  return {};
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  return name.data();
}

// The numbers of linux/magic.h, and of Lustre, GPFS and BeeGFS, which are no part of the kernel. Of
// FUSE nothing is known, so it counts as local.
bool is_on_network(const descriptor& file) {
  struct statfs in {};
  if (calls().fstatfs(file.get(), &in) != 0) fail("fstatfs");
  constexpr std::array<unsigned long, 12> types{
      0x6969,      // NFS
      0x517b,      // SMB
      0xff534d42,  // CIFS
      0xfe534d42,  // SMB2
      0x00c36400,  // Ceph
      0x0bd00bd0,  // Lustre
      0x47504653,  // GPFS
      0x01021997,  // 9P
      0x19830326,  // BeeGFS
      0x5346414f,  // AFS
      0x6b414653,  // AFS of the kernel
      0x73757245,  // Coda
  };
  const auto type = static_cast<unsigned long>(in.f_type) & 0xffffffffUL;
  return std::ranges::find(types, type) != types.end();
}

std::uint64_t random_number() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) fail("getrandom");
  return number;
}

bool is_alive(int pid) noexcept try {
  if (::kill(pid, 0) != 0 && errno != EPERM) return false;
  const descriptor file = open("/proc/" + std::to_string(pid) + "/stat", protection::read);
  std::array<std::byte, 512> bytes{};
  const std::size_t found = read_some(file, bytes, 0);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), found);
  const std::size_t state = text.rfind(')') + 2;  // behind the command's name
  return state >= text.size() || (text[state] != 'Z' && text[state] != 'X');
} catch (const std::exception&) {
  return true;  // as far as is known
}

}  // namespace shard::os
