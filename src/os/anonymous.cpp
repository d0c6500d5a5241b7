#include "os/anonymous.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "os/calls.hpp"
#include "os/mapping.hpp"

namespace shard::os {

anonymous_memory::anonymous_memory(std::size_t bytes, sharing how) {
  map(bytes, MAP_ANONYMOUS | (how == sharing::with_children ? MAP_SHARED : MAP_PRIVATE), -1);
}

anonymous_memory anonymous_memory::of_file(const descriptor& file, std::size_t bytes) {
  anonymous_memory made;
  made.map(bytes, MAP_SHARED, file.get());
  return made;
}

void anonymous_memory::map(std::size_t bytes, int flags, int descriptor) {
  if (bytes == 0) return;
  void* const base =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, descriptor, 0);
  if (base == MAP_FAILED) fail("mmap");
  base_ = static_cast<std::byte*>(base);
  bytes_ = bytes;
}

anonymous_memory::~anonymous_memory() {
  if (base_ != nullptr) ::munmap(base_, bytes_);
}

void prefer_huge_pages(void* base, std::size_t bytes) noexcept {
  static_cast<void>(::madvise(base, bytes, MADV_HUGEPAGE));
}

bool keep_from_dumps(void* base, std::size_t bytes) noexcept {
  return ::madvise(base, bytes, MADV_DONTDUMP) == 0;
}

void read_none_ahead(void* base, std::size_t bytes) noexcept {
  static_cast<void>(::madvise(base, bytes, MADV_RANDOM));
}

bool keep_from_children(void* base, std::size_t bytes) noexcept {
  return ::madvise(base, bytes, MADV_DONTFORK) == 0;
}

void leave_to_children(void* base, std::size_t bytes) noexcept {
  static_cast<void>(::madvise(base, bytes, MADV_DOFORK));
}

void discard(std::byte* base, std::size_t bytes) noexcept {
  if (bytes != 0 && ::madvise(base, bytes, MADV_REMOVE) != 0) std::memset(base, 0, bytes);
}

bool reserve_pages(std::byte* base, std::size_t bytes) noexcept {
#ifdef MADV_POPULATE_WRITE
  constexpr int populate = MADV_POPULATE_WRITE;
#else
  constexpr int populate = 23;  // of Linux 5.14: the C library may be older
#endif
  const auto within_page = reinterpret_cast<std::uintptr_t>(base) % normal_page_bytes();
  int result = 0;
  do {
    result = ::madvise(base - within_page, bytes + within_page, populate);
  } while (result != 0 && errno == EINTR);
  return result == 0 || errno == EINVAL || errno == ENOSYS || errno == EPERM;
}

void vacate(void* base, std::size_t bytes) noexcept {
  static_cast<void>(::mmap(base, bytes, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
}

}  // namespace shard::os
