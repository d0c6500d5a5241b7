// An existing array, checked and mapped: nothing its header says is believed before it is compared
// with what is wanted and with the file's own size.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "memory/attempt.hpp"
#include "memory/dtype.hpp"
#include "memory/location.hpp"
#include "memory/malformed.hpp"
#include "os/descriptor.hpp"
#include "os/mapping.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

// What a caller wants to find.
struct wanted {
  const detail::element_type& type;
  std::size_t rank;
  detail::access rights;

  bool writing() const noexcept { return rights == detail::access::write; }
  os::protection protection() const noexcept {
    return writing() ? os::protection::write : os::protection::read;
  }
};

// What was found to be there.
struct image {
  std::string type;  // as the file writes it
  std::vector<std::size_t> shape;
  std::vector<swap> swaps;  // what makes its elements those that are wanted
  bool column_major = false;
  std::size_t data_offset = 0;
  std::size_t data_bytes = 0;
};
// Throws malformed unless a buffer of what is wanted can be read from it, and os::call_failed.
image inspect(const os::descriptor& file, const wanted& want);
// What has to be otherwise for a mapping, and not for reading; nothing: it can be mapped.
std::optional<malformed> obstacle(const image& found, const detail::element_type& type);

// Checks an open file and maps it. Throws malformed and os::call_failed.
detail::array mapped(const location& at, os::descriptor file, const wanted& want);

}  // namespace shard::memory
