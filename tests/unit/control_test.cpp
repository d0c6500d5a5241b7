// The control area of a file, byte for byte, and what its first opener makes of the bytes that are
// there.

#include "memory/control.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"
#include "process/family.hpp"
#include "refusal.hpp"
#include "shard/buffer.hpp"
#include "shard/detail/sharing.hpp"
#include "shard/npy.hpp"

namespace {

namespace fs = std::filesystem;
using shard::range;
using shard::transfer_state;
using shard_test::folder;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;

using cells = shard::buffer<std::int64_t>;
using ranges = std::vector<range>;

// Two stripes, of 4096 and of 3896 bytes; the area begins 8 bytes behind the data.
constexpr std::size_t count = 999;
constexpr std::size_t data_end = 4096 + count * 8;
constexpr std::size_t area_begin = 12096;
constexpr std::size_t area_bytes = 4288 + 2 * 64;
constexpr std::size_t exclusive_at = 64;
constexpr std::size_t notice_at = 128;
constexpr std::size_t slots_at = 192;
constexpr std::size_t stripes_at = 4288;

std::string bytes_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// A file with an area behind its data, written as docs/memory_layout.md says and not by shard.
class by_hand {
 public:
  by_hand() {
    shard::save(path(), cells(count));
    fs::resize_file(path(), area_begin + area_bytes);
    put(0, std::string("SHARDCT2"));
    put(8, std::uint64_t{count * 8});
    put(16, std::uint32_t{2});
    put(20, std::uint32_t{12});
  }

  template <class T>
  void put(std::size_t at, T value) {
    put(at, std::string(reinterpret_cast<const char*>(&value), sizeof value));
  }
  void put(std::size_t at, const std::string& bytes) {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(area_begin + at));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void put_stripe(std::size_t s, std::uint64_t sequence, range noted, range torn) {
    const std::size_t line = stripes_at + 64 * s;
    put(line, sequence);
    put(line + 8, static_cast<std::uint32_t>(noted.first));
    put(line + 12, static_cast<std::uint32_t>(noted.last));
    put(line + 16, static_cast<std::uint32_t>(torn.first));
    put(line + 20, static_cast<std::uint32_t>(torn.last));
  }

  fs::path path() const { return in_ / "x.npy"; }
  std::string bytes() const { return bytes_of(path()); }

 private:
  folder in_;
};

template <class T>
T word(const std::string& bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + area_begin + at, sizeof value);
  return value;
}

TEST(Control, IsWhereItsDocumentSays) {
  const folder in;
  auto live = shard::create_live<std::int64_t>(in / "x.npy", count);
  const auto text = [&] { return bytes_of(in / "x.npy"); };
  EXPECT_EQ(text().size(), data_end) << "there is no area before it is needed";
  live.fill({600, 700}, 7);
  live.fill({100, 600}, 7);
  live.notify();
  const std::string bytes = text();
  ASSERT_EQ(bytes.size(), area_begin + area_bytes);
  EXPECT_EQ(bytes.substr(area_begin, 8), "SHARDCT2");
  EXPECT_EQ(word<std::uint64_t>(bytes, 8), count * 8);
  EXPECT_EQ(word<std::uint32_t>(bytes, 16), 2u);
  EXPECT_EQ(word<std::uint32_t>(bytes, 20), 12u);
  EXPECT_EQ(word<std::uint32_t>(bytes, notice_at), 1u);
  EXPECT_EQ(word<std::uint64_t>(bytes, stripes_at), 2u);
  EXPECT_EQ(word<std::uint64_t>(bytes, stripes_at + 64), 4u);
  EXPECT_EQ(word<std::uint32_t>(bytes, stripes_at + 8), 800u);
  EXPECT_EQ(word<std::uint32_t>(bytes, stripes_at + 12), 4096u);
  EXPECT_EQ(word<std::uint32_t>(bytes, stripes_at + 64 + 8), 0u);
  EXPECT_EQ(word<std::uint32_t>(bytes, stripes_at + 64 + 12), 704u);

  live.lock();
  EXPECT_EQ(word<std::uint32_t>(text(), exclusive_at + 40), 1u);
  EXPECT_EQ(word<std::int32_t>(text(), exclusive_at + 52), gettid());
  live.unlock();
  EXPECT_EQ(word<std::uint32_t>(text(), exclusive_at + 40), 0u);
  live.lock_shared();
  const std::string shared = text();
  std::size_t occupied = 0;
  for (std::size_t slot = 0; slot < 64; ++slot) {
    if (word<std::int32_t>(shared, slots_at + 64 * slot + 40) != gettid()) continue;
    ++occupied;
    EXPECT_GT(word<std::uint32_t>(shared, exclusive_at + 48), slot);
  }
  EXPECT_EQ(occupied, 1u);
  live.unlock_shared();

  live.close();
  EXPECT_EQ(text().size(), data_end) << "its last writer cuts it off";
}

