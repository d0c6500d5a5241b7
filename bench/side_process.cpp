#include "side_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace bench {
namespace {

constexpr char check_command = 'c';
constexpr char measure_command = 'm';
constexpr int answer_deadline_ms = 120'000;  // a watchdog: no workload takes a tenth of it

struct pipe_ends {
  int read = -1;
  int write = -1;
};

pipe_ends make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot create a pipe");
  }
  return {ends[0], ends[1]};
}

pid_t spawn_self(std::vector<std::string> arguments, std::string& variable, int standard_input,
                 int standard_output) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  std::vector<char*> environment;
  for (char** each = environ; *each != nullptr; ++each) environment.push_back(*each);
  if (!variable.empty()) environment.push_back(variable.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, standard_input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, standard_output, STDOUT_FILENO);
  pid_t pid = -1;
  const int cause =
      ::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (cause != 0) throw std::system_error(cause, std::generic_category(), "cannot start a side");
  return pid;
}

// Moves the harness's pipes off descriptors 0 and 1, so that what a workload prints can't be taken
// for an answer.
pipe_ends take_over_standard_streams() {
  const pipe_ends harness{::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3),
                          ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)};
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (harness.read < 0 || harness.write < 0 || nothing < 0 || ::dup2(nothing, STDIN_FILENO) < 0 ||
      ::dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw std::system_error(errno, std::generic_category(), "cannot set up a side's streams");
  }
  ::close(nothing);
  return harness;
}

std::uint64_t answer(const workload& work, char command) {
  if (command == check_command) return work.check();
  return __builtin_bit_cast(std::uint64_t, work.measure());
}

}  // namespace

side_process::side_process(std::size_t budget_number, role who, const settings& with,
                           std::string variable) {
  const pipe_ends commands = make_pipe();
  const pipe_ends answers = make_pipe();
  std::vector<std::string> arguments{"shard_bench",
                                     "--side",
                                     std::to_string(budget_number),
                                     "--role",
                                     who == role::ours ? "ours" : "theirs",
                                     "--workers",
                                     std::to_string(with.workers)};
  if (with.quick) arguments.emplace_back("--quick");
  pid_ = spawn_self(std::move(arguments), variable, commands.read, answers.write);
  ::close(commands.read);
  ::close(answers.write);
  to_side_ = commands.write;
  from_side_ = answers.read;
}

side_process::~side_process() {
  ::close(to_side_);  // the side reads end-of-file and leaves
  ::close(from_side_);
  ::waitpid(pid_, nullptr, 0);
}

std::uint64_t side_process::check() { return ask(check_command); }

double side_process::measure() { return __builtin_bit_cast(double, ask(measure_command)); }

std::uint64_t side_process::ask(char command) {
  std::uint64_t reply = 0;
  if (::write(to_side_, &command, 1) == 1) {
    pollfd waiting{.fd = from_side_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, answer_deadline_ms) == 0) ::kill(pid_, SIGKILL);
    // Eight bytes are below PIPE_BUF: they come whole or not at all.
    if (::read(from_side_, &reply, sizeof reply) == sizeof reply) return reply;
  }
  throw std::runtime_error(
      fmt::format("the process {} gave no answer: it failed, or hung for {} s and was killed", pid_,
                  answer_deadline_ms / 1000));
}

int serve(const make_workload& make, const settings& with) try {
  const pipe_ends harness = take_over_standard_streams();
  const workload work = make(with);
  char command = 0;
  while (::read(harness.read, &command, 1) == 1) {
    const std::uint64_t reply = answer(work, command);
    if (::write(harness.write, &reply, sizeof reply) != sizeof reply) return 1;
  }
  return 0;
} catch (const std::exception& failure) {
  fmt::print(stderr, "shard_bench: {}\n", failure.what());
  return 1;
}

}  // namespace bench
