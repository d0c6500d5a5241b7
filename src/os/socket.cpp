#include "os/socket.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "os/calls.hpp"

namespace shard::os {
namespace {

// A message of one byte with room for so many descriptors.
class envelope {
 public:
  explicit envelope(std::size_t descriptors) {
    header_.msg_iov = &data_;
    header_.msg_iovlen = 1;
    header_.msg_control = control_;
    header_.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
  }
  envelope(const envelope&) = delete;
  envelope& operator=(const envelope&) = delete;
  msghdr& header() { return header_; }

 private:
  char byte_ = 0;
  iovec data_{&byte_, 1};
  alignas(cmsghdr) char control_[CMSG_SPACE(most_descriptors * sizeof(int))] = {};
  msghdr header_{};
};

template <class Call>
std::size_t transferred(const char* name, Call call) {
  ssize_t bytes = call();
  while (bytes < 0 && errno == EINTR) bytes = call();
  if (bytes < 0) fail(name);
  return static_cast<std::size_t>(bytes);
}

void take_descriptors(const cmsghdr& from, std::vector<descriptor>& into) {
  const std::size_t bytes = from.cmsg_len - CMSG_LEN(0);
  for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
    int number = -1;
    std::memcpy(&number, CMSG_DATA(&from) + at, sizeof number);
    into.emplace_back(above_standard_streams(number));
  }
}

}  // namespace

void send_descriptors(int socket, std::span<const int> all) {
  envelope message(all.size());
  cmsghdr* const attached = CMSG_FIRSTHDR(&message.header());
  attached->cmsg_level = SOL_SOCKET;
  attached->cmsg_type = SCM_RIGHTS;
  attached->cmsg_len = CMSG_LEN(all.size_bytes());
  std::memcpy(CMSG_DATA(attached), all.data(), all.size_bytes());
  transferred("sendmsg", [&] { return calls().sendmsg(socket, &message.header(), MSG_NOSIGNAL); });
}

delivery receive_descriptors(int socket) {
  envelope message(most_descriptors);
  delivery found;
  found.descriptors.reserve(most_descriptors);  // nothing may throw while a number has no owner
  found.bytes = transferred(
      "recvmsg", [&] { return calls().recvmsg(socket, &message.header(), MSG_CMSG_CLOEXEC); });
  found.truncated = (message.header().msg_flags & MSG_CTRUNC) != 0;
  msghdr& header = message.header();
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    take_descriptors(*each, found.descriptors);
  }
  return found;
}

}  // namespace shard::os
