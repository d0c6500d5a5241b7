// The image of an array that a file has, checked and mapped. Before shard uses anything from a
// header, shard compares it with what the caller wants and with the size of the file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

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

// What a file has.
struct image {
  std::string type;       // as the file writes it
  detail::dtype becomes;  // what its elements are behind the swaps
  std::vector<std::size_t> shape;
  std::vector<swap> swaps;  // turn its elements into those that the caller wants
  bool column_major = false;
  std::size_t data_offset = 0;
  std::size_t data_bytes = 0;
};
// Throws os::call_failed, and malformed if no buffer of the wanted type and rank can be read from
// the file.
image inspect(const os::descriptor& file, const wanted& want);
// Why a file that can be read can't be mapped. Nothing: the file can be mapped.
std::optional<malformed> obstacle(const image& found, const detail::element_type& type);

// Checks an open file and maps the file. Throws malformed and os::call_failed.
detail::array mapped(const location& at, os::descriptor file, const wanted& want);

}  // namespace shard::memory
