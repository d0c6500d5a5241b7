#include "family/spawning.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

#include "family/attempt.hpp"
#include "family/series.hpp"
#include "family/supervisor.hpp"
#include "memory/attempt.hpp"
#include "os/code.hpp"
#include "os/file.hpp"
#include "os/own_pid.hpp"
#include "os/program.hpp"
#include "shard/error.hpp"

namespace shard::family {
namespace {

// What the program finds at its first number. Who doesn't know the rest, as it is of another build,
// still knows the head, and where to write why it does not begin.
struct letter_head {
  char greeting[32] = "a letter to a shard supervisor";
  os::build_id program;
  os::build_id code;  // of the module that this code is in: the program, or a library
};
struct letter {
  letter_head head;
  service_terms terms;
  std::uint64_t place_bytes = 0;
  std::uint32_t slots = 0;
  bool again = false;
};
static_assert(std::is_trivially_copyable_v<letter>);

constexpr std::size_t answer_offset = 4096;
constexpr std::size_t answer_bytes = 512;
static_assert(sizeof(letter) <= answer_offset);

// In this order from os::first_handed_down on.
enum handed_down : unsigned {
  the_letter,
  memory,
  event,
  calls,
  called_off,
  life,
  caller,
  held,  // or another one, if there is nothing to be held
  all_of_them
};
static_assert(all_of_them <= os::most_handed_down);

constexpr int number_of(handed_down which) {
  return os::first_handed_down + static_cast<int>(which);
}

// Of the program, since it is started: never destroyed.
std::vector<std::string>* remembered = nullptr;

os::build_id library_id() {
  const auto place = os::place_of_code(reinterpret_cast<const void*>(&remember_arguments));
  return place ? place->module : os::build_id{};
}

letter_head own_head() {
  letter_head head;
  head.program = os::own_build_id();
  head.code = library_id();
  return head;
}

bool same_build(const letter_head& a, const letter_head& b) {
  return a.program == b.program && a.code == b.code;
}

std::string difference(const letter_head& found, const letter_head& expected) {
  const bool program = found.program != expected.program;
  return std::string("the program that was started is another build: found ") +
         (program ? "" : "its library shard of ") + "build " +
         to_string(program ? found.program : found.code) + ", expected build " +
         to_string(program ? expected.program : expected.code) + ", which the caller runs";
}

std::optional<letter_head> head_of(int descriptor) noexcept try {
  if (!os::sealed(descriptor)) return std::nullopt;
  letter_head head;
  std::array<std::byte, sizeof head> bytes{};
  const os::descriptor file = os::open_again(descriptor, os::protection::read);
  if (os::read_some(file, bytes, 0) != bytes.size()) return std::nullopt;
  if (std::memcmp(bytes.data(), head.greeting, sizeof head.greeting) != 0) return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof head);
  return head;
} catch (const std::exception&) {
  return std::nullopt;  // it is nothing that was handed to us
}

template <class T>
std::span<const std::byte> bytes_of(const T& x) {
  return std::as_bytes(std::span(&x, 1));
}

}  // namespace

// ---- The caller's side ----

bool remember_arguments(int count, char** arguments) {
  const std::vector<std::string>* const before =
      std::exchange(remembered, new std::vector<std::string>(arguments, arguments + count));
  delete before;
  return before == nullptr;
}

void require_to_be_startable() {
  if (remembered == nullptr && is_spawned()) {
    throw error(std::errc::operation_not_permitted,
                "cannot start workers by spawn: found a program that was itself started to be a "
                "supervisor and did not get as far as shard::init, expected shard::init(argc, "
                "argv) at the beginning of main");
  }
  if (remembered == nullptr) {
    throw error(std::errc::operation_not_permitted,
                "cannot start workers by spawn: found that shard::init was not called, expected "
                "shard::init(argc, argv) at the beginning of main");
  }
  if (!os::own_build_id()) {
    throw error(std::errc::not_supported,
                "cannot start workers by spawn: found a program without a build id, expected one "
                "(link with -Wl,--build-id)");
  }
}

spawning::spawning(const run_queue& runs, const service_terms& terms, const fresh_program& how,
                   bool again)
    : runs_(runs), held_(terms.held), environment_(how.environment) {
  if (!how.directory.empty()) {
    directory_ = memory::attempt(
        "start workers in " + how.directory, "a folder that this user may enter",
        [&] { return os::above_handed_down(os::open_directory(how.directory).get()); });
  }
  letter what;
  what.head = own_head();
  what.terms = terms;
  what.place_bytes = runs.place_bytes();
  what.slots = runs.slots();
  what.again = again;
  letter_ = memory::attempt("start workers by spawn", "a file in memory", [&] {
    os::descriptor file = os::memory_file("pool-of-shard-letter", answer_offset + answer_bytes);
    os::write_all(file, bytes_of(what), 0);
    return file;
  });
}

