// Ctrl-C and kill, as exceptions: a run that is interrupted leaves nothing behind.
#pragma once

namespace flights {

// Not a std::exception: it isn't an error, and nothing but main should catch it.
struct interrupted {
  int signal;
};

// From now on SIGINT, SIGTERM and SIGHUP are noted, and no longer end the program.
void note_interruptions();

// Throws interrupted if a signal was noted. Cheap: to be called often.
void throw_if_interrupted();

// Ends the program by the signal, as if it had never been noted, so that a shell sees why it ended.
[[noreturn]] void end_by(const interrupted& why);

}  // namespace flights
