#include "memory/segment.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/lending.hpp"
#include "memory/malformed.hpp"
#include "os/anonymous.hpp"
#include "os/event.hpp"
#include "os/file.hpp"
#include "os/own_pid.hpp"
#include "os/socket.hpp"

namespace shard::detail {
namespace {

struct registry {
  std::mutex lock;
  std::vector<segment*> live;
};

// Never destroyed: a buffer in a static variable may go after it.
registry& all() {
  static auto& only = *new registry;
  return only;
}

std::uint64_t next_number() noexcept {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

}  // namespace

segment::segment(parts made) : parts_(std::move(made)), number_(next_number()) {
  way_.data = data();
  way_.data_bytes = data_bytes();
  way_.stripe_shift = memory::plan_control(data_bytes()).stripe_shift;
  const std::scoped_lock held(all().lock);
  for (const segment* each : all().live) share_folder(*each);
  all().live.push_back(this);
}

array segment::make_array(parts made, std::vector<std::size_t> shape) {
  auto owner = std::make_shared<segment>(std::move(made));
  std::byte* const data = owner->data();
  return {std::move(owner), data, std::move(shape)};
}

segment::~segment() {
  release_locks();
  if (lent_ && owner_ == os::own_pid()) memory::recall(number_);
  {
    const std::scoped_lock held(all().lock);
    std::erase(all().live, this);
  }
  let_go_of_name();
}

// Named buffers that are in one folder have one descriptor of it.
void segment::share_folder(const segment& of) noexcept {
  if (!parts_.kept_name || !of.parts_.kept_name) return;
  memory::name_in_folder& own = parts_.kept_name->at;
  const memory::name_in_folder& other = of.parts_.kept_name->at;
  if (own.folder_identity == other.folder_identity) own.folder = other.folder;
}

void segment::refuse_writing() const {
  const char* found = "open for reading only";
  const char* expected = "open for writing";
  if (standing_ == standing::captured) {
    found = "only captured by the kernel";
    expected = "to be granted to it with out(), or opened in it";
  } else if (standing_ == standing::output) {
    found = "an output of the map that runs the kernel";
    expected = "to be written only as the kernel was granted it";
  } else if (standing_ == standing::forsaken) {
    found = "a buffer of the program that has started the pool";
    expected = "to be granted to the kernel with out(), or opened in it";
  }
  throw error(std::errc::permission_denied,
              "cannot write to " + name() + ": found it " + found + ", expected it " + expected);
}

void segment::require(access rights) const {
  if (standing_ == standing::output) {
    throw error(std::errc::permission_denied,
                "cannot map with " + name() +
                    ": found it an output of the map that runs this kernel, expected another "
                    "buffer, made or opened in the kernel");
  }
  if (standing_ == standing::forsaken) {
    throw error(std::errc::permission_denied,
                "cannot map with " + name() +
                    ": found it a buffer of the program that has started the pool, expected "
                    "another one, made or opened in the kernel");
  }
  if (rights == access::write && !may_write()) refuse_writing();
}

void segment::allow(access rights) const {
  memory::attempt("protect " + name(), "a mapping of it", [&] {
    rights == access::write ? os::make_writable(base(), length_bytes())
                            : os::make_read_only(base(), length_bytes());
  });
}

void segment::keep_to_itself() {
  memory::attempt("map a copy of " + name(), "enough address space",
                  [&] { parts_.mapped.map_a_copy_over(descriptor()); });
}

bool segment::same_memory(const segment& as) const {
  if (this == &as) return true;
  return data_bytes() == as.data_bytes() && identity() == as.identity();
}

os::file_identity segment::identity() const {
  const std::scoped_lock held(attaching_);
  if (!identity_) {
    identity_ =
        memory::attempt("map", "open buffers", [&] { return os::status(descriptor()).identity; });
  }
  return *identity_;
}

void segment::forsake() noexcept {
  forget_area();
  kept_.reset();
  reading_.reset();
  own_event_ = {};
  attached_events_ = {};
  parts_.file = {};
  os::vacate(base(), length_bytes());
  standing_ = standing::forsaken;
}

memory::control* segment::attach(purpose why) const {
  const std::scoped_lock held(attaching_);
  const memory::control::place where{descriptor(), data_offset() + data_bytes(), data_bytes(),
                                     parts_.kind == backing::file};
  return memory::attempt(
      "share " + name(), "room behind its data, a file system with locks, and /proc mounted",
      [&]() -> memory::control* {
        const bool writes = may_write();
        if (writes && kept_ == nullptr && !attach_to_write(where, why)) {
          if (reading_ == nullptr) reading_ = memory::control::for_reading(where);
          return reading_ != nullptr && reading_->find_lines() ? reading_.get() : nullptr;
        }
        if (kept_ == nullptr) kept_ = memory::control::for_reading(where);
        if (kept_ == nullptr || !kept_->find_lines()) return nullptr;
        // Release: pairs with the acquire in words().
        attached_.store(kept_.get(), std::memory_order_release);
        return kept_.get();
      });
}

// Who only reads does not need what an area does: room on the disk, nothing else behind the data,
// the right to write. False: reading has to do.
bool segment::attach_to_write(const memory::control::place& where, purpose why) const try {
  if (why == purpose::reading && reading_ != nullptr) return false;
  kept_ = memory::control::for_writing(where);
  return true;
} catch (const os::call_failed&) {
  if (why == purpose::writing) throw;
  return false;
} catch (const memory::malformed&) {
  if (why == purpose::writing) throw;
  return false;
}

bool segment::has_writers(const memory::control& area) const {
  return memory::attempt("read " + name(), "a file system with locks",
                         [&] { return area.has_writers(); });
}

int segment::event_descriptor() {
  const std::scoped_lock held(attaching_);
  if (!own_event_) {
    own_event_ = std::make_shared<const os::descriptor>(
        memory::attempt("watch " + name(), "an eventfd", [] { return os::event_counter(); }));
  }
  return own_event_->get();
}

// One message takes all events and a buffer.
void segment::attach(os::descriptor given) {
  constexpr std::size_t most = 250;
  static_assert(most + 2 < os::most_descriptors);
  auto shared = std::make_shared<const os::descriptor>(std::move(given));
  const std::scoped_lock held(attaching_);
  if (attached_events_.size() >= most) {
    throw error(std::errc::no_buffer_space,
                "cannot attach an event to " + name() + ": found " + std::to_string(most) +
                    " attached, expected fewer; detach_events() drops them");
  }
  attached_events_.push_back(std::move(shared));
}

void segment::detach_events() noexcept {
  std::vector<event> dropped;
  const std::scoped_lock held(attaching_);
  dropped.swap(attached_events_);
}

bool segment::count_events() {
  const std::scoped_lock held(attaching_);
  bool all = !own_event_ || os::count_event(own_event_->get());
  for (const event& each : attached_events_) all = os::count_foreign_event(each->get()) && all;
  return all;
}

std::vector<segment::event> segment::events() const {
  const std::scoped_lock held(attaching_);
  std::vector<event> all = attached_events_;
  if (own_event_) all.push_back(own_event_);
  return all;
}

void segment::clear_padding() {
  if (!padding()) return;
  if (!may_write()) refuse_writing();
  padding().clear({data(), data_bytes()});
}

void segment::require_own(const std::string& doing) const {
  if (!parts_.unfinished || parts_.unfinished->ours()) return;
  throw error(std::errc::operation_not_permitted,
              "cannot " + doing + ": found process " + std::to_string(os::own_pid()) +
                  ", expected " + std::to_string(parts_.unfinished->creator()) +
                  ", which created it: only that process can give the file its name");
}

void segment::finish(durability needed) {
  if (parts_.unfinished && parts_.unfinished->ours()) padding().clear({data(), data_bytes()});
  finish_cleared(needed);
}

void segment::finish_cleared(durability needed) {
  if (!parts_.unfinished) {
    if (needed == durability::disk) flush_to_disk();
    return;
  }
  require_own("finish " + name());
  memory::naming("finish " + name(), memory::what_naming_needs(needed), [&] {
    if (needed == durability::disk) os::flush(parts_.mapped);
    replace(needed);
  });
}

// Of what has its name already, or will never have one.
void segment::flush_to_disk() const {
  if (parts_.kind != backing::file) return;
  sync();
  if (parts_.path.empty()) return;
  memory::attempt("finish " + name(), memory::what_naming_needs(durability::disk),
                  [&] { memory::flush_name(parts_.path); });
}

std::unique_lock<std::mutex> segment::hold_live() { return std::unique_lock(all().lock); }

std::vector<memory::live_segment> segment::live(const std::unique_lock<std::mutex>& /*held*/) {
  std::vector<memory::live_segment> found;
  found.reserve(all().live.size());
  for (segment* each : all().live) {
    found.push_back({each->base(), each->length_bytes(), each->name(), each->data_offset(),
                     each->element_bytes(), each->may_write(), each});
  }
  return found;
}

std::size_t segment::promised_bytes() {
  const std::scoped_lock held(all().lock);
  std::size_t promised = 0;
  for (const segment* each : all().live) {
    if (!each->parts_.made_in_memory) continue;
    const std::size_t used = os::status(each->descriptor()).allocated_bytes;
    promised += each->length_bytes() - std::min(used, each->length_bytes());
  }
  return promised;
}

std::size_t segment::most_promised_bytes() {
  const std::scoped_lock held(all().lock);
  std::size_t promised = 0;
  for (const segment* each : all().live) {
    if (each->parts_.made_in_memory) promised += each->length_bytes();
  }
  return promised;
}

int descriptor_of(const segment& of) noexcept { return of.descriptor(); }

bool was_created(const segment& of) noexcept { return of.created(); }

const std::string& name_of(const segment& of) noexcept { return of.name(); }

void finish(segment& file, durability needed) { file.finish(needed); }

void clear_padding(segment& of) { of.clear_padding(); }

}  // namespace shard::detail
