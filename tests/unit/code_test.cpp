// What modules contain, as a job tells programs apart: the same while a debugger looks on.
#include "os/code.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <string>

#include "refusal.hpp"

namespace {

namespace fs = std::filesystem;
using shard_test::folder;

// A debugger sets a breakpoint here.
__attribute__((noinline)) int stopped_at(int x) {
  __asm__ volatile("");
  return x + 1;
}

constexpr std::uint8_t breakpoint = 0xCC;  // int3

std::uint8_t first_byte_of(int (*function)(int)) {
  std::uint8_t byte = 0;
  std::memcpy(&byte, reinterpret_cast<const void*>(function), 1);
  return byte;
}

std::string text_of_modules() {
  std::ostringstream text;
  for (const auto& one : shard::os::contents_of_modules()) {
    text << one.name << ' ' << one.hash << '\n';
  }
  return std::move(text).str();
}

enum class debugger { none, has_set_a_breakpoint };

// What a child says of its modules once it has prepared itself. Empty: it could not.
std::string told_by_a_child(debugger by, const folder& here, const std::function<bool()>& prepare) {
  const fs::path said = here / "said";
  const pid_t child = fork();
  if (child == 0) {
    const bool traced = by != debugger::none;
    if (traced) {
      if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(2);
      raise(SIGSTOP);
    }
    if ((first_byte_of(stopped_at) == breakpoint) != traced) _exit(3);
    if (!prepare()) _exit(4);
    std::ofstream(said) << text_of_modules();
    _exit(0);
  }
  int status = 0;
  if (by == debugger::has_set_a_breakpoint) {
    EXPECT_EQ(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status)) return {};
    auto* const at = reinterpret_cast<void*>(stopped_at);
    const long code = ptrace(PTRACE_PEEKTEXT, child, at, nullptr);
    const long changed = (code & ~0xFFL) | breakpoint;
    EXPECT_EQ(ptrace(PTRACE_POKETEXT, child, at, changed), 0);
    EXPECT_EQ(ptrace(PTRACE_CONT, child, nullptr, nullptr), 0);
  }
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  std::ifstream from(said);
  std::string text{std::istreambuf_iterator<char>(from), {}};
  fs::remove(said);
  return text;
}

bool can_trace() {
  const pid_t child = fork();
  if (child == 0) _exit(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// The file of a library that this program has loaded.
std::string file_of_library(std::string name) {
  struct request {
    std::string name;
    std::string found;
  } asked{std::move(name), {}};
  dl_iterate_phdr(
      [](dl_phdr_info* module, std::size_t, void* with) {
        auto& to = *static_cast<request*>(with);
        const std::string path = module->dlpi_name;
        if (path.ends_with("/" + to.name)) to.found = path;
        return to.found.empty() ? 0 : 1;
      },
      &asked);
  return asked.found;
}

TEST(Modules, HaveTheSameContentsWhereADebuggerHasSetABreakpoint) {
  if (!can_trace()) GTEST_SKIP() << "this process may not trace its children";
  const folder here;
  const auto as_it_is = [] { return true; };
  const std::string alone = told_by_a_child(debugger::none, here, as_it_is);
  EXPECT_NE(alone, "");
  EXPECT_EQ(told_by_a_child(debugger::has_set_a_breakpoint, here, as_it_is), alone);
  EXPECT_EQ(stopped_at(1), 2);
}

TEST(Modules, WhoseFilesAreGoneOrReplacedAreReadFromMemory) {
  if (!can_trace()) GTEST_SKIP() << "this process may not trace its children";
  const std::string library = file_of_library("libm.so.6");
  const std::string other = file_of_library("libc.so.6");
  if (library.empty() || other.empty()) GTEST_SKIP() << "the C library is not a shared one";
  const folder here;
  const fs::path copy = here / "copy.so";
  const auto load = [&] {
    fs::copy_file(library, copy, fs::copy_options::overwrite_existing);
    return dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
  };
  const auto load_and_remove = [&] { return load() && fs::remove(copy); };
  const auto load_and_replace = [&] {
    return load() && fs::remove(copy) && fs::copy_file(other, copy);
  };
  const std::string alone = told_by_a_child(debugger::none, here, load_and_remove);
  EXPECT_NE(alone.find("copy.so "), std::string::npos) << alone;
  EXPECT_EQ(told_by_a_child(debugger::has_set_a_breakpoint, here, load_and_remove), alone);
  EXPECT_EQ(told_by_a_child(debugger::has_set_a_breakpoint, here, load_and_replace), alone);
}

}  // namespace
