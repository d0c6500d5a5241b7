#include "os/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "os/calls.hpp"
#include "os/cgroup.hpp"
#include "os/sanitizers.hpp"

namespace shard::os {
namespace {

// Not in the headers of every C library that has the kernel's pidfds.
constexpr int by_pidfd = 3;  // P_PIDFD

std::optional<rlimit> limit_before;  // of descriptors, before it was raised

// waitid(2): the system call itself, since the C library's function keeps the usage to itself.
long wait_by(int kind, pid_t which, int options, siginfo_t& found, struct rusage& used) noexcept {
  long result = 0;
  do {
    result = ::syscall(SYS_waitid, kind, which, &found, WEXITED | __WALL | options, &used);
  } while (result != 0 && errno == EINTR);
  return result;
}

// Where a sandbox denies waitid(2).
std::optional<ending> wait4_for(pid_t pid, int options) noexcept {
  int status = 0;
  struct rusage used {};
  pid_t found = 0;
  do {
    found = ::wait4(pid, &status, __WALL | options, &used);
  } while (found < 0 && errno == EINTR);
  if (found < 0 && errno == ECHILD) return ending{.known = false};
  if (found <= 0) return std::nullopt;
  if (WIFSIGNALED(status)) return ending{.signal = WTERMSIG(status), .used = usage_of(used)};
  return ending{.exit_status = WEXITSTATUS(status), .used = usage_of(used)};
}

std::optional<ending> wait_for(int pidfd, pid_t pid, int options) noexcept {
  siginfo_t found{};
  struct rusage used {};
  long result = wait_by(by_pidfd, pidfd, options, found, used);
  // A child that we haven't reaped is the only process of its pid.
  if (result != 0 && errno != ECHILD) result = wait_by(P_PID, pid, options, found, used);
  if (result != 0 && errno != ECHILD) return wait4_for(pid, options);
  if (result != 0) return ending{.known = false};
  if (found.si_pid == 0) return std::nullopt;
  if (found.si_code == CLD_EXITED) {
    return ending{.exit_status = found.si_status, .used = usage_of(used)};
  }
  return ending{.signal = found.si_status, .used = usage_of(used)};
}

// SIGXCPU comes at the soft limit, SIGKILL at the hard one, or from somebody who kills. The system
// counts in ticks there, and tells exactly what the dead have used: the one may be less than the
// other, most of all on a busy machine.
std::optional<std::chrono::seconds> spent(const rlimit& limit, const ending& how) noexcept {
  rlim_t most = RLIM_INFINITY;
  if (how.signal == SIGKILL) most = limit.rlim_max;
  if (how.signal == SIGXCPU && limit.rlim_cur != RLIM_INFINITY) {
    most = limit.rlim_cur - 1;  // each of these signals has raised it by a second
  }
  if (most == RLIM_INFINITY) return std::nullopt;
  const std::chrono::duration<double> used = how.used.user + how.used.system;
  const double nearly_all = 0.95 * static_cast<double>(most) - 0.5;
  if (how.signal == SIGKILL && used.count() < nearly_all) return std::nullopt;
  return std::chrono::seconds(most);
}

// As fork(), but the parent gets no signal when the child ends. The C library's own fork can't do
// that; its handlers, which keep the heap's locks in order for callers with threads, don't run.
pid_t fork_quietly() noexcept {
  return static_cast<pid_t>(::syscall(SYS_clone, 0UL, nullptr, nullptr, nullptr, 0UL));
}

descriptor open_pidfd(pid_t pid) noexcept {
  return descriptor(above_standard_streams(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
}

// One child, as of waitpid(2); waitid(2) where a sandbox denies that.
pid_t reap_one(pid_t which, int options) noexcept {
  pid_t reaped = 0;
  do {
    reaped = ::waitpid(which, nullptr, options | __WALL);
  } while (reaped < 0 && errno == EINTR);
  if (reaped >= 0 || !is_denial(errno)) return reaped;
  siginfo_t found{};
  struct rusage used {};
  const int kind = which > 0 ? P_PID : which == -1 ? P_ALL : P_PGID;
  return wait_by(kind, std::abs(which), options, found, used) == 0 ? found.si_pid : -1;
}

// As the kernel lists them for a thread. It may leave some out while others end.
std::vector<pid_t> listed_children(const std::string& self) {
  std::vector<pid_t> found;
  std::istringstream list(contents("/proc/self/task/" + self + "/children"));
  for (pid_t child = 0; list >> child;) found.push_back(child);
  return found;
}

std::vector<pid_t> children() {
  std::vector<pid_t> found;
  std::error_code unreadable;
  // A /proc of another pid namespace has other numbers.
  const std::string self = std::to_string(::getpid());
  if (std::filesystem::read_symlink("/proc/self", unreadable) != self) return {};
  const std::filesystem::directory_iterator all("/proc", unreadable);
  if (unreadable) return listed_children(self);
  for (const auto& entry : all) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = contents(entry.path() / "stat");
    const std::size_t end_of_command = stat.rfind(')');
    if (end_of_command == std::string::npos) continue;
    char state = 0;
    int parent = 0;
    if (std::sscanf(stat.c_str() + end_of_command + 1, " %c %d", &state, &parent) != 2) continue;
    if (parent == ::getpid()) found.push_back(std::stoi(name));
  }
  return found;
}

// Where nobody can look at who has ended without reaping it.
bool reap_listed_but(std::span<const pid_t> these) noexcept try {
  for (const pid_t child : children()) {
    if (std::ranges::find(these, child) == these.end()) reap_one(child, WNOHANG);
  }
  return true;
} catch (...) {
  return true;  // no memory for the list: at the end they are reaped all the same
}

// Nothing thrown here may reach the frames of the parent, of which this process has a copy.
[[noreturn]] void run_and_never_return(void (*body)(void*), void* context) noexcept {
  body(context);
  std::abort();
}

}  // namespace

const char* name_of_signal(int signal) noexcept {
  const char* const name = ::sigabbrev_np(signal);
  return name != nullptr ? name : "?";
}

void process::kill() const noexcept {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0) == 0) return;
  // A sandbox may know the older call alone. Nobody else has the pid before we have reaped it.
  if (is_denial(errno) && pid_ > 0) ::kill(pid_, SIGKILL);
}

