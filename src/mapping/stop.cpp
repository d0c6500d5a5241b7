#include "shard/stop.hpp"

#include "os/calls.hpp"
#include "os/stop_signals.hpp"
#include "shard/error.hpp"

namespace shard {
namespace {

std::shared_ptr<const os::stop_signals> caught() {
  try {
    return os::catch_stop_signals();
  } catch (const os::call_failed& e) {
    throw error(e.code(), "cannot catch SIGINT and SIGTERM: found '" + e.code().message() +
                              "' from " + e.call() + ", expected two descriptors");
  }
}

}  // namespace

stop_on_signals::stop_on_signals() : signals_(caught()) {}

stop_on_signals::~stop_on_signals() { os::release_stop_signals(*signals_); }

int stop_on_signals::signal() const noexcept { return signals_->first(); }

}  // namespace shard
