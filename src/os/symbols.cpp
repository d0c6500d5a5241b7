#include "os/symbols.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#ifdef SHARD_BACKTRACE
#include <backtrace.h>
#endif

namespace shard::os {
namespace {

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> found(
      abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  return found ? found.get() : name;
}

#ifdef SHARD_BACKTRACE

void on_error(void*, const char*, int) {}  // what isn't found stays empty

// While this lives, a file can be opened only if none that was opened before it is still open.
class one_file_at_a_time {
 public:
  one_file_at_a_time() noexcept {
    const int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (lowest < 0 || ::getrlimit(RLIMIT_NOFILE, &before_) != 0) return;
    ::close(lowest);
    const rlimit one{static_cast<rlim_t>(lowest) + 1, before_.rlim_max};
    limited_ = ::setrlimit(RLIMIT_NOFILE, &one) == 0;
  }
  one_file_at_a_time(const one_file_at_a_time&) = delete;
  one_file_at_a_time& operator=(const one_file_at_a_time&) = delete;
  ~one_file_at_a_time() {
    if (limited_) ::setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_{};
  bool limited_ = false;
};

// The library opens the program and every library of the process, and beside each one the file with
// its debug information, if that is a separate one, as the C library's is: to inflate and to read
// that alone takes 0.5 s. So those are kept from it: a stack needs no lines of the system's code.
backtrace_state* make_state() {
  backtrace_state* const made = backtrace_create_state(nullptr, 0, on_error, nullptr);
  if (made == nullptr) return made;
  const one_file_at_a_time limit;
  const auto found = [](void*, std::uintptr_t, const char*, int, const char*) { return 0; };
  backtrace_pcinfo(made, reinterpret_cast<std::uintptr_t>(&make_state), found, on_error, nullptr);
  return made;
}

backtrace_state* state() {
  static backtrace_state* const only = make_state();
  return only;
}

std::string symbol_at(std::uint64_t address) {
  std::string name;
  if (state() == nullptr) return name;
  const auto found = [](void* to, std::uintptr_t, const char* symbol, std::uintptr_t,
                        std::uintptr_t) {
    if (symbol != nullptr) *static_cast<std::string*>(to) = demangled(symbol);
  };
  backtrace_syminfo(state(), address, found, on_error, &name);
  return name;
}

std::vector<code_line> debug_lines_at(std::uint64_t address) {
  std::vector<code_line> lines;
  if (state() == nullptr) return lines;
  const auto found = [](void* to, std::uintptr_t, const char* file, int line,
                        const char* function) {
    if (file == nullptr) return 0;
    static_cast<std::vector<code_line>*>(to)->push_back(
        {function != nullptr ? demangled(function) : "", file, line, {}, false, 0});
    return 0;
  };
  backtrace_pcinfo(state(), address, found, on_error, &lines);
  return lines;
}

#else

std::string symbol_at(std::uint64_t address) {
  Dl_info found{};
  if (::dladdr(std::bit_cast<const void*>(address), &found) == 0) return {};
  return found.dli_sname != nullptr ? demangled(found.dli_sname) : std::string();
}

std::vector<code_line> debug_lines_at(std::uint64_t) { return {}; }

#endif

}  // namespace

const bool symbols_are_known =
#ifdef SHARD_BACKTRACE
    true;
#else
    false;
#endif

code_line place_of(std::uint64_t address) {
  code_line place;
  place.offset = address;
  Dl_info found{};
  link_map* module = nullptr;
  if (::dladdr1(std::bit_cast<const void*>(address), &found, reinterpret_cast<void**>(&module),
                RTLD_DL_LINKMAP) == 0 ||
      module == nullptr) {
    return place;
  }
  std::string path = module->l_name;
  place.in_library = !path.empty();
  if (path.empty()) {
    std::error_code ignored;
    path = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
    if (path.empty() && found.dli_fname != nullptr) path = found.dli_fname;
  }
  place.module = std::filesystem::path(path).filename().string();
  place.offset = address - module->l_addr;
  return place;
}

std::string function_at(std::uint64_t address) { return symbol_at(address); }

std::vector<code_line> lines_at(std::uint64_t address) {
  const code_line place = place_of(address);
  std::vector<code_line> lines = debug_lines_at(address);
  if (lines.empty()) lines.push_back(place);
  // A function that is not inlined is known to the linker, by its whole name; debug information has
  // only the last part of that for what is local to another function, as lambdas are.
  code_line& outermost = lines.back();
  if (std::string whole = symbol_at(address); !whole.empty()) outermost.function = std::move(whole);
  for (code_line& one : lines) {
    one.module = place.module;
    one.in_library = place.in_library;
    one.offset = place.offset;
  }
  return lines;
}

std::string text_of(const code_line& line, std::size_t longest_function) {
  std::string text = line.function;
  if (text.size() > longest_function) {
    text.resize(longest_function);
    text += "...";
  }
  std::string place;
  if (!line.file.empty()) {
    place = line.file + ":" + std::to_string(line.line);
    if (line.in_library) place += " in " + line.module;
  } else {
    char offset[24];
    std::snprintf(offset, sizeof offset, "0x%llx", static_cast<unsigned long long>(line.offset));
    place = line.module.empty() ? offset : line.module + "+" + offset;
  }
  if (text.empty()) return place;
  return text + (line.file.empty() ? " in " : " at ") + place;
}

}  // namespace shard::os
