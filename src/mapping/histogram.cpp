#include "shard/histogram.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <string>

#include "shard/category_counts.hpp"
#include "shard/error.hpp"

namespace shard::detail {

namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw error(std::errc::invalid_argument, message);
}

}  // namespace

void refuse_edges() {
  refuse(
      "cannot make the histogram: found an axis whose edges descend or are not numbers, expected "
      "ascending ones");
}

void refuse_repeated_category(std::int64_t index) {
  refuse("cannot make the category axis: found value " + std::to_string(index) +
         " a second time, expected each value once");
}

void refuse_number_of_categories(std::size_t most, std::size_t highest) {
  refuse("cannot make the category_counts: found room for " + std::to_string(most) +
         " categories, expected 1 to " + std::to_string(highest));
}

void refuse_more_categories(std::size_t most) {
  throw error(std::errc::result_out_of_range,
              "cannot count the categories: found more than " + std::to_string(most) +
                  " different ones, expected at most as many as the category_counts was made for");
}

void refuse_columns(std::size_t column, std::size_t found, std::size_t expected) {
  refuse("cannot fill the histogram: found " + std::to_string(found) + " values in argument " +
         std::to_string(column) + ", expected " + std::to_string(expected) + " as in argument 0");
}

void refuse_bin(std::size_t dimension, std::int64_t found, int first, int last) {
  throw error(std::errc::result_out_of_range,
              "cannot read a bin of the histogram: found index " + std::to_string(found) +
                  " on axis " + std::to_string(dimension) + ", expected " + std::to_string(first) +
                  " to " + std::to_string(last));
}

namespace {

// Tries it: that asks the system for all that may limit it, and touches nothing.
void refuse_if_there_is_no_room(const std::string& shape, std::size_t bytes) {
  void* const room = ::operator new(bytes, std::nothrow);
  ::operator delete(room);
  if (room != nullptr) return;
  throw error(std::errc::not_enough_memory,
              "cannot make the histogram: found no room for " + shape + " bins, expected " +
                  std::to_string(bytes) + " bytes of memory, or of address space (ulimit -v)");
}

}  // namespace

std::size_t count_bins(std::span<const std::size_t> extents, std::size_t bytes_of_each,
                       std::size_t most) {
  most = std::min(most, std::numeric_limits<std::ptrdiff_t>::max() / bytes_of_each);
  std::size_t bins = 1;
  std::string shape;
  for (const std::size_t extent : extents) {
    shape += (shape.empty() ? "" : " x ") + std::to_string(extent);
    bins = bins > most / extent ? most + 1 : bins * extent;
  }
  if (bins > most) {
    throw error(std::errc::not_enough_memory, "cannot make the histogram: found " + shape +
                                                  " bins, expected at most " +
                                                  std::to_string(most));
  }
  refuse_if_there_is_no_room(shape, bins * bytes_of_each);
  return bins;
}

}  // namespace shard::detail
