// Writes to a file that other programs read at the same time: examples/live_reader.py does, with
// numpy alone. Each write() replaces all elements by one number, as one transfer: who reads by the
// rules of docs/memory_layout.md sees one number everywhere, never two.
//
//   live_writer live.npy stop      writes until the file `stop` appears, or for two minutes:
//   wrote 12345 times              (as many as there was time for)
#include <shard/shard.hpp>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: live_writer FILE STOP\n";
    return 2;
  }
  using namespace std::chrono_literals;
  constexpr std::size_t elements = 20'000;
  auto live = shard::create_live<double>(argv[1], elements);
  const auto until = std::chrono::steady_clock::now() + 2min;
  int times = 0;
  while (std::chrono::steady_clock::now() < until && !std::filesystem::exists(argv[2])) {
    live.write({0, elements}, std::vector<double>(elements, ++times));
    std::this_thread::sleep_for(300us);  // as if the next result had to be computed
  }
  std::cout << "wrote " << times << " times\n";
}
