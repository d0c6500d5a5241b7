// What a handle can do with its segment as a whole: share it, keep it, freeze it, name it no more.

#include <chrono>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "memory/attempt.hpp"
#include "memory/delivery.hpp"
#include "memory/lending.hpp"
#include "memory/malformed.hpp"
#include "memory/name.hpp"
#include "memory/observed.hpp"
#include "memory/segment.hpp"
#include "os/byte_lock.hpp"
#include "os/own_pid.hpp"
#include "os/socket.hpp"

namespace shard::detail {
namespace {

using memory::attempt;
using memory::malformed;

[[noreturn]] void refuse(std::errc code, const std::string& what, const std::string& found,
                         const std::string& expected) {
  throw error(code, "cannot " + what + ": found " + found + ", expected " + expected);
}

// The events behind the buffer's own descriptor. All or none are attached.
void attach_events(segment& to, std::vector<os::descriptor> all) {
  for (std::size_t k = 1; k < all.size(); ++k) to.attach(std::move(all[k]));
}

void require_events(std::vector<os::descriptor>& all) try {
  for (std::size_t k = 1; k < all.size(); ++k) all[k] = memory::checked_event(std::move(all[k]));
} catch (const malformed& e) {
  throw malformed(std::to_string(all.size()) + " descriptors in a message, among them " + e.what(),
                  "a buffer's, and events", std::errc::bad_message);
}

}  // namespace

bool segment::publish() {
  const bool named = parts_.unfinished->publish(parts_.file);
  if (named) parts_.unfinished.reset();
  return named;
}

void segment::replace(durability needed) {
  parts_.unfinished->finish(parts_.file, needed);
  parts_.unfinished.reset();
}

os::descriptor segment::readable() const {
  os::descriptor own = os::open_again(descriptor(), os::protection::read);
  if (parts_.kind == backing::named) memory::hold(own);
  return own;
}

std::shared_ptr<segment> segment::read_only() const {
  return attempt("open " + name() + " read-only",
                 "a file that this user may open, /proc mounted, and room for the mapping", [&] {
                   parts made{.name = name(), .element_bytes = element_bytes()};
                   made.file = readable();
                   made.mapped = os::mapping(made.file.get(), length_bytes(), os::protection::read);
                   made.data_offset = data_offset();
                   made.data_bytes = data_bytes();
                   made.kind = parts_.kind;
                   made.path = parts_.path;
                   if (parts_.kept_name) {
                     made.kept_name = memory::keep_name(made.path, made.file);
                   }
                   return std::make_shared<segment>(std::move(made));
                 });
}

// Workers of pools may have it mapped for writing. They are told to drop that, and do so when they
// are between two runs.
void segment::seal() const {
  constexpr auto patience = std::chrono::seconds(1);
  constexpr auto between_tries = std::chrono::milliseconds(1);
  if (lent_) memory::recall(number_);
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    try {
      return os::seal_against_writing(parts_.file);
    } catch (const os::call_failed& why) {
      const bool in_use = why.code() == std::errc::device_or_resource_busy;
      if (!lent_ || !in_use || std::chrono::steady_clock::now() >= end) throw;
    }
    std::this_thread::sleep_for(between_tries);
  }
}

void segment::freeze() {
  const std::string what = "freeze " + name();
  if (parts_.kind != backing::memory) {
    refuse(std::errc::invalid_argument, what,
           parts_.kind == backing::named ? "a named buffer" : "a file",
           "memory, which alone can be sealed");
  }
  if (kept_ != nullptr && kept_->is_locked_here()) {
    refuse(std::errc::device_or_resource_busy, what, "it locked by a thread of this program",
           "it unlocked");
  }
  attempt(what, "memory that no other handle and no other process can write to", [&] {
    // Our own mapping of the control words is a writable one, too; it is attached anew if needed.
    forget_area();
    kept_.reset();
    reading_.reset();
    os::descriptor readable = os::open_again(descriptor(), os::protection::read);
    parts_.mapped.map_over(readable.get(), os::protection::read);
    try {
      seal();
    } catch (const os::call_failed&) {
      parts_.mapped.map_over(parts_.file.get(), os::protection::write);
      throw;
    }
    parts_.file = std::move(readable);
    parts_.writable = false;
  });
}

void segment::sync() const {
  attempt("sync " + name(), "a disk that takes what was written", [&] {
    os::flush(parts_.mapped);
    os::flush(parts_.file);
  });
}

