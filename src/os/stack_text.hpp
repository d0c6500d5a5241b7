// A stack in a few lines, whatever is on it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shard::os {

// The name of a function without what makes names long: every list of template arguments of more
// than 20 bytes becomes "<...>", and the standard library's inline namespace goes.
std::string brief_function(std::string_view name);

// "(41234 frames are left out)".
std::string frames_left_out(std::size_t count);

// Folds what repeats. A frame that comes several times in a row is one line that says how often;
// so is a group of up to eight frames, with a line behind it: "(these 3 frames 12 times)".
std::vector<std::string> folded(const std::vector<std::string>& frames);

// Joins lines, each with a line end, into at most so many bytes: if there are more, those in the
// middle are left out, and a line there says how many; `left_out` are left out already, behind the
// first `innermost` lines.
std::string joined_ends(const std::vector<std::string>& lines, std::size_t innermost,
                        std::size_t left_out, std::size_t most_bytes);

}  // namespace shard::os
