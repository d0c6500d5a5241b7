// Buffers in .npy files. The oracle is numpy, where it is installed.

#include "shard/npy.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "backings.hpp"
#include "memory/dtype.hpp"
#include "memory/npy_header.hpp"
#include "neighbour.hpp"
#include "numpy.hpp"
#include "refusal.hpp"

namespace {

namespace fs = std::filesystem;
using shard_test::folder;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::numpy_agrees;
using shard_test::refusal;

std::string bytes_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A version 1.0 file with a dictionary of the test's own, and 24 bytes of data.
std::string npy_with(const std::string& dictionary, char version = 1) {
  std::string bytes("\x93NUMPY", 6);
  bytes += {version, '\0'};
  const std::size_t prologue = version == 1 ? 10 : 12;
  std::string padded = dictionary;
  padded.resize((prologue + padded.size() + 64) / 64 * 64 - prologue - 1, ' ');
  padded += '\n';
  for (std::size_t i = 8; i < prologue; ++i) {
    bytes += static_cast<char>(padded.size() >> (8 * (i - 8)) & 0xff);
  }
  return bytes + padded + std::string(24, '\x01');
}

std::string refusal_of(const folder& in, const std::string& bytes) {
  write_bytes(in / "x.npy", bytes);
  return refusal([&] { shard::open<double>(in / "x.npy"); });
}

TEST(Save, IsReadByNumpyInEveryType) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  shard::save(in / "i8.npy", shard::buffer(std::vector<std::int64_t>{-1, INT64_MIN, INT64_MAX}));
  shard::save(in / "u2.npy", shard::buffer(std::vector<std::uint16_t>{0, 65535}));
  shard::save(in / "f4.npy", shard::buffer(std::vector<float>{1.5f, -0.0f}));
  shard::save(in / "c16.npy", shard::buffer(std::vector<std::complex<double>>{{1, -2}}));
  shard::save(in / "text.npy",
              shard::buffer(std::vector{shard::text<3>("BOS"), shard::text<3>("a")}));
  shard::buffer<bool> flags(2);
  flags[1] = true;
  shard::save(in / "b1.npy", flags);
  shard::buffer<std::int32_t, 2> square(2, 3);
  std::iota(square.begin(), square.end(), 0);
  shard::save(in / "square.npy", square);
  shard::save(in / "none.npy", shard::buffer<double, 2>(0, 7));
  EXPECT_TRUE(numpy_agrees(in, R"(
def check(name, expected):
    found = np.load(name, mmap_mode='r')
    assert found.dtype == expected.dtype and np.array_equal(found, expected), (name, found)
check('i8.npy', np.array([-1, -2**63, 2**63-1], 'i8'))
check('u2.npy', np.array([0, 65535], 'u2'))
check('f4.npy', np.array([1.5, -0.0], 'f4'))
check('c16.npy', np.array([1-2j], 'c16'))
check('text.npy', np.array([b'BOS', b'a'], 'S3'))
check('b1.npy', np.array([False, True]))
check('square.npy', np.arange(6, dtype='i4').reshape(2, 3))
assert np.load('none.npy').shape == (0, 7)
)"));
}

// On x86-64 a long double is ten bytes and six of padding, which are nobody's: zeros in a file.
TEST(Save, WritesLongDoublesAsNumpyHasThem) {
  if constexpr (shard::element<long double>) {
    SHARD_NEEDS_NUMPY();
    const folder in;
    constexpr std::size_t meant = std::numeric_limits<long double>::digits == 64 ? 10 : 16;
    const std::vector<long double> numbers{1.0L / 3, -0.0L, 1e4000L, -1e-4000L, 0.1L};
    shard::buffer<long double> some(numbers.size());
    std::ranges::fill(std::as_writable_bytes(some.span()), std::byte{0xa5});
    for (std::size_t i = 0; i < numbers.size(); ++i) std::memcpy(&some[i], &numbers[i], meant);
    shard::save(in / "x.npy", some);
    shard::buffer<std::complex<long double>> one(1);
    one[0] = {1.0L / 3, -2};
    shard::save(in / "z.npy", one);
    EXPECT_TRUE(numpy_agrees(in, R"(
third = np.longdouble(1) / 3
x = np.load('x.npy', mmap_mode='r')
texts = ['0', '-0', '1e4000', '-1e-4000', '0.1']
expected = np.array([np.longdouble(t) for t in texts])
expected[0] = third
assert x.dtype == np.longdouble and np.array_equal(x, expected), x
assert np.signbit(x).tolist() == np.signbit(expected).tolist()
if np.finfo(np.longdouble).nmant == 63:
    assert not x.view('u1').reshape(-1, 16)[:, 10:].any(), 'padding'
z = np.load('z.npy')
assert z.dtype == np.clongdouble and z[0].real == third and z[0].imag == -2, z
)"));
  }
}

TEST(Open, ReadsWhatNumpyWrites) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  ASSERT_TRUE(numpy_agrees(in, R"(
np.save('i2.npy', np.arange(-3, 4, dtype='i2'))
np.save('f8.npy', np.linspace(0, 1, 12).reshape(3, 4))
np.save('text.npy', np.array([b'BOS', b'JFK'], 'S3'))
np.save('none.npy', np.zeros(0))
np.save('column.npy', np.zeros((3, 4), order='F'))
np.save('line.npy', np.asfortranarray(np.arange(3.0)))
np.save('struct.npy', np.zeros(2, [('x', 'f8'), ('y', 'f8')]))
np.save('big.npy', np.arange(3, dtype='>f8'))
for version in (1, 2, 3):
    with open('v%d.npy' % version, 'wb') as f:
        np.lib.format.write_array(f, np.arange(5.0), version=(version, 0))
)"));
  const auto small = shard::open<std::int16_t>(in / "i2.npy");
  EXPECT_EQ(std::vector<std::int16_t>(small.begin(), small.end()),
            (std::vector<std::int16_t>{-3, -2, -1, 0, 1, 2, 3}));
  const auto square = shard::open<double, 2>(in / "f8.npy");
  EXPECT_EQ(square(2, 3), 1.0);
  EXPECT_EQ(square.shape(), (std::array<std::size_t, 2>{3, 4}));
  EXPECT_EQ(shard::open<shard::text<3>>(in / "text.npy")[1], "JFK");
  EXPECT_EQ(shard::open<double>(in / "none.npy").size(), 0u);
  EXPECT_EQ(shard::open<double>(in / "line.npy")[2], 2.0);
  for (const char* name : {"v1.npy", "v2.npy", "v3.npy"}) {
    EXPECT_EQ(shard::open<double>(in / name)[4], 4.0) << name;
  }
  mentions(refusal([&] { shard::open<double, 2>(in / "column.npy"); }),
           {"column-major", "row-major", "shard::load"});
  mentions(refusal([&] { shard::open<double>(in / "struct.npy"); }),
           {"[('x', '<f8'), ('y', '<f8')]", "'<f8'"});
  mentions(refusal([&] { shard::open<double>(in / "big.npy"); }),
           {"'>f8'", "'<f8'", "shard::load"});
}

TEST(Open, NamesTheTypeFoundAndTheTypeExpected) {
  const folder in;
  shard::save(in / "delay.npy", shard::buffer<double>(3));
  const std::string message = refusal([&] { shard::open<std::int16_t>(in / "delay.npy"); });
  EXPECT_EQ(message,
            "cannot open " + (in / "delay.npy").string() + ": found '<f8', expected '<i2'");
  shard::save(in / "words.npy", shard::buffer<shard::text<16>>(3));
  mentions(refusal([&] { shard::open<shard::text<8>>(in / "words.npy"); }), {"'|S16'", "'|S8'"});
  mentions(refusal([&] { shard::open<double, 2>(in / "delay.npy"); }), {"(3,)", "2 dimensions"});
}

TEST(Open, SaysWhatIsNotARegularFile) {
  const folder in;
  mentions(refusal([&] { shard::open<double>(in.path()); }), {"a directory"});
  mentions(refusal([] { shard::open<double>("/dev/null"); }), {"a character device"});
  ASSERT_EQ(mkfifo((in / "fifo").c_str(), 0600), 0);
  mentions(refusal([&] { shard::open<double>(in / "fifo"); }), {"a FIFO or pipe"});
  mentions(refusal([&] { shard::open<double>(in / "none"); }), {"No such file"});
}

TEST(Open, RejectsWhatIsCutShort) {
  const folder in;
  shard::save(in / "whole.npy", shard::buffer<double>(3));
  const std::string whole = bytes_of(in / "whole.npy");
  ASSERT_EQ(whole.size(), 4096u + 24);
  mentions(refusal_of(in, whole.substr(0, whole.size() - 1)), {"23 bytes", "24"});
  mentions(refusal_of(in, whole.substr(0, 64)), {"64 bytes", "4096"});
  mentions(refusal_of(in, ""), {"0 bytes"});
  mentions(refusal_of(in, whole.substr(0, 9)), {"9 bytes"});
  mentions(refusal_of(in, std::string(64, '\0')), {"another kind of file"});
  EXPECT_EQ(bytes_of(in / "x.npy"), std::string(64, '\0')) << "rejected, not repaired";
  EXPECT_EQ(refusal_of(in, whole + "a footer"), "");
}

TEST(Open, RejectsHostileHeaders) {
  const folder in;
  const std::string good = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }";
  EXPECT_EQ(refusal_of(in, npy_with(good)), "");
  EXPECT_EQ(refusal_of(in, npy_with(good, 2)), "");
  EXPECT_EQ(refusal_of(in, npy_with("{\"shape\":(3,),\"fortran_order\":False,\"descr\":\"<f8\"}")),
            "");
  for (const char* bad : {
           "",
           "{",
           "{}",
           "[]",
           "{'descr': '<f8'}",
           "{'descr': <f8, 'fortran_order': False, 'shape': (3,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (3)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (-3,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (3,,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (3 3)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (18446744073709551615,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (4,)}",
           "{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}",
           "{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'more': 1}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} x",
           "{'descr': '<f8, 'fortran_order': False, 'shape': (3,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)",
       }) {
    EXPECT_NE(refusal_of(in, npy_with(bad)), "") << bad;
  }
  EXPECT_NE(refusal_of(in, npy_with(good, 4)), "");
  std::string long_header = npy_with(good, 2);
  long_header[11] = '\x7f';
  mentions(refusal_of(in, long_header), {"a header of"});
}

// Every single byte of a header changed to every kind of byte: an error or the same array, never a
// fault. ASan and UBSan watch.
TEST(Open, SurvivesAnyChangedByte) {
  const folder in;
  const std::string good = npy_with("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }");
  for (std::size_t at = 0; at < good.size() - 24; ++at) {
    for (char c : {'\0', '\xff', '9', '(', '\'', ' ', '}'}) {
      std::string bad = good;
      bad[at] = c;
      write_bytes(in / "x.npy", bad);
      try {
        const auto opened = shard::open<double>(in / "x.npy");
        EXPECT_LE(opened.size(), 3u);
      } catch (const shard::error&) {
      }
    }
  }
}

TEST(Open, FollowsASymlink) {
  const folder in;
  shard::save(in / "real.npy", shard::buffer<int>(3));
  fs::create_symlink("real.npy", in / "link.npy");
  EXPECT_EQ(shard::open<int>(in / "link.npy").size(), 3u);
}

// Whoever else has the buffer: its writer was the only one, or others are attached.
TEST(Save, RefusesWhatADeadWriterLeftTorn) {
  for (const bool attached : {false, true}) {
    shard_test::for_each_backing<int>(
        [&](shard::buffer<int> some) {
          if (attached) some.notify();
          const folder in;
          shard::save(in / "x.npy", shard::buffer<int>(1));
          const std::string before = bytes_of(in / "x.npy");
          shard_test::tear(some);
          const auto saves = [&](const auto& from) {
            try {
              shard::save(in / "x.npy", from);
            } catch (const shard::torn_error& e) {
              EXPECT_EQ(e.elements(), (shard::range{0, 1024}));
              mentions(e.what(), {"cannot save elements [0, 1024) of", "clear_torn"});
              return false;
            }
            return true;
          };
          EXPECT_FALSE(saves(some));
          EXPECT_FALSE(saves(some.read_only()));
          EXPECT_EQ(bytes_of(in / "x.npy"), before);
          EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
          some.clear_torn({0, 1024});
          EXPECT_TRUE(saves(some));
        },
        4096);
  }
}

TEST(Save, RefusesAClosedBuffer) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer(std::vector<int>{1}));
  shard::buffer<int> closed(2);
  closed.close();
  try {
    shard::save(in / "x.npy", closed);
    ADD_FAILURE() << "saved";
  } catch (const shard::error& e) {
    EXPECT_EQ(e.code(), std::errc::bad_file_descriptor);
  }
  EXPECT_EQ(shard::open<int>(in / "x.npy")[0], 1);
}