bool segment::remove_kept_name(const std::string& what) const {
  const memory::kept_name& kept = *parts_.kept_name;
  return attempt(what, "a folder that can be written to",
                 [&] { return memory::remove_name(kept.at, kept.file); });
}

bool segment::remove_path(const std::string& what) const {
  const os::descriptor file = attempt(
      what, "one that this user may write to (its name is locked meanwhile), and /proc mounted",
      [&] { return os::open_again(descriptor(), os::protection::write); });
  return attempt(what, "a folder that can be written to",
                 [&] { return memory::remove_name(memory::name_at(parts_.path), file); });
}

void segment::unlink() {
  const std::string what = "unlink " + name();
  if (parts_.kind == backing::memory) {
    refuse(std::errc::invalid_argument, what, "memory, which has no name", "a file or a named one");
  }
  if (parts_.unfinished) {
    refuse(std::errc::invalid_argument, what, "a file without a name yet", "a finished one");
  }
  if (parts_.path.empty()) {
    refuse(std::errc::no_such_file_or_directory, what, "no name any more", "one to remove");
  }
  const bool removed = parts_.kept_name ? remove_kept_name(what) : remove_path(what);
  parts_.path.clear();
  parts_.kept_name.reset();
  if (!removed) {
    refuse(std::errc::no_such_file_or_directory, what, "another file, or none, of that name",
           "this one");
  }
}

buffer_stats segment::stats() const {
  return attempt("measure " + name(), "an open file, and /proc mounted", [&] {
    buffer_stats found = memory::sharing_of(
        parts_.kind, {descriptor(), data_offset() + data_bytes(), data_bytes()}, element_bytes());
    const os::memory_use used = os::use_of(parts_.mapped, descriptor());
    found.name = name();
    found.allocated_bytes = os::status(descriptor()).allocated_bytes;
    found.resident_bytes = used.resident_bytes;
    found.huge_bytes = used.huge_bytes;
    found.page_bytes = used.page_bytes;
    return found;
  });
}

std::vector<range> segment::torn() const {
  return memory::torn_elements(
      parts_.file, {descriptor(), data_offset() + data_bytes(), data_bytes()}, element_bytes());
}

// The last handle of a named buffer removes the name. Our own hold must go first, and by closing (a
// forked child shares it, and would lose it if it were unlocked): the descriptor and the mapping,
// which keeps the description open as well.
void segment::let_go_of_name() noexcept try {
  if (!parts_.kept_name || parts_.unfinished || os::own_pid() != owner_) return;
  parts_.mapped = os::mapping();
  parts_.file = os::descriptor();
  memory::let_go(*parts_.kept_name);
} catch (const std::exception&) {
  // It stays as a leftover, for the next who creates one of that name.
}

array read_only(const segment& of, std::span<const std::size_t> shape) {
  std::shared_ptr<segment> made = of.read_only();
  std::byte* const data = made->data();
  return {std::move(made), data, {shape.begin(), shape.end()}};
}

void freeze(const std::shared_ptr<segment>& only) {
  if (only.use_count() > 1) {
    refuse(std::errc::device_or_resource_busy, "freeze " + only->name(),
           "it in use as the argument of a map", "no map that could write to it");
  }
  only->freeze();
}

void send(const segment& of, int socket, access rights) {
  attempt("send " + of.name(), "a connected Unix domain socket, and /proc mounted", [&] {
    const bool narrowed = rights == access::read && of.writable();
    const os::descriptor readable = narrowed ? of.readable() : os::descriptor();
    std::vector<int> all{narrowed ? readable.get() : of.descriptor()};
    // Who only reads notifies nobody.
    const auto events = rights == access::write ? of.events() : std::vector<segment::event>();
    for (const segment::event& each : events) all.push_back(each->get());
    os::send_descriptors(socket, all);
  });
}

array receive(int socket, const element_type& type, std::size_t rank, access rights) {
  return memory::attempt("receive a buffer", "a connected Unix domain socket", [&] {
    std::vector<os::descriptor> all =
        memory::delivered(os::receive_descriptors(socket), "a buffer's descriptor");
    require_events(all);
    array made = reopen(all.front().get(), type, rank, rights);
    if (rights == access::write) attach_events(*made.owner, std::move(all));
    return made;
  });
}

void sync(const segment& of) { of.sync(); }

void unlink(segment& of) { of.unlink(); }

buffer_stats stats(const segment& of, std::span<const std::size_t> shape) {
  buffer_stats found = of.stats();
  found.shape.assign(shape.begin(), shape.end());
  found.data_bytes = of.data_bytes();
  return found;
}

}  // namespace shard::detail
