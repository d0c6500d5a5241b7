// A sandbox that denies a system call: each call that a map makes is denied in turn, for good, by a
// filter. Whatever is denied, a map does one of three things. It completes, and its results and its
// report are right. It completes, and its report names what it went without. Or shard refuses with
// an error that says what is denied and what to do. Nothing hangs, and no result and no cause of
// death is wrong.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "process/leftovers.hpp"
#include "process/printed.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using namespace std::chrono_literals;

using DeniedCalls = shard_test::leaves_nothing;

// ---- What is denied, and what becomes of a map then. ----

constexpr std::uint32_t any_argument = 0xffff'ffff;

struct denial {
  const char* call;
  long number;
  const char* outcome = "completes";   // at worst, with EPERM and with ENOSYS
  unsigned argument = 0;               // of the calls that are denied: which one,
  std::uint32_t value = any_argument;  // and what it must be
};

// ---- Filters. ----

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t architecture = 0;
#endif
constexpr bool architecture_is_unknown = architecture == 0;

bool install(std::span<sock_filter> steps) {
  const sock_fprog program{static_cast<unsigned short>(steps.size()), steps.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
sock_filter skip_unless(std::uint32_t value, std::uint8_t steps) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, steps);
}
sock_filter answer(std::uint32_t what) { return BPF_STMT(BPF_RET | BPF_K, what); }

// From now on, for this process and all that it forks.
bool deny(const denial& what, int error) {
  const auto denied = SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error);
  const std::size_t low_half =
      offsetof(seccomp_data, args) + what.argument * sizeof(std::uint64_t);  // little-endian
  std::vector<sock_filter> steps{load(offsetof(seccomp_data, nr))};
  if (what.value == any_argument) {
    steps.push_back(skip_unless(static_cast<std::uint32_t>(what.number), 1));
  } else {
    steps.push_back(skip_unless(static_cast<std::uint32_t>(what.number), 3));
    steps.push_back(load(low_half));
    steps.push_back(skip_unless(what.value, 1));
  }
  steps.push_back(answer(denied));
  steps.push_back(answer(SECCOMP_RET_ALLOW));
  return install(steps);
}

// ---- What a child does behind its filter, told in memory that its parent shares: to write it to a
// ---- pipe may be denied.

struct finding {
  enum kind { not_tried, right, refused, lie } what = not_tried;
  char text[16'000];   // of the refusal, or of the lie
  char without[1000];  // the report's, a line each
};

constexpr std::size_t most_scenes = 24;
constexpr std::size_t printed_bytes = 64 * 1024;

struct shared_page {
  std::array<finding, most_scenes> scenes;
  std::atomic<int> tally[8];
  std::atomic<pid_t> orphan;
  std::atomic<bool> no_filter;
  std::atomic<bool> finished;
};
shared_page* page = nullptr;
char* printed_text = nullptr;
std::string scratch_folder;
bool writing_is_denied = false;

struct wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};
void must(bool holds, const std::string& what) {
  if (!holds) throw wrong(what);
}

std::string told(const shard::report& run) {
  std::ostringstream text;
  text << run;
  return text.str();
}

// Any of the ways to send a signal.
void send(pid_t to, int signal) {
  if (kill(to, signal) == 0 || syscall(SYS_tgkill, to, to, signal) == 0) return;
  siginfo_t info{};
  info.si_code = SI_QUEUE;
  syscall(SYS_rt_sigqueueinfo, to, signal, &info);
}

void wait_a_little() {
  const timespec little{0, 1'000'000};
  if (clock_nanosleep(CLOCK_MONOTONIC, 0, &little, nullptr) == 0) return;
  poll(nullptr, 0, 1);
}

// ---- Scenes. Each returns the report of its map, or throws what is wrong with it. ----

constexpr std::size_t indices = 40;
constexpr std::size_t victim = 13;

struct results {
  std::vector<double> out;
  double total = 0;
  std::int64_t count = 0;
  friend bool operator==(const results&, const results&) = default;
};

struct told_results {
  shard::report run;
  results found;
};

