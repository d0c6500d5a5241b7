#include "os/sandbox.hpp"

#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <span>
#include <system_error>
#include <thread>

#include "os/calls.hpp"

namespace shard::os {
namespace {

// Makes a call as it fails, or does nothing, for any process that may make it. Returns its result.
struct probe {
  const char* name;
  long (*call)() noexcept;
};

// This process is no child of its own: ECHILD.
long wait_for_itself() noexcept {
  siginfo_t ended{};
  const int found = ::waitid(P_PID, static_cast<id_t>(::getpid()), &ended, WEXITED | WNOHANG);
  if (found == 0 || !is_denial(errno)) return found;
  return ::wait4(::getpid(), nullptr, WNOHANG, nullptr);
}

constexpr std::array for_processes{
    probe{"close", []() noexcept -> long { return ::close(-1); }},
    probe{"getpid", []() noexcept -> long { return ::syscall(SYS_getpid); }},
    probe{"getppid", []() noexcept -> long { return ::syscall(SYS_getppid); }},
    probe{"kill", []() noexcept -> long { return ::kill(::getpid(), 0); }},
    probe{"mprotect", []() noexcept -> long { return ::mprotect(nullptr, 0, PROT_NONE); }},
    probe{"pidfd_open",
          []() noexcept -> long {
            const long made = ::syscall(SYS_pidfd_open, ::getpid(), 0);
            if (made >= 0) ::close(static_cast<int>(made));
            return made;
          }},
    probe{"poll",
          []() noexcept -> long {
            if (::poll(nullptr, 0, 0) == 0) return 0;
            const timespec none{};
            return ::ppoll(nullptr, 0, &none, nullptr);
          }},
    probe{"prctl",
          []() noexcept -> long {
            int signal = 0;
            return ::prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
          }},
    probe{"setpgid", []() noexcept -> long { return ::setpgid(0, -1); }},
    probe{"sigaction",
          []() noexcept -> long {
            struct sigaction found {};
            return ::sigaction(SIGCHLD, nullptr, &found);
          }},
    probe{"sigprocmask",
          []() noexcept -> long {
            sigset_t found;
            return ::sigprocmask(SIG_SETMASK, nullptr, &found);
          }},
    probe{"waitid", wait_for_itself},
};

long wake_nobody() noexcept {
  static const std::atomic<std::uint32_t> word{0};
  return ::syscall(SYS_futex, &word, FUTEX_WAKE, 0, nullptr, nullptr, 0);
}

std::optional<denied_call> first_denied(std::span<const probe> all) noexcept {
  for (const probe& one : all) {
    if (one.call() < 0 && is_denial(errno)) return denied_call{one.name, errno};
  }
  return std::nullopt;
}

}  // namespace

std::optional<denied_call> denied_for_processes() noexcept { return first_denied(for_processes); }

std::optional<denied_call> denied_for_threads() noexcept {
  if (wake_nobody() < 0) return denied_call{"futex", errno};
  try {
    std::thread([] {}).join();
  } catch (const std::system_error& e) {
    return denied_call{"clone", e.code().value()};
  }
  return std::nullopt;
}

// The C library says nothing when it can't register its list of mutexes with the kernel. A wrong
// size tells whether it could: the kernel refuses it with EINVAL.
bool hands_on_locks() noexcept {
  if (wake_nobody() < 0) return false;
  return ::syscall(SYS_set_robust_list, nullptr, 0) == 0 || errno == EINVAL;
}

}  // namespace shard::os
