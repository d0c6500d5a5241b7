// Descriptors sent from process to process, over a Unix domain socket.
#pragma once

#include <cstddef>
#include <vector>

#include "os/descriptor.hpp"

namespace shard::os {

// One message of one byte with one descriptor. Waits for room in the socket. Throws call_failed:
// EPIPE, and no signal, where no one is left to read it.
void send_descriptor(int socket, int descriptor);

struct delivery {
  std::size_t bytes = 0;   // 0: the connection has ended
  bool truncated = false;  // there were more descriptors than this process may have
  std::vector<descriptor> descriptors;
};
// The next message, at most one byte of it, and whatever descriptors came with it, close-on-exec.
// Waits for one. Throws call_failed.
delivery receive_descriptors(int socket);

}  // namespace shard::os