std::optional<ending> process::reap() const noexcept {
  // It has its limits until it is reaped; a kernel may have changed them.
  rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  ::prlimit(pid_, RLIMIT_CPU, nullptr, &limit);
  std::optional<ending> how = wait_for(pidfd_.get(), pid_, WNOHANG);
  if (how) how->spent = spent(limit, *how);
  return how;
}

ending process::wait() const noexcept { return wait_for(pidfd_.get(), pid_, 0).value_or(ending{}); }

signals_blocked::signals_blocked() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGTRAP);  // nobody sends it; and to block it would end who is being stepped
  if (::sigprocmask(SIG_SETMASK, &all, &before_) != 0) fail("sigprocmask");
}

signals_blocked::~signals_blocked() {
  const int cause = errno;
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  errno = cause;
}

process start_process(child_exit how, void (*body)(void* context), void* context) {
  pid_t pid = 0;
  {
    const signals_blocked quiet_here;
    // ThreadSanitizer keeps its own state right across fork(), and across nothing else.
    const bool quiet = how == child_exit::quiet && !thread_sanitizer;
    pid = quiet ? fork_quietly() : ::fork();
    if (pid == 0) run_and_never_return(body, context);
  }
  if (pid < 0) fail("fork");
  return watch_child(pid);
}

process watch_child(pid_t pid) {
  // Its pid can't be anyone else's before we have reaped it.
  descriptor pidfd = open_pidfd(pid);
  if (!pidfd) {
    const int reason = errno;
    ::kill(pid, SIGKILL);
    reap_one(pid, 0);
    errno = reason;
    fail("pidfd_open");
  }
  return {pid, std::move(pidfd)};
}

void around_forks(void (*before)(), void (*in_the_parent)(), void (*in_the_child)()) noexcept {
  ::pthread_atfork(before, in_the_parent, in_the_child);
}

descriptor watch_process(pid_t pid) {
  descriptor pidfd = open_pidfd(pid);
  if (!pidfd) fail("pidfd_open");
  return pidfd;
}

bool may_be_looked_into() noexcept {
  // The system's owner may look into any.
  return ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 || ::geteuid() == 0;
}

bool reset_signal_handlers() noexcept {
  bool all = true;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0) {
      all = all && errno == EINVAL;
      continue;
    }
    const bool ours =
        signal == SIGINT || signal == SIGQUIT || signal == SIGTTIN || signal == SIGTTOU;
    const bool ignored = action.sa_handler == SIG_IGN && signal != SIGCHLD;
    const auto wanted = ours || ignored ? SIG_IGN : SIG_DFL;
    if (action.sa_handler == wanted && action.sa_flags == 0) continue;
    action = {};
    action.sa_handler = wanted;
    // EINVAL: SIGKILL and SIGSTOP, which have no other action, and the C library's own.
    if (::sigaction(signal, &action, nullptr) != 0 && errno != EINVAL) all = false;
  }
  return all;
}

sigset_t signal_mask() noexcept {
  sigset_t mask;
  ::sigprocmask(SIG_SETMASK, nullptr, &mask);
  return mask;
}

