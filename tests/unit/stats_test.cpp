// What stats() says of who shares a buffer, and of what the dead have left.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "backings.hpp"
#include "memory/control.hpp"
#include "memory/named.hpp"
#include "memory/observed.hpp"
#include "neighbour.hpp"
#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"
#include "shared_names.hpp"

namespace {

namespace fs = std::filesystem;
using shard::buffer_stats;
using shard::range;
using shard_test::folder;
using shard_test::for_each_backing;
using shard_test::neighbour;
using shard_test::tear;
using threads = std::vector<int>;

bool nobody_holds(const buffer_stats& seen) {
  return seen.exclusive_holder == 0 && seen.shared_holders.empty();
}

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Stats, NeitherNeedControlWordsNorMakeAny) {
  for_each_backing([](const shard::buffer<int>& some) {
    const auto size = [&] { return shard::os::status(some.descriptor()).size_bytes; };
    const auto taken = [&] { return shard::os::status(some.descriptor()).allocated_bytes; };
    const std::size_t size_before = size();
    const std::size_t taken_before = taken();
    const auto view = some.read_only();
    for (const buffer_stats& seen : {some.stats(), view.stats(), some.stats()}) {
      EXPECT_FALSE(seen.control_words);
      EXPECT_EQ(seen.handles, seen.kind == shard::backing::named ? 2u : 0u);
      EXPECT_EQ(seen.writers, 0u);
      EXPECT_EQ(seen.recoveries, 0u);
      EXPECT_EQ(seen.notifications, 0u);
      EXPECT_TRUE(nobody_holds(seen));
      EXPECT_FALSE(seen.abandoned);
      EXPECT_TRUE(seen.torn.empty());
    }
    EXPECT_EQ(size(), size_before);
    EXPECT_EQ(taken(), taken_before);
  });
}

TEST(Stats, TellWhichThreadHoldsTheLock) {
  for_each_backing([](shard::buffer<int> some) {
    const auto view = some.read_only();
    {
      const std::unique_lock held(some);
      for (const buffer_stats& seen : {some.stats(), view.stats()}) {
        EXPECT_TRUE(seen.control_words);
        EXPECT_EQ(seen.exclusive_holder, gettid());
        EXPECT_TRUE(seen.shared_holders.empty());
        EXPECT_FALSE(seen.abandoned);
      }
    }
    EXPECT_TRUE(nobody_holds(view.stats()));
    EXPECT_TRUE(view.stats().control_words);
    std::thread([&] {
      const std::unique_lock held(some);
      EXPECT_EQ(view.stats().exclusive_holder, gettid());
    }).join();
    EXPECT_TRUE(nobody_holds(some.stats()));
  });
}

TEST(Stats, TellWhichThreadsShareTheLock) {
  for_each_backing([](shard::buffer<int> some) {
    const std::shared_lock held(some);
    threads expected{gettid()};
    std::thread([&] {
      const std::shared_lock also_held(some);
      expected.push_back(gettid());
      threads seen = some.read_only().stats().shared_holders;
      std::ranges::sort(seen);
      std::ranges::sort(expected);
      EXPECT_EQ(seen, expected);
    }).join();
    EXPECT_EQ(some.stats().shared_holders, threads{gettid()});
    EXPECT_EQ(some.stats().exclusive_holder, 0);
  });
}

