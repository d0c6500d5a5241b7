// The life of a buffer: further handles, ways to other processes, freezing, names, and what it
// takes.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backings.hpp"
#include "connection.hpp"
#include "memory/control.hpp"
#include "memory/segment.hpp"
#include "os/calls.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"
#include "shared_names.hpp"

namespace {

namespace fs = std::filesystem;
using shard_test::connection;
using shard_test::folder;
using shard_test::for_each_backing;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::open_descriptors;
using shard_test::refusal;
using shard_test::shared_names;

// The signal that ended a forked child running `steps`; 0 if they returned.
template <class Steps>
int fatal_signal_of(Steps steps) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would turn the signal into an exit status
    steps();
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void write_through_a_cast(const shard::buffer<const int>& to) {
  *const_cast<volatile int*>(to.begin()) = 1;
}

TEST(ReadOnly, OutlivesTheHandleItCameFromAndSeesItsWrites) {
  for_each_backing([](shard::buffer<int> from) {
    auto owner = std::make_unique<shard::buffer<int>>(std::move(from));
    const auto view = owner->read_only();
    (*owner)[1] = 7;
    owner.reset();
    EXPECT_EQ(view[1], 7);
    EXPECT_EQ(view.read_only()[1], 7);
    EXPECT_EQ(fcntl(view.descriptor(), F_GETFL) & O_ACCMODE, O_RDONLY);
  });
}

TEST(ReadOnly, FaultsWhenItIsWrittenThrough) {
  for_each_backing([](const shard::buffer<int>& from) {
    const auto view = from.read_only();
    EXPECT_EQ(fatal_signal_of([&] { write_through_a_cast(view); }), SIGSEGV);
    mentions(refusal([&] { shard::buffer<int>::reopen(view.descriptor()); }), {"reading only"});
  });
}

TEST(Freeze, EndsWritingForAll) {
  shard::buffer<int> numbers(3);
  numbers[1] = 7;
  const int* const before = numbers.begin();
  const auto frozen = std::move(numbers).freeze();
  EXPECT_EQ(frozen[1], 7);
  EXPECT_EQ(frozen.begin(), before);
  EXPECT_EQ(fatal_signal_of([&] { write_through_a_cast(frozen); }), SIGSEGV);
  EXPECT_EQ(shard::buffer<const int>::reopen(frozen.descriptor())[1], 7);
  const std::string again = "/proc/self/fd/" + std::to_string(frozen.descriptor());
  const int writable = open(again.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(writable, 0);
  mentions(refusal([&] { shard::buffer<int>::reopen(writable); }), {"a frozen buffer"});
  EXPECT_EQ(pwrite(writable, "x", 1, 4096), -1);
  close(writable);
}

TEST(Freeze, IsRefusedWhileAThreadHoldsTheLock) {
  shard::buffer<int> numbers(3);
  numbers.lock();
  numbers.write({0, 3}, std::vector<int>{1, 2, 3});
  mentions(refusal([&] { auto frozen = std::move(numbers).freeze(); }),
           {"cannot freeze memory", "locked by a thread"});
  numbers.unlock();  // NOLINT(bugprone-use-after-move): it is as it was
  const auto frozen = std::move(numbers).freeze();
  std::vector<int> read(3);
  frozen.read({0, 3}, read);
  EXPECT_EQ(read, (std::vector<int>{1, 2, 3}));

  shard::buffer<int> shared(3);
  shared.lock_shared();
  std::thread([&] {
    mentions(refusal([&] { auto never = std::move(shared).freeze(); }), {"locked by a thread"});
  }).join();
  shared.unlock_shared();  // NOLINT(bugprone-use-after-move): it is as it was
}

TEST(EveryBacking, TransfersInBulkAndLocks) {
  for_each_backing([](shard::buffer<int> numbers) {
    numbers.lock();
    numbers.write({0, 3}, std::vector<int>{1, 2, 3});
    numbers.unlock();
    std::vector<int> read(3);
    numbers.read_only().read({0, 3}, read);
    EXPECT_EQ(read, (std::vector<int>{1, 2, 3}));
  });
}

TEST(Freeze, IsRefusedWhileAnyoneElseCanWrite) {
  shard::buffer<int> numbers(3);
  auto other = std::make_optional(shard::buffer<int>::reopen(numbers.descriptor()));
  mentions(refusal([&] { auto frozen = std::move(numbers).freeze(); }),
           {"cannot freeze memory", "busy", "no other process can write"});
  numbers[1] = 7;  // NOLINT(bugprone-use-after-move): it is as it was
  EXPECT_EQ((*other)[1], 7);
  other.reset();
  {
    const auto argument = shard::out(numbers);
    mentions(refusal([&] { auto frozen = std::move(numbers).freeze(); }), {"argument of a map"});
  }
  EXPECT_EQ(std::move(numbers).freeze()[1], 7);
}

TEST(Freeze, IsRefusedWhereWritingCannotBeEnded) {
  const shared_names names;
  const folder in;
  auto file = shard::create<int>(in / "x.npy", 3);
  auto named = shard::named::create<int>("x", 3);
  for (auto* each : {&file, &named}) {
    mentions(refusal([&] { auto frozen = std::move(*each).freeze(); }),
             {"cannot freeze", each == &file ? "found a file" : "found a named buffer",
              "expected memory"});
    (*each)[1] = 7;
  }
}

TEST(SendDescriptor, GivesTheElementsToAnotherProcess) {
  for_each_backing([](shard::buffer<int> numbers) {
    const connection to;
    EXPECT_TRUE(holds_in_a_child([&] {
      numbers[2] = 5;
      numbers.send_descriptor(to.here());
      return true;
    }));
    auto received = shard::buffer<int>::receive(to.there());
    EXPECT_EQ(received[2], 5);
    received[1] = 7;
    EXPECT_EQ(numbers[1], 7);
    EXPECT_EQ(fcntl(received.descriptor(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  });
}

TEST(SendDescriptor, OfAReadOnlyHandleGivesNoRightToWrite) {
  const connection to;
  shard::buffer<int> numbers(3);
  const shard::buffer<const int> view = std::move(numbers);
  view.send_descriptor(to.here());
  view.send_descriptor(to.here());
  mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }), {"reading only"});
  EXPECT_EQ(shard::buffer<const int>::receive(to.there()).size(), 3u);
}

// Its name goes with the last who has it, and so may a receiver be.
TEST(SendDescriptor, KeepsTheNameOfANamedBufferOnItsWay) {
  const shared_names names;
  const auto is_held = [] {
    const auto found = shard::named::list();
    return found.size() == 1 && found[0].held;
  };
  for (const bool writable : {false, true}) {
    const connection to;
    auto numbers = shard::named::create<int>("x", 3);
    if (writable) {
      numbers.send_descriptor(to.here());
      numbers.close();
    } else {
      shard::buffer<const int> view = std::move(numbers);
      view.send_descriptor(to.here());
      view.close();
    }
    EXPECT_TRUE(is_held());
    auto received = shard::buffer<const int>::receive(to.there());
    EXPECT_TRUE(is_held());
    EXPECT_EQ(shard::named::open<int>("x").size(), 3u);
    received.close();
    EXPECT_TRUE(shard::named::list().empty());
  }
}

TEST(Receive, SaysWhatItReceivedInsteadAndKeepsNoneOfIt) {
  connection to;
  const shard::buffer<int> numbers(3);
  const std::size_t descriptors = open_descriptors();
  to.send({});
  mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }),
           {"cannot receive a buffer", "a message without a descriptor"});
  to.send({numbers.descriptor(), numbers.descriptor(), STDOUT_FILENO});
  mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }), {"3 descriptors"});
  to.send({to.here()});
  mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }), {"a socket"});
  to.send({numbers.descriptor()});
  mentions(refusal([&] { shard::buffer<double>::receive(to.there()); }), {"'<i4'", "'<f8'"});
  EXPECT_EQ(open_descriptors(), descriptors);
  to.hang_up();
  mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }), {"end of the connection"});
  mentions(refusal([] { shard::buffer<int>::receive(-1); }), {"Bad file descriptor", "recvmsg"});
  EXPECT_EQ(open_descriptors(), descriptors - 1);
}

