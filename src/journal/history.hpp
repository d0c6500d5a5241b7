// What earlier starts have noted of the maps of a job, of several maps together.
#pragma once

#include <cstddef>
#include <string>

#include "journal/folder.hpp"
#include "journal/job_files.hpp"

namespace shard::journal {

// Whether this map, or one behind it, was begun and writes to the file.
bool is_written_from(const notes& in, const job_file& file, std::size_t map);

// Throws shard::error if this map, or one behind it, has changed what an earlier one has written,
// or what it reads itself.
void require_that_it_can_start_over(const notes& in, std::size_t map);

// Forgets this map, and those behind it. Their outputs lose their final names.
void forget_from(const folder& in, const job_files& files, std::size_t map);

}  // namespace shard::journal
