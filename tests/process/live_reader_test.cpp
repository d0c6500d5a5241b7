// examples/live_reader.py, which knows files by docs/memory_layout.md alone, on files that the
// example itself never meets.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "memory/control.hpp"
#include "numpy.hpp"
#include "process/leftovers.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"
#include "shard/npy.hpp"

namespace {

namespace fs = std::filesystem;
using shard_test::folder;
using shard_test::numpy_agrees;

class LiveReader : public shard_test::leaves_nothing {};

// A python program that has the reader's functions as `reader`.
bool reader_agrees(const folder& in, const std::string& program) {
  return numpy_agrees(in, "import sys\nsys.path.insert(0, '" EXAMPLES
                          "')\nsys.dont_write_bytecode = True\n"
                          "import live_reader as reader\n" +
                              program);
}

constexpr std::size_t count = 2048;  // 4 stripes

// Crashes in the middle of a write of elements 700 to 1100.
void tear(const fs::path& path) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* got = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(got, MAP_FAILED);
  ASSERT_EQ(mprotect(static_cast<std::byte*>(got) + page, page, PROT_NONE), 0);
  const double* const end = reinterpret_cast<double*>(static_cast<std::byte*>(got) + page);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    auto some = shard::open_writable<double>(path);
    some.write({700, 1100}, {end - 399, 400});
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  munmap(got, 2 * page);
}

TEST_F(LiveReader, FindsNothingToAttachToBeforeAnybodyShares) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  shard::save(in / "x.npy", shard::buffer<double>(count));
  EXPECT_TRUE(reader_agrees(in, "assert reader.attach('x.npy') is None"));
  const auto live = shard::create_live<double>(in / "live.npy", count);
  EXPECT_TRUE(reader_agrees(in, "assert reader.attach('live.npy') is None"));
}

TEST_F(LiveReader, ReadsWhatWasWritten) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  for (const std::size_t size : {std::size_t{1}, count, std::size_t{300'001}}) {
    auto live = shard::create_live<double>(in / "live.npy", size);
    live.fill({0, size}, 1.5);
    live.fill({size - 1, size}, 2.5);
    EXPECT_TRUE(
        reader_agrees(in, R"(
file, array, stripes = reader.attach('live.npy')
copy = reader.snapshot(file, array, stripes)
assert (copy[:-1] == 1.5).all() and copy[-1] == 2.5 and len(stripes) == )" +
                              std::to_string(shard::memory::plan_control(size * 8).stripes)));
    live.unlink();
  }
}

// By the kernel's mark, by the byte that no writer holds any more, and by what the next writer has
// noted of it.
TEST_F(LiveReader, ReportsWhatADeadWriterLeft) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  shard::save(in / "x.npy", shard::buffer<double>(count));
  const std::string reports = R"(
attached = reader.attach('x.npy')
try:
    reader.snapshot(*attached)
    sys.exit('took a torn array for a whole one')
except RuntimeError as e:
    assert str(e) == 'torn: a writer died half-way in stripes [1, 2]', e
)";
  tear(in / "x.npy");
  EXPECT_TRUE(reader_agrees(in, reports)) << "no writer";
  {
    auto next = shard::open_writable<double>(in / "x.npy");
    next.fill({0, 1}, 1);
    EXPECT_TRUE(reader_agrees(in, reports)) << "noted by a writer";
  }
  EXPECT_TRUE(reader_agrees(in, reports)) << "who has closed it";
  auto next = shard::open_writable<double>(in / "x.npy");
  next.clear_torn({0, count});
  EXPECT_TRUE(reader_agrees(in, "assert reader.snapshot(*reader.attach('x.npy'))[0] == 1"));
  tear(in / "x.npy");
  EXPECT_TRUE(reader_agrees(in, reports)) << "while another writer has it open";
  // As they are while that one is about to put it right.
  for (const std::uint32_t noted : {std::uint32_t{0x7fffffff}, std::uint32_t{4711}}) {
    std::fstream file(in / "x.npy", std::ios::in | std::ios::out | std::ios::binary);
    for (const std::size_t s : {1u, 2u}) {
      const std::uint32_t words[3] = {static_cast<std::uint32_t>(gettid()), 1, noted};
      const std::size_t stripes = shard::memory::control_offset(4096 + count * 8) + 4288;
      file.seekp(static_cast<std::streamoff>(stripes + 64 * s + 24));
      file.write(reinterpret_cast<const char*>(words), sizeof words);
    }
    file.close();
    EXPECT_TRUE(reader_agrees(in, reports)) << "while it is being taken over";
  }
}

// The file is not cut under its mapping, and it changes nothing itself.
TEST_F(LiveReader, KeepsTheControlAreaWhileItReads) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  const fs::path path = in / "x.npy";
  shard::save(path, shard::buffer<double>(count));
  const auto plain = fs::file_size(path);
  auto live = shard::open_writable<double>(path);
  live.fill({0, count}, 3);
  shard_test::bystander reader([&] {
    return reader_agrees(in, R"(
import os, time
attached = reader.attach('x.npy')
open('attached', 'w').close()
while not os.path.exists('closed'):
    time.sleep(0.001)
assert (reader.snapshot(*attached) == 3).all()
)");
  });
  ASSERT_TRUE(shard_test::eventually([&] { return fs::exists(in / "attached"); }));
  live.close();
  EXPECT_GT(fs::file_size(path), plain);
  std::ofstream(in / "closed").close();
  EXPECT_TRUE(reader.succeeded());
  live = shard::open_writable<double>(path);
  live.fill({0, 1}, 4);
  live.close();
  EXPECT_EQ(fs::file_size(path), plain);
}

}  // namespace