TEST(Receive, SurvivesMoreDescriptorsThanThereIsRoomFor) {
  const connection to;
  const shard::buffer<int> numbers(3);
  to.send(std::vector<int>(100, numbers.descriptor()));
  EXPECT_TRUE(holds_in_a_child([&] {
    const rlimit few{static_cast<rlim_t>(to.there()) + 8, 64};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) return false;
    return mentions(refusal([&] { shard::buffer<int>::receive(to.there()); }),
                    {"more descriptors than this process may open"});
  }));
}

TEST(SendDescriptor, SaysThatNoOneIsThere) {
  connection to;
  const shard::buffer<int> numbers(3);
  mentions(refusal([&] { numbers.send_descriptor(-1); }), {"cannot send memory", "sendmsg"});
  const int end = dup(to.there());
  to.hang_up();
  mentions(refusal([&] { numbers.send_descriptor(end); }), {"Broken pipe"});
  close(end);
}

TEST(Sync, WorksOnEveryBacking) {
  for_each_backing([](shard::buffer<int> numbers) {
    numbers[1] = 7;
    EXPECT_EQ(refusal([&] { numbers.sync(); }), "");
    EXPECT_EQ(refusal([&] { numbers.read_only().sync(); }), "");
  });
}

TEST(Unlink, TakesTheNameAndLeavesTheElements) {
  const shared_names names;
  const folder in;
  auto live = shard::create_live<int>(in / "live.npy", 3);
  auto finished = shard::create<int>(in / "finished.npy", 3);
  finished.finish();
  shard::save(in / "saved.npy", shard::buffer<int>(3));
  auto opened = shard::open_writable<int>(in / "saved.npy");
  auto named = shard::named::create<int>("x", 3);
  for (auto* each : {&live, &finished, &opened, &named}) {
    each->unlink();
    (*each)[1] = 7;
    EXPECT_EQ(shard::buffer<const int>::reopen(each->descriptor())[1], 7);
    mentions(refusal([&] { each->unlink(); }), {"cannot unlink", "no name any more"});
  }
  EXPECT_TRUE(in.names().empty());
  EXPECT_TRUE(names.in().names().empty());
  const auto next = shard::named::create<int>("x", 3);
  { const auto gone = std::move(named); }
  EXPECT_EQ(shard::named::open<int>("x").size(), 3u);
}

