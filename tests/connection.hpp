// A connected pair of Unix domain sockets.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace shard_test {

class connection {
 public:
  connection() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0); }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() {
    hang_up();
    close(ends_[1]);
  }
  void hang_up() {
    if (ends_[0] >= 0) close(std::exchange(ends_[0], -1));
  }
  int here() const { return ends_[0]; }
  int there() const { return ends_[1]; }

  // One message with these descriptors, by hand.
  void send(const std::vector<int>& descriptors) const {
    char byte = 'x';
    iovec data{&byte, 1};
    alignas(cmsghdr) char control[512] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (const std::size_t bytes = descriptors.size() * sizeof(int); bytes > 0) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(bytes);
      std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
    }
    EXPECT_EQ(sendmsg(here(), &message, 0), 1);
  }

 private:
  int ends_[2] = {-1, -1};
};

}  // namespace shard_test
