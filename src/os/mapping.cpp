#include "os/mapping.hpp"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "os/calls.hpp"

namespace shard::os {

namespace {

int bits_of(protection rights) {
  return rights == protection::write ? PROT_READ | PROT_WRITE : PROT_READ;
}

// 0: the file consists of normal pages.
std::size_t huge_page_bytes(int descriptor) {
  struct statfs found {};
  if (calls().fstatfs(descriptor, &found) != 0) fail("fstatfs");
  return found.f_type == HUGETLBFS_MAGIC ? static_cast<std::size_t>(found.f_bsize) : 0;
}

// cachestat(2), of Linux 6.5: one call, where mincore(2) looks for page after page, also in holes.
std::optional<std::size_t> cached_bytes(int descriptor, std::size_t length_bytes,
                                        std::size_t page_bytes) {
  constexpr long number = 451;  // on every architecture
  struct {
    std::uint64_t offset, length;
  } const part{0, length_bytes};
  struct {
    std::uint64_t cached, dirty, being_written, evicted, recently_evicted;
  } found{};
  if (::syscall(number, descriptor, &part, &found, 0) != 0) return std::nullopt;
  return found.cached * page_bytes;
}

std::size_t resident_bytes(const mapping& of, int descriptor, std::size_t page_bytes) {
  if (const auto cached = cached_bytes(descriptor, of.length_bytes(), page_bytes)) {
    return std::min(*cached, of.length_bytes());
  }
  std::array<unsigned char, 4096> pages{};
  const std::size_t block = pages.size() * page_bytes;
  std::size_t resident = 0;
  for (std::size_t at = 0; at < of.length_bytes(); at += block) {
    const std::size_t bytes = std::min(block, of.length_bytes() - at);
    if (::mincore(of.base() + at, bytes, pages.data()) != 0) fail("mincore");
    const auto count = static_cast<std::ptrdiff_t>((bytes + page_bytes - 1) / page_bytes);
    const auto present = [](unsigned char page) { return (page & 1) != 0; };
    resident +=
        static_cast<std::size_t>(std::count_if(pages.begin(), pages.begin() + count, present)) *
        page_bytes;
  }
  return std::min(resident, of.length_bytes());
}

// /proc/self/smaps has, for each mapping, a line that begins with its addresses, and then one
// "Key: 123 kB" for each figure. The kernel may have joined ours with neighbours that it can't tell
// apart, never with those of another file.
class figures {
 public:
  explicit figures(const void* base) {
    const auto address = reinterpret_cast<std::uintptr_t>(base);
    std::ifstream smaps("/proc/self/smaps");
    // Where there is no /proc nothing is told; that this process can open nothing is no answer.
    if (!smaps && !remedy_for(errno).empty()) fail("open");
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
      std::uintptr_t first = 0;
      std::uintptr_t last = 0;
      if (std::sscanf(line.c_str(), "%zx-%zx ", &first, &last) == 2) {
        if (inside) return;
        inside = first <= address && address < last;
      } else if (inside) {
        lines_ += line + '\n';
      }
    }
  }

  std::size_t bytes(const std::string& key) const {
    const std::size_t at = lines_.find(key + ':');
    if (at == std::string::npos) return 0;
    return std::strtoull(lines_.c_str() + at + key.size() + 1, nullptr, 10) * 1024;
  }

 private:
  std::string lines_ = "\n";
};

}  // namespace

std::size_t normal_page_bytes() noexcept {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

mapping::mapping(int descriptor, std::size_t length_bytes, protection rights, std::size_t offset)
    : length_bytes_(round_to_pages(descriptor, length_bytes)) {
  void* base = calls().mmap(nullptr, length_bytes_, bits_of(rights), MAP_SHARED, descriptor,
                            static_cast<off_t>(offset));
  if (base == MAP_FAILED) fail("mmap");
  base_ = static_cast<std::byte*>(base);
}

mapping::~mapping() {
  if (base_ == nullptr) return;
  const int before = errno;
  calls().munmap(base_, length_bytes_);
  errno = before;
}

void mapping::map_over(int descriptor, protection rights) {
  void* base =
      calls().mmap(base_, length_bytes_, bits_of(rights), MAP_SHARED | MAP_FIXED, descriptor, 0);
  if (base == MAP_FAILED) fail("mmap");
}

void prefer_huge_pages(const mapping& of) noexcept {
  ::madvise(of.base(), of.length_bytes(), MADV_HUGEPAGE);
}

void flush(const mapping& of) {
  if (calls().msync(of.base(), of.length_bytes(), MS_SYNC) != 0) fail("msync");
}

memory_use use_of(const mapping& of, int descriptor) {
  const std::size_t page_bytes = normal_page_bytes();
  const std::size_t resident = resident_bytes(of, descriptor, page_bytes);
  const std::size_t made_of = huge_page_bytes(descriptor);
  if (made_of > page_bytes) return {resident, resident, made_of};
  // No huge page fits into less, and /proc/self/smaps is long where there are many mappings.
  constexpr std::size_t smallest_huge_page = std::size_t{1} << 20;
  if (of.length_bytes() < smallest_huge_page) return {resident, 0, page_bytes};
  const figures found(of.base());
  const std::size_t huge = found.bytes("\nShmemPmdMapped") + found.bytes("\nFilePmdMapped");
  return {resident, huge, page_bytes};
}

std::size_t round_to_pages(int descriptor, std::size_t bytes) {
  const std::size_t page = huge_page_bytes(descriptor);
  return page == 0 ? bytes : (bytes + page - 1) / page * page;
}

std::size_t page_floor(int descriptor, std::size_t offset) {
  const std::size_t page = std::max(huge_page_bytes(descriptor), normal_page_bytes());
  return offset / page * page;
}

void make_unreadable(void* base, std::size_t length_bytes) {
  if (calls().mprotect(base, length_bytes, PROT_NONE) != 0) fail("mprotect");
}

void make_read_only(void* base, std::size_t length_bytes) {
  if (calls().mprotect(base, length_bytes, PROT_READ) != 0) fail("mprotect");
}

}  // namespace shard::os
