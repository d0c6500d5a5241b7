#include "mapping/exception_text.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <typeinfo>

namespace shard::mapping {
namespace {

constexpr int deepest = 16;  // exceptions nested in each other that are still told
// Of one exception's text. The report has less room; the rest could be gigabytes.
constexpr std::size_t longest = 4096;

std::string type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  return name ? name.get() : type.name();
}

// What an exception says is the program's own code, and may be nothing at all.
std::string text_of(const std::exception& problem) {
  const char* const text = problem.what();
  if (text == nullptr) return "(what() is null)";
  return std::string(text, ::strnlen(text, longest));
}

std::string chain(int depth);

// An exception that nests another one, or what was thrown outside of any handler: nothing.
std::string because_of(const std::nested_exception* outer, int depth) {
  if (outer == nullptr || outer->nested_ptr() == nullptr) return {};
  try {
    outer->rethrow_nested();
  } catch (...) {
    return ", because " + (depth < deepest ? chain(depth + 1) : std::string("…"));
  }
}

std::string chain(int depth) {
  try {
    throw;
  } catch (const std::exception& problem) {
    return type_name(typeid(problem)) + ": " + text_of(problem) +
           because_of(dynamic_cast<const std::nested_exception*>(&problem), depth);
  } catch (const std::nested_exception& outer) {
    return type_name(typeid(outer)) + because_of(&outer, depth);
  } catch (...) {
    const std::type_info* const type = abi::__cxa_current_exception_type();
    return type != nullptr ? type_name(*type) : std::string("an exception of a foreign language");
  }
}

}  // namespace

std::string describe_current_exception() noexcept {
  try {
    std::string text = chain(0);
    std::ranges::replace(text, '\n', ' ');
    return text;
  } catch (...) {
    return "(out of memory)";  // short enough to need none itself
  }
}

// No type's name has a colon before a space.
std::string_view type_in(std::string_view description) {
  return description.substr(0, description.find(": "));
}

}  // namespace shard::mapping
