#include "os/code.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <span>
#include <system_error>

#include "os/calls.hpp"
#include "os/descriptor.hpp"
#include "os/file.hpp"
#include "os/sanitizers.hpp"

namespace shard::os {
namespace {

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 3) / 4 * 4; }

// Of the notes in one segment.
build_id id_in(const std::byte* notes, std::size_t bytes) noexcept {
  constexpr char owner[] = "GNU";
  while (bytes >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) head;
    std::memcpy(&head, notes, sizeof head);
    const std::size_t length = sizeof head + padded(head.n_namesz) + padded(head.n_descsz);
    if (length > bytes) break;
    const std::byte* const name = notes + sizeof head;
    if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == sizeof owner &&
        std::memcmp(name, owner, sizeof owner) == 0) {
      build_id id;
      std::memcpy(id.bytes.data(), name + padded(head.n_namesz),
                  std::min<std::size_t>(head.n_descsz, id.bytes.size()));
      return id;
    }
    notes += length;
    bytes -= length;
  }
  return {};
}

build_id id_of(const dl_phdr_info& module) noexcept {
  for (int k = 0; k < module.dlpi_phnum; ++k) {
    const ElfW(Phdr)& segment = module.dlpi_phdr[k];
    if (segment.p_type != PT_NOTE) continue;
    const std::uintptr_t at = module.dlpi_addr + segment.p_vaddr;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader tells addresses as numbers
    const auto* const notes = reinterpret_cast<const std::byte*>(at);
    if (const build_id id = id_in(notes, segment.p_memsz)) return id;
  }
  return {};
}

// Code only.
bool contains(const dl_phdr_info& module, std::uint64_t offset) noexcept {
  return std::any_of(
      module.dlpi_phdr, module.dlpi_phdr + module.dlpi_phnum, [offset](const ElfW(Phdr) & segment) {
        return segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 &&
               offset >= segment.p_vaddr && offset - segment.p_vaddr < segment.p_memsz;
      });
}

// Calls visit(module), which throws nothing, for each until it returns true.
template <class Visit>
void each_module(Visit visit) noexcept {
  dl_iterate_phdr([](dl_phdr_info* module, std::size_t,
                     void* with) -> int { return (*static_cast<Visit*>(with))(*module) ? 1 : 0; },
                  &visit);
}

}  // namespace

module_changes changes_of_modules() noexcept {
  module_changes found;
  dl_iterate_phdr(
      [](dl_phdr_info* module, std::size_t, void* to) {
        *static_cast<module_changes*>(to) = {module->dlpi_adds, module->dlpi_subs};
        return 1;
      },
      &found);
  return found;
}

std::string to_string(const build_id& id) {
  constexpr char digits[] = "0123456789abcdef";
  std::size_t bytes = id.bytes.size();
  while (bytes > 0 && id.bytes[bytes - 1] == 0) --bytes;
  std::string text;
  for (std::size_t k = 0; k < bytes; ++k) {
    text += digits[id.bytes[k] / 16];
    text += digits[id.bytes[k] % 16];
  }
  return text;
}

std::optional<code_place> place_of_code(const void* address) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::optional<code_place> found;
  const char* file = "";  // the loader's, as long as the module is loaded
  each_module([&](const dl_phdr_info& module) {
    if (at < module.dlpi_addr || !contains(module, at - module.dlpi_addr)) return false;
    found.emplace();
    found->module = id_of(module);
    found->offset = at - module.dlpi_addr;
    file = module.dlpi_name;
    return true;
  });
  if (!found || *file == '\0') return found;
  // It may have been loaded by a path that means nothing elsewhere.
  std::error_code unknown;
  const std::filesystem::path whole = std::filesystem::canonical(file, unknown);
  found->file = unknown ? file : whole.string();
  return found;
}

build_id own_build_id() noexcept {
  build_id found;
  each_module([&found](const dl_phdr_info& module) {
    found = id_of(module);
    return true;  // the program comes first
  });
  return found;
}

namespace {

// AddressSanitizer puts bytes between constants that nobody may read, but for this.
[[maybe_unused]] __attribute__((no_sanitize("address"))) void copy_whatever_it_is(
    std::byte* to, const volatile std::byte* from, std::size_t bytes) {
  for (std::size_t k = 0; k < bytes; ++k) to[k] = from[k];
}

void hash_memory(const std::byte* from, std::size_t bytes, XXH3_state_t* into) {
  if constexpr (!address_sanitizer) {
    XXH3_64bits_update(into, from, bytes);
  } else {
    std::array<std::byte, 4096> copy;
    for (std::size_t at = 0; at < bytes; at += copy.size()) {
      const std::size_t count = std::min(copy.size(), bytes - at);
      copy_whatever_it_is(copy.data(), from + at, count);
      XXH3_64bits_update(into, copy.data(), count);
    }
  }
}

// Of a module, a piece that nobody writes to.
struct part {
  ElfW(Addr) address = 0;  // from where the module was loaded
  std::size_t offset = 0;  // in its file
  std::size_t bytes = 0;
};

// A segment in pieces: without what the linker notes about the file.
void add_parts(const dl_phdr_info& module, const ElfW(Phdr) & segment, std::vector<part>& to) {
  ElfW(Addr) at = segment.p_vaddr;
  const ElfW(Addr) end = at + segment.p_filesz;
  if (segment.p_offset == 0) at += sizeof(ElfW(Ehdr));
  while (at < end) {
    ElfW(Addr) stop = end;
    ElfW(Addr) behind = end;
    for (int k = 0; k < module.dlpi_phnum; ++k) {
      const ElfW(Phdr)& note = module.dlpi_phdr[k];
      if (note.p_type != PT_NOTE || note.p_vaddr + note.p_memsz <= at) continue;
      if (note.p_vaddr >= stop) continue;
      stop = std::max(note.p_vaddr, at);
      behind = note.p_vaddr + note.p_memsz;
    }
    to.push_back({at, segment.p_offset + (at - segment.p_vaddr), stop - at});
    at = stop == end ? end : behind;
  }
}

std::vector<part> parts_of(const dl_phdr_info& module) {
  std::vector<part> all;
  for (int k = 0; k < module.dlpi_phnum; ++k) {
    const ElfW(Phdr)& segment = module.dlpi_phdr[k];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    if ((segment.p_flags & PF_R) == 0) continue;
    add_parts(module, segment, all);
  }
  return all;
}

std::uint64_t content_in_memory(const dl_phdr_info& module, XXH3_state_t* state) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): as above
  const auto* const base = reinterpret_cast<const std::byte*>(module.dlpi_addr);
  XXH3_64bits_reset(state);
  for (const part& one : parts_of(module)) hash_memory(base + one.address, one.bytes, state);
  return XXH3_64bits_digest(state);
}

