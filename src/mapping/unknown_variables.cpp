#include "mapping/unknown_variables.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <numeric>
#include <vector>

#include "mapping/printable.hpp"
#include "mapping/settings.hpp"
#include "os/environment.hpp"
#include "os/output.hpp"

namespace shard::mapping {
namespace {

constexpr std::string_view prefix = "SHARD_";

// Of ASCII, whatever the locale is.
constexpr char upper(char letter) {
  return letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
}

// How many letters must be added, removed or replaced to turn one into the other (Levenshtein).
std::size_t distance(std::string_view from, std::string_view to) {
  // Of what was read of `from` to each beginning of `to`.
  std::vector<std::size_t> edits(to.size() + 1);
  std::iota(edits.begin(), edits.end(), std::size_t{0});
  for (const char letter : from) {
    std::size_t diagonal = edits[0]++;
    for (std::size_t k = 0; k < to.size(); ++k) {
      const std::size_t replaced = diagonal + (upper(letter) == to[k] ? 0 : 1);
      diagonal = edits[k + 1];
      edits[k + 1] = std::min({replaced, edits[k] + 1, diagonal + 1});
    }
  }
  return edits.back();
}

// Whatever the case of letters. Empty: in all that shard knows, half of the letters or more would
// be others.
std::string_view nearest_variable(std::string_view name) {
  const std::string_view wanted = name.substr(prefix.size());
  std::string_view nearest;
  std::size_t least = 0;
  for (const std::string_view known : variables()) {
    const std::string_view candidate = known.substr(prefix.size());
    const std::size_t edits = distance(wanted, candidate);
    const bool alike = 2 * edits < std::max(wanted.size(), candidate.size());
    if (!alike || (!nearest.empty() && edits >= least)) continue;
    nearest = known;
    least = edits;
  }
  return nearest;
}

}  // namespace

std::string line_about_unknown_variable(std::string_view name) {
  std::string line =
      "shard: the environment has " + printable(name) + ", which shard does not know";
  if (const std::string_view nearest = nearest_variable(name); !nearest.empty()) {
    line.append("; did you mean ").append(nearest).append("?");
  }
  return line + "\n";
}

void tell_unknown_variables() {
  static std::atomic<bool> told{false};
  if (told.exchange(true)) return;
  for (const std::string& name : os::variables_beginning_with(prefix)) {
    if (std::ranges::count(variables(), name) == 0) {
      os::print_error(line_about_unknown_variable(name));
    }
  }
}

}  // namespace shard::mapping
