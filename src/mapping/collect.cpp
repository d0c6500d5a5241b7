#include "shard/collect.hpp"

#include <string>

#include "shard/error.hpp"

namespace shard::detail {

void refuse_unwanted_offsets() {
  throw error(
      std::errc::invalid_argument,
      "cannot read the offsets of collected items: found a collect that keeps none, expected "
      "one that was made with shard::with_offsets");
}

void refuse_item_of_no_index() {
  throw error(
      std::errc::invalid_argument,
      "cannot collect an item with offsets: found a kernel that has not said of which index "
      "it is, expected begin_index(i) before it");
}

void refuse_index_of_items(std::size_t found, range expected, std::size_t at_least) {
  throw error(
      std::errc::argument_out_of_domain,
      "cannot collect items of index " + std::to_string(found) + ": found it " +
          (expected.contains(found) ? "after index " + std::to_string(at_least)
                                    : "outside of the chunk [" + std::to_string(expected.first) +
                                          ", " + std::to_string(expected.last) + ")") +
          ", expected the indices of the chunk in ascending order");
}

void refuse_offsets_of_strides() {
  throw error(
      std::errc::invalid_argument,
      "cannot collect items with offsets: found a map over a strided space, whose chunks are "
      "not in the order of the indices, expected another space, or a collect without "
      "offsets");
}

void refuse_offsets_of_tiles() {
  throw error(std::errc::invalid_argument,
              "cannot collect items with offsets: found a map over tiles, expected one over "
              "indices, or a collect without offsets");
}

void refuse_offsets_behind(std::size_t first, std::size_t indices) {
  throw error(std::errc::invalid_argument,
              "cannot collect items with offsets: found a map from index " + std::to_string(first) +
                  " on, expected one from " + std::to_string(indices) +
                  " on, behind what this collect has already; or a new one");
}

void refuse_offsets_beyond(std::size_t last, std::size_t most) {
  throw error(std::errc::invalid_argument,
              "cannot collect items with offsets: found a map up to index " + std::to_string(last) +
                  ", expected one up to " + std::to_string(most) +
                  " at most: offsets begin at index 0; or a collect without offsets");
}

void refuse_collecting_twice() {
  throw error(std::errc::invalid_argument,
              "cannot map: found the same collect in two arguments, expected one for each");
}

}  // namespace shard::detail