// ---- What a debugger has not changed: a breakpoint is a byte of code that it has overwritten.

// False also if the tracer is in a pid namespace that this process can't see.
bool is_traced() {
  std::ifstream status("/proc/self/status");
  const std::string wanted = "TracerPid:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(wanted)) return std::atoi(line.c_str() + wanted.size()) != 0;
  }
  return false;
}

bool read_whole(const descriptor& file, std::span<std::byte> to, std::size_t offset) {
  return read_some(file, to, offset) == to.size();
}

// Somebody may have put another file in the place of the one that was loaded.
bool was_loaded_from(const dl_phdr_info& module, const descriptor& file) {
  ElfW(Ehdr) head{};
  if (!read_whole(file, std::as_writable_bytes(std::span(&head, 1)), 0)) return false;
  if (head.e_phnum != module.dlpi_phnum) return false;
  std::vector<ElfW(Phdr)> segments(module.dlpi_phnum);
  if (!read_whole(file, std::as_writable_bytes(std::span(segments)), head.e_phoff)) return false;
  const std::span<const ElfW(Phdr)> loaded(module.dlpi_phdr, segments.size());
  if (std::memcmp(segments.data(), loaded.data(), loaded.size_bytes()) != 0) return false;
  build_id found;
  for (const ElfW(Phdr) & segment : segments) {
    if (segment.p_type != PT_NOTE || found) continue;
    std::vector<std::byte> notes(segment.p_filesz);
    if (!read_whole(file, notes, segment.p_offset)) return false;
    found = id_in(notes.data(), notes.size());
  }
  return found == id_of(module);
}

// Nothing: the file can't be read, or is another one.
std::optional<std::uint64_t> content_in_file(const dl_phdr_info& module, const std::string& path,
                                             XXH3_state_t* state) try {
  const descriptor file = open(path, protection::read);
  if (!was_loaded_from(module, file)) return std::nullopt;
  std::vector<std::byte> block(std::size_t{1} << 16);
  XXH3_64bits_reset(state);
  for (const part& one : parts_of(module)) {
    for (std::size_t done = 0; done < one.bytes;) {
      const std::span<std::byte> now =
          std::span(block).first(std::min(block.size(), one.bytes - done));
      if (!read_whole(file, now, one.offset + done)) return std::nullopt;
      XXH3_64bits_update(state, now.data(), now.size());
      done += now.size();
    }
  }
  return XXH3_64bits_digest(state);
} catch (const call_failed&) {
  return std::nullopt;
}

const void* loaded_code_at(const code_place& where) noexcept {
  const void* found = nullptr;
  each_module([&](const dl_phdr_info& module) {
    if (!contains(module, where.offset) || id_of(module) != where.module) return false;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): as above
    found = reinterpret_cast<const void*>(module.dlpi_addr + where.offset);
    return true;
  });
  return found;
}

}  // namespace

std::vector<module_content> contents_of_modules() {
  std::vector<module_content> all;
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  if (!state) throw std::bad_alloc();
  const bool traced = is_traced();
  each_module([&](const dl_phdr_info& module) {
    const std::string path = module.dlpi_name;
    const bool is_program = all.empty();
    // What the kernel lends to every process has no file.
    if (!is_program && path.find('/') == std::string::npos) return false;
    const std::string name = is_program ? "" : path.substr(path.rfind('/') + 1);
    std::optional<std::uint64_t> hash;
    if (traced) hash = content_in_file(module, is_program ? "/proc/self/exe" : path, state.get());
    all.push_back({name, hash ? *hash : content_in_memory(module, state.get())});
    return false;
  });
  return all;
}

// A module that was loaded stays: there may be addresses of its code anywhere.
const void* code_at(const code_place& where) {
  if (const void* const found = loaded_code_at(where)) return found;
  if (where.file.empty() || ::dlopen(where.file.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    return nullptr;
  }
  return loaded_code_at(where);
}

build_id build_found_for(const code_place& where) {
  if (where.file.empty()) return own_build_id();
  build_id found;
  struct stat wanted {};
  if (::stat(where.file.c_str(), &wanted) != 0) return found;
  each_module([&](const dl_phdr_info& module) {
    struct stat here {};
    if (::stat(module.dlpi_name, &here) != 0 || here.st_dev != wanted.st_dev ||
        here.st_ino != wanted.st_ino) {
      return false;
    }
    found = id_of(module);
    return true;
  });
  return found;
}

}  // namespace shard::os