TEST(Stats, TellOfHoldersInOtherProcessesUntilTheyAreKilled) {
  for_each_backing([](shard::buffer<int> some) {
    const auto view = some.read_only();
    some.notify();  // there is a writer, for whom the words go on
    neighbour exclusive([&] { return some.lock(), true; });
    EXPECT_EQ(view.stats().exclusive_holder, exclusive.pid());
    EXPECT_FALSE(view.stats().abandoned);
    exclusive.die();
    EXPECT_EQ(view.stats().exclusive_holder, 0);
    EXPECT_TRUE(view.stats().abandoned) << "before anyone has found it";
    EXPECT_EQ(view.stats().recoveries, 0u);
    {
      const std::unique_lock held(some);
      EXPECT_TRUE(some.abandoned());
      EXPECT_EQ(some.stats().exclusive_holder, gettid());
      EXPECT_TRUE(some.stats().abandoned);
      EXPECT_EQ(some.stats().recoveries, 1u);
      some.clear_abandoned();
    }
    EXPECT_FALSE(view.stats().abandoned);

    neighbour shared([&] { return some.lock_shared(), true; });
    const threads theirs{shared.pid()};
    EXPECT_EQ(view.stats().shared_holders, theirs);
    shared.die();
    EXPECT_TRUE(nobody_holds(view.stats()));
    EXPECT_FALSE(view.stats().abandoned) << "readers leave nothing half changed";
    { const std::unique_lock held(some); }
    EXPECT_EQ(view.stats().recoveries, 2u);
  });
}

TEST(Stats, AgreeWithTheHandleOnWhatIsAbandoned) {
  shard::buffer<int> some(3);
  some.notify();
  const auto both = [&] {
    EXPECT_EQ(some.stats().abandoned, some.abandoned());
    return some.abandoned();
  };
  EXPECT_FALSE(both());
  neighbour([&] { return some.lock(), true; }).die();
  EXPECT_TRUE(both()) << "before anyone has found it";
  some.lock();
  EXPECT_TRUE(both());
  some.clear_abandoned();
  EXPECT_FALSE(both());
  some.unlock();
  EXPECT_FALSE(both());
}

TEST(Stats, TellWhatIsTorn) {
  const folder in;
  const shard_test::shared_names names;
  std::vector<shard::buffer<int>> all;
  all.emplace_back(4096);
  all.push_back(shard::create_live<int>(in / "x.npy", 4096));
  all.push_back(shard::named::create<int>("x", 4096));
  for (shard::buffer<int>& some : all) {
    some.write({4000, 4001}, std::vector<int>{7});
    const auto view = some.read_only();
    tear(some);
    EXPECT_EQ(view.stats().torn, (std::vector<range>{{0, 1024}}));
    EXPECT_EQ(some.stats().torn, some.torn());
    some.clear_torn({0, 512});
    EXPECT_EQ(view.stats().torn, (std::vector<range>{{512, 1024}}));
    EXPECT_EQ(some.stats().torn, some.torn());
    some.clear_torn({0, 1024});
    EXPECT_TRUE(view.stats().torn.empty());
  }
}

// Sparse files can be far larger than what a process can map, and so have shared.
TEST(Stats, OfMoreThanAnyoneCanShareTakeNoMemoryForIt) {
  constexpr std::size_t size = std::size_t{1} << 55;
  const shard::os::descriptor file(memfd_create("sparse", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), static_cast<off_t>(2 * size)), 0);
  EXPECT_TRUE(shard_test::holds_in_a_child([&] {
    const auto most_kib = [] {
      rusage used{};
      getrusage(RUSAGE_SELF, &used);
      return used.ru_maxrss;
    };
    const long before = most_kib();
    const buffer_stats seen =
        shard::memory::sharing_of(shard::backing::file, {file.get(), size, size}, 1);
    return !seen.control_words && most_kib() - before < 100'000;
  }));
}

TEST(Stats, CountNotifications) {
  for_each_backing([](shard::buffer<int> some) {
    some.notify();
    some.notify();
    EXPECT_EQ(some.read_only().stats().notifications, 2u);
    EXPECT_EQ(some.wait(), 2u);
    EXPECT_EQ(some.stats().notifications, 2u) << "whoever has seen them";
  });
}

