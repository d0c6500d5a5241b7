// A job of one or two maps, which job_test.cpp starts as a program of its own: this binary, with
// the arguments -- FOLDER MAPS [patiently]. There it is ended wherever that test likes.
//
// It prints what it has got, in lines that begin with "result": those are the same however often it
// was ended before. And in lines that begin with "map": how many chunks a map has, how many of them
// were carried over and how many ran. Its status is 2 after an error, which it prints.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;

constexpr std::size_t chunks = 30;
constexpr std::size_t grain = 300;  // rows of less than a page, and of more: both cross pages
constexpr int bin_count = 600;
constexpr std::size_t indices = chunks * grain;

// Chunks that any process has run.
std::atomic<int>* runs = nullptr;

// Where the map under way has its checkpoints.
std::string* log_file = nullptr;

timespec last_checkpoint() {
  struct stat found {};
  if (stat(log_file->c_str(), &found) != 0) return {};
  return found.st_mtim;
}

// Patiently: some chunks last until there is a checkpoint, or for a while, since there may be
// nothing new to note.
bool patient = false;

void begin_chunk(std::size_t i) {
  if (i % grain != 0) return;
  ++*runs;
  std::this_thread::sleep_for(1ms);
  if (!patient || i % (6 * grain) != 0 || i == 0) return;
  const timespec before = last_checkpoint();
  const auto limit = std::chrono::steady_clock::now() + 1s;
  while (std::chrono::steady_clock::now() < limit) {
    const timespec now = last_checkpoint();
    if (now.tv_sec != before.tv_sec || now.tv_nsec != before.tv_nsec) return;
    std::this_thread::sleep_for(1ms);
  }
}

// FNV-1a.
std::uint64_t hash(std::span<const std::byte> bytes) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const std::byte one : bytes) {
    value ^= static_cast<std::uint64_t>(one);
    value *= 0x100000001b3;
  }
  return value;
}

template <class T>
void print(const char* what, const T& values) {
  std::printf("result %s %016llx\n", what,
              static_cast<unsigned long long>(hash(std::as_bytes(std::span(values)))));
}

void tell(int map, const shard::report& told) {
  std::printf("map %d chunks %zu carried %zu ran %d\n", map,
              static_cast<std::size_t>(told.counts().chunks),
              static_cast<std::size_t>(told.counts().carried_over), runs->exchange(0));
}

void work(const std::string& folder, int maps) {
  shard::job_options how;
  how.checkpoint = shard::seconds{1e-6};  // as often as may be
  how.maps.workers = 2;
  how.maps.grain = grain;
  shard::job job(folder, how);

  log_file = new std::string(folder + "/.shard/1.log");

  auto root = job.create<double>("root.npy", indices);
  shard::sum<double> total;
  shard::ordered_sum<double> in_order;
  shard::histogram bins{shard::axis::regular(bin_count, 0.0, 100.0)};  // a record has several pages
  shard::collect<std::uint32_t> found;
  tell(1, job.map(root, shard::reduce(total), shard::reduce(in_order), shard::reduce(bins),
                  shard::reduce(found), shard::value(0.1),
                  [](std::size_t i, shard::sum<double>::accumulator& all,
                     shard::ordered_sum<double>::accumulator& ordered, auto& count, auto& items,
                     double scale) {
                    begin_chunk(i);
                    const double x = std::sqrt(static_cast<double>(i) + scale);
                    all += x;
                    ordered += x * 1e-3;
                    count(x);
                    if (i % 97 == 3) items.push_back(static_cast<std::uint32_t>(i));
                    return x;
                  }));
  print("root", std::span(&*root.begin(), root.size()));
  const double sums[] = {total.value(), in_order.value()};
  print("sums", std::span(sums));
  std::uint64_t counts[bin_count];
  for (std::size_t k = 0; k < bin_count; ++k)
    counts[k] = static_cast<std::uint64_t>(bins.at(static_cast<int>(k)));
  print("bins", std::span(counts));
  print("items", std::span(found.items()));

  if (maps < 2) return;
  *log_file = folder + "/.shard/2.log";
  auto scaled = job.create<float>("scaled.npy", indices);
  auto whole = job.create<int>("whole.npy", indices);
  shard::ordered_sum<double> of_scaled;
  tell(2, job.map(scaled, shard::out(whole), shard::in(root), shard::reduce(of_scaled),
                  [](std::size_t i, shard::slice<int> rounded, shard::view<double> all,
                     shard::ordered_sum<double>::accumulator& ordered) {
                    begin_chunk(i);
                    ordered += 1 / (all[i] + 1);
                    rounded[i] = static_cast<int>(all[i]);
                    return static_cast<float>(all[i] * 3);
                  }));
  print("scaled", std::span(&*scaled.begin(), scaled.size()));
  print("whole", std::span(&*whole.begin(), whole.size()));
  const double sum[] = {of_scaled.value()};
  print("of_scaled", std::span(sum));
}

int run(const std::string& folder, int maps) {
  void* const memory =
      mmap(nullptr, sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 3;
  runs = static_cast<std::atomic<int>*>(memory);
  int status = 0;
  try {
    work(folder, maps);
  } catch (const std::exception& e) {
    std::printf("error %s\n", e.what());
    status = 2;
  }
  std::fflush(stdout);
  return status;
}

// Behind "--".
std::vector<std::string> arguments() {
  std::ifstream line("/proc/self/cmdline");
  std::vector<std::string> all;
  bool behind = false;
  for (std::string word; std::getline(line, word, '\0');) {
    if (behind) all.push_back(word);
    behind = behind || word == "--";
  }
  return all;
}

// Without arguments, an undisturbed job.
TEST(JobProgram, RunsTheJobThatItsArgumentsName) {
  const std::vector<std::string> told = arguments();
  if (!told.empty()) {
    patient = told.size() > 2;
    _exit(run(told.at(0), std::stoi(told.at(1))));
  }
  const auto folder =
      std::filesystem::path(testing::TempDir()) / ("job_program_" + std::to_string(getpid()));
  EXPECT_EQ(run(folder, 2), 0);
  std::filesystem::remove_all(folder);
}

}  // namespace
