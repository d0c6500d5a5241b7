#include "os/huge_pages.hpp"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "os/calls.hpp"
#include "os/descriptor.hpp"
#include "os/mapping.hpp"

namespace shard::os {
namespace {

// PAGEMAP_SCAN, an ioctl of /proc/self/pagemap (Linux 6.7). The headers may be older than the
// kernel.
struct region {
  std::uint64_t first, last, categories;
};
struct scan {
  std::uint64_t size_bytes = sizeof(scan);
  std::uint64_t flags = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t walked_to = 0;
  std::uint64_t found = 0;
  std::uint64_t room = 0;
  std::uint64_t most_pages = 0;
  std::uint64_t inverted = 0;
  std::uint64_t wanted = 0;
  std::uint64_t any_of = 0;
  std::uint64_t told = 0;
};
constexpr std::uint64_t is_huge = std::uint64_t{1} << 6;
constexpr unsigned long scan_pages = _IOWR('f', 16, scan);

}  // namespace

std::size_t huge_page_bytes() noexcept {
  const std::size_t page = normal_page_bytes();
  return page * (page / sizeof(std::uint64_t));
}

void collapse(const mapping& of) noexcept {
#ifdef MADV_COLLAPSE
  constexpr int join = MADV_COLLAPSE;
#else
  constexpr int join = 25;  // of Linux 6.1: the C library may be older
#endif
  const std::size_t huge = huge_page_bytes();
  const std::size_t whole = of.length_bytes() / huge * huge;
  if (whole == 0 || reinterpret_cast<std::uintptr_t>(of.base()) % huge != 0) return;
  // A hole can't be joined, so that each has one page first.
  const auto join_pages = [&](std::size_t first, std::size_t last) {
    for (std::size_t at = first; at < last; at += huge) {
      volatile std::byte& touched = of.base()[at];
      touched = of.base()[at];
    }
    int result = 0;
    do {
      result = ::madvise(of.base() + first, last - first, join);
    } while (result != 0 && errno == EINTR);
    return result == 0;
  };
  // The first tells whether this system can.
  if (join_pages(0, huge) && whole > huge) static_cast<void>(join_pages(huge, whole));
}

std::optional<std::size_t> mapped_huge_bytes(const mapping& of) {
  const descriptor pages(calls().openat(AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0));
  if (!pages) {
    // Where there is no /proc nothing is told; that this process can open nothing is no answer.
    if (!remedy_for(errno).empty()) fail("open");
    return std::nullopt;
  }
  const std::size_t page = normal_page_bytes();
  std::array<region, 64> regions{};
  scan what;
  what.first = reinterpret_cast<std::uintptr_t>(of.base());
  what.last = what.first + (of.length_bytes() + page - 1) / page * page;
  what.found = reinterpret_cast<std::uintptr_t>(regions.data());
  what.room = regions.size();
  what.wanted = is_huge;
  what.told = is_huge;
  std::size_t huge = 0;
  while (what.first < what.last) {
    const int count = ::ioctl(pages.get(), scan_pages, &what);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    for (int i = 0; i < count; ++i) {
      const region& one = regions[static_cast<std::size_t>(i)];
      huge += static_cast<std::size_t>(one.last - one.first);
    }
    what.first = what.walked_to;
  }
  return huge;
}

}  // namespace shard::os