TEST(Unlink, OfWhatHasNoNameOrHasLostItIsAnError) {
  const folder in;
  shard::buffer<int> memory(3);
  mentions(refusal([&] { memory.unlink(); }), {"cannot unlink memory", "has no name"});
  auto unfinished = shard::create<int>(in / "x.npy", 3);
  mentions(refusal([&] { unfinished.unlink(); }), {"without a name yet"});
  unfinished.finish();
  shard::save(in / "x.npy", shard::buffer<int>(5));
  mentions(refusal([&] { unfinished.unlink(); }), {"another file"});
  fs::create_symlink("x.npy", in / "link.npy");
  auto through = shard::open_writable<int>(in / "link.npy");
  mentions(refusal([&] { through.unlink(); }), {"another file"});
  EXPECT_EQ(in.names(), (std::set<std::string>{"x.npy", "link.npy"}));
}

TEST(Unlink, FindsItsFileAfterAChdir) {
  const folder in;
  EXPECT_TRUE(holds_in_a_child([&] {
    fs::current_path(in.path());
    auto made = shard::create_live<int>("x.npy", 3);
    fs::current_path("/");
    made.unlink();
    return in.names().empty();
  }));
}

TEST(Stats, TellWhatABufferIsAndTakes) {
  const folder in;
  constexpr std::size_t n = std::size_t{1} << 20;
  shard::buffer<char, 2> memory(1024, 1024);
  const auto before = memory.stats();
  EXPECT_EQ(before.kind, shard::backing::memory);
  EXPECT_EQ(before.name, "memory");
  EXPECT_EQ(before.shape, (std::vector<std::size_t>{1024, 1024}));
  EXPECT_EQ(before.data_bytes, n);
  EXPECT_LE(before.allocated_bytes, 4096u) << "the page of the header";
  EXPECT_LE(before.resident_bytes, 4096u);
  EXPECT_EQ(before.huge_bytes, 0u);
  EXPECT_EQ(before.page_bytes, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_TRUE(holds_in_a_child([&] { return std::ranges::fill(memory, 'x'), true; }));
  EXPECT_GE(memory.stats().allocated_bytes, n);
  EXPECT_GE(memory.stats().resident_bytes, n) << "whoever touched it";
  const auto file = shard::create<char>(in / "x.npy", n).stats();
  EXPECT_EQ(file.kind, shard::backing::file);
  EXPECT_EQ(file.name, (in / "x.npy").string());
  EXPECT_GE(file.allocated_bytes, n);
  EXPECT_EQ(shard::buffer<int>(0).stats().data_bytes, 0u);
}

// What the system is asked from here on.
struct counted_calls {
  static inline shard::os::call_table real;
  static inline int made = 0;

  counted_calls() {
    real = shard::os::calls();
    made = 0;
    shard::os::calls().openat = [](int directory, const char* path, int flags, mode_t mode) {
      return ++made, real.openat(directory, path, flags, mode);
    };
    shard::os::calls().fstat = [](int descriptor, struct stat* found) {
      return ++made, real.fstat(descriptor, found);
    };
    shard::os::calls().readlink = [](const char* path, char* to, std::size_t bytes) {
      return ++made, real.readlink(path, to, bytes);
    };
  }
  counted_calls(const counted_calls&) = delete;
  counted_calls& operator=(const counted_calls&) = delete;
  ~counted_calls() { shard::os::calls() = real; }
};

TEST(Name, IsWhatTheBufferWasOpenedByAndAsksNobody) {
  const shared_names names;
  const folder in;
  const fs::path path = in / "x.npy";
  const shard::buffer<int> memory(3);
  auto created = shard::create<int>(path, 3);
  const auto live = shard::create_live<int>(in / "live.npy", 3);
  const auto opened = shard::open<int>(in / "live.npy");
  const auto named = shard::named::create<int>("x", 3);
  const auto view = named.read_only();
  const counted_calls counted;
  EXPECT_EQ(memory.name(), "memory");
  EXPECT_EQ(created.name(), path.string());
  EXPECT_EQ(live.name(), (in / "live.npy").string());
  EXPECT_EQ(opened.name(), (in / "live.npy").string());
  EXPECT_EQ(named.name(), "x");
  EXPECT_EQ(view.name(), "x");
  EXPECT_EQ(counted_calls::made, 0);
  created.finish();
  created.unlink();
  EXPECT_EQ(created.name(), path.string()) << "and no other";
  EXPECT_EQ(created.stats().name, created.name());
  const auto taken = std::move(created);
  EXPECT_EQ(created.name(), "");  // NOLINT(bugprone-use-after-move): its state is documented
  created.close();
  EXPECT_EQ(created.name(), "");
}

TEST(Name, OfARelativePathIsRelative) {
  const folder in;
  EXPECT_TRUE(holds_in_a_child([&] {
    fs::current_path(in.path());
    const auto made = shard::create_live<int>("x.npy", 3);
    fs::current_path("/");
    return made.name() == "x.npy";
  }));
}

// It was given none: what the system calls it then.
TEST(Name, OfAReopenedDescriptorIsWhatTheFileHadThen) {
  const shared_names names;
  const folder in;
  const auto reopened = [](const auto& from) {
    return shard::buffer<int>::reopen(from.descriptor());
  };
  const auto named = shard::named::create<int>("x", 3);
  EXPECT_EQ(reopened(named).name(), "x");
  EXPECT_EQ(reopened(shard::buffer<int>(3)).name(), "memory");
  auto file = shard::create<int>(in / "x.npy", 3);
  EXPECT_EQ(reopened(file).name(), "descriptor " + std::to_string(file.descriptor()));
  file.finish();
  EXPECT_EQ(reopened(file).name(), "descriptor " + std::to_string(file.descriptor()));
  const auto again = reopened(shard::open_writable<int>(in / "x.npy"));
  EXPECT_EQ(again.name(), fs::canonical(in / "x.npy").string());
  fs::rename(in / "x.npy", in / "y.npy");
  EXPECT_EQ(again.name(), (fs::canonical(in.path()) / "x.npy").string()) << "as it was";
}

TEST(HugePages, AreUsedIfTheyAreToBeHadAndNeverAnError) {
  shard::buffer<double> numbers(shard::pages::huge, 1 << 20);
  EXPECT_TRUE(std::ranges::all_of(numbers, [](double x) { return x == 0; }));
  shard::map(numbers, [](std::size_t i) { return static_cast<double>(i); });
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], static_cast<double>(i));
  EXPECT_EQ(shard::buffer<const double>::reopen(numbers.descriptor())[5], 5);
  const auto taken = numbers.stats();
  EXPECT_EQ(taken.data_bytes, std::size_t{8} << 20);
  EXPECT_LE(taken.huge_bytes, taken.allocated_bytes + taken.page_bytes);
  EXPECT_EQ(shard::buffer<double>(shard::pages::huge, 0).size(), 0u);
}