// The rule for stripes, for any size.
RC_GTEST_PROP(ControlPlan, HasTheFewestStripesOf4096BytesOrMore, ()) {
  const auto bytes = *rc::gen::withSize(
      [](int) { return rc::gen::inRange<std::size_t>(0, std::size_t{1} << 62); });
  const auto small = bytes >> *rc::gen::inRange(0, 62);
  const shard::memory::control_plan plan = shard::memory::plan_control(small);
  const std::size_t stripe = std::size_t{1} << plan.stripe_shift;
  RC_ASSERT(plan.data_bytes == small);
  RC_ASSERT(plan.stripes == std::max<std::size_t>(1, (small + stripe - 1) / stripe));
  RC_ASSERT(stripe >= 4096u);
  RC_ASSERT(plan.stripes <= 128u);
  if (stripe > 4096) RC_ASSERT((small + stripe / 2 - 1) / (stripe / 2) > 128u);
}

// What is noted covers what was meant, and less than a unit more at either end: for any bytes of
// any stripe, of data of any size.
RC_GTEST_PROP(ControlPlan, NotesBytesInAnyStripe, ()) {
  using shard::memory::bytes_in_stripe;
  const auto bytes = *rc::gen::withSize(
      [](int) { return rc::gen::inRange<std::size_t>(1, std::size_t{1} << 62); });
  const auto plan =
      shard::memory::plan_control(std::max<std::size_t>(1, bytes >> *rc::gen::inRange(0, 62)));
  const auto s = *rc::gen::inRange<std::size_t>(0, plan.stripes);
  const std::size_t length = shard::memory::length_of(plan, s);
  RC_ASSERT(length > 0u);
  const auto first =
      *rc::gen::withSize([&](int) { return rc::gen::inRange<std::size_t>(0, length); });
  const auto last =
      *rc::gen::withSize([&](int) { return rc::gen::inRange<std::size_t>(first, length); }) + 1;
  const std::size_t unit = std::size_t{1} << plan.unit_shift();
  RC_ASSERT(unit == 1u || plan.data_bytes > std::size_t{1} << 38);
  shard::memory::stripe one{};
  shard::memory::note(one, plan, {first, last});
  shard::memory::note_torn(one, plan, {first, last});
  for (const bytes_in_stripe& found : {noted_in(one, plan, s), torn_in(one, plan, s)}) {
    RC_ASSERT(found.first <= first);
    RC_ASSERT(first - found.first < unit);
    RC_ASSERT(found.last >= last);
    RC_ASSERT(found.last - last < unit);
    RC_ASSERT(found.last <= length);
  }
  shard::memory::note_torn(one, plan, {});
  RC_ASSERT(torn_in(one, plan, s).empty());
}

// Numbers in memory of which nothing is ever touched but the header and a few pages.
cells sparse(std::size_t length) {
  const folder in;
  shard::save(in / "x.npy", cells(0));
  std::string header = bytes_of(in / "x.npy");
  const std::string shape = "(" + std::to_string(length) + ",), }";
  header.replace(header.find("(0,)"), shape.size(), shape);
  const shard::os::descriptor file =
      shard::os::memory_file("sparse", shard::memory::control_end(4096 + length * 8, length * 8));
  shard::os::write_all(file, std::as_bytes(std::span(header)), 0);
  return cells::reopen(file.get());
}

void die_writing(cells& some, const shard::detail::stretch& elements) {
  shard::detail::segment& of = *shard::detail::owner_of(some);
  const auto die = [](void*) { raise(SIGKILL); };
  EXPECT_FALSE(holds_in_a_child(
      [&] { return bool(shard::detail::add_stretch(of, elements, nullptr, die, nullptr)); }));
}

