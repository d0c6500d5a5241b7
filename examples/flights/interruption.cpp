#include "interruption.hpp"

#include <csignal>
#include <cstdlib>

namespace flights {

namespace {

volatile sig_atomic_t noted = 0;

extern "C" void note(int signal) { noted = signal; }

}  // namespace

void note_interruptions() {
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction before = {};
  ::sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);  // nohup ignores it
}

void throw_if_interrupted() {
  if (noted != 0) throw interrupted{noted};
}

void end_by(const interrupted& why) {
  ::signal(why.signal, SIG_DFL);
  ::raise(why.signal);
  std::abort();  // raise() of a signal at its default doesn't return
}

}  // namespace flights
