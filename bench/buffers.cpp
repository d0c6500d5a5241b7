// The group `buffers`: what a buffer's operations cost over the plain ones on private memory.

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <shard/shard.hpp>
#include <shared_mutex>
#include <span>
#include <stop_token>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "budget.hpp"

namespace bench {
namespace {

using std::chrono::seconds;
using numbers = shard::buffer<std::int64_t>;

constexpr auto time_cap = seconds(9);

// Each of these functions is compiled once for either side and begins on a cache line, so that the
// sides differ in the operation alone, and not in where the linker put their loops.
#define BENCH_KERNEL [[gnu::noinline, gnu::aligned(64)]]

// The compiler takes all memory for read and changed here: nothing is moved across, and no work is
// left out because its result is never looked at.
inline void keep_memory() { asm volatile("" : : : "memory"); }

// A value that the compiler knows nothing about.
template <class T>
T opaque(T value) {
  asm volatile("" : "+r"(value));
  return value;
}

std::size_t repeats(const settings& with, std::size_t wanted) { return with.quick ? 2 : wanted; }

// A measurement of work that is done in this thread alone.
workload alone(std::function<std::uint64_t()> check, std::function<void()> work) {
  return {std::move(check), [work = std::move(work)] { return thread_time_of(work); }};
}

// --- elements: atomic operations, one after the other, on numbers in the first-level cache
// ------------------------------------------------------------------------------------------------

constexpr std::size_t cells = 1024;

// The rival: what one would write without shard.
struct local_array {
  std::int64_t load(std::size_t i, std::memory_order o) const { return first[i].load(o); }
  void store(std::size_t i, std::int64_t value, std::memory_order o) const {
    first[i].store(value, o);
  }
  std::int64_t fetch_add(std::size_t i, std::int64_t value, std::memory_order o) const {
    return first[i].fetch_add(value, o);
  }

  std::atomic<std::int64_t>* first;
};

// A buffer to pass on by value; its own members are behind a pointer, as in any function that is
// given one.
struct handle {
  std::int64_t load(std::size_t i, std::memory_order o) const { return of->load(i, o); }
  void store(std::size_t i, std::int64_t value, std::memory_order o) const {
    of->store(i, value, o);
  }
  std::int64_t fetch_add(std::size_t i, std::int64_t value, std::memory_order o) const {
    return of->fetch_add(i, value, o);
  }

