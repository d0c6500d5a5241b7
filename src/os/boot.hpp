// Which run of the system this is, and which host.
#pragma once

#include <cstdint>
#include <string>

#include "os/descriptor.hpp"

namespace shard::os {

// Another one after each boot of the kernel. Empty: the system doesn't tell.
std::string boot_id();
std::string host_name();

// Whether other hosts may change the files of this file system, too. Throws call_failed.
bool is_on_network(const descriptor& file);

// That nobody has had before, as far as chance goes.
std::uint64_t random_number();

// Whether a process of that pid lives. One that has ended and was not reaped does not.
bool is_alive(int pid) noexcept;

}  // namespace shard::os
