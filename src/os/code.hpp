// Where code lies, so that another process which has loaded the same modules finds it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace shard::os {

// The build id that the linker has given to a program or library (NT_GNU_BUILD_ID, a hash of its
// contents). All zeros: none.
struct build_id {
  std::array<std::uint8_t, 32> bytes{};  // a SHA-1 has 20; longer ones are cut

  explicit operator bool() const noexcept { return *this != build_id{}; }
  bool operator==(const build_id&) const = default;
};

struct code_place {
  build_id module;
  std::uint64_t offset = 0;  // from where the module was loaded
};

// Nothing: the address is in no module.
std::optional<code_place> place_of_code(const void* address) noexcept;

// How many modules were loaded and unloaded so far: as long as both stay, places stay.
struct module_changes {
  unsigned long long loaded = 0;
  unsigned long long unloaded = 0;
  bool operator==(const module_changes&) const = default;
};
module_changes changes_of_modules() noexcept;

// Null: this process has not loaded that module, or it is not so long.
const void* code_at(const code_place& where) noexcept;

}  // namespace shard::os
