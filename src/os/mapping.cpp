#include "os/mapping.hpp"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>

#include "os/calls.hpp"
#include "os/huge_pages.hpp"

namespace shard::os {

namespace {

int bits_of(protection rights) {
  return rights == protection::write ? PROT_READ | PROT_WRITE : PROT_READ;
}

struct statfs file_system_of(int descriptor) {
  struct statfs found {};
  if (calls().fstatfs(descriptor, &found) != 0) fail("fstatfs");
  return found;
}

// Of a file that consists of huge pages from the system's reserve; 0: it consists of normal pages.
std::size_t reserved_page_bytes(const struct statfs& in) {
  return in.f_type == HUGETLBFS_MAGIC ? static_cast<std::size_t>(in.f_bsize) : 0;
}

std::size_t rounded_up(std::size_t bytes, std::size_t page_bytes) {
  return page_bytes == 0 ? bytes : (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

// Where the next mapping for huge pages is to end: where the last one began, or where a higher one
// ended that is gone. There usually is room, so that one call is enough.
std::atomic<std::uintptr_t> free_until{0};

// Null: there is no room.
void* map_at(std::uintptr_t address, std::size_t length, int descriptor, int protection,
             off_t offset) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  void* const wanted = reinterpret_cast<void*>(address);
  void* const base = calls().mmap(wanted, length, protection, MAP_SHARED | MAP_FIXED_NOREPLACE,
                                  descriptor, offset);
  if (base == MAP_FAILED) return nullptr;
  if (base == wanted) return base;
  calls().munmap(base, length);  // a system that doesn't know the flag has put it elsewhere
  return nullptr;
}

// The pages of a shared memory file may have been joined to huge ones, by whoever made it. A
// process has these as huge pages only where addresses and places in the file agree modulo their
// size. Where there is no room at a place that is known, this takes more addresses than needed,
// maps the file to the right ones, and gives the others back. Null if there are not enough
// addresses.
void* map_for_huge_pages(int descriptor, std::size_t length_bytes, int protection, off_t offset) {
  const std::size_t huge = huge_page_bytes();
  const std::size_t length = rounded_up(length_bytes, normal_page_bytes());
  const std::uintptr_t end = free_until.load(std::memory_order_relaxed);
  if (end > length + huge) {
    const std::uintptr_t last = end - length;
    const std::uintptr_t first = last - (last - static_cast<std::uintptr_t>(offset)) % huge;
    if (void* const base = map_at(first, length, descriptor, protection, offset)) {
      free_until.store(first, std::memory_order_relaxed);
      return base;
    }
  }
  const std::size_t taken = length + huge;
  void* const start =
      calls().mmap(nullptr, taken, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  auto* const first = static_cast<std::byte*>(start);
  const std::size_t before =
      (static_cast<std::size_t>(offset) - reinterpret_cast<std::uintptr_t>(first)) % huge;
  void* const base = calls().mmap(first + before, length_bytes, protection, MAP_SHARED | MAP_FIXED,
                                  descriptor, offset);
  if (base == MAP_FAILED) {
    const int why = errno;
    calls().munmap(first, taken);
    errno = why;
    return nullptr;
  }
  if (before != 0) calls().munmap(first, before);
  if (before != huge) calls().munmap(first + before + length, huge - before);
  free_until.store(reinterpret_cast<std::uintptr_t>(base), std::memory_order_relaxed);
  return base;
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
std::size_t told_huge_bytes(const mapping& of) {
  const auto address = reinterpret_cast<std::uintptr_t>(of.base());
  std::ifstream smaps("/proc/self/smaps");
  // Where there is no /proc nothing is told; that this process can open nothing is no answer.
  if (!smaps && !remedy_for(errno).empty()) fail("open");
  std::size_t huge_kib = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    std::size_t kib = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &first, &last) == 2) {
      if (inside) break;
      inside = first <= address && address < last;
    } else if (inside && (std::sscanf(line.c_str(), "ShmemPmdMapped: %zu", &kib) == 1 ||
                          std::sscanf(line.c_str(), "FilePmdMapped: %zu", &kib) == 1)) {
      huge_kib += kib;
    }
  }
  return huge_kib * 1024;
}

}  // namespace

std::size_t normal_page_bytes() noexcept {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

mapping::mapping(int descriptor, std::size_t length_bytes, protection rights, std::size_t offset) {
  const struct statfs in = file_system_of(descriptor);
  length_bytes_ = rounded_up(length_bytes, reserved_page_bytes(in));
  const auto from = static_cast<off_t>(offset);
  void* base = nullptr;
  if (in.f_type == TMPFS_MAGIC && length_bytes_ >= huge_page_bytes()) {
    base = map_for_huge_pages(descriptor, length_bytes_, bits_of(rights), from);
  }
  if (base == nullptr) {
    base = calls().mmap(nullptr, length_bytes_, bits_of(rights), MAP_SHARED, descriptor, from);
  }
  if (base == MAP_FAILED) fail("mmap");
  base_ = static_cast<std::byte*>(base);
}

mapping::~mapping() {
  if (base_ == nullptr) return;
  const int before = errno;
  calls().munmap(base_, length_bytes_);
  errno = before;
  if (length_bytes_ < huge_page_bytes()) return;
  const std::uintptr_t end =
      reinterpret_cast<std::uintptr_t>(base_) + rounded_up(length_bytes_, normal_page_bytes());
  if (free_until.load(std::memory_order_relaxed) < end) {
    free_until.store(end, std::memory_order_relaxed);
  }
}

void mapping::map_over(int descriptor, protection rights) {
  void* base =
      calls().mmap(base_, length_bytes_, bits_of(rights), MAP_SHARED | MAP_FIXED, descriptor, 0);
  if (base == MAP_FAILED) fail("mmap");
}

void mapping::map_a_copy_over(int descriptor) {
  void* base = calls().mmap(base_, length_bytes_, bits_of(protection::write),
                            MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, descriptor, 0);
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
  const std::size_t made_of = reserved_page_bytes(file_system_of(descriptor));
  if (made_of > page_bytes) return {resident, resident, made_of};
  if (of.length_bytes() < huge_page_bytes()) return {resident, 0, page_bytes};
  const auto huge = mapped_huge_bytes(of);
  return {resident, huge ? *huge : told_huge_bytes(of), page_bytes};
}

std::size_t round_to_pages(int descriptor, std::size_t bytes) {
  return rounded_up(bytes, reserved_page_bytes(file_system_of(descriptor)));
}

std::size_t page_floor(int descriptor, std::size_t offset) {
  const std::size_t page =
      std::max(reserved_page_bytes(file_system_of(descriptor)), normal_page_bytes());
  return offset / page * page;
}

void make_writable(void* base, std::size_t length_bytes) {
  if (calls().mprotect(base, length_bytes, PROT_READ | PROT_WRITE) != 0) fail("mprotect");
}

void make_unreadable(void* base, std::size_t length_bytes) {
  if (calls().mprotect(base, length_bytes, PROT_NONE) != 0) fail("mprotect");
}

void make_read_only(void* base, std::size_t length_bytes) {
  if (calls().mprotect(base, length_bytes, PROT_READ) != 0) fail("mprotect");
}

}  // namespace shard::os
