// Ctrl-C and kill(1) as a wish instead of the program's end. Nothing is installed without one of
// these:
//
//   shard::stop_on_signals guard;
//   try {
//     shard::map(out, kernel);
//   } catch (const shard::map_error& e) {
//     if (guard.signal() == 0) throw;
//     keep(e.result().completed());
//   }
#pragma once

#include <memory>

namespace shard::os {
class stop_signals;
}

namespace shard {

// While one lives, SIGINT and SIGTERM stop the maps that begin in its life, as options::stop does:
//
//   the first    chunks that run are finished, no more are started; later maps start none. map
//                throws map_error, try_map returns the report, with what was completed.
//   the second   the same, at once: the workers are killed. Not in threads or inline, where nobody
//                can be killed alone: the map still waits for the chunks that run.
//   any other    nothing.
//
// Both kinds count together. It makes no difference which thread a signal comes to, or whether a
// map runs just then. Maps inside a kernel belong to its chunk, and don't hear of it.
//
// A signal that is ignored when the guard is made (by nohup, or a shell that starts a job in the
// background) stays so. Other signals are left alone. At the end each signal has the action that it
// had before, unless another was set since. In a child that the program forks the signals do at
// once what they did before.
//
// Guards may live at the same time, in any thread and order: they are one, which begins with the
// first and ends with the last. A map that runs goes on to listen when the last guard ends, but no
// more signals come.
class stop_on_signals {
 public:
  // Throws shard::error if there are no descriptors left for it.
  stop_on_signals();
  stop_on_signals(const stop_on_signals&) = delete;
  stop_on_signals& operator=(const stop_on_signals&) = delete;
  ~stop_on_signals();

  // SIGINT or SIGTERM, whichever came first; 0: none did.
  int signal() const noexcept;

 private:
  std::shared_ptr<const os::stop_signals> signals_;
};

}  // namespace shard