told_results compute(shard::executor where, void (*at_victim)() = nullptr, bool pin = false) {
  shard::buffer<double> out(indices);
  shard::ordered_sum<double> total;
  shard::counter count;
  shard::report run =
      shard::map({.workers = 2, .grain = 4, .run_on = where, .pin = pin}, out, shard::reduce(total),
                 shard::reduce(count), [&](std::size_t i, auto& sum, auto& hits) {
                   if (i == victim && at_victim != nullptr) at_victim();
                   sum += 0.1 * static_cast<double>(i);
                   ++hits;
                   return std::sqrt(static_cast<double>(i));
                 });
  return {std::move(run), {{out.begin(), out.end()}, total.value(), count.value()}};
}

const results& expected() {
  static const results serial = compute(shard::executor::serial).found;
  return serial;
}

shard::report plain() {
  told_results what = compute(shard::executor::processes);
  must(what.found == expected(), "other results than in one thread");
  must(what.run.failures().empty(), told(what.run));
  return what.run;
}

// If the supervisor is killed before it has a standby, another one begins: then it is tried again.
shard::report takeover() {
  constexpr int tries = 20;
  for (int k = 1;; ++k) {
    page->tally[0] = 0;
    told_results what = compute(shard::executor::processes, [] {
      if (page->tally[0]++ != 0) return;
      for (int turn = 0; turn < 50; ++turn) wait_a_little();
      send(getppid(), SIGKILL);
      for (int turn = 0; turn < 10'000; ++turn) wait_a_little();
    });
    must(what.found == expected(), "other results than in one thread");
    if (k < tries && what.run.counts().takeovers == 0) continue;
    must(what.run.counts().takeovers == 1, "no takeover: " + told(what.run));
    return what.run;
  }
}

shard::report serial() {
  told_results what = compute(shard::executor::serial);
  must(what.found == expected(), "other results");
  return what.run;
}

// On how many processors the calling thread may run; 0: that can't be known.
int processors_here() {
  cpu_set_t all;
  return sched_getaffinity(0, sizeof all, &all) == 0 ? CPU_COUNT(&all) : 0;
}
int processors_before = 0;  // there was a filter

// Either both workers have fewer processors than there are, or that is told.
shard::report pinned(shard::executor where) {
  page->tally[3] = 0;
  told_results what = compute(
      where, [] { page->tally[3] = processors_here(); }, true);
  must(what.found == expected(), "other results than in one thread");
  const bool known = processors_before > 1 && page->tally[3] != 0;
  const bool fewer = page->tally[3] < processors_before;
  must(!known || fewer || !what.run.counts().without.empty(), "no worker is pinned");
  return what.run;
}

shard::report threads() {
  told_results what = compute(shard::executor::threads);
  must(what.found == expected(), "other results than in one thread");
  must(what.run.counts().without.empty(), "it goes without: " + told(what.run));
  return pinned(shard::executor::threads);
}

shard::report pin() { return pinned(shard::executor::processes); }

[[gnu::noinline]] int overflow(int depth) {  // NOLINT(misc-no-recursion)
  volatile char room[65'536];
  room[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : overflow(depth + 1) + room[0];
}

// One index of some chunks always fails. All others are there, and each cause is right.
struct victim_kind {
  std::size_t index;
  const char* kind;
  void (*fail)();
};
constexpr std::array victims{
    victim_kind{3, "signal", [] { *static_cast<volatile int*>(nullptr) = 1; }},
    victim_kind{8, "signal", [] { std::abort(); }},
    victim_kind{13, "signal", [] { page->tally[1] = overflow(0); }},
    victim_kind{18, "exit", [] { _exit(3); }},
    victim_kind{23, "exception",
                [] {
                  std::cerr << "it is bad at 23\n";
                  throw std::runtime_error("bad 23");
                }},
    victim_kind{28, "killed", [] { send(getpid(), SIGKILL); }},
};

void check_cause(const shard::failure& one, const shard::report& run) {
  const auto* const found = std::ranges::find_if(
      victims, [&](const victim_kind& each) { return one.indices.contains(each.index); });
  must(found != victims.end(), "a good index is blamed: " + told(run));
  must(one.kind == found->kind, std::string("expected the kind ") + found->kind + ": " + told(run));
  const std::size_t at = found->index;
  if (at == 3 || at == 13) must(one.signal == SIGSEGV, "another signal: " + told(run));
  if (one.kind == "exit") must(one.exit_status == 3, "another status: " + told(run));
  if (one.kind != "exception") return;
  must(one.what.find("bad 23") != std::string::npos, told(run));
  const bool heard = one.stderr_tail.find("it is bad") != std::string::npos;
  must(heard || writing_is_denied || !run.counts().without.empty(), "no stderr: " + told(run));
}

shard::report failures() {
  shard::buffer<int> out(indices);
  shard::options how;
  how.workers = 2;
  how.grain = 5;
  how.retries = 0;
  how.retries_kill = 0;
  how.keep_going = true;
  const shard::report run = shard::try_map(how, out, [&](std::size_t i) {
    for (const victim_kind& each : victims) {
      if (i == each.index) each.fail();
    }
    return static_cast<int>(i) + 1;
  });
  std::set<std::size_t> blamed;
  for (const shard::failure& one : run.failures()) {
    check_cause(one, run);
    blamed.insert(one.indices.first / 5);
  }
  must(blamed.size() == victims.size(), "a failure is not told: " + told(run));
  std::set<std::size_t> completed;
  for (const shard::range part : run.completed()) {
    for (std::size_t i = part.first; i != part.last; ++i) completed.insert(i);
  }
  for (const std::size_t i : completed) must(out[i] == static_cast<int>(i) + 1, "wrong output");
  for (const victim_kind& each : victims)
    must(!completed.contains(each.index), "a victim is complete");
  must(completed.size() >= indices - victims.size(), "more is lost: " + told(run));
  return run;
}

// One index hangs. On a busy machine another may take too long as well, or a worker between two
// chunks: then that is told, and true.
shard::report hang() {
  shard::buffer<int> out(indices);
  shard::options how;
  how.workers = 2;
  how.grain = 5;
  how.retries = 0;
  how.keep_going = true;
  how.timeout = 200ms;
  const shard::report run = shard::try_map(how, out, [](std::size_t i) {
    while (i == victim) wait_a_little();
    return static_cast<int>(i) + 1;
  });
  std::set<std::size_t> alone;
  for (const shard::failure& one : run.failures()) {
    must(one.kind == "timeout", "expected the kind timeout: " + told(run));
    const bool between_chunks = one.indices.first == one.indices.last;
    must(between_chunks || one.elapsed.count() >= 0.2, "killed before its time: " + told(run));
    if (one.indices.last - one.indices.first == 1) alone.insert(one.indices.first);
  }
  must(alone.contains(victim), "the hang is not told: " + told(run));
  std::set<std::size_t> completed;
  for (const shard::range part : run.completed()) {
    for (std::size_t i = part.first; i != part.last; ++i) completed.insert(i);
  }
  for (std::size_t i = 0; i < indices; ++i) {
    must(completed.contains(i) != alone.contains(i), "lost without a cause: " + told(run));
    must(!completed.contains(i) || out[i] == static_cast<int>(i) + 1, "wrong output");
  }
  return run;
}

shard::report print() {
  const std::size_t before = std::strlen(printed_text);
  shard::buffer<int> out(indices);
  const shard::report run =
      shard::map({.workers = 2, .grain = 4, .prefix_output = true}, out, [](std::size_t i) {
        std::cout << "line " << i << '\n';
        fprintf(stderr, "error %zu\n", i);
        return 1;
      });
  std::istringstream text(printed_text + before);
  std::multiset<std::string> found;
  for (std::string line; std::getline(text, line);) {
    const bool prefixed = line.starts_with("[worker ");
    must(prefixed || !run.counts().without.empty(), "no prefix: " + line);
    found.insert(prefixed ? line.substr(line.find(']') + 2) : line);
  }
  std::multiset<std::string> all;
  for (std::size_t i = 0; i < indices; ++i) {
    all.insert("line " + std::to_string(i));
    all.insert("error " + std::to_string(i));
  }
  must(found == all || writing_is_denied, "printed " + std::to_string(found.size()) + " lines");
  return run;
}

shard::report stop_by_signal() {
  const shard::stop_on_signals guard;
  const pid_t caller = getpid();
  constexpr std::size_t many = 100'000;  // far from the end, however late the caller hears of it
  shard::buffer<int> out(many);
  const shard::report run = shard::try_map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    if (i == victim) send(caller, SIGTERM);
    wait_a_little();
    return 1;
  });
  must(guard.signal() == SIGTERM, "the signal is not told");
  must(!run.complete(), "the signal was not heeded");
  must(run.trouble().find("SIGTERM") != std::string::npos, told(run));
  return run;
}

struct enough {};

shard::report cancel() {
  shard::buffer<int> out(indices);
  shard::options how{.workers = 2, .grain = 4};
  how.on_progress = [](const shard::progress&) { throw enough(); };
  try {
    shard::map(how, out, [](std::size_t i) {
      while (i == victim) wait_a_little();
      return 1;
    });
  } catch (const enough&) {
    return {};
  }
  throw wrong("what on_progress throws has not ended the run");
}

shard::report orphan() {
  page->orphan = 0;
  shard::buffer<int> out(indices);
  return shard::map({.workers = 2, .grain = 4}, out, [](std::size_t i) {
    if (i != victim) return 1;
    const pid_t child = fork();
    if (child == 0) {
      for (;;) wait_a_little();
    }
    must(child > 0, "no child");
    page->orphan = child;
    return 1;
  });
}

// Kernels lock and add by bulk; one is killed while it holds the lock.
shard::report lock() {
  page->tally[0] = 0;
  const std::string name = "shard-denied-" + std::to_string(getpid());
  auto all = shard::named::create<std::int64_t>(name, 8);
  const std::array<std::int64_t, 8> ones{1, 1, 1, 1, 1, 1, 1, 1};
  shard::buffer<int> out(indices);
  const shard::report run = shard::try_map({.workers = 2, .grain = 1}, out, [&](std::size_t i) {
    auto mine = shard::named::open_writable<std::int64_t>(name);
    const std::lock_guard held(mine);
    if (i == victim && page->tally[0]++ == 0) send(getpid(), SIGKILL);
    mine.add(shard::range{0, 8}, ones);
    return 1;
  });
  for (const shard::failure& one : run.failures()) {
    if (one.exception.find("shard::error") == std::string::npos) continue;
    throw shard::error(std::errc::operation_not_permitted, "in a kernel: " + one.what);
  }
  must(run.complete() && run.counts().deaths == 1, told(run));
  std::array<std::int64_t, 8> found{};
  all.read(shard::range{0, 8}, found);
  must(std::ranges::all_of(found, [](std::int64_t x) { return x == indices; }), "lost additions");
  return run;
}

shard::report notice() {
  shard::buffer<int> words(8);
  const int event = words.event_descriptor();
  words.notify();
  must(words.wait_for(0ms) == 1, "the notification is not counted");
  pollfd one{event, POLLIN, 0};
  const int ready = poll(&one, 1, 0);
  must(ready == 1 || (ready < 0 && (errno == EPERM || errno == ENOSYS)), "the event is not there");
  return {};
}

shard::report file() {
  const std::string path = scratch_folder + "/out.npy";
  unlink(path.c_str());
  shard::report run;
  {
    auto out = shard::create<int>(path, indices);
    run = shard::map({.workers = 2, .grain = 4}, out,
                     [](std::size_t i) { return static_cast<int>(i); });
  }
  const auto found = shard::load<int>(path);
  std::vector<int> all(indices);
  std::iota(all.begin(), all.end(), 0);
  must(std::ranges::equal(found, all), "the file has other values");
  return run;
}

// Until a worker was replaced, for at most some seconds.
shard::report memory_limit() {
  constexpr std::size_t leak = std::size_t{1} << 20;
  constexpr std::size_t many = 1000;
  page->tally[2] = 0;
  shard::buffer<int> out(many);
  shard::report run =
      shard::map({.workers = 1, .grain = 1, .memory_limit_bytes = 4 * leak}, out, [](std::size_t) {
        static const pid_t first = page->tally[2] == 0 ? (page->tally[2] = getpid()) : 0;
        if (first == 0) return 1;  // a replacement
        static volatile char room[16 * leak];
        static std::size_t used = 0;
        for (std::size_t k = 0; k < leak && used < sizeof room; k += 4096)
          room[used] = 1, used += 4096;
        wait_a_little();
        return 1;
      });
  must(run.counts().replacements != 0 || !run.counts().without.empty(),
       "the limit is not held: " + told(run));
  return run;
}

struct scene {
  const char* name;
  shard::report (*play)();
};
constexpr std::array scenes{
    scene{"threads", threads},     scene{"map", plain},         scene{"failures", failures},
    scene{"hang", hang},           scene{"takeover", takeover}, scene{"print", print},
    scene{"stop", stop_by_signal}, scene{"cancel", cancel},     scene{"orphan", orphan},
    scene{"lock", lock},           scene{"notice", notice},     scene{"file", file},
    scene{"memory", memory_limit}, scene{"serial", serial},     scene{"pin", pin},
};
static_assert(scenes.size() <= most_scenes);

template <std::size_t Room>
void copy(char (&to)[Room], const std::string& text) {
  const std::size_t length = std::min(text.size(), Room - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

void play(const scene& one, finding& to) {
  try {
    const shard::report run = one.play();
    std::string without;
    for (const std::string& each : run.counts().without) without += each + "\n";
    copy(to.without, without);
    to.what = finding::right;
  } catch (const wrong& e) {
    copy(to.text, e.what());
    to.what = finding::lie;
  } catch (const shard::map_error& e) {
    copy(to.text, std::string("map_error: ") + e.what());
    // A file that can't be given its name: the map is done.
    to.what = e.result().complete() ? finding::refused : finding::lie;
  } catch (const shard::error& e) {
    copy(to.text, e.what());
    to.what = finding::refused;
  } catch (const std::exception& e) {
    copy(to.text, std::string("no shard::error: ") + e.what());
    to.what = finding::lie;
  }
}

// ---- Cases: one call, one error, one child. ----

struct outcome {
  std::string text;  // "completes", "refused", …
  std::vector<std::string> details;
  bool bad = false;  // a hang, or a lie
};

// Memory that a child shares with its parent, and a file for what is printed. The file has been
// opened by its name: of one that memfd_create(2) makes, several processes that write may take the
// same offset at once, and lose what the other one wrote.
class arena {
 public:
  arena() : file_(new_file()) {
    void* const memory = mmap(nullptr, sizeof(shared_page), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (file_ < 0 || ftruncate(file_, printed_bytes) != 0 || memory == MAP_FAILED) {
      throw std::bad_alloc();
    }
    page_ = new (memory) shared_page{};
    text_ = mmap(nullptr, printed_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (text_ == MAP_FAILED) throw std::bad_alloc();
  }
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;
  ~arena() {
    munmap(text_, printed_bytes);
    munmap(page_, sizeof(shared_page));
    close(file_);
  }

  shared_page& shared() const { return *page_; }

  void enter() const {
    page = page_;
    printed_text = static_cast<char*>(text_);
    dup2(file_, STDOUT_FILENO);
    dup2(file_, STDERR_FILENO);
  }

 private:
  static int new_file() {
    std::string name = scratch_folder + "/printed-XXXXXX";
    const int file = mkostemp(name.data(), O_CLOEXEC);
    if (file >= 0) unlink(name.c_str());
    return file;
  }

  int file_;
  shared_page* page_;
  void* text_;
};

struct denied_case {
  denial what;
  int error = 0;
  std::unique_ptr<arena> place = std::make_unique<arena>();
  pid_t child = 0;
  std::chrono::steady_clock::time_point began = {};
  bool killed = false;
  int status = 0;
};

[[noreturn]] void behind_the_filter(const denied_case& what) {
  what.place->enter();
  expected();
  processors_before = processors_here();
  const std::string call = what.what.call;
  writing_is_denied = call == "write";
  if (!deny(what.what, what.error)) {
    page->no_filter = true;
    _exit(0);
  }
  for (std::size_t k = 0; k < scenes.size(); ++k) {
    play(scenes[k], page->scenes[k]);
  }
  page->finished = true;
  _exit(0);
}

const char* name_of(int error) { return error == EPERM ? "EPERM" : "ENOSYS"; }

bool lives(pid_t process) { return process != 0 && kill(process, 0) == 0; }

// What a report goes without, in a word.
std::string word_for(const std::string& loss) {
  constexpr std::array words{
      std::pair{"core dumps", "core dumps"},     std::pair{"kernel forks", "forked children"},
      std::pair{"leaves behind", "orphans"},     std::pair{"stack overflow", "overflows"},
      std::pair{"whole lines", "output"},        std::pair{"had used", "usage"},
      std::pair{"memory_limit", "memory limit"}, std::pair{"first to be killed", "order of kills"},
      std::pair{"standby", "standby"},           std::pair{"other threads", "thread count"},
      std::pair{"their processors", "pinning"},
  };
  for (const auto& [part, word] : words) {
    if (loss.find(part) != std::string::npos) return word;
  }
  return "?";
}

std::string joined(const std::string& first, const std::set<std::string>& words) {
  std::string text;
  for (const std::string& each : words) text += (text.empty() ? first : ", ") + each;
  return text;
}

// An error that says what was found and what was expected, and of which what helps is true.
bool helps(const finding& refused, const shared_page& page_of) {
  const std::string text = refused.text;
  const bool says =
      text.find("found") != std::string::npos && text.find("expected") != std::string::npos;
  const bool advises_serial = text.find("SHARD_EXECUTOR=serial") != std::string::npos;
  const auto serial_scene =
      std::ranges::find(scenes, std::string_view("serial"),
                        [](const scene& each) { return std::string_view(each.name); });
  const finding& inline_run =
      page_of.scenes[static_cast<std::size_t>(serial_scene - scenes.begin())];
  return says && (!advises_serial || inline_run.what == finding::right);
}

outcome outcome_of(const denied_case& what) {
  outcome found;
  const shared_page& page_of = what.place->shared();
  std::set<std::string> lies;
  std::set<std::string> refused;
  std::set<std::string> losses;
  for (std::size_t k = 0; k < scenes.size(); ++k) {
    const finding& one = page_of.scenes[k];
    const std::string name = scenes[k].name;
    if (one.what == finding::lie) lies.insert(name);
    if (one.what == finding::refused) refused.insert(name);
    if (one.what == finding::refused && !helps(one, page_of)) lies.insert(name);
    if (*one.text != '\0') found.details.push_back(name + ": " + one.text);
    std::istringstream lines(one.without);
    for (std::string line; std::getline(lines, line);) losses.insert(word_for(line));
  }
  // Where unlinkat is denied.
  unlink(("/dev/shm/shard.shard-denied-" + std::to_string(what.child)).c_str());
  if (lives(page_of.orphan)) {
    kill(page_of.orphan, SIGKILL);
    if (!losses.contains("orphans")) lies.insert("orphan");
  }
  found.bad = !lies.empty() || what.killed || !page_of.finished;
  if (what.killed) found.text += "HANGS; ";
  if (!what.killed && !page_of.finished)
    found.text += "ENDS by status " + std::to_string(what.status) + "; ";
  found.text += joined("LIES in ", lies);
  if (found.bad) return found;
  if (refused.contains("serial")) {
    found.text = "buffers refused";
  } else if (refused.contains("map")) {
    found.text = "processes refused";
  } else {
    found.text = "completes" + joined(", without ", losses) + joined("; refused: ", refused);
  }
  return found;
}

void run(std::vector<denied_case>& all) {
  const unsigned at_a_time = std::max(2u, std::thread::hardware_concurrency());
  constexpr auto watchdog = 100s;  // a hang: it never fires
  std::size_t next = 0;
  std::map<pid_t, denied_case*> running;
  while (next < all.size() || !running.empty()) {
    while (next < all.size() && running.size() < at_a_time) {
      denied_case& one = all[next++];
      fflush(nullptr);
      one.began = std::chrono::steady_clock::now();
      one.child = fork();
      if (one.child == 0) behind_the_filter(one);
      running[one.child] = &one;
    }
    int status = 0;
    const pid_t ended = waitpid(-1, &status, WNOHANG);
    if (ended > 0) {
      running[ended]->status = status;
      running.erase(ended);
      continue;
    }
    for (auto& [pid, one] : running) {
      if (one->killed || std::chrono::steady_clock::now() - one->began < watchdog) continue;
      one->killed = true;
      kill(pid, SIGKILL);
    }
    wait_a_little();
  }
}

#define CALL(name, ...) \
  denial { #name, SYS_##name __VA_OPT__(, ) __VA_ARGS__ }

// The calls of a map, but for those that the C library itself can't do without (brk, rseq, exit,
// rt_sigreturn), and those that cannot fail (geteuid and its like). A machine may have a newer call
// in the place of one of these, or an older one: then its denial changes nothing.
std::vector<denial> denials() {
  constexpr const char* processes = "processes refused";
  constexpr const char* buffers = "buffers refused";
  return {
    CALL(read, "completes, without output"), CALL(write, "completes; refused: notice"),
        CALL(close, processes), CALL(fstat), CALL(lseek), CALL(mmap, buffers),
        CALL(mprotect, processes), CALL(munmap),
        CALL(madvise, "completes, without core dumps, forked children"),
        denial{"madvise (MADV_DONTDUMP)", SYS_madvise, "completes, without core dumps", 2,
               MADV_DONTDUMP},
        denial{"madvise (MADV_DONTFORK)", SYS_madvise, "completes, without forked children", 2,
               MADV_DONTFORK},
        CALL(memfd_create, buffers), CALL(ftruncate, buffers),
        CALL(fallocate, "completes; refused: file, lock"), CALL(fchmod, buffers),
        CALL(fcntl, buffers),
        denial{"fcntl (F_SETFL)", SYS_fcntl, "completes, without output", 1, F_SETFL},
        CALL(fstatfs, buffers),
        CALL(pread64,
             "completes, without memory limit, orphans, thread count; refused: file, lock"),
        CALL(pwrite64, buffers), CALL(writev), CALL(openat, processes),
        CALL(newfstatat, "completes, without orphans; refused: file, lock, notice"),
        CALL(linkat, "completes; refused: file, lock"), CALL(renameat, "completes; refused: file"),
        CALL(renameat2), CALL(fchown), CALL(getxattr), CALL(fremovexattr), CALL(unlinkat),
        CALL(getdents64, "completes, without pinning"), CALL(statfs), CALL(faccessat),
        CALL(faccessat2), CALL(ioctl), CALL(dup3), CALL(pipe2, processes), CALL(eventfd2),
        CALL(signalfd4), CALL(ppoll), CALL(clock_nanosleep), CALL(clone, processes),
        CALL(clone3, "completes; refused: threads"), CALL(exit_group), CALL(wait4), CALL(waitid),
        denial{"waitid (P_PIDFD)", SYS_waitid, "completes", 0, 3}, CALL(kill, processes),
        CALL(tgkill), CALL(pidfd_open, processes), CALL(pidfd_send_signal), CALL(prctl, processes),
        denial{"prctl (PR_SET_PDEATHSIG)", SYS_prctl, processes, 0, PR_SET_PDEATHSIG},
        denial{"prctl (PR_SET_CHILD_SUBREAPER)", SYS_prctl, "completes, without orphans", 0,
               PR_SET_CHILD_SUBREAPER},
        CALL(setpgid, processes), CALL(getpid, processes), CALL(getppid, processes), CALL(gettid),
        CALL(rt_sigaction, processes), CALL(rt_sigprocmask, processes),
        CALL(sigaltstack, "completes, without overflows"),
        CALL(futex, "completes; refused: lock, notice, threads"),
        CALL(set_robust_list, "completes; refused: lock, notice"), CALL(statx),
        CALL(sched_getaffinity, "completes, without pinning"),
        CALL(sched_setaffinity, "completes, without pinning"), CALL(prlimit64),
        CALL(getrusage, "completes, without usage"), CALL(getrandom),
#if defined(__x86_64__)
        CALL(readlink, "completes, without orphans"), CALL(dup2), CALL(poll), CALL(alarm),
#endif
  };
}

// "| `call` | what happens |"
bool is_documented(const denial& what) {
  std::ifstream design(SHARD_DESIGN);
  const std::string row = "| `" + std::string(what.call) + "` | " + what.outcome + " |";
  for (std::string line; std::getline(design, line);) {
    if (line == row) return true;
  }
  return false;
}

bool is_as_expected(const denied_case& one) {
  const std::string found = outcome_of(one).text;
  return found == one.what.outcome || found == "completes";
}

TEST_F(DeniedCalls, EndInOneOfThreeWays) {
  if (shard_test::sanitized) GTEST_SKIP() << "a sanitizer's runtime makes calls of its own";
  if (architecture_is_unknown)
    GTEST_SKIP() << "the numbers of the calls are known for two processors";
  const shard_test::folder scratch;
  scratch_folder = scratch.path();
  const char* const only = std::getenv("DENIED_CALL");  // for who looks at one
  std::vector<denied_case> all;
  for (const denial& each : denials()) {
    if (only != nullptr && std::string_view(only) != each.call) continue;
    all.push_back({.what = each, .error = EPERM});
    all.push_back({.what = each, .error = ENOSYS});
  }
  run(all);
  if (all.front().place->shared().no_filter) GTEST_SKIP() << "filters can't be set here";
  for (const denied_case& each : all) {
    const outcome found = outcome_of(each);
    std::cout << std::left << std::setw(32) << each.what.call << std::setw(8) << name_of(each.error)
              << found.text << "\n";
    const bool as_expected = is_as_expected(each);
    EXPECT_TRUE(as_expected) << each.what.call << " with " << name_of(each.error)
                             << ": expected that it " << each.what.outcome;
    if (as_expected) continue;
    for (const std::string& line : found.details) std::cout << "      " << line << "\n";
  }
}

// The way to ask a pipe how much is in it.
TEST_F(DeniedCalls, LeaveTheLastLinesOfStderrHoweverLateTheyAreRead) {
  if (shard_test::sanitized) GTEST_SKIP() << "a sanitizer's runtime makes calls of its own";
  if (architecture_is_unknown)
    GTEST_SKIP() << "the numbers of the calls are known for two processors";
  EXPECT_TRUE(shard_test::holds_in_a_child([] {
    const shard_test::printed elsewhere(STDERR_FILENO);
    shard_test::stopped_supervisor reader;
    deny(CALL(ioctl), ENOSYS);
    shard::buffer<int> out(1);
    const shard::report run = shard::try_map({.workers = 1, .retries = 0}, out, [&](std::size_t) {
      if (!reader.stop()) throw wrong("it goes on");
      std::cerr << "nobody reads this now\n";
      reader.let_go_on();
      throw std::runtime_error("after that");
      return 1;
    });
    return reader.went_on() && run.failures().size() == 1 &&
           run.failures()[0].stderr_tail == "nobody reads this now\n" &&
           run.counts().without.empty();
  }));
}

TEST_F(DeniedCalls, AreToldByAReportALineEach) {
  shard::run_counts counts;
  counts.without = {"one thing (this call)", "another (that call)"};
  const shard::report run({}, {}, counts, {});
  const std::string text = told(run);
  EXPECT_TRUE(shard_test::mentions(
      text, {"\n  went without one thing (this call)\n  went without another (that call)"}));
  EXPECT_TRUE(shard_test::mentions(
      run.json(), {R"json("without":["one thing (this call)","another (that call)"])json"}));
}

TEST_F(DeniedCalls, AreDocumentedWhereTheyCostSomething) {
  for (const denial& each : denials()) {
    if (std::string_view(each.outcome) == "completes") continue;
    EXPECT_TRUE(is_documented(each)) << each.call << ": " << each.outcome;
  }
}

}  // namespace