os::process spawning::operator()(const launch::gifts& to) const {
  const os::descriptor own = os::watch_process(os::own_pid());
  std::array<os::descriptor, all_of_them> given;
  const auto hand_down = [&](handed_down which, const os::descriptor& one) {
    given.at(which) = os::above_handed_down(one.get());
  };
  hand_down(the_letter, letter_);
  hand_down(handed_down::memory, runs_.file());
  hand_down(handed_down::event, runs_.event());
  hand_down(handed_down::calls, runs_.calls());
  hand_down(handed_down::called_off, to.called_off);
  hand_down(handed_down::life, to.life.write);
  hand_down(handed_down::caller, own);
  given.at(handed_down::held) = os::above_handed_down(held_ < 0 ? own.get() : held_);
  std::array<int, all_of_them> numbers{};
  std::ranges::transform(given, numbers.begin(), [](const auto& one) { return one.get(); });
  return os::start_program({.path = "/proc/self/exe",
                            .arguments = *remembered,
                            .environment = environment_,
                            .directory = directory_ ? directory_.get() : -1,
                            .descriptors = numbers});
}

void spawning::tell_why_it_has_not_begun(const os::ending& how, bool last) const {
  const roster& family = runs_.family();
  if (family.is(arrived) || how.signal == SIGKILL || !family.trouble().empty()) return;
  std::array<char, answer_bytes> answer{};
  const std::size_t said = os::read_some(
      letter_, std::as_writable_bytes(std::span(answer.data(), answer.size() - 1)), answer_offset);
  answer.at(said) = '\0';
  if (answer[0] != '\0') return family.tell_trouble(answer.data());
  if (!how.known && !last) return;  // it may have been killed
  std::string end = " with exit status " + std::to_string(how.exit_status);
  if (how.signal != 0) end = " by SIG" + std::string(os::name_of_signal(how.signal));
  if (!how.known) end = "";
  family.tell_trouble("the program that was started as a supervisor ended" + end +
                      " before it called shard::init, expected shard::init(argc, argv) at the "
                      "beginning of main");
}

// ---- The side of the program that was started ----

bool is_spawned() noexcept { return head_of(number_of(the_letter)).has_value(); }

namespace {

letter read_letter(const os::descriptor& from) {
  letter what;
  const auto bytes = std::as_writable_bytes(std::span(&what, 1));
  if (os::read_some(from, bytes, 0) != bytes.size()) throw os::call_failed(EIO, "pread");
  return what;
}

os::descriptor take(handed_down which) { return os::take_handed_down(number_of(which)); }

[[noreturn]] void supervise(os::descriptor& from, service::make_task make) {
  const letter what = read_letter(from);
  // Never destroyed, as nothing is in this process, which ends by leaving.
  const auto& runs = *new run_queue(what.slots, {.memory = take(handed_down::memory),
                                                 .event = take(handed_down::event),
                                                 .calls = take(handed_down::calls),
                                                 .place_bytes = what.place_bytes});
  const auto& all = *new service{runs, make, what.terms};
  const auto& forsaken = *new std::vector<mapped>;
  supervision given = supervision_of(all, forsaken);
  const os::descriptor called_off = take(handed_down::called_off);
  given.called_off = called_off.get();
  given.somebody_lives = take(handed_down::life);
  given.caller = take(handed_down::caller);
  given.held = take(handed_down::held).release();
  from = {};
  runs.family().raise(arrived);
  be_supervisor(given, what.again);
}

}  // namespace

void be_spawned_supervisor(service::make_task make) noexcept {
  std::string why;
  os::descriptor from;
  try {
    const letter_head found = own_head();
    const letter_head expected = head_of(number_of(the_letter)).value();
    // Its number is free then: a pool that is made here is made by who is no supervisor to be.
    from = os::above_handed_down(number_of(the_letter));
    static_cast<void>(take(the_letter));
    if (same_build(found, expected)) attempt([&] { supervise(from, make); });
    why = difference(found, expected);
  } catch (const std::exception& problem) {
    why = problem.what();
  }
  try {
    why.resize(std::min(why.size(), answer_bytes - 1));
    os::write_all(from, std::as_bytes(std::span(why)), answer_offset);
  } catch (const std::exception&) {
    // Its caller hears that it has ended.
  }
  os::leave(1);
}

}  // namespace shard::family