constexpr std::size_t huge_page = std::size_t{2} << 20;  // where a normal page has 4 KiB

bool aligned_to_huge_pages(const void* data) {
  constexpr std::size_t header_bytes = 4096;
  return reinterpret_cast<std::uintptr_t>(data) % huge_page == header_bytes;
}

// Whether this kernel joins pages of a memory file, found out without shard.
bool joins_pages() {
  const int file = memfd_create("joined", MFD_CLOEXEC);
  EXPECT_EQ(ftruncate(file, 2 * huge_page), 0);
  void* const taken = mmap(nullptr, 3 * huge_page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* const base = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(taken) + huge_page) /
                                             huge_page * huge_page);
  EXPECT_NE(mmap(base, 2 * huge_page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0),
            MAP_FAILED);
  base[0] = base[huge_page] = 1;
  constexpr int collapse = 25;
  const bool joined = madvise(base, 2 * huge_page, collapse) == 0;
  munmap(taken, 3 * huge_page);
  close(file);
  return joined;
}

// As /proc/self/smaps has it for the mapping at this address.
std::size_t huge_bytes_told_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t first = 0;
    std::uintptr_t last = 0;
    std::size_t kib = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &first, &last) == 2) {
      inside = first <= address && address < last;
    } else if (inside && std::sscanf(line.c_str(), "ShmemPmdMapped: %zu", &kib) == 1) {
      return kib * 1024;
    }
  }
  return 0;
}

