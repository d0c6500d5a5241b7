#include "os/mapping.hpp"

#include <cerrno>

#include "os/calls.hpp"

namespace shard::os {

mapping::mapping(int descriptor, std::size_t length_bytes, protection rights)
    : length_bytes_(length_bytes) {
  const int protection = rights == protection::write ? PROT_READ | PROT_WRITE : PROT_READ;
  void* base = calls().mmap(nullptr, length_bytes, protection, MAP_SHARED, descriptor, 0);
  if (base == MAP_FAILED) fail("mmap");
  base_ = static_cast<std::byte*>(base);
}

mapping::~mapping() {
  if (base_ == nullptr) return;
  const int before = errno;
  calls().munmap(base_, length_bytes_);
  errno = before;
}

void make_unreadable(void* base, std::size_t length_bytes) {
  if (calls().mprotect(base, length_bytes, PROT_NONE) != 0) fail("mprotect");
}

void make_read_only(void* base, std::size_t length_bytes) {
  if (calls().mprotect(base, length_bytes, PROT_READ) != 0) fail("mprotect");
}

}  // namespace shard::os
