// What a map of a job leaves in the folder for people. What can't be written is told, and is no
// reason to lose a map, or not to go on.
#pragma once

#include <array>
#include <cstddef>

#include "journal/folder.hpp"
#include "shard/report.hpp"

namespace shard::journal {

inline constexpr std::array names_of_reports{"report.json", "report.html", "chunks.tsv",
                                             "trace.pftrace", "failures.jsonl"};

// The report as JSON and as a page, the chunks, the trace, and the failures.
void leave_reports(const folder& in, const report& of, std::size_t map, std::size_t start);

// One line for each, behind those of other starts: the report of the next start has none of them.
void leave_failures(const folder& in, const report& of, std::size_t map, std::size_t start);

}  // namespace shard::journal
