// The cold half of the accessors in public headers, and the error that transfers end with.

#include <string>

#include "shard/bulk.hpp"
#include "shard/detail/index.hpp"
#include "shard/error.hpp"
#include "shard/text.hpp"

namespace shard::detail {
namespace {

std::string text_of(range r) {
  return "[" + std::to_string(r.first) + ", " + std::to_string(r.last) + ")";
}

// No extent is so large as to be negative.
std::string signed_text(std::size_t index) {
  return std::to_string(static_cast<std::ptrdiff_t>(index));
}
std::string allowed_index(std::size_t found, const char* limit, std::size_t extent) {
  if (static_cast<std::ptrdiff_t>(found) < 0) return "0 or more";
  return std::string("less than its ") + limit + " " + std::to_string(extent);
}

[[noreturn]] void refuse(const std::string& message) {
  throw error(std::errc::argument_out_of_domain, message);
}

}  // namespace

void refuse_index(std::size_t dimension, std::size_t found, std::size_t extent) {
  refuse("cannot access an element: found index " + signed_text(found) + " in dimension " +
         std::to_string(dimension) + ", expected " + allowed_index(found, "extent", extent));
}

void refuse_listed_index(const char* operation, std::size_t k, std::size_t found,
                         std::size_t size) {
  refuse(std::string("cannot ") + operation + ": found index " + signed_text(found) +
         " at indices[" + std::to_string(k) + "], expected " + allowed_index(found, "size", size));
}

void refuse_outside_chunk(const char* dimension, std::size_t found, range chunk) {
  refuse(std::string("cannot write ") + dimension + " " + std::to_string(found) +
         " through this slice: found it outside the chunk, expected one in " + text_of(chunk) +
         "; write it in the chunk that owns it, or grant the whole buffer with shared()");
}

void refuse_range(range found, std::size_t extent) {
  refuse("cannot access rows " + text_of(found) + ": expected a range within " +
         text_of({0, extent}));
}

void refuse_elements(const char* operation, range found, std::size_t extent) {
  refuse(std::string("cannot ") + operation + " elements " + text_of(found) +
         ": expected a range within " + text_of({0, extent}));
}

void refuse_part(std::size_t dimension, range found, range allowed) {
  refuse("cannot select a part: found " + text_of(found) + " in dimension " +
         std::to_string(dimension) + ", expected a range within " + text_of(allowed));
}

void refuse_closed() {
  throw error(std::errc::bad_file_descriptor,
              "cannot use a buffer: found it closed, expected it open");
}

void refuse_step(std::size_t dimension, std::size_t dimensions, std::size_t step) {
  throw error(
      std::errc::invalid_argument,
      "cannot select every " + std::to_string(step) + " in dimension " + std::to_string(dimension) +
          ": expected a step of 1 or more, and a dimension below " + std::to_string(dimensions));
}

void refuse_span_of_strided() {
  throw error(std::errc::invalid_argument,
              "cannot span a part: found elements that are apart, expected them side by side; "
              "iterate over it, or span each row(i)");
}

void refuse_span_of_tile(tile cells, std::size_t columns) {
  throw error(std::errc::invalid_argument,
              "cannot span a tile: found columns " + text_of(cells.cols) + " of " +
                  std::to_string(columns) + ", expected whole rows; use row(i) for each row");
}

void refuse_length(const char* operation, std::size_t found, std::size_t expected) {
  throw error(std::errc::invalid_argument, std::string("cannot ") + operation + ": found " +
                                               std::to_string(found) + " elements, expected " +
                                               std::to_string(expected));
}

void refuse_negative_extent(long long found) {
  throw error(std::errc::invalid_argument, "cannot create a buffer: found extent " +
                                               std::to_string(found) + ", expected 0 or more");
}

void refuse_long_text(std::size_t found, std::size_t width) {
  throw error(std::errc::value_too_large, "cannot store text: found " + std::to_string(found) +
                                              " bytes, expected at most " + std::to_string(width) +
                                              "; text::truncated() cuts it");
}

}  // namespace shard::detail

namespace shard {

torn_error::torn_error(const std::string& verb, range elements, const std::string& of)
    : error(std::errc::state_not_recoverable,
            "cannot " + verb + " elements [" + std::to_string(elements.first) + ", " +
                std::to_string(elements.last) + ") of " + of +
                ": found them torn by a writer that died, expected them whole; write them again "
                "after clear_torn()"),
      elements_(elements) {}

}  // namespace shard
