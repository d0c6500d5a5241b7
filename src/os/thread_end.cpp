#include "os/thread_end.hpp"

#include <pthread.h>

#include "os/calls.hpp"

namespace shard::os {

thread_end::thread_end(void (*act)(void* left)) {
  if (const int error = ::pthread_key_create(&key_, act); error != 0) {
    throw call_failed(error, "pthread_key_create");
  }
}

void thread_end::leave(void* left) const {
  if (const int error = ::pthread_setspecific(key_, left); error != 0) {
    throw call_failed(error, "pthread_setspecific");
  }
}

}  // namespace shard::os
