#include "family/attempt.hpp"

#include <cerrno>
#include <string>
#include <string_view>

#include "shard/error.hpp"

namespace shard::family {
namespace {

std::string purpose_of(std::string_view call) {
  if (call == "sigprocmask") return "block signals around a fork";
  if (call == "fork") return "start a process";
  if (call == "execve") return "start this program anew";
  if (call == "dup") return "hand down a descriptor";
  if (call == "pidfd_open") return "watch a process";
  if (call == "poll") return "wait for processes";
  if (call == "pipe2") return "make a pipe";
  return std::string(call);
}

std::string_view remedy_for(int error, std::string_view call) {
  if ((call == "fork" || call == "execve") && error == EAGAIN) {
    return "room for more (ulimit -u, or pids.max of the control group)";
  }
  const std::string_view remedy = os::remedy_for(error);
  return remedy.empty() && os::is_denial(error) ? os::remedy_for_denial : remedy;
}

}  // namespace

void refuse_call(const os::call_failed& why) {
  const std::string_view remedy = remedy_for(why.code().value(), why.call());
  throw error(why.code(), "cannot " + purpose_of(why.call()) + ": found '" + why.code().message() +
                              "'" + (remedy.empty() ? "" : ", expected " + std::string(remedy)));
}

}  // namespace shard::family
