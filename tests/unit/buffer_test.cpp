// Buffers in memory: values, shapes, what they refuse, and what is behind them.

#include "shard/buffer.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <numeric>
#include <sstream>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "backings.hpp"
#include "memory/control.hpp"
#include "refusal.hpp"
#include "shard/error.hpp"

namespace {

using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool under_sanitizer = true;
#elif defined(__has_feature)
constexpr bool under_sanitizer =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool under_sanitizer = false;
#endif

struct particle {
  double position[2];
  std::int32_t charge;
};

template <class T>
std::string descr_of() {
  return shard::detail::descr<T>();
}

TEST(Element, ExcludesWhatPointsElsewhereOrDiffersBetweenMachines) {
  static_assert(shard::element<int> && shard::element<bool> && shard::element<std::byte>);
  static_assert(shard::element<particle> && shard::element<shard::text<3>>);
  static_assert(!shard::element<int*> && !shard::element<int particle::*>);
  static_assert(!shard::element<std::nullptr_t> && !shard::element<std::string_view>);
  static_assert(!shard::element<std::span<int>> && !shard::element<std::reference_wrapper<int>>);
  static_assert(!shard::element<wchar_t>);
  static_assert(!shard::element<char8_t> && !shard::element<char16_t>);
  static_assert(!shard::element<std::string>);
  static_assert(!shard::element<int[3]> && !shard::element<const int> && !shard::element<int&>);
}

TEST(Element, IsCalledWhatNumpyCallsIt) {
  EXPECT_EQ(descr_of<bool>(), "|b1");
  EXPECT_EQ(descr_of<std::int8_t>(), "|i1");
  EXPECT_EQ(descr_of<std::uint8_t>(), "|u1");
  EXPECT_EQ(descr_of<std::byte>(), "|u1");
  EXPECT_EQ(descr_of<std::int16_t>(), "<i2");
  EXPECT_EQ(descr_of<long long>(), "<i8");
  EXPECT_EQ(descr_of<std::uint64_t>(), "<u8");
  EXPECT_EQ(descr_of<float>(), "<f4");
  EXPECT_EQ(descr_of<std::complex<double>>(), "<c16");
  if constexpr (shard::element<long double>) {
    EXPECT_EQ(descr_of<long double>(), "<f16");
    EXPECT_EQ(descr_of<std::complex<long double>>(), "<c32");
  }
  EXPECT_EQ(descr_of<shard::text<3>>(), "|S3");
  EXPECT_EQ(descr_of<particle>(), "|V24");
  enum class colour : std::uint16_t { red };
  EXPECT_EQ(descr_of<colour>(), "<u2");
}

TEST(Buffer, IsZerosAndTouchesNoDataPage) {
  shard::buffer<double> zeros(1'000'000);
  struct stat found {};
  ASSERT_EQ(fstat(zeros.descriptor(), &found), 0);
  EXPECT_LE(found.st_blocks * 512, 4096) << "only the header's page";
  EXPECT_EQ(zeros.size(), 1'000'000u);
  EXPECT_EQ(zeros[999'999], 0.0);
}

TEST(Buffer, KeepsAnyBits) {
  const std::vector<std::uint64_t> bits{
      std::bit_cast<std::uint64_t>(std::numeric_limits<double>::infinity()), 0xfff0000000000000u,
      0x7ff8000000001234u, 0x8000000000000000u, 1u};
  std::vector<double> values(bits.size());
  std::memcpy(values.data(), bits.data(), bits.size() * sizeof(double));
  const shard::buffer<double> kept(values);
  for (std::size_t i = 0; i < bits.size(); ++i)
    EXPECT_EQ(std::bit_cast<std::uint64_t>(kept[i]), bits[i]);
}

TEST(Buffer, CopiesAVector) {
  std::vector<int> from(1000);
  std::iota(from.begin(), from.end(), -500);
  shard::buffer copied(from);
  from.assign(1000, 7);
  EXPECT_EQ(copied[0], -500);
  EXPECT_EQ(std::accumulate(copied.begin(), copied.end(), 0), -500);
}

TEST(Buffer, IsRowMajorInAnyRank) {
  shard::buffer<int, 3> cube(3, 4, 5);
  std::iota(cube.begin(), cube.end(), 0);
  int expected = 0;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 4; ++j) {
      for (int k = 0; k < 5; ++k) EXPECT_EQ(cube(i, j, k), expected++);
    }
  }
  shard::buffer<int, 2> square(3u, 4L);
  square(1, 2) = 7;
  EXPECT_EQ(square.row(1)[2], 7);
  EXPECT_EQ(square.row(1).size(), 4u);
  EXPECT_EQ(square.shape(), (std::array<std::size_t, 2>{3, 4}));
}

TEST(Buffer, ChecksIndicesInAt) {
  shard::buffer<int> hundred(100);
  EXPECT_EQ(hundred.at(50), 0);
  mentions(refusal([&] { hundred.at(100) = 1; }), {"found index 100", "100"});
  mentions(refusal([&] { (void)hundred.at(-1); }), {"found index -1"});
  const shard::buffer<int, 2> square(3, 4);
  mentions(refusal([&] { (void)square.at(2, 4); }), {"index 4 in dimension 1", "4"});
}

TEST(Buffer, OfNothingWorksEverywhere) {
  shard::buffer<std::int64_t> nothing(0);
  EXPECT_EQ(nothing.size(), 0u);
  EXPECT_EQ(nothing.begin(), nothing.end());
  EXPECT_FALSE(refusal([&] { (void)nothing.at(0); }).empty());
  auto again = shard::buffer<std::int64_t>::reopen(nothing.descriptor());
  EXPECT_EQ(again.size(), 0u);
  shard::buffer<float, 2> flat(0, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(flat.size(), 0u);
  EXPECT_EQ((shard::buffer<float, 2>::reopen(flat.descriptor()).shape()), flat.shape());
}

TEST(Buffer, RefusesSizesThatOverflowOrAreNegative) {
  const auto most = std::numeric_limits<std::size_t>::max();
  mentions(refusal([&] { shard::buffer<double> big(most); }), {"18446744073709551615", "8 bytes"});
  mentions(refusal([&] { shard::buffer<char, 2> big(1ull << 32, 1ull << 32); }), {"4294967296"});
  mentions(refusal([&] { shard::buffer<char> big(most / 2 - 100); }), {"expected at most"});
  mentions(refusal([&] { shard::buffer<int> big(-3); }), {"found extent -3"});
  try {
    shard::buffer<double> big(most / 8 + 1);
    ADD_FAILURE() << "made";
  } catch (const shard::error& e) {
    EXPECT_EQ(e.code(), std::errc::value_too_large);
  }
}

TEST(Buffer, RefusesMoreThanTheMachineHas) {
  mentions(refusal([&] { shard::buffer<char> big(1ull << 60); }),
           {"cannot create a buffer of 1152921504606846976 bytes", "available", "expected"});
}

TEST(Buffer, RefusesMoreThanTheFileSizeLimit) {
  EXPECT_TRUE(holds_in_a_child([] {
    const rlimit limit{4096, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    return mentions(
        refusal([] { shard::buffer<double> big(1 << 20); }),
        {"buffer of 8388608 bytes", "found 4096 available (RLIMIT_FSIZE)", "ulimit -f"});
  }));
}

TEST(Buffer, RefusesMoreThanTheAddressSpaceLimit) {
  if (under_sanitizer) GTEST_SKIP() << "sanitizers need the address space";
  EXPECT_TRUE(holds_in_a_child([] {
    const rlimit limit{256u << 20, RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return false;
    return mentions(refusal([] { shard::buffer<double> big(1 << 26); }), {"mmap", "ulimit -v"});
  }));
}

TEST(Buffer, MovesAndBecomesReadOnly) {
  shard::buffer<int> first(3);
  first[1] = 5;
  shard::buffer<int> second = std::move(first);
  EXPECT_EQ(first.size(), 0u);  // NOLINT(bugprone-use-after-move): its state is documented
  EXPECT_EQ(first.descriptor(), -1);
  EXPECT_EQ(shard::detail::owner_of(first), nullptr);
  shard::buffer<const int> frozen = std::move(second);
  static_assert(std::same_as<decltype(frozen[0]), const int&>);
  static_assert(!std::is_copy_constructible_v<shard::buffer<int>>);
  static_assert(!std::is_constructible_v<shard::buffer<int>, shard::buffer<const int>>);
  EXPECT_EQ(frozen[1], 5);
  frozen = shard::buffer<const int>(std::vector<int>{1, 2});
  EXPECT_EQ(frozen.size(), 2u);
}

TEST(Buffer, IsDeeplyConst) {
  static_assert(std::same_as<decltype(std::declval<const shard::buffer<int>&>()[0]), const int&>);
  static_assert(std::same_as<decltype(std::declval<const shard::buffer<int>&>().span()),
                             std::span<const int>>);
  static_assert(
      std::same_as<decltype(std::declval<const shard::buffer<int>&>().begin()), const int*>);
}

TEST(Buffer, IsRefusedOnEveryCheckedPathOnceItIsClosed) {
  shard::buffer<int, 3> cube(2, 3, 4);
  cube(1, 2, 3) = 9;
  auto other = shard::buffer<int, 3>::reopen(cube.descriptor());
  const std::size_t before = shard_test::open_descriptors();
  EXPECT_TRUE(cube.is_open());
  cube.close();
  cube.close();
  EXPECT_EQ(shard_test::open_descriptors(), before - 1);
  EXPECT_FALSE(cube.is_open());
  EXPECT_EQ(cube.size(), 0u);
  EXPECT_EQ(cube.begin(), cube.end());
  EXPECT_TRUE(cube.span().empty());
  EXPECT_EQ(cube.descriptor(), -1);
  int expected = 0;
  mentions(refusal([&] { cube.at(0, 0, 0) = 1; }), {"closed"});
  mentions(refusal([&] { cube(0, 0, 0) = 1; }), {"closed"});  // with SHARD_CHECKED
  mentions(refusal([&] { (void)cube.row(0); }), {"closed"});
  mentions(refusal([&] { (void)cube.slab(); }), {"closed"});
  mentions(refusal([&] { (void)std::as_const(cube).slab(); }), {"closed"});
  mentions(refusal([&] { (void)cube.load({0, 0, 0}); }), {"closed"});
  mentions(refusal([&] { cube.store({0, 0, 0}, 1); }), {"closed"});
  mentions(refusal([&] { cube.fetch_min({0, 0, 0}, 1); }), {"closed"});
  mentions(refusal([&] { cube.compare_exchange({0, 0, 0}, expected, 1); }), {"closed"});
  try {
    (void)cube.load({0, 0, 0});
    ADD_FAILURE() << "loaded";
  } catch (const shard::error& e) {
    EXPECT_EQ(e.code(), std::errc::bad_file_descriptor);
  }
  EXPECT_EQ(other.load({1, 2, 3}), 9) << "the other handle goes on";
  const shard::buffer<int, 3> taken = std::move(other);
  mentions(refusal([&] { (void)other.load({0, 0, 0}); }), {"closed"});  // NOLINT: documented
  cube = shard::buffer<int, 3>(1, 1, 1);
  EXPECT_EQ(cube.at(0, 0, 0), 0);
}

// No operation has an address, a size or a descriptor from before.
TEST(Buffer, RefusesEveryOperationOnceItIsClosed) {
  using namespace std::chrono_literals;
  using shard::range;
  std::vector<int> one(1);
  const std::vector<std::size_t> index{0};
  const std::vector<std::function<void(shard::buffer<int>&)>> operations = {
      [&](auto& b) {
        b.read({0, 0}, {});
      },
      [&](auto& b) {
        b.write({0, 0}, {});
      },
      [&](auto& b) {
        b.fill({0, 0}, 1);
      },
      [&](auto& b) {
        b.add({0, 0}, {});
      },
      [&](auto& b) { b.gather({}, {}); },
      [&](auto& b) { b.scatter({}, {}); },
      [&](auto& b) {
        b.read_slab({range{0, 0}}, {});
      },
      [&](auto& b) {
        b.write_slab({range{0, 0}}, {});
      },
      [&](auto& b) {
        static_cast<void>(b.try_read({0, 0}, {}));
      },
      [&](auto& b) {
        static_cast<void>(b.try_write({0, 0}, {}));
      },
      [&](auto& b) {
        b.read({0, 1}, one);
      },
      [&](auto& b) {
        b.write({0, 1}, one);
      },
      [&](auto& b) { b.gather(index, one); },
      [&](auto& b) { b.scatter(index, one); },
      [&](auto& b) { static_cast<void>(b.torn()); },
      [&](auto& b) {
        b.clear_torn({0, 1});
      },
      [&](auto& b) {
        b.clear_torn({0, 0});
      },
      [&](auto& b) { b.finish(); },
      [&](auto& b) { b.lock(); },
      [&](auto& b) { static_cast<void>(b.try_lock()); },
      [&](auto& b) { static_cast<void>(b.try_lock_for(1ms)); },
      [&](auto& b) { b.unlock(); },
      [&](auto& b) { b.lock_shared(); },
      [&](auto& b) { static_cast<void>(b.try_lock_shared()); },
      [&](auto& b) { static_cast<void>(b.try_lock_shared_for(1ms)); },
      [&](auto& b) { b.unlock_shared(); },
      [&](auto& b) { static_cast<void>(b.abandoned()); },
      [&](auto& b) { b.clear_abandoned(); },
      [&](auto& b) { b.notify(); },
      [&](auto& b) { static_cast<void>(b.wait()); },
      [&](auto& b) { static_cast<void>(b.wait_for(1ms)); },
      [&](auto& b) { static_cast<void>(b.event_descriptor()); },
      [&](auto& b) { b.attach_event(0); },
      [&](auto& b) { b.detach_events(); },
      [&](auto& b) { b.send_event(0); },
      [&](auto& b) { b.receive_event(0); },
      [&](auto& b) { static_cast<void>(b.wait(0, 1)); },
      [&](auto& b) { static_cast<void>(b.wait_for(0, 1, 1ms)); },
      [&](auto& b) { b.notify_one(0); },
      [&](auto& b) { b.notify_all(0); },
      [&](auto& b) { static_cast<void>(b.exchange(0, 1)); },
      [&](auto& b) { static_cast<void>(b.fetch_add(0, 1)); },
      [&](auto& b) { static_cast<void>(b.fetch_xor(0, 1)); },
      [&](auto& b) { static_cast<void>(b.at(0)); },
      [&](auto& b) { static_cast<void>(b[0]); },  // with SHARD_CHECKED
      [&](auto& b) { static_cast<void>(b.read_only()); },
      [&](auto& b) { static_cast<void>(std::move(b).freeze()); },
      [&](auto& b) { static_cast<void>(b.stats()); },
      [&](auto& b) { b.sync(); },
      [&](auto& b) { b.unlink(); },
      [&](auto& b) { b.send_descriptor(0); },
      [&](auto& b) {
        static_cast<void>(b.slab(range{0, 1}));
      },
      [&](auto& b) {
        b.read({0, 4}, {});
      },
      [&](auto& b) { b.gather(index, {}); },
      [&](auto& b) {
        b.read_slab({range{0, 2}}, one);
      },
  };
  // In the same words, whatever else is wrong with it.
  const auto says_so = [](auto operation) {
    try {
      operation();
    } catch (const shard::error& e) {
      EXPECT_EQ(e.code(), std::errc::bad_file_descriptor) << e.what();
      mentions(e.what(), {"cannot use a buffer: found it closed"});
      return;
    }
    ADD_FAILURE() << "it did something";
  };
  for (std::size_t k = 0; k < operations.size(); ++k) {
    SCOPED_TRACE(k);
    shard::buffer<int> gone(3);
    gone.lock();
    gone.fill({0, 3}, 1);
    gone.close();
    says_so([&] { operations[k](gone); });
    shard::buffer<int> from(3);
    const shard::buffer<int> taken(std::move(from));
    says_so([&] { operations[k](from); });  // NOLINT: its state is documented
  }
  EXPECT_NE(refusal([] { shard::buffer<int>::reopen(-1); }), "");
}

TEST(Buffer, OfNothingReopensInEveryBacking) {
  shard_test::for_each_backing<std::int64_t>(
      [](shard::buffer<std::int64_t> nothing) {
        auto again = shard::buffer<std::int64_t>::reopen(nothing.descriptor());
        EXPECT_EQ(again.size(), 0u);
        EXPECT_TRUE(again.is_open());
        again.fill({0, 0}, 1);
        const std::unique_lock held(again);
        EXPECT_NE(refusal([&] { static_cast<void>(again.load(0)); }), "");
      },
      0);
}

TEST(Reopen, SeesTheSameElementsUntilTheLastHandleGoes) {
  auto first = std::make_unique<shard::buffer<int, 2>>(4, 5);
  auto second = shard::buffer<int, 2>::reopen(first->descriptor());
  const auto third = shard::buffer<const int, 2>::reopen(first->descriptor());
  (*first)(3, 4) = 9;
  EXPECT_EQ(second(3, 4), 9);
  second(0, 0) = 8;
  EXPECT_EQ((*first)(0, 0), 8);
  first.reset();
  EXPECT_EQ(third(0, 0), 8);
  EXPECT_EQ(third.shape(), second.shape());
}

TEST(Reopen, SaysWhatIsWrongWithADescriptor) {
  using numbers = shard::buffer<double>;
  mentions(refusal([] { numbers::reopen(-1); }), {"descriptor -1", "Bad file descriptor"});
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  mentions(refusal([&] { numbers::reopen(ends[0]); }), {"a FIFO or pipe"});
  close(ends[0]);
  close(ends[1]);
  mentions(refusal([&] { numbers::reopen(ends[0]); }), {"Bad file descriptor"});

  const shard::buffer<std::int64_t> whole(3);
  mentions(refusal([&] { numbers::reopen(whole.descriptor()); }), {"'<i8'", "'<f8'"});
  const shard::buffer<double, 2> square(3, 3);
  mentions(refusal([&] { numbers::reopen(square.descriptor()); }), {"(3, 3)", "1 dimension"});
  const shard::buffer<shard::text<16>> words(2);
  mentions(refusal([&] { shard::buffer<shard::text<8>>::reopen(words.descriptor()); }),
           {"'|S16'", "'|S8'"});
}

TEST(Reopen, RefusesToWriteThroughAReadOnlyDescriptor) {
  const shard::buffer<double> numbers(3);
  const auto view = shard::buffer<const double>::reopen(numbers.descriptor());
  mentions(refusal([&] { shard::buffer<double>::reopen(view.descriptor()); }), {"reading only"});
}

TEST(Reopen, RefusesMemoryThatCouldShrink) {
  const shard::buffer<double> sealed(10);
  const int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  std::vector<char> bytes(4096 + 80);
  ASSERT_EQ(pread(sealed.descriptor(), bytes.data(), bytes.size(), 0), 4176);
  ASSERT_EQ(write(loose, bytes.data(), bytes.size()), 4176);
  const std::string path = "/proc/self/fd/" + std::to_string(loose);
  mentions(refusal([&] { shard::buffer<double>::reopen(loose); }), {"can be resized", "sealed"});
  mentions(refusal([&] { shard::open<double>(path); }), {"can be resized", "sealed"});
  EXPECT_EQ(shard::load<double>(path).size(), 10u) << "what is read once is never mapped";
  ASSERT_EQ(fcntl(loose, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_EQ(shard::buffer<double>::reopen(loose).size(), 10u);
  EXPECT_EQ(shard::open<double>(path).size(), 10u);
  mentions(refusal([&] { shard::open_writable<double>(path).notify(); }),
           {"found 4176 bytes, and memory that can't grow", "control words"});
  close(loose);
}

TEST(Open, OfADescriptorsPathSharesMemory) {
  const shard::buffer<int> numbers(3);
  auto same = shard::open_writable<int>("/proc/self/fd/" + std::to_string(numbers.descriptor()));
  same.fill({0, 3}, 7);
  EXPECT_EQ(numbers[2], 7);
  EXPECT_EQ(same.stats().kind, shard::backing::memory);
  EXPECT_EQ(numbers.stats().writers, 1u);
}

// One message over a socket, with room for one descriptor.
class parcel {
 public:
  parcel() {
    message_.msg_iov = &data_;
    message_.msg_iovlen = 1;
    message_.msg_control = control_;
    message_.msg_controllen = sizeof control_;
  }
  bool send(int socket, int descriptor) {
    cmsghdr* header = CMSG_FIRSTHDR(&message_);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    return sendmsg(socket, &message_, 0) == 1;
  }
  int receive(int socket) {
    if (recvmsg(socket, &message_, MSG_CMSG_CLOEXEC) != 1) return -1;
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message_)), sizeof descriptor);
    return descriptor;
  }

 private:
  char byte_ = 0;
  iovec data_{&byte_, 1};
  alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int))] = {};
  msghdr message_{};
};

