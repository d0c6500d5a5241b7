// Writes to a file that other programs read at the same time: examples/live_reader.py does, with
// numpy alone. Each write() replaces all elements by one number, as one transfer: who reads by the
// rules of docs/memory_layout.md sees one number everywhere, never two.
//
//   live_writer live.npy stop      writes until the file `stop` appears, or this many times:
//   wrote 12345 times              (as many as there was time for)
#include <shard/shard.hpp>

#include <filesystem>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: live_writer FILE STOP\n";
    return 2;
  }
  constexpr std::size_t elements = 20'000;
  constexpr int at_most = 10'000'000;
  auto live = shard::create_live<double>(argv[1], elements);
  int times = 0;
  while (times < at_most && !std::filesystem::exists(argv[2])) {
    live.write({0, elements}, std::vector<double>(elements, ++times));
  }
  std::cout << "wrote " << times << " times\n";
}
