#include "family/worker.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "os/anonymous.hpp"
#include "os/last_words.hpp"
#include "os/memory_pressure.hpp"
#include "os/output.hpp"
#include "os/process.hpp"
#include "os/stack_overflow.hpp"

namespace shard::family {
namespace {

// ---- Last words. Everything here may run in a signal handler: no locks, no allocation. ----

enum class held {
  inherited,
  inherited_output,
  of_the_outer_kernel,  // which has called this map, and may write there
  granted_for_reading,
  granted_for_writing
};

// A buffer's mapping in this process.
struct mapped {
  const std::byte* base = nullptr;
  std::size_t length_bytes = 0;
  std::size_t data_offset = 0;
  std::size_t element_bytes = 1;
  const char* name = "";
  held how = held::inherited;
};

struct worker_context {
  const roster* family = nullptr;
  last_words* words = nullptr;
  const tail* errors = nullptr;  // what was read of this worker's stderr
  std::optional<os::writing_end> errors_pipe;
  std::vector<mapped> mappings;
  std::vector<int> signs_of_life;
  const void* stack_base = nullptr;  // below it are frames of kernels, and those that call them
};
worker_context context;  // of this process

// Text in a fixed place.
class writer {
 public:
  explicit writer(last_words& to) : at_(to.what), end_(to.what + sizeof to.what - 1) {}
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;
  ~writer() { *at_ = '\0'; }