// Of a writer that dies the kernel hands on so many mutexes, and no more.
TEST(Control, OfManyTerabytesIsHandedOnByAWriterThatDies) {
  if (shard_test::thread_sanitizer) GTEST_SKIP() << "ThreadSanitizer has no room for so much";
  constexpr std::size_t many = std::size_t{5} << 37;  // 5 TiB: stripes of 2^36 bytes, units of 32
  cells some = sparse(many);
  die_writing(some, {0, many});
  ASSERT_EQ(some.torn(), (ranges{{0, many}}));
  EXPECT_EQ(some.try_write({many - 1, many}, std::vector<std::int64_t>{1}).state,
            transfer_state::torn);
  some.clear_torn({0, many});
  ASSERT_TRUE(some.torn().empty());

  constexpr std::size_t border = std::size_t{1} << 33;
  die_writing(some, {border - 3, 8});
  ASSERT_EQ(some.torn(), (ranges{{border - 4, border + 8}}));
  std::vector<std::int64_t> seen(2);
  const shard::transfer found = some.try_read({border + 4, border + 6}, seen);
  EXPECT_EQ(found.state, transfer_state::torn);
  EXPECT_EQ(found.torn, (range{border, border + 8}));
  EXPECT_TRUE(some.try_read({border + 8, border + 10}, seen));
  some.clear_torn({border, border + 5});
  EXPECT_EQ(some.torn(), (ranges{{border - 4, border}, {border + 4, border + 8}}));
  some.clear_torn({border - 4, border + 8});
  some.write({border - 1, border + 1}, std::vector<std::int64_t>{7, 8});
  some.read({border - 1, border + 1}, seen);
  EXPECT_EQ(seen, (std::vector<std::int64_t>{7, 8}));
}

// Ranges of bytes as no writer leaves them, and the elements that they are taken for.
struct claim {
  std::uint64_t sequence;
  range noted;
  range torn;
  ranges expected;
};
const std::vector<claim>& claims() {
  constexpr std::size_t most = 0xffffffff;
  static const std::vector<claim> all = {
      {2, {10, 50}, {0, 0}, {}},                    // written, and whole
      {2, {0, 0}, {16, 24}, {{2, 3}}},              // torn, and cleared by nobody
      {2, {0, 0}, {4000, most}, {{500, 512}}},      // as far as the stripe goes
      {2, {0, 0}, {5000, most}, {}},                // outside
      {2, {0, 0}, {100, 50}, {}},                   // nothing
      {3, {17, 18}, {0, 0}, {{2, 3}}},              // its writer died
      {3, {17, 18}, {800, 801}, {{2, 101}}},        // the second one, too
      {3, {0, 0}, {0, 0}, {{0, 512}}},              // without a note: anywhere
      {most, {5000, most}, {100, 50}, {{0, 512}}},  // the same
      {~std::uint64_t{0}, {4000, most}, {0, 0}, {{500, 512}}},
  };
  return all;
}

TEST(Control, OfAFileIsPutRightBeforeItIsBelieved) {
  for (const claim& each : claims()) {
    SCOPED_TRACE(each.sequence);
    by_hand file;
    file.put_stripe(0, each.sequence, each.noted, each.torn);
    auto some = shard::open_writable<std::int64_t>(file.path());
    EXPECT_EQ(some.torn(), each.expected);
    std::vector<std::int64_t> seen(512);
    EXPECT_EQ(some.try_read({0, 512}, seen).state,
              each.expected.empty() ? transfer_state::done : transfer_state::torn);
    some.clear_torn({0, count});
    EXPECT_TRUE(some.torn().empty());
    some.fill({0, count}, 1);
    EXPECT_EQ(word<std::uint64_t>(file.bytes(), stripes_at) % 2, 0u);
  }
}

// A reader can't put anything right. That nobody writes it finds out without waiting for anyone.
TEST(Control, OfAFileMeansTheSameToReaders) {
  for (const claim& each : claims()) {
    SCOPED_TRACE(each.sequence);
    by_hand file;
    file.put_stripe(0, each.sequence, each.noted, each.torn);
    const std::string before = file.bytes();
    const auto some = shard::open<std::int64_t>(file.path());
    EXPECT_EQ(some.torn(), each.expected);
    std::vector<std::int64_t> seen(512);
    const shard::transfer found = some.try_read({0, 512}, seen);
    EXPECT_EQ(found.state, each.expected.empty() ? transfer_state::done : transfer_state::torn);
    EXPECT_EQ(found.torn, each.expected.empty() ? range{} : each.expected[0]);
    EXPECT_EQ(refusal([&] { some.read({0, 512}, seen); }).empty(), each.expected.empty());
    EXPECT_EQ(refusal([&] { shard::load<std::int64_t>(file.path()); }).empty(),
              each.expected.empty());
    seen.resize(count - 512);
    EXPECT_TRUE(some.try_read({512, count}, seen)) << "the other stripe";
    EXPECT_EQ(file.bytes(), before);
  }
}

