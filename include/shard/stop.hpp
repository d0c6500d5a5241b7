// Lets Ctrl-C and kill(1) stop a map instead of ending the program. shard installs no handler for
// these signals unless the program makes a stop_on_signals:
//
//   shard::stop_on_signals guard;
//   try {
//     shard::map(out, kernel);
//   } catch (const shard::map_error& e) {
//     if (guard.signal() == 0) throw;
//     save_what_is_there(e.result().completed());
//   }
#pragma once

#include <memory>

namespace shard::os {
class stop_signals;
}

namespace shard {

// While a guard lives, SIGINT and SIGTERM stop the maps that begin in its life, as options::stop
// does. Both signals count together:
//
//   the first    The chunks that are running finish, and shard starts no more. Later maps start no
//                chunk at all. map throws map_error and try_map returns the report, with what was
//                completed.
//   the second   The same at once: shard kills the workers. In threads or inline, shard cannot kill
//                a kernel: the map still waits for the chunks that are running.
//   any other    Nothing.
//
// A signal counts whichever thread it comes to, and whether or not a map is running. Maps inside a
// kernel are a part of the kernel's chunk: signals do not stop them.
//
// If a signal is ignored when the guard is made, the guard leaves it ignored. (nohup ignores
// signals, and so does a shell for a job in the background.) The guard leaves all other signals
// alone. When the guard ends, each signal gets back the action that it had before, unless the
// program has set another one since. In a child that the program forks, the signals have their
// former actions at once.
//
// Several guards may live at the same time, in any threads, and end in any order. They act as one
// guard that begins with the first and ends with the last. If the last guard ends while a map runs,
// the map still listens, but no more signals come.
class stop_on_signals {
 public:
  // Throws shard::error if the process has no free descriptors.
  stop_on_signals();

  stop_on_signals(const stop_on_signals&) = delete;
  stop_on_signals& operator=(const stop_on_signals&) = delete;
  ~stop_on_signals();

  // The signal that came first: SIGINT or SIGTERM. 0: none has come.
  int signal() const noexcept;

 private:
  std::shared_ptr<const os::stop_signals> signals_;
};

}  // namespace shard