  writer& operator<<(std::string_view text) {
    const std::size_t length = std::min(text.size(), static_cast<std::size_t>(end_ - at_));
    std::memcpy(at_, text.data(), length);
    at_ += length;
    return *this;
  }
  writer& number(std::uintptr_t value, unsigned base) {
    char digits[24];
    std::size_t at = sizeof digits;
    do {
      digits[--at] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    return *this << std::string_view(digits + at, sizeof digits - at);
  }

 private:
  char* at_;
  char* const end_;
};

void name_place(writer& to, int signal, const std::byte* address) {
  for (const mapped& one : context.mappings) {
    if (address < one.base || address >= one.base + one.length_bytes) continue;
    const auto offset = static_cast<std::size_t>(address - one.base);
    to << (one.name == std::string_view("memory") ? " in a buffer in " : " in the buffer ")
       << one.name;
    if (offset >= one.data_offset) {
      to << ", at element ";
      to.number((offset - one.data_offset) / one.element_bytes, 10);
    }
    if (signal == SIGBUS) {
      to << ", which its file or the memory behind it no longer has";
      return;
    }
    if (one.how == held::inherited_output) {
      to << ", which is an output of this map: what a kernel wrote there it may read back when its "
            "chunk is run again; read another buffer";
    }
    if (one.how == held::of_the_outer_kernel) {
      to << ", which was granted to the kernel that called this map: copy what this one is to "
            "read, "
            "and grant it a buffer of its own to write";
    }
    if (one.how == held::inherited) to << ", which was only captured: grant it with out() to write";
    if (one.how == held::granted_for_reading) to << ", which was granted for reading";
    return;
  }
  to << " at address 0x";
  to.number(reinterpret_cast<std::uintptr_t>(address), 16);
}

void name_stack(writer& to, const os::overflown_stack& stack) {
  to << ": stack overflow";
  if (stack.size_bytes == 0) return;
  to << ", beyond the ";
  to.number(stack.size_bytes / 1024, 10);
  to << " KiB that " << (stack.by_ulimit ? "ulimit -s allows" : "the stack of this thread has");
}

void crashed(int signal, std::optional<os::fault> at, os::interruption where) {
  last_words& words = *context.words;
  words.signal = signal;
  words.when = std::chrono::steady_clock::now().time_since_epoch();
  {
    writer to(words);
    to << "signal ";
    to.number(static_cast<unsigned>(signal), 10);
    to << " (SIG" << os::name_of_signal(signal) << ")";
    const bool is_told = at && at->is_told;
    if (const auto stack = is_told ? os::stack_overflow_at(where, at->address) : std::nullopt) {
      name_stack(to, *stack);
    } else if (is_told) {
      name_place(to, signal, static_cast<const std::byte*>(at->address));
    } else if (at) {
      to << " at an address that no pointer can have";
    }
  }
  words.spoken.store(1, std::memory_order_release);
  os::walk_stack(where, context.stack_base, words.stack);
}

void flush_output() {
  std::cout.flush();
  std::clog.flush();
  std::fflush(stdout);
}

void exited(int status) {
  last_words& words = *context.words;
  {
    writer to(words);
    to << "exit(" << (status < 0 ? "-" : "");
    to.number(status < 0 ? 0u - static_cast<unsigned>(status) : static_cast<unsigned>(status), 10);
    to << ") was called";
  }
  words.signal = 0;
  words.exit_status = status;
  words.when = std::chrono::steady_clock::now().time_since_epoch();
  words.spoken.store(1, std::memory_order_release);
  flush_output();
  os::leave(status);
}

// In a process that the kernel forked: it is no worker, and what becomes of it is not told here.
// One that returns from the kernel must not go on as if it were: it has no board to go on with.
void forked() {
  static last_words unheard;
  context.words = &unheard;
  for (const int sign : context.signs_of_life) os::close_inherited(sign);
}

// ---- Output. ----

// Until the supervisor has read what this worker wrote to stderr, so that the failure which is
// recorded next has it. No clock ends that: a supervisor that lives reads, or gives up on what
// keeps it from reading. But children of the kernel may print there for ever, and the pipe never be
// empty: enough has been read when that is as much as there was, in the pipe and on its way from
// there.
void wait_to_be_read() {
  const tail& told = *context.errors;
  std::optional<std::size_t> unread = context.errors_pipe->unread_bytes();
  const std::uint64_t enough = told.length() + unread.value_or(0) + relay::read_at_once;
  while (unread && (*unread != 0 || told.inside()) && told.length() < enough) {
    os::wait_ready({}, std::chrono::milliseconds(1));
    unread = context.errors_pipe->unread_bytes();
  }
  if (!unread) context.family->go_without(output_passed_on);
}

void print_to(const worker_streams& pipes, const roster& family) {
  if (!pipes.output) return;
  const bool printed = os::become(os::standard_stream::output, pipes.output);
  const bool complained = os::become(os::standard_stream::errors, pipes.errors);
  if (!printed || !complained) family.go_without(output_passed_on);
  context.errors_pipe.emplace(pipes.errors);  // whatever the kernel makes of its stderr
}

// ---- Memory. ----

void keep_from_dumps(const roster& family, std::byte* base, std::size_t bytes) {
  if (!os::keep_from_dumps(base, bytes)) family.go_without(dump_protection);
}

void keep_from_children(const roster& family, std::byte* base, std::size_t bytes) {
  if (!os::keep_from_children(base, bytes)) family.go_without(child_protection);
}

void close_the_caller_s_doors(const worker_start& start) {
  using standing = detail::segment::standing;
  for (const memory::live_segment& one : start.inherited) {
    const bool output = std::ranges::any_of(start.all.grants, [&](const granted& grant) {
      return grant.output && grant.owner->same_memory(*one.self);
    });
    if (output) {
      os::make_unreadable(one.base, one.length_bytes);
    } else if (one.may_be_written) {
      os::make_read_only(one.base, one.length_bytes);
    }
    // Of which they would be nearly all.
    keep_from_dumps(start.all.roster, one.base, one.length_bytes);
    one.self->demote(output ? standing::output : standing::captured);
    context.mappings.push_back({one.base, one.length_bytes, one.data_offset, one.element_bytes,
                                one.name.c_str(),
                                output ? held::inherited_output : held::inherited});
  }
}

// Maps what was granted, and says where its elements are.
std::vector<std::byte*> open_own_doors(const crew& all, std::vector<os::mapping>& kept) {
  std::vector<std::byte*> data;
  for (const granted& grant : all.grants) {
    const detail::segment& what = *grant.owner;
    const os::mapping& here = kept.emplace_back(memory::map_again(what, grant.rights));
    const bool writable = grant.rights == detail::access::write;
    if (writable) keep_from_children(all.roster, here.base(), here.length_bytes());
    keep_from_dumps(all.roster, here.base(), here.length_bytes());
    context.mappings.push_back({here.base(), here.length_bytes(), what.data_offset(),
                                what.element_bytes(), what.name().c_str(),
                                writable ? held::granted_for_writing : held::granted_for_reading});
    data.push_back(here.base() + what.data_offset());
  }
  return data;
}

// ---- A limit on memory, that another worker begins below again. ----

std::size_t private_limit_bytes = 0;

// A glance is cheap, and tells by how much the memory can have grown since it
// was measured; measuring takes milliseconds for each GiB. New memory is measured when it may be
// too much, so that the next chunk begins with no more than the limit; what overwrites inherited
// memory is measured as often as that costs 1%. Glances cost 1%, too: one in some 0.3 ms.
bool takes_too_much() {
  using clock = std::chrono::steady_clock;
  constexpr auto seldom = std::chrono::milliseconds(50);
  constexpr auto longest_glance = std::chrono::microseconds(20);  // longer ones were interrupted
  constexpr int share = 100;
  static clock::time_point glance_due{};
  static clock::time_point measure_due = clock::now();
  static os::memory_glance then{};  // when it was measured: at first nothing was, and nothing taken
  static std::size_t measured = 0;

  const clock::time_point begin = clock::now();
  if (begin < glance_due) return false;
  const os::memory_glance now = os::glance_at_own_memory();
  const clock::time_point seen = clock::now();
  glance_due = seen + share * std::min<clock::duration>(seen - begin, longest_glance);
  const bool has_grown = measured + now.new_since(then) > private_limit_bytes;
  const bool overwrites = measured + now.most_since(then) > private_limit_bytes;
  const bool may_measure = seen >= measure_due && (overwrites || seen >= measure_due + seldom);
  if (!has_grown && !may_measure) return false;
  measured = os::private_bytes();
  if (measured == 0) context.family->go_without(memory_limit_held);  // there is no such process
  then = now;
  const clock::time_point end = clock::now();
  measure_due = end + share * (end - seen);
  return measured > private_limit_bytes;
}

// A worker process.
class in_a_process final : public board::workplace {
 public:
  bool wants_a_change() override {
    os::flush_unfinished_output();
    return private_limit_bytes != 0 && takes_too_much();
  }

