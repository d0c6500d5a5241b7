#include "family/buffer_cache.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "family/mappings.hpp"
#include "memory/attempt.hpp"
#include "os/file.hpp"
#include "shard/error.hpp"

namespace shard::family {

std::shared_ptr<const os::mapping> buffer_cache::map(const lent_buffer& what) {
  const bool writable = what.writable != 0;
  const auto found = std::ranges::find_if(kept_, [&](const entry& one) {
    return one.number == what.number && one.writable == writable;
  });
  if (found != kept_.end()) {
    found->used = ++uses_;
    return found->mapping;
  }
  if (kept_.size() == capacity) kept_.erase(std::ranges::min_element(kept_, {}, &entry::used));
  kept_.push_back({what.number, writable, ++uses_, map_anew(what)});
  return kept_.back().mapping;
}

std::shared_ptr<const os::mapping> buffer_cache::map_anew(const lent_buffer& what) const {
  const bool writable = what.writable != 0;
  const std::string name = what.name;
  return memory::attempt(
      "map " + name + " in a worker of a pool",
      "a caller whose descriptors it may open (same user, and dumpable: see prctl), /proc mounted, "
      "and room for the mapping",
      [&] {
        const auto rights = writable ? os::protection::write : os::protection::read;
        const os::descriptor own = os::open_again_of(caller_, what.descriptor, rights);
        if (os::status(own.get()).identity != what.identity) {
          throw error(std::errc::bad_file_descriptor,
                      "cannot map " + name +
                          " in a worker of a pool: found another file behind its descriptor, "
                          "expected the buffer that was granted");
        }
        auto made = std::make_shared<const os::mapping>(own.get(), what.length_bytes, rights);
        if (writable) keep_from_children(family_, made->base(), made->length_bytes());
        keep_from_dumps(family_, made->base(), made->length_bytes());
        return made;
      });
}

void buffer_cache::drop(std::uint64_t number) {
  std::erase_if(kept_, [number](const entry& one) { return one.number == number; });
}

}  // namespace shard::family