TEST(Stats, CountHandlesInAllProcesses) {
  for_each_backing([](shard::buffer<int> some) {
    const bool named = some.stats().kind == shard::backing::named;
    some.notify();
    EXPECT_EQ(some.stats().handles, 1u);
    EXPECT_EQ(some.stats().writers, 1u);
    auto second = std::make_optional(shard::buffer<int>::reopen(some.descriptor()));
    EXPECT_EQ(some.stats().handles, named ? 2u : 1u) << "not attached yet";
    second->notify();
    auto view = std::make_optional(some.read_only());
    EXPECT_TRUE(view->torn().empty());
    EXPECT_EQ(view->stats().handles, named ? 3u : 2u) << "looking is not using";
    EXPECT_FALSE(view->abandoned());
    EXPECT_EQ(some.stats().handles, 3u);
    EXPECT_EQ(some.stats().writers, 2u);
    {
      neighbour copies([&] { return true; });
      EXPECT_EQ(some.stats().handles, 3u) << "a forked child has the same ones";
      neighbour opens([&] {
        auto own =
            std::make_unique<shard::buffer<int>>(shard::buffer<int>::reopen(some.descriptor()));
        own->notify();
        return own;
      });
      EXPECT_EQ(some.stats().handles, 4u);
      EXPECT_EQ(view->stats().writers, 3u);
    }
    second.reset();
    view.reset();
    EXPECT_EQ(some.stats().handles, 1u);
    EXPECT_EQ(some.stats().writers, 1u);
  });
}

TEST(Stats, WaitForNobody) {
  for_each_backing([](shard::buffer<int> some) {
    some.notify();
    const auto fresh = shard::buffer<int>::reopen(some.descriptor());
    // As one has them that was stopped in the middle of attaching, or of going.
    const auto stopped = shard::os::open_again(some.descriptor(), shard::os::protection::write);
    shard::os::lock_byte(stopped, shard::memory::attaching_byte, shard::os::hold::exclusive);
    shard::os::lock_byte(stopped, shard::memory::readers_byte, shard::os::hold::exclusive);
    EXPECT_TRUE(fresh.stats().control_words);
    EXPECT_EQ(some.stats().notifications, 1u);
  });
}

// As after a reboot: what the words say of holders is from an earlier life.
TEST(Stats, KnowThatNobodyHoldsACopy) {
  const folder in;
  auto some = shard::create_live<int>(in / "x.npy", 3);
  some.lock();
  some.notify();
  std::ofstream(in / "copy.npy", std::ios::binary) << bytes_of(in / "x.npy");
  const std::string before = bytes_of(in / "copy.npy");
  const buffer_stats seen = shard::open<int>(in / "copy.npy").stats();
  EXPECT_TRUE(seen.control_words);
  EXPECT_TRUE(nobody_holds(seen));
  EXPECT_EQ(seen.handles, 0u);
  EXPECT_TRUE(seen.abandoned);
  EXPECT_TRUE(shard::open<int>(in / "copy.npy").abandoned());
  EXPECT_FALSE(shard::open<int>(in / "x.npy").abandoned());
  EXPECT_EQ(seen.notifications, 1u);
  EXPECT_EQ(bytes_of(in / "copy.npy"), before);
  EXPECT_EQ(some.stats().exclusive_holder, gettid());
}

TEST(Stats, BelieveNoWordsThatLie) {
  const folder in;
  auto some = shard::create_live<int>(in / "x.npy", 5000);
  some.notify();
  const std::string whole = bytes_of(in / "x.npy");
  const std::size_t at = shard::memory::control_offset(4096 + 5000 * sizeof(int));
  for (const char fill : {'\0', '\1', '\x7f', '\x80', '\xff'}) {
    // The header's magic and plan are right, and all that is behind them is nonsense.
    std::string lies = whole;
    std::fill(lies.begin() + static_cast<std::ptrdiff_t>(at + 24), lies.end(), fill);
    std::ofstream(in / "lies.npy", std::ios::binary) << lies;
    const buffer_stats seen = shard::open<int>(in / "lies.npy").stats();
    EXPECT_TRUE(seen.control_words);
    EXPECT_TRUE(nobody_holds(seen));
    for (const range& each : seen.torn) {
      EXPECT_LT(each.first, each.last);
      EXPECT_LE(each.last, 5000u);
    }
    // And where the area is cut, or is another's, there is none.
    std::ofstream(in / "lies.npy", std::ios::binary) << lies.substr(0, lies.size() - 1);
    EXPECT_FALSE(shard::open<int>(in / "lies.npy").stats().control_words);
    lies[at] = 'X';
    std::ofstream(in / "lies.npy", std::ios::binary) << lies;
    EXPECT_FALSE(shard::open<int>(in / "lies.npy").stats().control_words);
  }
}

