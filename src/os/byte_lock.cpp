#include "os/byte_lock.hpp"

#include <fcntl.h>

#include <cerrno>

#include "os/calls.hpp"

namespace shard::os {
namespace {

struct flock lock_on(std::uint64_t byte, short kind) {
  struct flock lock {};
  lock.l_type = kind;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

short kind_of(hold how) { return how == hold::exclusive ? F_WRLCK : F_RDLCK; }

// Returns errno, or 0.
int change(const descriptor& file, int command, struct flock lock) {
  while (calls().lock_file(file.get(), command, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

bool try_lock_byte(const descriptor& file, std::uint64_t byte, hold how) {
  const int error = change(file, F_OFD_SETLK, lock_on(byte, kind_of(how)));
  if (error == EAGAIN || error == EACCES) return false;
  if (error != 0) throw call_failed(error, "fcntl");
  return true;
}

void lock_byte(const descriptor& file, std::uint64_t byte, hold how) {
  const int error = change(file, F_OFD_SETLKW, lock_on(byte, kind_of(how)));
  if (error != 0) throw call_failed(error, "fcntl");
}

void unlock_byte(const descriptor& file, std::uint64_t byte) {
  const int error = change(file, F_OFD_SETLK, lock_on(byte, F_UNLCK));
  if (error != 0) throw call_failed(error, "fcntl");
}

bool byte_is_locked(const descriptor& file, std::uint64_t byte) {
  struct flock lock = lock_on(byte, F_WRLCK);
  if (calls().lock_file(file.get(), F_OFD_GETLK, &lock) != 0) fail("fcntl");
  return lock.l_type != F_UNLCK;
}

}  // namespace shard::os
