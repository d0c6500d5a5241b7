// The processes of a run, as /proc shows them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// `root` and every process that descends from it.
std::vector<pid_t> family_of(pid_t root);

// The number after `key` in a file of "Key:   123 kB" lines. Throws std::runtime_error if it isn't
// there.
std::uint64_t number_after(std::string_view key, const std::string& path);

}  // namespace bench