TEST(HugePages, NeedNoAdministrator) {
  if (sysconf(_SC_PAGESIZE) != 4096) GTEST_SKIP() << "other sizes of pages";
  shard::buffer<char> some(shard::pages::huge, 5 * huge_page);
  const auto taken = some.stats();
  if (taken.page_bytes != 4096) GTEST_SKIP() << "the system has huge pages in reserve";
  EXPECT_TRUE(std::ranges::all_of(some, [](char x) { return x == 0; }));
  if (!joins_pages()) GTEST_SKIP() << "this kernel does not join pages";
  // Of 10 MiB and a header five pages are whole ones.
  EXPECT_EQ(taken.huge_bytes, 5 * huge_page);
  EXPECT_EQ(some.stats().huge_bytes, huge_bytes_told_of(some.begin()));
  EXPECT_GE(taken.allocated_bytes, 5 * huge_page);
  shard::buffer<char> normal(5 * huge_page);
  std::ranges::fill(normal, 'x');
  EXPECT_EQ(normal.stats().huge_bytes, huge_bytes_told_of(normal.begin()));

  const auto reached_by = [&](const auto& handle) {
    EXPECT_EQ(std::ranges::count(handle, 0), std::ssize(handle));
    return handle.stats().huge_bytes;
  };
  EXPECT_EQ(reached_by(some.read_only()), 5 * huge_page);
  EXPECT_TRUE(holds_in_a_child([&] {
    return reached_by(shard::buffer<const char>::reopen(some.descriptor())) == 5 * huge_page;
  }));
}