  numbers* of;
};

// With the orders that are shard's defaults: a seq_cst store, std::atomic's own, is another
// instruction.
struct loads {
  template <class Elements>
  BENCH_KERNEL static std::int64_t walk(Elements of, std::size_t passes) {
    std::int64_t sum = 0;
    for (std::size_t pass = 0; pass < passes; ++pass) {
      for (std::size_t i = 0; i < cells; ++i) sum += of.load(i, std::memory_order_acquire);
    }
    return sum;
  }
};

struct stores {
  template <class Elements>
  BENCH_KERNEL static std::int64_t walk(Elements of, std::size_t passes) {
    for (std::size_t pass = 0; pass < passes; ++pass) {
      for (std::size_t i = 0; i < cells; ++i) {
        of.store(i, static_cast<std::int64_t>(pass), std::memory_order_release);
      }
    }
    return 0;
  }
};

struct additions {
  template <class Elements>
  BENCH_KERNEL static std::int64_t walk(Elements of, std::size_t passes) {
    std::int64_t sum = 0;
    for (std::size_t pass = 0; pass < passes; ++pass) {
      for (std::size_t i = 0; i < cells; ++i) {
        sum += of.fetch_add(i, static_cast<std::int64_t>(pass), std::memory_order_acq_rel);
      }
    }
    return sum;
  }
};

template <class Operation, class Elements, class Kept>
workload element_workload(const settings& with, Elements elements, Kept kept) {
  const std::size_t often = repeats(with, 10'000);
  return alone(
      [=] {
        const auto seen =
            static_cast<std::uint64_t>(Operation::walk(elements, opaque(std::size_t{3})));
        return seen * 31 +
               static_cast<std::uint64_t>(loads::walk(elements, opaque(std::size_t{1})));
      },
      [=, keep = kept] { Operation::walk(elements, often); });
}

template <class Operation>
workload by_view(const settings& with) {
  auto kept = std::make_shared<numbers>(cells);
  return element_workload<Operation>(
      with, shard::shared_view<std::int64_t>(kept->begin(), kept->shape()), kept);
}

template <class Operation>
workload by_handle(const settings& with) {
  auto kept = std::make_shared<numbers>(cells);
  return element_workload<Operation>(with, handle{kept.get()}, kept);
}

template <class Operation>
workload by_atomic(const settings& with) {
  auto kept = std::make_shared<std::array<std::atomic<std::int64_t>, cells>>();
  return element_workload<Operation>(with, local_array{kept->data()}, kept);
}

// --- transfers
// ------------------------------------------------------------------------------------------------

// A private array for one side to copy from and to, and the elements of a buffer. The rival copies
// from and to a buffer as well, by memcpy: the same kind of memory for both.
struct copies {
  copies(std::size_t elements, std::size_t of_each) : shared(elements), own(of_each) {
    for (std::size_t i = 0; i < elements; ++i) shared[i] = static_cast<std::int64_t>(i * i);
    for (std::size_t i = 0; i < of_each; ++i) own[i] = static_cast<std::int64_t>(7 * i);
    shared.write({0, 0}, {});  // attaches the words that processes share
  }

  numbers shared;
  std::vector<std::int64_t> own;
};

struct reads {
  void operator()(copies& of) const { of.shared.read({0, of.own.size()}, of.own); }
};
struct writes {
  void operator()(copies& of) const { of.shared.write({0, of.own.size()}, of.own); }
};
// The size is opaque: of one that it knows, the compiler would make moves of its own.
struct copies_out {
  void operator()(copies& of) const {
    std::memcpy(of.own.data(), of.shared.begin(), opaque(of.own.size()) * sizeof(std::int64_t));
  }
};
struct copies_in {
  void operator()(copies& of) const {
    std::memcpy(of.shared.begin(), of.own.data(), opaque(of.own.size()) * sizeof(std::int64_t));
  }
};

struct fills {
  void operator()(copies& of) const { of.shared.fill({0, of.shared.size()}, 0); }
};
struct sets {
  void operator()(copies& of) const {
    std::memset(of.shared.begin(), 0, opaque(of.shared.size()) * sizeof(std::int64_t));
  }
};

template <class Copy>
BENCH_KERNEL void copy_often(copies& of, std::size_t times, Copy copy) {
  for (std::size_t k = 0; k < times; ++k) {
    copy(of);
    keep_memory();
  }
}

struct transfer_case {
  std::size_t elements;  // of a transfer
  std::size_t times;     // in one measurement
};
constexpr transfer_case short_transfer{100, 200'000};
constexpr transfer_case fill_transfer{10'000, 10'000};
constexpr transfer_case long_transfer{std::size_t{4} << 17, 24};  // 4 MiB

template <class Copy>
make_workload transfer_of(transfer_case what) {
  return [what](const settings& with) {
    auto data = std::make_shared<copies>(what.elements, what.elements);
    const std::size_t often = repeats(with, what.times);
    return alone(
        [=] {
          for (std::size_t i = 0; i < data->own.size(); ++i) data->own[i] ^= 1;
          copy_often(*data, 2, Copy());
          return bench::digest(std::as_const(data->shared).span()) ^
                 bench::digest(std::span<const std::int64_t>(data->own));
        },
        [=] { copy_often(*data, often, Copy()); });
  };
}

// --- one element
// ------------------------------------------------------------------------------------------------

using word = shard::text<16>;
constexpr std::size_t words = 1024;

BENCH_KERNEL void copy_word(word& to, const word& from) { to = from; }

struct reads_word {
  void operator()(const shard::buffer<word>& from, std::size_t i, word& to) const {
    from.read({i, i + 1}, {&to, 1});
  }
};
struct copies_word {
  void operator()(const shard::buffer<word>& from, std::size_t i, word& to) const {
    opaque (&copy_word)(to, from[i]);
  }
};

template <class Read>
BENCH_KERNEL std::uint64_t read_words(const shard::buffer<word>& from, std::size_t times) {
  std::uint64_t sum = 0;
  word held;
  for (std::size_t k = 0; k < times; ++k) {
    for (std::size_t i = 0; i < words; ++i) {
      Read()(from, i, held);
      keep_memory();
      sum += static_cast<unsigned char>(held.bytes()[0]);
    }
  }
  return sum;
}

template <class Read>
workload word_by_word(const settings& with) {
  auto of = std::make_shared<shard::buffer<word>>(words);
  for (std::size_t i = 0; i < words; ++i) (*of)[i] = word(std::to_string(i));
  of->write({0, 0}, {});  // attaches the words that processes share
  const std::size_t often = repeats(with, 1'000);
  return alone([=] { return read_words<Read>(*of, 1); }, [=] { read_words<Read>(*of, often); });
}

// --- others at the same time
// ------------------------------------------------------------------------------------------------

// Many parts of 100 numbers each, so that two writers meet as often as they can: at each transfer.
// The two halves have no stripe in common.
constexpr std::size_t part_elements = short_transfer.elements;
constexpr std::size_t half_elements = std::size_t{1} << 15;
constexpr std::size_t parts_in_half = half_elements / part_elements;

void write_parts(numbers& to, std::size_t half, std::size_t times) {
  std::array<std::int64_t, part_elements> part{};
  for (std::size_t k = 0; k < times; ++k) {
    part.fill(static_cast<std::int64_t>(k));
    const std::size_t first = half * half_elements + k % parts_in_half * part_elements;
    to.write({first, first + part_elements}, part);
  }
}

std::uint64_t read_parts(const numbers& from, std::size_t half, std::size_t times) {
  std::array<std::int64_t, part_elements> part{};
  std::uint64_t sum = 0;
  for (std::size_t k = 0; k < times; ++k) {
    const std::size_t first = half * half_elements + k % parts_in_half * part_elements;
    from.read({first, first + part_elements}, part);
    sum += static_cast<std::uint64_t>(part[k % part_elements]);
  }
  return sum;
}

std::shared_ptr<numbers> two_halves() {
  auto data = std::make_shared<numbers>(2 * half_elements);
  write_parts(*data, 0, parts_in_half);
  write_parts(*data, 1, parts_in_half);
  return data;
}

// Each of `writers` writes as much as the others, in a half of its own.
template <std::size_t Writers>
workload write_together(const settings& with) {
  static_assert(Writers == 1 || Writers == 2);
  auto data = two_halves();
  const auto write = [=](std::size_t times) {
    std::vector<std::jthread> others;
    for (std::size_t half = 1; half < Writers; ++half) {
      others.emplace_back([=] { write_parts(*data, half, times); });
    }
    write_parts(*data, 0, times);
  };
  const std::size_t often = repeats(with, 500'000);
  return {[=] {
            write(2 * parts_in_half);
            return bench::digest(std::as_const(*data).span().first(half_elements));
          },
          [=] { return time_of([=] { write(often); }); }};
}

// A thread that writes to the second half until it is destroyed.
class writing_elsewhere {
 public:
  explicit writing_elsewhere(numbers& to)
      : writer_([this, &to](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            write_parts(to, 1, parts_in_half);
            if (!begun_.exchange(true)) begun_.notify_one();
          }
        }) {
    begun_.wait(false);
  }

 private:
  std::atomic<bool> begun_ = false;
  std::jthread writer_;
};

enum class elsewhere { quiet, written };

// In the reader's processor time: that it waits for a processor is no fault of the writer's.
template <elsewhere Other>
workload read_beside(const settings& with) {
  auto data = two_halves();
  const std::size_t often = repeats(with, 500'000);
  return {[=] { return read_parts(*data, 0, 2 * parts_in_half); },
          [=] {
            std::optional<writing_elsewhere> other;
            if (Other == elsewhere::written) other.emplace(*data);
            return thread_time_of([=] { read_parts(*data, 0, often); });
          }};
}

// --- locks
// ------------------------------------------------------------------------------------------------

// A second thread, which waits all the time: in a program that has no other the C library locks a
// private mutex without atomic operations.
class idle_thread {
 public:
  idle_thread() = default;
  ~idle_thread() { done_.release(); }
  idle_thread(const idle_thread&) = delete;
  idle_thread& operator=(const idle_thread&) = delete;

 private:
  std::binary_semaphore done_{0};
  std::jthread thread_{[this] { done_.acquire(); }};
};

struct exclusively {
  static void once(numbers& of) {
    of.lock();
    keep_memory();
    of.unlock();
  }
};
struct sharing {
  static void once(numbers& of) {
    of.lock_shared();
    keep_memory();
    of.unlock_shared();
  }
};
struct by_mutex {
  static void once(std::mutex& of) {
    of.lock();
    keep_memory();
    of.unlock();
  }
};
struct sharing_mutex {
  static void once(std::shared_mutex& of) {
    of.lock_shared();
    keep_memory();
    of.unlock_shared();
  }
};

template <class Lock, class Lockable>
BENCH_KERNEL void lock_often(Lockable& of, std::size_t times) {
  for (std::size_t k = 0; k < times; ++k) Lock::once(of);
}

template <class Lock, class Lockable>
workload lock_workload(const settings& with, std::shared_ptr<Lockable> lockable) {
  auto other = std::make_shared<idle_thread>();
  const std::size_t often = repeats(with, 200'000);
  return alone([=] { return lock_often<Lock>(*lockable, 2), 0U; },
               [=, keep = other] { lock_often<Lock>(*lockable, often); });
}

template <class Lock>
workload lock_buffer(const settings& with) {
  auto locked = std::make_shared<numbers>(1);
  // Both kinds of lock have been in use before.
  sharing::once(*locked);
  exclusively::once(*locked);
  return lock_workload<Lock>(with, locked);
}

workload lock_mutex(const settings& with) {
  return lock_workload<by_mutex>(with, std::make_shared<std::mutex>());
}
workload share_mutex(const settings& with) {
  return lock_workload<sharing_mutex>(with, std::make_shared<std::shared_mutex>());
}

// --- creation
// ------------------------------------------------------------------------------------------------

constexpr std::size_t gibibyte = std::size_t{1} << 30;

// Only creation is timed, not what ends it.
template <class Create>
workload creation_workload(const settings& with, std::function<std::uint64_t()> check,
                           Create create) {
  const std::size_t often = repeats(with, 200);
  return {std::move(check), [=] {
            double seconds_taken = 0;
            for (std::size_t k = 0; k < often; ++k) {
              decltype(create()) made;
              seconds_taken += thread_time_of([&] { made = create(); });
            }
            return seconds_taken;
          }};
}

// Bytes of the elements that are in memory.
std::uint64_t touched_bytes(const numbers& of) {
  constexpr std::size_t header_bytes = 4096;
  const shard::buffer_stats found = of.stats();
  return std::max(found.resident_bytes, found.allocated_bytes) -
         std::max(header_bytes, found.page_bytes);
}

workload create_buffer(const settings& with) {
  const auto create = [] { return std::make_unique<numbers>(gibibyte / sizeof(std::int64_t)); };
  return creation_workload(
      with, [=] { return touched_bytes(*create()); }, create);
}

// A gibibyte of memory that processes can share, without anything else.
class plain_memory {
 public:
  plain_memory() {
    descriptor_ = ::memfd_create("plain", MFD_CLOEXEC);
    if (descriptor_ < 0 || ::ftruncate(descriptor_, gibibyte) != 0) fail();
    base_ = ::mmap(nullptr, gibibyte, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (base_ == MAP_FAILED) fail();
  }
  plain_memory(const plain_memory&) = delete;
  plain_memory& operator=(const plain_memory&) = delete;
  ~plain_memory() {
    ::munmap(base_, gibibyte);
    ::close(descriptor_);
  }

 private:
  [[noreturn]] static void fail() {
    throw std::system_error(errno, std::generic_category(), "cannot create plain memory");
  }

  int descriptor_ = -1;
  void* base_ = nullptr;
};

workload create_plain(const settings& with) {
  return creation_workload(
      with, [] { return 0U; }, [] { return std::make_unique<plain_memory>(); });
}

// --- loops over all elements of a chunk, which compilers turn into vector instructions
// ------------------------------------------------------------------------------------------------

// Two of these stay in the first-level cache, where instructions count most.
constexpr std::size_t loop_bytes = 16 * 1024;

// Several passes for each call, which is no part of the loop.
template <class Pass>
void several_times(Pass pass) {
  for (int k = 0; k < 16; ++k) {
    pass();
    benchmark::ClobberMemory();
  }
}

struct scaled {
  using element = float;
  BENCH_KERNEL static void windows(shard::view<float> x, shard::slice<float> y) {
    several_times([=] {
      for (const std::size_t i : y.chunk()) y[i] = 2.5F * x[i] + 1.0F;
    });
  }
  BENCH_KERNEL static void pointers(const float* x, float* y, std::size_t first, std::size_t last) {
    several_times([=] {
      for (std::size_t i = first; i < last; ++i) y[i] = 2.5F * x[i] + 1.0F;
    });
  }
};

// Stores of bytes may change anything, as far as a compiler knows: the windows themselves, too, if
// those weren't the function's own.
struct masked {
  using element = std::uint8_t;
  BENCH_KERNEL static void windows(shard::view<element> x, shard::slice<element> y) {
    several_times([=] {
      for (const std::size_t i : y.chunk()) y[i] = x[i] ^ element { 0x5a };
    });
  }
  BENCH_KERNEL static void pointers(const element* x, element* y, std::size_t first,
                                    std::size_t last) {
    several_times([=] {
      for (std::size_t i = first; i < last; ++i) y[i] = x[i] ^ element { 0x5a };
    });
  }
};

// A sum into the chunk's first element.
struct summed {
  using element = std::int32_t;
  BENCH_KERNEL static void windows(shard::view<element> x, shard::slice<element> y) {
    several_times([=] {
      element sum = 0;
      for (const std::size_t i : y.chunk()) sum += x[i];
      y[y.chunk().first] = sum;
    });
  }
  BENCH_KERNEL static void pointers(const element* x, element* y, std::size_t first,
                                    std::size_t last) {
    several_times([=] {
      element sum = 0;
      for (std::size_t i = first; i < last; ++i) sum += x[i];
      y[first] = sum;
    });
  }
};

template <class Element>
struct loop_data {
  static constexpr std::size_t elements = loop_bytes / sizeof(Element);

  loop_data() : x(elements), y(elements) {
    for (std::size_t i = 0; i < elements; ++i) x[i] = static_cast<Element>(i % 101);
  }
  shard::range all{0, elements};
  shard::buffer<Element> x;
  shard::buffer<Element> y;
};

template <class Loop, class Run>
workload loop_workload(const settings& with, Run run) {
  auto data = std::make_shared<loop_data<typename Loop::element>>();
  const std::size_t often = repeats(with, 1'500);
  return alone([=] { return run(*data), bench::digest(std::as_const(data->y).span()); },
               [=] {
                 for (std::size_t k = 0; k < often; ++k) run(*data);
               });
}

template <class Loop>
workload loop_over_windows(const settings& with) {
  using element = typename Loop::element;
  return loop_workload<Loop>(with, [](loop_data<element>& of) {
    opaque (&Loop::windows)(shard::view<element>(of.x.begin(), of.x.shape()),
                            shard::slice<element>(of.y.begin(), of.y.shape(), of.all));
  });
}

template <class Loop>
workload loop_over_pointers(const settings& with) {
  return loop_workload<Loop>(with, [](loop_data<typename Loop::element>& of) {
    opaque (&Loop::pointers)(of.x.begin(), of.y.begin(), of.all.first, of.all.last);
  });
}

// A read may take so much longer than memcpy.
double short_read_limit() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return 1.4;
#endif
  return 1.6;
}

}  // namespace

std::vector<budget> buffers_budgets() {
  std::vector<budget> all;
  const auto add = [&](const char* name, const char* rival, double limit, make_workload ours,
                       make_workload theirs) {
    all.push_back({"buffers", name, rival, limit, time_cap, std::move(ours), std::move(theirs)});
  };
  constexpr auto atomics = "std::atomic in an array";
  add("view_load", atomics, 1.02, by_view<loads>, by_atomic<loads>);
  add("view_store", atomics, 1.02, by_view<stores>, by_atomic<stores>);
  add("view_fetch_add", atomics, 1.02, by_view<additions>, by_atomic<additions>);
  add("handle_load", atomics, 1.25, by_handle<loads>, by_atomic<loads>);
  add("handle_store", atomics, 1.25, by_handle<stores>, by_atomic<stores>);
  add("handle_fetch_add", atomics, 1.25, by_handle<additions>, by_atomic<additions>);

  add("read_100", "memcpy", short_read_limit(), transfer_of<reads>(short_transfer),
      transfer_of<copies_out>(short_transfer));
  add("write_100", "memcpy", 5, transfer_of<writes>(short_transfer),
      transfer_of<copies_in>(short_transfer));
  add("read_4MiB", "memcpy", 1.11, transfer_of<reads>(long_transfer),
      transfer_of<copies_out>(long_transfer));
  add("write_4MiB", "memcpy", 1.11, transfer_of<writes>(long_transfer),
      transfer_of<copies_in>(long_transfer));
  add("fill_80kB", "memset", 1.1, transfer_of<fills>(fill_transfer),
      transfer_of<sets>(fill_transfer));
  add("read_word", "a called copy of 16 bytes", 1.5, word_by_word<reads_word>,
      word_by_word<copies_word>);
  add("two_writers", "one of them", 1.11, write_together<2>, write_together<1>);
  all.back().processors = 2;
  add("read_beside_writer", "the same undisturbed", 1.25, read_beside<elsewhere::written>,
      read_beside<elsewhere::quiet>);

  add("lock", "private std::mutex", 2, lock_buffer<exclusively>, lock_mutex);
  add("lock_shared", "private std::shared_mutex", 1.3, lock_buffer<sharing>, share_mutex);
  add("create_1GiB", "memfd_create, ftruncate, mmap", 3, create_buffer, create_plain);

  constexpr auto pointers = "loop over raw pointers";
  add("loop_float", pointers, 1.02, loop_over_windows<scaled>, loop_over_pointers<scaled>);
  add("loop_byte", pointers, 1.02, loop_over_windows<masked>, loop_over_pointers<masked>);
  add("loop_sum", pointers, 1.02, loop_over_windows<summed>, loop_over_pointers<summed>);
  return all;
}

}  // namespace bench
