// Where code lies, so that another process which has loaded the same modules finds it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shard::os {

// The build id that the linker has given to a program or library (NT_GNU_BUILD_ID, a hash of its
// contents). All zeros: none.
struct build_id {
  std::array<std::uint8_t, 32> bytes{};  // a SHA-1 has 20; longer ones are cut

  explicit operator bool() const noexcept { return *this != build_id{}; }
  bool operator==(const build_id&) const = default;
};

std::string to_string(const build_id& id);  // as readelf prints it

struct code_place {
  build_id module;
  std::uint64_t offset = 0;  // from where the module was loaded
  std::string file;          // that the module was loaded from; empty: it is the program
};

// Nothing: the address is in no module.
std::optional<code_place> place_of_code(const void* address);

// Of the program that this process runs.
build_id own_build_id() noexcept;

// What of a module can change what it computes: its code and its constants. Names, debug
// information, notes, and where it was loaded make no difference.
struct module_content {
  std::string name;  // of its file, without folders; empty: it is the program
  std::uint64_t hash = 0;
};
// Of all that are loaded, in the order of loading. If a debugger traces this process, the files
// that the modules were loaded from are read, so that breakpoints make no difference. A file that
// can't be read, or is another one now, is left alone: then the memory counts.
std::vector<module_content> contents_of_modules();

// How many modules were loaded and unloaded so far: as long as both stay, places stay.
struct module_changes {
  unsigned long long loaded = 0;
  unsigned long long unloaded = 0;
  bool operator==(const module_changes&) const = default;
};
module_changes changes_of_modules() noexcept;

// A module of that build, loaded if need be. Null: there is none, or it isn't so long.
const void* code_at(const code_place& where);
// What this process has in the place of that module: the file's build, or of the program its own.
// All zeros: it has no build id, or can't be loaded.
build_id build_found_for(const code_place& where);

}  // namespace shard::os
