#include "family/cause_of_death.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>

#include "board/recovery.hpp"

namespace shard::family {
namespace {

std::string spent_all_time(const os::ending& how) {
  const std::chrono::duration<double> used = how.used.user + how.used.system;
  std::array<char, 160> text{};
  std::snprintf(text.data(), text.size(),
                " by the system: the worker had used %.3g s of processor time, and a process may "
                "use %lld s (RLIMIT_CPU, ulimit -t)",
                used.count(), static_cast<long long>(how.spent->count()));
  return text.data();
}

// Acquire: pairs with the release of whoever spoke.
bool has_spoken(const member& who) { return who.words.spoken.load(std::memory_order_acquire) != 0; }

// By a signal other than SIGKILL.
cause crashed(const member& who, int signal, const std::string& name) {
  // The handler may have died of another one.
  if (has_spoken(who)) {
    return {board::failure_kind::signal, who.words.signal, who.words.what};
  }
  if (signal == SIGSEGV) {
    // Its handler has a stack of its own in the worker's first thread only.
    return {board::failure_kind::signal, signal,
            name +
                ", which the crash handler was not called for: perhaps a stack overflow in a "
                "thread that the kernel started"};
  }
  if (signal == SIGXFSZ) {
    return {board::failure_kind::signal, signal,
            name + ": a file was to grow beyond the limit (RLIMIT_FSIZE, ulimit -f)"};
  }
  return {board::failure_kind::signal, signal, name};
}

cause took_too_long(const overtime::finding& late) {
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), "took %.3g s, longer than the timeout of %.3g s",
                late.seconds, late.allowed);
  return {board::failure_kind::timeout, SIGKILL, text.data(), late.was_at_it};
}

}  // namespace

void memory_kills::begin() {
  if (!known_) known_ = os::kills_for_memory().value_or(0);
}

bool memory_kills::one_more() {
  begin();
  if (os::kills_for_memory().value_or(0) <= *known_) return false;
  ++*known_;
  return true;
}

cause cause_of(const member& who, const os::ending& how,
               const std::optional<overtime::finding>& late, memory_kills& kills, unsigned others) {
  if (how.signal == 0) {
    return {board::failure_kind::exit, 0,
            has_spoken(who) ? who.words.what
                            : "_exit(" + std::to_string(how.exit_status) + ") was called"};
  }
  const std::string name =
      "signal " + std::to_string(how.signal) + " (SIG" + os::name_of_signal(how.signal) + ")";
  if (how.spent) {
    return {board::failure_kind::signal, how.signal, name + spent_all_time(how)};
  }
  if (how.signal != SIGKILL) return crashed(who, how.signal, name);
  if (late) return took_too_long(*late);
  if (kills.one_more()) {
    return {
        others == 0 ? board::failure_kind::out_of_memory_alone : board::failure_kind::out_of_memory,
        SIGKILL,
        name + " by the kernel, for want of memory, beside " + std::to_string(others) +
            " other workers"};
  }
  return {board::failure_kind::killed, SIGKILL, name + " from outside"};
}

bool judge(const crew& all, unsigned slot, const departure& dead, const cause& why) {
  const member& who = all.roster.at(slot);
  const bool spoke = has_spoken(who);
  std::array<char, tail::capacity> errors;
  return board::judge(
      all.board, slot,
      {.kind = why.kind,
       .signal = why.signal,
       .exit_status = dead.how.exit_status,
       .what = why.what,
       .when = spoke ? who.words.when : std::chrono::steady_clock::now().time_since_epoch(),
       .pid = dead.pid,
       .used = dead.how.used,
       .left = {spoke ? &who.words.stack : nullptr, {errors.data(), who.errors.copy(errors)}}},
      all.policy.allowed);
}

}  // namespace shard::family
