// Histograms in files, for numpy and for the histogram libraries of Python.
//
//   shard::save("hours.npy", hours);        // arrays: counts, edges, underflow and overflow
//   shard::save_json("hours.json", hours);  // one file in the UHI form
//
// All functions take any histogram of shard, and a bin_table. What they write appears under its
// name only when it is complete, and replaces what is there. They throw shard::error if they fail.
// If the process is killed meanwhile, no file is half written; of several files, some may be new,
// and others old. std::filesystem::perms behind the path are the permissions of each file; without
// them, a new file has mode 0600, and one that replaces another keeps that one's (npy.hpp).
#pragma once

#include <filesystem>
#include <string>

#include "shard/backing.hpp"
#include "shard/bin_table.hpp"
#include "shard/detail/segment.hpp"

namespace shard {

namespace detail {
void save_table(const std::filesystem::path& path, const bin_table& table, durability needed,
                asked_permissions asked = {});
std::string table_json(const bin_table& table);
void save_text(const std::filesystem::path& path, const std::string& text, durability needed,
               asked_permissions asked = {});
}  // namespace detail

// Writes .npy files. For "hours.npy" and a histogram with one axis:
//
//   hours.npy         the counts, in the shape of the axes, without underflow and overflow
//   hours.edges0.npy  the edges of axis 0: one more than bins. Float64; int64 of an integer axis
//   hours.flow.npy    the counts with underflow and overflow: element 0 along an axis is the
//                     underflow, if the axis has one; the last element is the overflow, if the axis
//                     has one. Not written if no axis has either
//
// A second axis has hours.edges1.npy. A category axis has hours.categories0.npy instead of edges:
// integers, or text (numpy's S, in the bytes of the category). In numpy:
//
//   counts, edges = np.load("hours.npy"), np.load("hours.edges0.npy")
//   matplotlib.pyplot.stairs(counts, edges)
//
// Of a histogram with weights, hours.npy has the sums of weights, and hours.variances.npy their
// variances. Of a profile, hours.npy has the means, hours.variances.npy the variances of the
// numbers, and hours.weights.npy how many numbers there are. Of means with weights, the last one is
// the sum of the weights, and hours.squares.npy that of their squares. Each of these files has its
// .flow.npy.
//
// shard writes all files before it gives the first one its name. hours.npy gets its name last.
// Files of an earlier histogram that this one doesn't have, such as hours.variances.npy, stay.
// Refuses a text category that ends with a NUL byte, which numpy would not see.
template <tabulable H>
void save(const std::filesystem::path& path, const H& histogram,
          durability needed = durability::memory) {
  detail::save_table(path, tabulate(histogram), needed);
}
template <tabulable H>
void save(const std::filesystem::path& path, std::filesystem::perms permissions, const H& histogram,
          durability needed = durability::memory) {
  detail::save_table(path, tabulate(histogram), needed, permissions);
}

// The histogram as JSON in the form of UHI, schema version 1: what boost-histogram and hist read in
// Python, `hist.Hist(json.load(file, object_hook=uhi.io.json.object_hook))`. The schema is
// histogram.schema.json of https://github.com/scikit-hep/uhi. All bins are there, underflow and
// overflow included.
//
// An integer axis is written as a regular one of width 1, as UHI asks. Readers compute the edges of
// a regular axis from its ends, and may round them differently in the last bit. A logarithmic axis
// is written as its edges. The variance of a single number, which is not known, is written as 0.
//
// Refuses what JSON can't hold: numbers that are not finite, and categories that are not UTF-8.
template <tabulable H>
std::string to_json(const H& histogram) {
  return detail::table_json(tabulate(histogram));
}
template <tabulable H>
void save_json(const std::filesystem::path& path, const H& histogram,
               durability needed = durability::memory) {
  detail::save_text(path, to_json(histogram), needed);
}
template <tabulable H>
void save_json(const std::filesystem::path& path, std::filesystem::perms permissions,
               const H& histogram, durability needed = durability::memory) {
  detail::save_text(path, to_json(histogram), needed, permissions);
}

}  // namespace shard
