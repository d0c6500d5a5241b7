#include "memory/delivery.hpp"

#include <system_error>
#include <utility>

#include "memory/malformed.hpp"
#include "os/event.hpp"
#include "os/file.hpp"

namespace shard::memory {

std::vector<os::descriptor> delivered(os::delivery received, const std::string& wanted) {
  if (received.truncated) {
    throw malformed("more descriptors than this process may open",
                    "room for them (ulimit -n), and a message with " + wanted,
                    std::errc::too_many_files_open);
  }
  if (!received.descriptors.empty()) return std::move(received.descriptors);
  if (received.bytes == 0) {
    throw malformed("the end of the connection", wanted, std::errc::not_connected);
  }
  throw malformed("a message without a descriptor", wanted, std::errc::bad_message);
}

os::descriptor checked_event(os::descriptor event) {
  if (os::is_event_counter(event.get())) return event;
  const std::string kind = os::status(event.get()).kind;
  throw malformed(kind, "an eventfd");
}

}  // namespace shard::memory
