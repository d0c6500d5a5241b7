// Names for code addresses of this process, or of another that was forked from the same image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace shard::os {

// What stands at one code address: several, innermost first, where functions were inlined.
struct code_line {
  std::string function;  // demangled; empty: not known
  std::string file;      // empty: there is no debug information
  int line = 0;
  std::string module;        // the program's or library's file, without its folder
  bool in_library = false;   // not the program itself
  std::uint64_t offset = 0;  // of the address, as in that file; without a module, the address
};

// Where libbacktrace was there when shard was built: with static functions, inlined ones, files and
// lines, as far as the program was compiled with -g. Else functions that the program exports. The
// first call reads what is known of the program and its libraries, which takes memory for good, and
// for a moment lowers the limit of descriptors: for a process that is about to end, with one
// thread.
std::vector<code_line> lines_at(std::uint64_t address);

// The name of the function that an address is in, as the linker knows it: not of what was inlined.
std::string function_at(std::uint64_t address);

// Module and offset only; reads no files.
code_line place_of(std::uint64_t address);

// "function at file:line", with " in library" behind it if it isn't the program's own; without
// debug information "function in module+0x1234", as addr2line wants it. The function is cut to so
// many bytes.
std::string text_of(const code_line& line, std::size_t longest_function);

// lines_at() has more than place_of().
extern const bool symbols_are_known;

}  // namespace shard::os
