// Who may use a file: what the program asks for, and what a replaced file had.
//
// Expected:
//   new.npy     0600
//   shared.npy  0640
//   replaced    0640
//   asked for   0444
#include <cstdio>
#include <filesystem>
#include <shard/shard.hpp>

namespace fs = std::filesystem;

unsigned show(const char* what, const fs::path& of) {
  const auto mode = static_cast<unsigned>(fs::status(of).permissions());
  std::printf("%-11s 0%03o\n", what, mode);
  return mode;
}

int main() {
  fs::remove("new.npy");
  const auto square = [](std::size_t i) { return double(i) * double(i); };

  auto squares = shard::create<double>("new.npy", 1000);  // its owner's alone
  shard::map(squares, square);
  bool right = show("new.npy", "new.npy") == 0600;

  // The group may read it, as soon as it is complete. The umask takes nothing away.
  auto shared = shard::create<double>("shared.npy", fs::perms{0640}, 1000);
  shard::map(shared, square);
  right = show("shared.npy", "shared.npy") == 0640 && right;

  shard::save("shared.npy", squares);  // in the place of the old one: the same may use it
  right = show("replaced", "shared.npy") == 0640 && right;

  shard::save("shared.npy", fs::perms{0444}, squares);
  right = show("asked for", "shared.npy") == 0444 && right;
  return right ? 0 : 1;
}
