// A program that spawns workers, for tests that are about the program: how it was linked, what it
// does before shard::init, and which libraries it loads. Its first argument says what to do.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stop_token>
#include <string>
#include <thread>

#include "shard/shard.hpp"

namespace {

namespace fs = std::filesystem;

// Variables that only the program which is started as a supervisor has.
constexpr const char* exits = "EXITS";
constexpr const char* forgets = "FORGETS";
constexpr const char* dies = "DIES";
constexpr const char* hangs = "HANGS";

// As a supervisor that is killed, while there is such a file, before main.
const struct dies_once {
  dies_once() {
    const char* const file = std::getenv(dies);
    if (file != nullptr && ::unlink(file) == 0) ::raise(SIGKILL);
  }
} before_main;

shard::options spawned(std::map<std::string, std::optional<std::string>> environment = {}) {
  return {.workers = 2, .start = shard::start_by::spawn, .environment = std::move(environment)};
}

void map_in(shard::pool& workers) {
  shard::buffer<int> squares(100);
  workers.map(squares, [](std::size_t i) { return static_cast<int>(i * i); });
  std::printf("%d\n", squares[99]);
}

// Its second letter gets the number at which a program that was started looks for one.
constexpr int number_of_letter = 3;
void map_with_a_letter_of_its_own(const std::string& dies_while_it_is_there, int argc,
                                  char** argv) {
  ::dup2(::open("/dev/null", O_RDONLY), number_of_letter);
  shard::buffer<int> squares(100);
  shard::pool first(spawned({{dies, dies_while_it_is_there}}));
  ::close(number_of_letter);
  first.map(squares, [](std::size_t i) { return static_cast<int>(i * i); });
  shard::pool second(spawned());
  map_in(second);
  shard::init(argc, argv);
  map_in(second);
}

// The caller gives up a run for which nobody ever comes.
void give_up() {
  shard::pool workers(spawned({{hangs, "1"}}));
  shard::buffer<int> squares(100);
  try {
    workers.map({.on_progress = [](const shard::progress&) { throw 1; }}, squares,
                [](std::size_t i) { return static_cast<int>(i * i); });
  } catch (int) {
    std::printf("given up\n");
  }
}

// Runs for which nobody ever comes are asked to stop: by a thread of the caller, or by a signal.
void stop_what_nobody_does(const std::string& how) {
  shard::stop_on_signals signals;
  shard::pool workers(spawned({{hangs, "1"}}));
  shard::buffer<int> squares(100);
  std::stop_source stop;
  const shard::options stoppable{.stop = stop.get_token()};
  const auto kernel = [](std::size_t i) { return static_cast<int>(i * i); };
  std::thread asking([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // so that it mostly waits then
    if (how == "by_signal") {
      ::kill(::getpid(), SIGINT);
    } else {
      stop.request_stop();
    }
  });
  shard::report found;
  if (how == "queued") {
    workers.queue(stoppable, squares, kernel);
    workers.queue(squares, kernel);
    try {
      workers.wait();
    } catch (const shard::map_error& stopped) {
      found = stopped.result();
    }
  } else if (how == "started") {
    shard::run first = workers.start(stoppable, squares, kernel);
    shard::run second = workers.start(stoppable, squares, kernel);
    while (!second.wait_for(shard::seconds(0.01))) continue;
    found = second.wait();
  } else {
    found = workers.try_map(stoppable, squares, kernel);
  }
  asking.join();
  std::printf("%zu completed; %s\n", found.completed().size(), found.trouble().c_str());
}

// A function of a library that another file may have replaced meanwhile.
void map_by_library(const std::string& path, const std::string& other) {
  shard::pool forked({.workers = 1});  // before the library is there
  void* const library = ::dlopen(path.c_str(), RTLD_NOW);
  if (library == nullptr) throw std::runtime_error(::dlerror());
  const auto kernel = reinterpret_cast<int (*)(std::size_t)>(::dlsym(library, "kernel"));
  if (!other.empty()) fs::rename(other, path);
  shard::pool fresh(spawned());
  for (shard::pool* const each : {&forked, &fresh}) {
    shard::buffer<int> found(10);
    const shard::report how = each->try_map(found, kernel);
    std::printf("%d %s\n", found[9], how.trouble().c_str());
  }
}

int run(const std::string& what, int argc, char** argv) {
  if (what == "map") {
    shard::pool workers(spawned());
    map_in(workers);
  } else if (what == "exit" || what == "forget") {
    shard::pool workers(spawned({{what == "exit" ? exits : forgets, "1"}}));
    map_in(workers);
  } else if (what == "die_unheard" || what == "exit_unheard") {
    ::signal(SIGCHLD, SIG_IGN);  // so that nobody can ask how it has ended
    shard::pool workers(what == "exit_unheard" ? spawned({{exits, "1"}})
                                               : spawned({{dies, argv[2]}}));
    map_in(workers);
  } else if (what == "die") {
    shard::pool workers(spawned({{dies, argv[2]}}));
    map_in(workers);
  } else if (what == "own_letter") {
    map_with_a_letter_of_its_own(argv[2], argc, argv);
  } else if (what == "give_up") {
    give_up();
  } else if (what == "stop") {
    stop_what_nobody_does(argv[2]);
  } else if (what == "library") {
    map_by_library(argv[2], argc > 3 ? argv[3] : "");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string what = argc > 1 ? argv[1] : "map";
  if (std::getenv(exits) != nullptr) return 7;
  while (std::getenv(hangs) != nullptr) ::pause();
  if (what != "forget_always" && std::getenv(forgets) == nullptr) shard::init(argc, argv);
  return run(what == "forget_always" ? "map" : what, argc, argv);
} catch (const std::exception& problem) {
  std::printf("%s\n", problem.what());
  return 1;
}