TEST(Control, OfAFileHasNoOwnersBeforeItsFirstOpener) {
  by_hand file;
  const std::string garbage("\xff\xff\xff\xff\x41\x41\x41\x41garbage that is no mutex.......", 40);
  for (const std::size_t at : {exclusive_at, slots_at, slots_at + 63 * 64, stripes_at + 24}) {
    file.put(at, garbage);
  }
  file.put(exclusive_at + 48, std::uint32_t{0xffffffff});
  file.put(slots_at + 40, std::uint32_t{1});
  auto some = shard::open_writable<std::int64_t>(file.path());
  EXPECT_TRUE(some.try_lock());
  EXPECT_FALSE(some.abandoned());
  some.unlock();
  EXPECT_TRUE(some.try_lock_shared());
  some.unlock_shared();
  some.fill({0, count}, 1);
}

TEST(Control, SaysThatItsHolderDiedInAnEarlierLife) {
  for (const bool holding : {false, true}) {
    by_hand file;
    file.put(exclusive_at + (holding ? 40 : 44), std::uint32_t{1});
    EXPECT_TRUE(shard::open<std::int64_t>(file.path()).abandoned());
    auto some = shard::open_writable<std::int64_t>(file.path());
    some.lock();
    EXPECT_TRUE(some.abandoned());
    some.clear_abandoned();
    some.unlock();
  }
}

// Whoever closes last cuts a file back, but what others still have to be told of stays with it.
TEST(Control, StaysWithAFileUntilWhatItReportsIsCleared) {
  by_hand file;
  file.put_stripe(1, 5, {0, 8}, {0, 0});
  file.put(exclusive_at + 44, std::uint32_t{1});
  const auto size = [&] { return fs::file_size(file.path()); };
  for (int round = 0; round < 3; ++round) {
    auto some = shard::open_writable<std::int64_t>(file.path());
    EXPECT_EQ(some.torn(), (ranges{{512, 513}}));
    EXPECT_TRUE(some.abandoned());
    some.close();
    EXPECT_EQ(size(), area_begin + area_bytes);
  }
  auto some = shard::open_writable<std::int64_t>(file.path());
  some.clear_abandoned();
  some.close();
  EXPECT_EQ(size(), area_begin + area_bytes);
  some = shard::open_writable<std::int64_t>(file.path());
  some.clear_torn({512, 513});
  some.close();
  EXPECT_EQ(size(), data_end);
}

// A reader that found none could be in the middle of a copy: it has to find out that others wrote.
TEST(Control, StaysWithAFileWhileAReaderWouldMissIt) {
  const folder in;
  const auto path = in / "x.npy";
  shard::save(path, cells(count));
  auto reading = shard::open<std::int64_t>(path);
  std::vector<std::int64_t> seen(count);
  reading.read({0, count}, seen);
  EXPECT_EQ(fs::file_size(path), data_end) << "a reader changes nothing";
  shard::open_writable<std::int64_t>(path).fill({0, count}, 1);
  EXPECT_EQ(fs::file_size(path), area_begin + area_bytes);
  reading.read({0, count}, seen);
  EXPECT_EQ(seen, std::vector<std::int64_t>(count, 1));
  reading.close();
  shard::open_writable<std::int64_t>(path).fill({0, count}, 2);
  EXPECT_EQ(fs::file_size(path), data_end);
}

TEST(Control, IsNotNeededToReadWhereNothingCanBeLocked) {
  const shard::os::call_table real = shard::os::calls();
  const folder in;
  shard::save(in / "x.npy", cells(count));
  auto writing = shard::open_writable<std::int64_t>(in / "x.npy");
  const auto reading = shard::open<std::int64_t>(in / "x.npy");
  shard::os::calls().lock_file = [](int, int, struct flock*) { return errno = ENOLCK, -1; };
  std::vector<std::int64_t> seen(count);
  EXPECT_EQ(refusal([&] { reading.read({0, count}, seen); }), "");
  mentions(refusal([&] { writing.fill({0, 1}, 1); }), {"cannot share", "locks"});
  shard::os::calls() = real;
}