TEST(OpenWritable, ChangesTheFileInPlace) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer(std::vector<int>{1, 2, 3}));
  shard::open_writable<int>(in / "x.npy")[1] = 7;
  EXPECT_EQ(shard::open<int>(in / "x.npy")[1], 7);
}

TEST(Header, IsWrittenAsItIsRead) {
  const std::vector<std::size_t> shape{3, 0, 5};
  const auto bytes = shard::memory::written({"|V24", {}}, shape);
  const auto begins = shard::memory::read_prologue(bytes);
  EXPECT_EQ(begins.data_offset(), 4096u);
  EXPECT_EQ(bytes.back(), std::byte{'\n'});
  const auto header = shard::memory::parse(
      std::string_view(reinterpret_cast<const char*>(bytes.data()) + begins.dictionary_offset,
                       begins.dictionary_bytes));
  EXPECT_EQ(shard::memory::text(header.descr), "'|V24'");
  EXPECT_EQ(header.shape, shape);
  EXPECT_FALSE(header.fortran_order);
}

TEST(Create, AppearsWhenItIsFinished) {
  const folder in;
  {
    auto roots = shard::create<double>(in / "roots.npy", 3);
    roots[2] = 1.5;
    EXPECT_FALSE(fs::exists(in / "roots.npy"));
    roots.finish();
    EXPECT_EQ(in.names(), std::set<std::string>{"roots.npy"});
    roots.finish();
    roots[1] = 0.5;
  }
  EXPECT_EQ(shard::open<double>(in / "roots.npy")[2], 1.5);
  EXPECT_EQ(shard::open<double>(in / "roots.npy")[1], 0.5);
}

