#include "map/exception_text.hpp"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <memory>
#include <typeinfo>

namespace shard::mapping {
namespace {

constexpr int deepest = 16;  // exceptions nested in each other that are still told

std::string type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  return name ? name.get() : type.name();
}

std::string chain(int depth) {
  try {
    throw;
  } catch (const std::exception& problem) {
    std::string text = type_name(typeid(problem)) + ": " + problem.what();
    try {
      std::rethrow_if_nested(problem);
    } catch (...) {
      text += ", because " + (depth < deepest ? chain(depth + 1) : std::string("…"));
    }
    return text;
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
