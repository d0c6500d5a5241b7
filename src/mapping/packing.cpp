#include "shard/detail/packing.hpp"

#include <string>

#include "os/code.hpp"
#include "shard/error.hpp"

namespace shard::detail {

void packer::append(const void* from, std::size_t bytes) {
  const auto* const first = static_cast<const std::byte*>(from);
  bytes_.insert(bytes_.end(), first, first + bytes);
}

namespace {

// Who maps in a loop sends the same function each time.
const std::optional<os::code_place>& place_of(const void* function) {
  thread_local const void* last = nullptr;
  thread_local os::module_changes then;
  thread_local std::optional<os::code_place> place;
  const os::module_changes now = os::changes_of_modules();
  if (function == last && now == then) return place;
  last = function;
  then = now;
  place = os::place_of_code(function);
  return place;
}

}  // namespace

void packer::put_code(const void* function) {
  const std::optional<os::code_place>& place = place_of(function);
  if (!place || !place->module) {
    throw error(std::errc::not_supported,
                std::string("cannot send a function to other processes: found ") +
                    (place ? "that its program or library has no build id"
                           : "an address that is in no program or library") +
                    ", expected a build id (link with -Wl,--build-id)");
  }
  if (by_parts_) {
    put(place->offset);
    functions_.push_back(function);
    return;
  }
  put(place->module);
  put(place->offset);
  put(place->file);
}

const void* unpacker::get_code() {
  os::code_place where;
  where.module = get<os::build_id>();
  where.offset = get<std::uint64_t>();
  where.file = get<std::string>();
  if (const void* const found = os::code_at(where)) return found;
  const os::build_id here = os::build_found_for(where);
  const std::string what = where.file.empty() ? "this program" : where.file;
  throw error(std::errc::not_supported,
              "cannot run a function here: found " +
                  (here ? "build " + to_string(here) + " of " + what
                        : what + ", which can't be loaded or has no build id") +
                  ", expected build " + to_string(where.module) + ", which the caller runs");
}

std::span<const std::byte> unpacker::take(std::size_t count, std::size_t bytes_of_each) {
  if (count > left_.size() / bytes_of_each) {
    throw error(std::errc::bad_message,
                "cannot unpack a job: found " + std::to_string(left_.size()) + " bytes, expected " +
                    std::to_string(count) + " times " + std::to_string(bytes_of_each));
  }
  const std::span<const std::byte> taken = left_.first(count * bytes_of_each);
  left_ = left_.subspan(taken.size());
  return taken;
}

}  // namespace shard::detail
