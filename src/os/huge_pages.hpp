// Huge pages of shared memory: one entry of a page table maps one, where it would map a table of
// normal pages.
#pragma once

#include <cstddef>
#include <optional>

namespace shard::os {

class mapping;

// What one entry of the second-lowest page tables maps: 2 MiB, where a normal page has 4 KiB.
std::size_t huge_page_bytes() noexcept;

// Joins the normal pages of a shared memory file to huge ones (MADV_COLLAPSE, Linux 6.1). Needs no
// privilege, and no huge pages in reserve; takes all memory of the file at once. What the system
// can't join, or can't join yet, stays as it is. Requires: the mapping is of the file's start;
// nobody else uses the memory yet.
void collapse(const mapping& of) noexcept;

// How much of a mapping this process reaches through huge pages; nothing where the system can't
// tell (before Linux 6.7, or no /proc). Throws call_failed if no descriptor is free to find out.
std::optional<std::size_t> mapped_huge_bytes(const mapping& of);

}  // namespace shard::os