TEST(HugePages, AreMappedWhereTheyFit) {
  if (sysconf(_SC_PAGESIZE) != 4096) GTEST_SKIP() << "other sizes of pages";
  for (std::size_t k = 1; k < 6; ++k) {
    shard::buffer<char> some(k * huge_page + 1000 * k);
    EXPECT_TRUE(aligned_to_huge_pages(some.begin()));
    EXPECT_TRUE(aligned_to_huge_pages(some.read_only().begin()));
    EXPECT_TRUE(aligned_to_huge_pages(shard::buffer<char>::reopen(some.descriptor()).begin()));
  }
}

// There is room for the buffer, but not for what aligns it.
TEST(HugePages, DoWithoutTheirPlaceWhereAddressesAreScarce) {
  EXPECT_TRUE(holds_in_a_child([] {
    static shard::os::call_table real;
    real = shard::os::calls();
    shard::os::calls().mmap = [](void* at, std::size_t bytes, int protection, int flags,
                                 int descriptor, off_t offset) {
      if (protection != PROT_NONE) {
        return real.mmap(at, bytes, protection, flags, descriptor, offset);
      }
      errno = ENOMEM;
      return MAP_FAILED;
    };
    shard::buffer<char> some(shard::pages::huge, 2 * huge_page);
    some[2 * huge_page - 1] = 'x';
    return shard::buffer<char>::reopen(some.descriptor())[2 * huge_page - 1] == 'x';
  }));
}

// The machine of the test may have no huge page; what differs in their file system is imitated: no
// write(2), and sizes in whole pages.
TEST(HugePages, AreFilledThroughTheMapping) {
  static shard::os::call_table real;
  real = shard::os::calls();
  shard::os::call_table& calls = shard::os::calls();
  calls.memfd_create = [](const char* name, unsigned flags) {
    return real.memfd_create(name, flags & ~unsigned{MFD_HUGETLB});
  };
  calls.pwrite = [](int, const void*, std::size_t, off_t) { return errno = EINVAL, ssize_t{-1}; };
  calls.fstatfs = [](int descriptor, struct statfs* found) {
    const int result = real.fstatfs(descriptor, found);
    found->f_type = HUGETLBFS_MAGIC;
    found->f_bsize = 2 << 20;
    return result;
  };
  {
    shard::buffer<int> numbers(shard::pages::huge, 3);
    numbers[1] = 7;
    EXPECT_EQ(shard::buffer<const int>::reopen(numbers.descriptor())[1], 7);
    EXPECT_EQ(numbers.read_only()[1], 7);
    numbers.write({2, 3}, std::vector<int>{5});
    struct stat found {};
    EXPECT_EQ(fstat(numbers.descriptor(), &found), 0);
    EXPECT_EQ(found.st_size, 2 << 20);
    EXPECT_EQ(std::move(numbers).freeze()[1], 7);
  }
  calls = real;
}

}  // namespace