TEST(Reopen, WorksInAProcessThatWasSentTheDescriptor) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const pid_t child = fork();
  if (child == 0) {  // forked before the buffer is made: the socket is all it knows it by
    close(ends[0]);
    const int sent = parcel().receive(ends[1]);
    const bool refused = !refusal([&] { shard::buffer<float>::reopen(sent); }).empty();
    shard::buffer<int>::reopen(sent)[1] = 7;
    _exit(refused && close(sent) == 0 ? 0 : 1);
  }
  close(ends[1]);
  const shard::buffer<int> numbers(3);
  EXPECT_TRUE(parcel().send(ends[0], numbers.descriptor()));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  close(ends[0]);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(numbers[1], 7);
  EXPECT_EQ(shard::buffer<const int>::reopen(numbers.descriptor())[1], 7);
}

TEST(Memory, CannotBeTruncatedAndIsTheOwners) {
  const shard::buffer<double> numbers(1000);
  EXPECT_NE(ftruncate(numbers.descriptor(), 0), 0);
  EXPECT_NE(ftruncate(numbers.descriptor(), 1 << 20), 0);
  struct stat found {};
  ASSERT_EQ(fstat(numbers.descriptor(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  EXPECT_EQ(static_cast<std::size_t>(found.st_size), shard::memory::control_end(4096 + 8000, 8000));
  EXPECT_EQ(fcntl(numbers.descriptor(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(Text, IsPaddedAndNeverCutSilently) {
  EXPECT_EQ(shard::text<16>(""), "");
  EXPECT_EQ(shard::text<16>("0123456789abcdef"), "0123456789abcdef");
  mentions(refusal([] { shard::text<16>{"0123456789abcdefghij"}; }),
           {"20 bytes", "16", "truncated"});
  EXPECT_EQ(shard::text<4>::truncated("Boston"), "Bost");
  const std::string inner("a\0b", 3);
  EXPECT_EQ(shard::text<5>(inner), inner);
  std::string all(256, '\0');
  std::iota(all.rbegin(), all.rend(), '\0');
  const shard::text<256> kept(all);
  EXPECT_TRUE(std::equal(all.begin(), all.end(), kept.bytes().begin()));
}

TEST(Text, InABufferKeepsEveryByte) {
  std::string all(256, '\0');
  std::iota(all.begin(), all.end(), '\0');
  std::string reversed(all.rbegin(), all.rend());  // ends with a NUL
  shard::buffer<shard::text<256>> words(2);
  words[0] = shard::text<256>(all);
  words[1] = shard::text<256>(reversed);
  const auto raw = [](const shard::text<256>& word) {
    return std::string(word.bytes().begin(), word.bytes().end());
  };
  EXPECT_EQ(raw(words[0]), all);
  EXPECT_EQ(raw(words[1]), reversed);
  EXPECT_EQ(words[1].size(), 255u) << "trailing NULs are padding";
  words[0] = shard::text<256>("");
  EXPECT_EQ(words[0], "");
  EXPECT_EQ(raw(words[0]), std::string(256, '\0')) << "nothing is left of what was there";
}

TEST(Buffer, IsRawBytesAcrossTheBordersOfElements) {
  shard::buffer<std::uint16_t> numbers(std::vector<std::uint16_t>{0x1122, 0x3344, 0x5566});
  EXPECT_EQ(&numbers[2] - &numbers[0], 2);
  const std::span<std::byte> bytes = std::as_writable_bytes(numbers.span());
  ASSERT_EQ(bytes.size(), 6u);
  const auto across = bytes.subspan(1, 4);
  EXPECT_EQ(across[0], std::byte{0x11});
  EXPECT_EQ(across[1], std::byte{0x44});
  std::ranges::fill(across.subspan(0, 2), std::byte{0xAB});
  EXPECT_EQ(numbers[0], 0xAB22);
  EXPECT_EQ(numbers[1], 0x33AB);
  EXPECT_EQ(numbers[2], 0x5566);
  shard::buffer<shard::text<5>> words(3);
  EXPECT_EQ(reinterpret_cast<std::byte*>(&words[1]) - reinterpret_cast<std::byte*>(&words[0]), 5);
}

TEST(Text, ComparesHashesAndPrintsAsAStringView) {
  const shard::text<3> a("BOS");
  const shard::text<5> b("BOS");
  EXPECT_EQ(a, b);
  EXPECT_EQ(a, std::string("BOS"));
  EXPECT_LT(shard::text<3>("AA"), a);
  EXPECT_GT(shard::text<3>("\xff"), a) << "bytes compare unsigned";
  EXPECT_EQ(a + "-" + shard::text<3>("JFK"), "BOS-JFK");
  EXPECT_EQ(a + b, "BOSBOS");
  EXPECT_EQ("to " + a, "to BOS");
  EXPECT_EQ(std::hash<shard::text<3>>{}(a), std::hash<std::string_view>{}("BOS"));
  EXPECT_EQ((std::unordered_set<shard::text<3>>{a, a}.size()), 1u);
  std::ostringstream printed;
  printed << a << '|' << shard::text<3>();
  EXPECT_EQ(printed.str(), "BOS|");
}

}  // namespace
