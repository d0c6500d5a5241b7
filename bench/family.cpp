#include "family.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <unordered_map>

namespace bench {
namespace {

// The parent in /proc/PID/stat: the second field after the command, which may hold anything but
// ends with the last parenthesis. 0 for a process that is gone by now.
pid_t parent_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  if (!std::getline(file, line)) return 0;
  const std::size_t state = line.rfind(") ");
  return state == std::string::npos ? 0 : std::stoi(line.substr(state + 4));
}

}  // namespace

std::vector<pid_t> family_of(pid_t root) {
  std::unordered_map<pid_t, std::vector<pid_t>> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    children[parent_of(name)].push_back(std::stoi(name));
  }
  std::vector<pid_t> family{root};
  for (std::size_t k = 0; k < family.size(); ++k) {
    const std::vector<pid_t>& next = children[family[k]];
    family.insert(family.end(), next.begin(), next.end());
  }
  return family;
}

std::uint64_t number_after(std::string_view key, const std::string& path) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    std::uint64_t number = 0;
    if (word == key && file >> number) return number;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  throw std::runtime_error(fmt::format("cannot read {}: found no {}", path, key));
}

}  // namespace bench