TEST(Stats, RaiseNoFalseAlarmWhileOthersGoOn) {
  shard::buffer<int> some(4096);
  const auto view = some.read_only();
  some.notify();
  std::atomic<bool> over = false;
  std::vector<std::thread> others;
  for (int t = 0; t < 3; ++t) {
    others.emplace_back([&, t] {
      const std::vector<int> values(1024, t);
      while (!over) {
        {
          const std::unique_lock held(some);
        }
        { const std::shared_lock held(some); }
        some.write({512, 1536}, values);
      }
    });
  }
  // The system's list of locks is never the same twice.
  others.emplace_back([&] {
    const shard::os::descriptor file = shard::os::memory_file("other", 1);
    while (!over) {
      for (std::uint64_t byte = 0; byte < 12; byte += 2) {
        shard::os::try_lock_byte(file, byte, shard::os::hold::shared);
      }
      for (std::uint64_t byte = 0; byte < 12; byte += 2) shard::os::unlock_byte(file, byte);
    }
  });
  for (int round = 0; round < 300; ++round) {
    const buffer_stats seen = view.stats();
    EXPECT_FALSE(seen.abandoned);
    EXPECT_TRUE(seen.torn.empty());
    EXPECT_EQ(seen.recoveries, 0u);
    EXPECT_EQ(seen.writers, 1u);
    EXPECT_NE(seen.exclusive_holder, gettid());
  }
  over = true;
  for (std::thread& each : others) each.join();
  EXPECT_TRUE(nobody_holds(view.stats()));
}

// Replaces one of the calls by `call`, and puts it back at the end.
template <class Call>
class replaced_call {
 public:
  replaced_call(Call shard::os::call_table::*entry, Call call) : entry_(entry) {
    genuine = shard::os::calls();
    shard::os::calls().*entry_ = call;
  }
  replaced_call(const replaced_call&) = delete;
  replaced_call& operator=(const replaced_call&) = delete;
  ~replaced_call() { shard::os::calls() = genuine; }

  static inline shard::os::call_table genuine;

 private:
  Call shard::os::call_table::*entry_;
};
using locking = decltype(shard::os::call_table::lock_file);
using reading = decltype(shard::os::call_table::pread);

// Begins to write elements [0, 3), and goes no further.
std::unique_ptr<shard::buffer<int>> begin_to_write(const fs::path& path) {
  auto writing = std::make_unique<shard::buffer<int>>(shard::open_writable<int>(path));
  static std::atomic<bool> begun = false;
  std::thread([of = shard::detail::owner_of(*writing)] {
    const shard::detail::stretch all{0, 3};
    const auto stay = [](void*) {
      begun = true;
      for (;;) pause();
    };
    static_cast<void>(shard::detail::add_stretch(*of, all, nullptr, stay, nullptr));
  }).detach();
  while (!begun) std::this_thread::yield();
  return writing;
}

// Nobody writes when one begins to look, and somebody does before one has looked.
TEST(Torn, IsNothingThatAWriterHasBegunMeanwhile) {
  static const folder in;
  const fs::path path = in / "x.npy";
  shard::save(path, shard::buffer<int>(3));
  shard::open_writable<int>(path).fill({0, 3}, 1);
  const auto view = shard::open<int>(path);
  std::vector<int> seen(3);
  view.read({0, 3}, seen);
  static std::optional<neighbour> writer;
  const replaced_call<locking> hooked(
      &shard::os::call_table::lock_file, [](int descriptor, int command, struct flock* lock) {
        const int result = replaced_call<locking>::genuine.lock_file(descriptor, command, lock);
        if (command == F_OFD_GETLK && !writer) {
          writer.emplace([] { return begin_to_write(in / "x.npy"); });
        }
        return result;
      });
  EXPECT_TRUE(view.torn().empty());
  EXPECT_TRUE(writer);
  EXPECT_TRUE(view.torn().empty());
  writer->die();
  EXPECT_EQ(view.torn(), (std::vector<range>{{0, 3}}));
  writer.reset();
}