void unblock_signals(const sigset_t& mask) noexcept { ::sigprocmask(SIG_SETMASK, &mask, nullptr); }

void call_itself(const char* name) noexcept { ::prctl(PR_SET_NAME, name, 0, 0, 0); }

void close_inherited(int descriptor) noexcept { ::close(descriptor); }

bool lead_own_group() noexcept { return ::setpgid(0, 0) == 0; }

void let_lead_own_group(pid_t child) noexcept { ::setpgid(child, child); }

bool become_subreaper() noexcept { return ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0; }

// What is opened takes the lowest number that is free. If nothing can be, stdin is closed.
void read_nothing_from_stdin() noexcept {
  ::close(STDIN_FILENO);
  static_cast<void>(::open("/dev/null", O_RDONLY));
}

void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  if (!limit_before) limit_before = limit;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void restore_descriptor_limit() noexcept {
  if (limit_before) ::setrlimit(RLIMIT_NOFILE, &*limit_before);
}

bool may_die_with_parent() noexcept { return ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) == 0; }

bool die_with_parent(pid_t parent) noexcept {
  return ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && ::getppid() == parent;
}

void leave(int exit_status) noexcept { ::_exit(exit_status); }

bool kill_process(pid_t pid) noexcept { return ::kill(pid, SIGKILL) == 0 || errno == ESRCH; }

void kill_group(pid_t leader) noexcept { ::kill(-leader, SIGKILL); }

void reap_group(pid_t leader) noexcept {
  pid_t reaped = 0;
  do {
    reaped = reap_one(-leader, 0);
  } while (reaped > 0);
}

bool adopts_orphans() noexcept {
  int adopts = 0;
  ::prctl(PR_GET_CHILD_SUBREAPER, &adopts, 0, 0, 0);
  return adopts != 0 || ::getpid() == 1;
}

// Whom it can't find or kill, init will take.
bool end_all_children() noexcept {
  for (;;) {
    const pid_t reaped = reap_one(-1, WNOHANG);
    if (reaped > 0) continue;
    if (reaped < 0) return errno == ECHILD;
    try {
      const std::vector<pid_t> left = children();
      if (left.empty() || !std::ranges::all_of(left, kill_process)) return false;
    } catch (...) {
      return false;  // no memory for the list
    }
    reap_one(-1, 0);
  }
}

descriptor hear_of_children() noexcept {
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &children, nullptr);
  return descriptor(above_standard_streams(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)));
}

bool reap_all_but(std::span<const pid_t> these, const descriptor& heard) noexcept {
  signalfd_siginfo one;
  while (::read(heard.get(), &one, sizeof one) > 0) continue;
  for (;;) {
    siginfo_t ended{};
    struct rusage used {};
    const long result = wait_by(P_ALL, 0, WNOHANG | WNOWAIT, ended, used);
    if (result != 0 && is_denial(errno)) return reap_listed_but(these);
    if (result != 0 || ended.si_pid == 0) return true;
    if (std::ranges::find(these, ended.si_pid) != these.end()) return false;
    reap_one(ended.si_pid, 0);
  }
}

void wait_ready(std::span<watched> any, std::optional<std::chrono::milliseconds> limit) {
  // Only what is open: poll() refuses more entries than there may be descriptors.
  std::vector<pollfd> polled;
  polled.reserve(any.size());
  for (const watched& one : any) {
    const short event = one.for_writing ? POLLOUT : POLLIN;
    if (one.descriptor >= 0) polled.push_back({one.descriptor, event, 0});
  }
  constexpr std::chrono::milliseconds longest{std::numeric_limits<int>::max()};
  const int timeout = limit ? static_cast<int>(std::min(*limit, longest).count()) : -1;
  int found = ::poll(polled.data(), polled.size(), timeout);
  if (found < 0 && is_denial(errno)) {
    const timespec most{timeout / 1000, timeout % 1000 * 1'000'000L};
    found = ::ppoll(polled.data(), polled.size(), timeout < 0 ? nullptr : &most, nullptr);
  }
  if (found < 0 && errno != EINTR) fail("poll");
  auto next = polled.cbegin();
  for (watched& one : any) {
    one.ready = one.descriptor >= 0 && (next++)->revents != 0 && found > 0;
  }
}

pipe_ends make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  pipe_ends pipe{descriptor(above_standard_streams(ends[0])),
                 descriptor(above_standard_streams(ends[1]))};
  if (!pipe.read || !pipe.write) fail("pipe2");
  return pipe;
}

void wait_for_end_of_file(const descriptor& pipe) noexcept {
  char nothing = 0;
  ssize_t found = 0;
  do {
    found = ::read(pipe.get(), &nothing, 1);
  } while (found > 0 || (found < 0 && errno == EINTR));
}

}  // namespace shard::os
