#include "os/byte_lock.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "os/calls.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"

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

// Far from all bytes that mean anything.
constexpr std::uint64_t own_byte = (std::uint64_t{1} << 62) + (std::uint64_t{1} << 32);

// A line of the kernel's list: "1: OFDLCK ADVISORY READ -1 fe:00:1234 0 EOF". One that waits has
// "->" in it.
struct listed {
  std::string file;  // device and inode, as the kernel has them: stat(2) may say others
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

listed parse(const std::string& line) {
  std::istringstream words(line);
  std::string number;
  std::string kind;
  std::string manner;
  std::string rights;
  std::string process;
  listed found;
  words >> number >> kind >> manner >> rights >> process >> found.file >> found.first >> found.last;
  return words && kind == "OFDLCK" ? found : listed{};
}

// What the kernel calls a file: said of a lock that we hold for the moment. "": not to be known.
std::string listed_name(const descriptor& file) {
  if (!try_lock_byte(file, own_byte, hold::shared)) return {};
  std::ifstream list("/proc/self/fdinfo/" + std::to_string(file.get()));
  std::string name;
  for (std::string line; name.empty() && std::getline(list, line);) {
    if (line.starts_with("lock:")) name = parse(line.substr(sizeof "lock:")).file;
  }
  unlock_byte(file, own_byte);
  return name;
}

// The kernel's list of all locks, which comes in pieces of a page. What comes behind the last line
// that there was in the meantime would be another line moved there: nobody asks for that.
std::string all_locks() try {
  constexpr std::size_t longest_line = 256;
  const descriptor list = open("/proc/locks", protection::read);
  std::string text;
  for (;;) {
    const std::size_t used = text.size();
    text.resize(used + normal_page_bytes());
    const ssize_t found = calls().pread(list.get(), text.data() + used, normal_page_bytes(),
                                        static_cast<off_t>(used));
    const std::size_t bytes = found < 0 ? 0 : static_cast<std::size_t>(found);
    text.resize(used + bytes);
    if (bytes + longest_line < normal_page_bytes()) return text;
  }
} catch (const call_failed&) {
  return {};
}

std::size_t listed_holders(const std::string& name, std::uint64_t byte) {
  std::istringstream list(all_locks());
  std::size_t count = 0;
  for (std::string line; std::getline(list, line);) {
    const listed found = parse(line);
    // Neighbours that one description holds alike are one lock.
    if (found.file == name && found.first <= byte && byte <= found.last) ++count;
  }
  return count;
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

byte_release::~byte_release() {
  if (file_ == nullptr) return;
  try {
    unlock_byte(*file_, byte_);
  } catch (const call_failed&) {
    // It goes with the descriptor.
  }
}

bool byte_is_locked(const descriptor& file, std::uint64_t byte) {
  struct flock lock = lock_on(byte, F_WRLCK);
  if (calls().lock_file(file.get(), F_OFD_GETLK, &lock) != 0) fail("fcntl");
  return lock.l_type != F_UNLCK;
}

std::size_t holders_of_byte(const descriptor& file, std::uint64_t byte) {
  if (!byte_is_locked(file, byte)) return 0;
  const std::string name = listed_name(file);
  if (name.empty()) return 1;
  // While other files' locks come and go between two pieces of the list, lines may be there twice,
  // or not at all. Twice the same is taken for true.
  constexpr int tries = 8;
  std::size_t count = listed_holders(name, byte);
  for (int i = 0; i < tries; ++i) {
    const std::size_t before = std::exchange(count, listed_holders(name, byte));
    if (count == before) break;
  }
  return std::max<std::size_t>(count, 1);
}

}  // namespace shard::os