// Another process puts right what a dead writer left, before any of the reads that one takes.
TEST(Torn, IsFoundHoweverOftenOthersPutItRight) {
  static shard::buffer<int> some(4096);
  static int countdown = 0;
  const std::vector<range> torn{{0, 1024}};
  for (int nth = 1; nth < 6; ++nth) {
    tear(some);
    countdown = nth;
    const replaced_call<reading> hooked(&shard::os::call_table::pread, [](int file, void* to,
                                                                          std::size_t bytes,
                                                                          off_t from) {
      if (--countdown == 0) {
        EXPECT_EQ(some.try_write({5, 6}, std::vector<int>{1}).state, shard::transfer_state::torn);
      }
      return replaced_call<reading>::genuine.pread(file, to, bytes, from);
    });
    EXPECT_EQ(some.torn(), torn);
    some.clear_torn({0, 1024});
  }
  some.close();
}

// What is opened and read to tell of one buffer, and how often the kernel is asked for locks.
struct asked {
  static inline shard::os::call_table genuine;
  static inline int calls;

  template <class Steps>
  static int in(Steps steps) {
    auto& table = shard::os::calls();
    genuine = table;
    calls = 0;
    table.openat = [](int at, const char* path, int flags, mode_t mode) {
      ++calls;
      return genuine.openat(at, path, flags, mode);
    };
    table.pread = [](int file, void* to, std::size_t bytes, off_t at) {
      ++calls;
      return genuine.pread(file, to, bytes, at);
    };
    table.fstatat = [](int at, const char* path, struct stat* found, int flags) {
      ++calls;
      return genuine.fstatat(at, path, found, flags);
    };
    table.lock_file = [](int file, int command, struct flock* lock) {
      ++calls;
      return genuine.lock_file(file, command, lock);
    };
    steps();
    table = genuine;
    return calls;
  }
};

TEST(Stats, CostTheSameHoweverManyOthersThereAre) {
  const shard_test::shared_names names;
  auto some = shard::named::create<int>("some", 3);
  some.notify();
  const auto look = [&] {
    const auto file = shard::os::open(names / "shard.some", shard::os::protection::read);
    EXPECT_EQ(shard::memory::name_of_shared(file.get()), "some");
    EXPECT_EQ(some.stats().writers, 1u);
  };
  const int alone = asked::in(look);
  std::vector<shard::buffer<int>> others;
  for (int i = 0; i < 100; ++i) {
    others.push_back(shard::named::create<int>("other" + std::to_string(i), 3));
    others.back().notify();
  }
  EXPECT_EQ(asked::in(look), alone);
}

TEST(Stats, CountAHundredHandlesOfOneBuffer) {
  const shard_test::shared_names names;
  auto some = shard::named::create<int>("some", 3);
  std::vector<shard::buffer<int>> all;
  for (std::size_t n = 1; n < 100; ++n) {
    EXPECT_EQ(some.stats().handles, n);
    all.push_back(shard::named::open_writable<int>("some"));
    if (n % 2 == 0) all.back().notify();
  }
  EXPECT_EQ(some.stats().writers, 49u);
}

TEST(Stats, LeaveNoDescriptorBehind) {
  for_each_backing([](shard::buffer<int> some) {
    some.notify();
    const auto view = some.read_only();
    const std::size_t before = shard_test::open_descriptors();
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(some.stats().control_words);
      EXPECT_TRUE(view.stats().control_words);
    }
    EXPECT_EQ(shard_test::open_descriptors(), before);
  });
}

}  // namespace
