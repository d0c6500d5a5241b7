#include "memory/segment.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "memory/attempt.hpp"
#include "os/file.hpp"

namespace shard::detail {
namespace {

struct registry {
  std::mutex lock;
  std::vector<const segment*> live;
};

// Never destroyed: a buffer in a static variable may go after it.
registry& all() {
  static auto& only = *new registry;
  return only;
}

}  // namespace

segment::segment(parts made) : parts_(std::move(made)) {
  const std::scoped_lock held(all().lock);
  all().live.push_back(this);
}

segment::~segment() {
  const std::scoped_lock held(all().lock);
  std::erase(all().live, this);
}

void segment::finish() {
  if (!parts_.unfinished) return;
  memory::output_file& output = *parts_.unfinished;
  if (!output.ours()) {
    throw error(std::errc::operation_not_permitted,
                "cannot finish " + name() + ": found process " + std::to_string(os::process_id()) +
                    ", expected " + std::to_string(output.creator()) + ", which created it");
  }
  memory::attempt("finish " + name(), "a folder that can be written to, and /proc mounted",
                  [&] { output.finish(parts_.file); });
  parts_.unfinished.reset();
}

std::vector<memory::live_segment> segment::live() {
  const std::scoped_lock held(all().lock);
  std::vector<memory::live_segment> found;
  found.reserve(all().live.size());
  for (const segment* each : all().live) {
    found.push_back({each->base(), each->length_bytes(), each->name(), each->data_offset(),
                     each->element_bytes(), each->writable()});
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

int descriptor_of(const segment& of) noexcept { return of.descriptor(); }

void finish(segment& file) { file.finish(); }

}  // namespace shard::detail

namespace shard::memory {

os::mapping map_again(const detail::segment& of, detail::access rights) {
  const bool write = rights == detail::access::write;
  if (write && !of.writable()) {
    throw error(std::errc::permission_denied, "cannot map " + of.name() +
                                                  " for writing: found it open for reading only, "
                                                  "expected a buffer of non-const elements");
  }
  return attempt("map " + of.name() + " again", "/proc mounted, and room for the mapping", [&] {
    const auto narrowed = write ? os::protection::write : os::protection::read;
    const os::descriptor own = os::open_again(of.descriptor(), narrowed);
    return os::mapping(own.get(), of.length_bytes(), narrowed);
  });
}

}  // namespace shard::memory
