// Descriptors sent from process to process, over a Unix domain socket.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "os/descriptor.hpp"

namespace shard::os {

// In one message: SCM_MAX_FD of the kernel.
constexpr std::size_t most_descriptors = 253;

// One message of one byte with these descriptors, at most so many. Waits for room in the socket.
// Throws call_failed: EPIPE, and no signal, where no one is left to read it.
void send_descriptors(int socket, std::span<const int> all);

struct delivery {
  std::size_t bytes = 0;   // 0: the connection has ended
  bool truncated = false;  // there were more descriptors than this process may have
  std::vector<descriptor> descriptors;
};
// The next message, at most one byte of it, and whatever descriptors came with it, close-on-exec.
// Waits for one. Throws call_failed.
delivery receive_descriptors(int socket);

}  // namespace shard::os