TEST(Create, LeavesNothingUnfinished) {
  const folder in;
  { auto dropped = shard::create<double>(in / "roots.npy", 1000); }
  EXPECT_TRUE(in.names().empty());
}

TEST(Create, LeavesNothingBehindAKill) {
  const folder in;
  const pid_t child = fork();
  if (child == 0) {
    auto killed = shard::create<double>(in / "roots.npy", 1000);
    raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(fs::exists(in / "roots.npy"));
}

TEST(Create, ReplacesAFileOnlyWhenItIsFinished) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer(std::vector<int>{1}));
  auto next = shard::create<int>(in / "x.npy", 2, 3);
  EXPECT_EQ(shard::open<int>(in / "x.npy")[0], 1);
  next.finish();
  EXPECT_EQ((shard::open<int, 2>(in / "x.npy").size()), 6u);
}

TEST(Create, ReplacesASymlinkAndNeverFollowsIt) {
  const folder in;
  write_bytes(in / "precious", "unchanged");
  fs::create_symlink("precious", in / "x.npy");
  shard::create<int>(in / "x.npy", 2).finish();
  EXPECT_EQ(bytes_of(in / "precious"), "unchanged");
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(in / "x.npy")));
}

TEST(Create, IsTheOwnersAlone) {
  const folder in;
  for (mode_t mask : {0000u, 0022u, 0777u}) {
    const mode_t before = umask(mask);
    shard::create<int>(in / "x.npy", 2).finish();
    umask(before);
    struct stat found {};
    ASSERT_EQ(stat((in / "x.npy").c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777, 0600u) << "umask " << mask;
  }
}

TEST(Create, ReservesItsBlocks) {
  const folder in;
  const auto roots = shard::create<double>(in / "roots.npy", 1 << 17);
  struct stat found {};
  ASSERT_EQ(fstat(roots.descriptor(), &found), 0);
  EXPECT_GE(found.st_blocks * 512, 4096 + (8 << 17));
  EXPECT_EQ(found.st_size, 4096 + (8 << 17));
}

TEST(Create, SaysWhyAPathIsNoPlaceForAFile) {
  const folder in;
  fs::create_directory(in / "folder");
  mentions(refusal([&] { shard::create<int>(in / "folder", 2); }), {"found a directory"});
  mentions(refusal([&] { shard::create<int>(in / "folder/", 2); }), {"found a directory"});
  mentions(refusal([&] { shard::create<int>(in / "none/x.npy", 2); }), {"No such file", "folder"});
  mentions(refusal([] { shard::create<int>("/dev/null", 2); }), {"character device"});
  mentions(refusal([&] { shard::create<int>(in / std::string(300, 'n'), 2); }), {"name too long"});
  mentions(refusal([&] { shard::create<int>(in / "x.npy", -2); }), {"extent -2"});
  EXPECT_EQ(in.names(), std::set<std::string>{"folder"});
}

TEST(Create, TakesTheLongestNameThereIs) {
  const folder in;
  const std::string name(255, 'n');
  shard::create<int>(in / name, 2).finish();
  EXPECT_EQ(in.names(), std::set<std::string>{name});
}

TEST(Create, FinishesInItsFolderAfterAChdir) {
  const folder in;
  EXPECT_TRUE(holds_in_a_child([&] {
    fs::current_path(in.path());
    auto made = shard::create<int>("x.npy", 2);
    fs::current_path("/");
    made.finish();
    return fs::exists(in / "x.npy");
  }));
}

TEST(Create, RefusesMoreThanTheFileSizeLimit) {
  const folder in;
  EXPECT_TRUE(holds_in_a_child([&] {
    const rlimit limit{4096, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    return mentions(refusal([&] { shard::create<double>(in / "x.npy", 1 << 20); }),
                    {"8388608 bytes", "4096 available (RLIMIT_FSIZE)"});
  }));
  EXPECT_TRUE(in.names().empty());
}

TEST(Create, IsLeftAloneByAForkedChildThatDropsIt) {
  const folder in;
  auto roots = std::make_unique<shard::buffer<int>>(shard::create<int>(in / "roots.npy", 3));
  EXPECT_TRUE(holds_in_a_child([&] {
    const std::string refused = refusal([&] { roots->finish(); });
    roots.reset();
    return mentions(refused, {"cannot finish", "which created it"}) && in.names().empty();
  }));
  (*roots)[1] = 4;
  roots->finish();
  EXPECT_EQ(shard::open<int>(in / "roots.npy")[1], 4);
}

TEST(Create, GivesManyRacingProcessesEachAWholeFile) {
  const folder in;
  std::vector<pid_t> children;
  for (int c = 0; c < 8; ++c) {
    const pid_t child = fork();
    if (child == 0) {
      for (int round = 0; round < 20; ++round) {
        auto mine = shard::create<int>(in / "x.npy", 1000);
        std::fill(mine.begin(), mine.end(), c);
        mine.finish();
        const auto found = shard::open<int>(in / "x.npy");
        if (found.size() != 1000 || found[0] != found[999]) _exit(1);
      }
      _exit(0);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

TEST(Create, OfNothingIsAFile) {
  const folder in;
  shard::create<double>(in / "x.npy", 0).finish();
  EXPECT_EQ(fs::file_size(in / "x.npy"), 4096u);
  EXPECT_EQ(shard::open<double>(in / "x.npy").size(), 0u);
}

TEST(Create, CanBeReopenedBeforeAndAfterItIsFinished) {
  const folder in;
  auto roots = shard::create<int>(in / "roots.npy", 3);
  roots[1] = 4;
  EXPECT_EQ(shard::buffer<const int>::reopen(roots.descriptor())[1], 4);
  roots.finish();
  shard::buffer<int>::reopen(roots.descriptor())[1] = 5;
  EXPECT_EQ(roots[1], 5);
}

TEST(Save, ReplacesAtOnceAndLeavesNoTemporaryName) {
  const folder in;
  shard::save(in / "x.npy", shard::buffer(std::vector<int>{1}));
  const auto before = shard::open<int>(in / "x.npy");
  shard::save(in / "x.npy", shard::buffer(std::vector<int>{2, 3}));
  EXPECT_EQ(before[0], 1) << "the file that was open is as it was";
  EXPECT_EQ(shard::open<int>(in / "x.npy")[1], 3);
  EXPECT_EQ(in.names(), std::set<std::string>{"x.npy"});
}

}  // namespace
