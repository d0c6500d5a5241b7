// Failures in words: what reports for people have in common.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "mapping/failures.hpp"
#include "shard/report.hpp"

namespace shard::mapping {

std::string plural(std::size_t count, const char* noun);
std::string brief(seconds time);  // "0.123 s"

// What failed, in one line.
std::string line_of(const failure& one);

// The lines of a printed stack from the program's own code on: the program's own frames, and less
// far to the left those of libraries, of which many in a row are counted.
std::vector<std::string> printed_frames(std::span<const std::string> whole);

// Both at the same chunk.
bool same_chunk(const failure& one, const failure& other);

// The failures that tell something new: of a chunk that was searched for what fails in it, the
// first attempt, and those at single indices. What lies between them is how they were found.
std::vector<const failure*> telling(std::span<const failure> all);

// How to debug the k-th of the failures that are told: after the last one of each chunk that has
// something to debug.
std::string hint_after(const report& result, std::span<const failure* const> all, std::size_t k);

}  // namespace shard::mapping