  void testify(board::failure_facts& to, board::evidence& left) noexcept override {
    add_own_facts(to, *context.family);
    if (context.errors_pipe) wait_to_be_read();
    left.errors = {errors_.data(), context.errors->copy(errors_)};
  }

 private:
  std::array<char, tail::capacity> errors_;
};

void work(const worker_start& start) {
  const crew& all = start.all;
  context.stack_base = __builtin_frame_address(0);
  context.signs_of_life = start.self.signs_of_life;
  os::on_exit_called(exited);
  if (!os::on_fatal_signal(crashed)) all.roster.go_without(overflows_told);
  os::on_fork_called(forked);

  keep_from_children(all.roster, all.memory.data(), all.memory.size());
  keep_from_dumps(all.roster, all.memory.data(), all.memory.size());
  std::vector<os::mapping> mappings;
  close_the_caller_s_doors(start);
  std::vector<std::byte*> data = open_own_doors(all, mappings);
  os::unblock_signals(start.mask);
  std::atomic<std::uint32_t>& preparing = all.roster.at(start.self.slot).preparing;
  preparing.store(all.has_state ? 1 : 0, std::memory_order_relaxed);
  std::shared_ptr<const board::task> task = all.enter(std::move(data));
  preparing.store(0, std::memory_order_relaxed);
  private_limit_bytes = all.worker_limits.memory_bytes;
  in_a_process here;
  work_at(all, start.self.slot, *task, all.policy, here);
  task.reset();  // before the flush: what it has made may print in its end
  flush_output();
}

}  // namespace

void close_the_outer_worker_s_doors() noexcept {
  for (mapped& one : context.mappings) {
    if (one.how == held::granted_for_writing) {
      os::keep_free(one.base, one.length_bytes);
      one.how = held::of_the_outer_kernel;
    } else if (one.how == held::granted_for_reading) {
      one.how = held::inherited;
    }
  }
}

void be_worker(const worker_start& start) noexcept {
  // If the supervisor died before we asked to die with it, nobody waits for us.
  if (!os::die_with_parent(start.self.supervisor)) os::leave(1);
  std::array<char, 16> name{};
  std::snprintf(name.data(), name.size(), "shard wk %u", start.self.slot);
  os::call_itself(name.data());
  if (!os::reset_signal_handlers()) os::leave(1);  // the supervisor could: so can we
  if (!os::volunteer_for_memory_kills()) start.all.roster.go_without(workers_go_first);
  os::restore_descriptor_limit();
  member& self = start.all.roster.at(start.self.slot);
  context.family = &start.all.roster;
  context.words = &self.words;
  context.errors = &self.errors;
  print_to(start.self.streams, start.all.roster);
  try {
    work(start);
  } catch (const std::exception& problem) {
    writer(*context.words) << problem.what();
    context.words->when = std::chrono::steady_clock::now().time_since_epoch();
    context.words->spoken.store(1, std::memory_order_release);
    os::leave(1);
  }
  os::leave(0);
}

}  // namespace shard::family