// Bytes of anybody's behind the data don't keep a file from being opened, and are kept.
TEST(Control, IsRefusedWhereOtherBytesAreBehindTheData) {
  for (const std::size_t size : {data_end + 1, area_begin + area_bytes - 1, area_begin + area_bytes,
                                 area_begin + area_bytes + 1}) {
    for (const bool zeros : {false, size == area_begin + area_bytes}) {
      SCOPED_TRACE(size);
      const folder in;
      shard::save(in / "x.npy", cells(count));
      std::string bytes(size - data_end, 'x');
      // An area that nobody has laid out begins so, too.
      if (zeros) bytes.replace(0, area_begin + 8 - data_end, area_begin + 8 - data_end, '\0');
      std::ofstream(in / "x.npy", std::ios::app) << bytes;
      const std::string before = bytes_of(in / "x.npy");
      {
        auto some = shard::open_writable<std::int64_t>(in / "x.npy");
        EXPECT_EQ(some[5], 0);
        const std::string message = refusal([&] { some.fill({0, 1}, 1); });
        mentions(message, {"cannot share", "x.npy", "control words"});
        EXPECT_NE(refusal([&] { some.lock(); }), "");
      }
      EXPECT_EQ(bytes_of(in / "x.npy"), before);
      std::vector<std::int64_t> seen(count);
      shard::open<std::int64_t>(in / "x.npy").read({0, count}, seen);
      EXPECT_EQ(seen, std::vector<std::int64_t>(count));
    }
  }
}

// One byte anywhere in it, but in the word that says that there is room.
TEST(Control, IsRefusedWhereASingleByteIsNotZero) {
  constexpr std::size_t permanent = offsetof(shard::memory::control_header, permanent);
  const folder in;
  shard::save(in / "x.npy", cells(count));
  fs::resize_file(in / "x.npy", area_begin + area_bytes);
  for (std::size_t at = 0; at < area_bytes; at += at < 100 || at > area_bytes - 100 ? 1 : 29) {
    const auto put = [&](char byte) {
      std::fstream file(in / "x.npy", std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(static_cast<std::streamoff>(area_begin + at)).put(byte);
    };
    put('\1');
    const bool means_room = at >= permanent && at < permanent + sizeof(std::uint32_t);
    if (!means_room) {
      auto some = shard::open_writable<std::int64_t>(in / "x.npy");
      mentions(refusal([&] { some.fill({0, 1}, 1); }), {"other bytes behind the data"});
    }
    put('\0');
    ASSERT_EQ(fs::file_size(in / "x.npy"), area_begin + area_bytes) << at;
  }
  shard::open_writable<std::int64_t>(in / "x.npy").fill({0, 1}, 1);
}

TEST(Control, IsRefusedWhereSomebodyElseLocksItsByte) {
  const folder in;
  shard::save(in / "x.npy", cells(count));
  const auto others = shard::os::open(in / "x.npy", shard::os::protection::write);
  shard::os::lock_byte(others, shard::memory::writers_byte, shard::os::hold::shared);
  auto some = shard::open_writable<std::int64_t>(in / "x.npy");
  mentions(refusal([&] {
             some.fill({0, 1}, 1);
           }),
           {"cannot share", "no control words", "locked by somebody else"});
}

TEST(Control, IsNotAppendedBeyondTheLimitOfFileSizes) {
  const folder in;
  shard::save(in / "x.npy", cells(count));
  EXPECT_TRUE(holds_in_a_child([&] {
    auto some = shard::open_writable<std::int64_t>(in / "x.npy");
    const rlimit small{data_end + 100, data_end + 100};
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string message = refusal([&] { some.fill({0, 1}, 1); });
    return message.find("ulimit -f") != std::string::npos;
  }));
  EXPECT_EQ(fs::file_size(in / "x.npy"), data_end);
}

TEST(Control, OfAnotherPlanIsRefused) {
  for (const std::size_t at : {8u, 16u, 20u}) {
    by_hand file;
    file.put(at, std::uint32_t{7});
    const std::string before = file.bytes();
    {
      auto some = shard::open_writable<std::int64_t>(file.path());
      mentions(refusal([&] { some.fill({0, 1}, 1); }), {"other bytes behind the data"});
    }
    EXPECT_EQ(file.bytes(), before);
    EXPECT_TRUE(shard::open<std::int64_t>(file.path()).torn().empty());
  }
}

TEST(Control, TakesNoBlocksForTheHolesOfASparseFile) {
  const folder in;
  constexpr std::size_t many = std::size_t{8} << 20;
  shard::save(in / "x.npy", cells(0));
  std::string header = bytes_of(in / "x.npy");
  header.replace(header.find("(0,)"), 15, "(8388608,), }  ");
  std::ofstream(in / "x.npy", std::ios::binary) << header;
  fs::resize_file(in / "x.npy", 4096 + many * 8);
  auto some = shard::open_writable<std::int64_t>(in / "x.npy");
  some.fill({many / 2, many / 2 + 1}, 7);
  struct stat found {};
  ASSERT_EQ(stat((in / "x.npy").c_str(), &found), 0);
  EXPECT_LT(found.st_blocks * 512, 1 << 20);
}

}  // namespace
