// A job that survives the end of all its processes: started again, it goes on where it was, and its
// results have the same bits as if nothing had happened.
//
//   shard::job job("results");
//   auto score = job.create<float>("score.npy", n);
//   shard::histogram by_delay{shard::axis::regular(120, -60.0, 180.0)};
//   job.map(score, shard::in(delay), shard::reduce(by_delay), shard::value(scale), kernel);
//
// The job keeps what its maps have achieved in its folder. If the program is killed, or its machine
// goes down, start the same program again. A map that was complete is not run again: its outputs
// are there, and its reducers get what they got then. Of a map that was under way, what is missing
// is run. docs/jobs.md says what is in the folder, and what is believed after which kind of end.
//
// Maps are numbered in the order of the calls. A map is known again by its number and by all that
// it depends on: the program's code, the libraries that it has loaded, kernel, space, values,
// reducers, inputs, the processor's vector extensions, the mode of rounding, and the locale. A file
// that is an input may have another time or place, if its content is the same. If anything differs,
// the job refuses to go on, and says what; see job_options::changed. A file's content is hashed
// again only if its time of modification, size or inode has changed. A program that has the file
// mapped, and writes to a page that is dirty already, changes the content and not the time: a job
// does not notice that.
//
// An index that fails is given up for this start, as the options of the map say. The next start
// tries it again. If a map is not complete, or throws, no further map begins in this start: the
// next start may give that map other results, which later maps may read.
//
// Indices that are already done when the program starts again are not run again, so a kernel's
// effects outside of buffers and reducers are not repeated.
//
// Requires, of all maps of a job: what a pool's map requires (pool.hpp): kernels capture nothing.
// Outputs, and buffers in shared(), are files that the job has created. The program calls the same
// maps in the same order, and changes no output of the job by itself once a map has written it: the
// elements are read-only then. A job is used by the process that has opened it, and not by its
// forks. With SHARD_REPLAY, the map that is replayed is the last one, and the job notes nothing.
#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "shard/buffer.hpp"
#include "shard/detail/call.hpp"
#include "shard/detail/job.hpp"
#include "shard/detail/segment.hpp"
#include "shard/map.hpp"
#include "shard/npy.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"

namespace shard {

// What a job does where a map is not the one of the earlier start.
enum class on_change {
  refuse,      // throws; the message says what differs
  start_over,  // forgets this map, and all behind it
  keep         // keeps what was achieved: for a program that was mended, to run only what failed
};

struct job_options {
  on_change changed = on_change::refuse;

  // After a power cut, or a crash of the system, a job goes on from its last checkpoint. One is
  // made this often, or less often: so that checkpoints take at most a hundredth of the time. 0:
  // none. Then such a map begins anew; one that is killed goes on all the same.
  seconds checkpoint{30};

  // Leaves, of the last map that ran: report.json, report.html, chunks.tsv and trace.pftrace in the
  // folder; see report.hpp. So record_chunks is on, unless the options of the map say otherwise.
  // failures.jsonl has the failures of all starts, one JSON object a line, with the members that
  // they have in report.json.
  bool reports = true;

  // Allows a folder on a file system of the network, where no lock of shard's keeps others out.
  bool allow_network = false;

  // Starts workers once, for all maps, as a pool does: see pool.hpp for what differs then. It pays
  // off for maps that take less than 0.1 s.
  bool reuse_workers = false;

  // For all maps of the job.
  options maps = {};
};

namespace detail {

class job_state;
std::shared_ptr<job_state> open_job(const std::filesystem::path& folder, const job_options& how);
array create_in(job_state& of, const std::string& name, const element_type& type,
                std::span<const std::size_t> shape);
report execute_in(job_state& of, const job& what, const options* how);
const std::filesystem::path& folder_of(const job_state& of) noexcept;

}  // namespace detail

class job {
 public:
  // Makes the folder, or opens it. One process at a time has it: throws shard::error if another one
  // does, and names it. If that one was killed, waits until its workers have ended. Also throws if
  // the folder is a copy of a job's folder, or on a file system of the network.
  explicit job(const std::filesystem::path& folder, const job_options& how = {})
      : state_(detail::open_job(folder, how)) {}
  // What was moved from can only be assigned to, or destroyed.
  job(job&&) noexcept = default;
  job& operator=(job&&) noexcept = default;
  ~job() = default;

  // A file of the job: folder/name.part, and folder/name once a map that writes all of it is
  // complete. In a later start, the same file with what it holds. Throws shard::error if there is a
  // file of that name that the job has not made, or one of another shape or type.
  template <class T, std::integral... N>
    requires(sizeof...(N) > 0)
  buffer<T, sizeof...(N)> create(const std::string& name, N... extents) {
    return detail::buffer_access::make<T, sizeof...(N)>(
        detail::create_in(*state_, name, detail::type_of<T>(), detail::shape_of(extents...)));
  }

  // As the functions of the same names. Options of one map come first, if there are any: those that
  // are set there replace the job's. Of a map that was complete before, counts().carried_over is
  // counts().chunks, and no kernel runs.
  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  report map(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  report map(const options& how, Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  [[nodiscard]] report try_map(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  [[nodiscard]] report try_map(const options& how, Space&& space, Rest&&... arguments_then_kernel);

  template <class Space, class... Rest>
    requires(!std::same_as<std::remove_cvref_t<Space>, options>)
  report for_each(Space&& space, Rest&&... arguments_then_kernel);
  template <class Space, class... Rest>
  report for_each(const options& how, Space&& space, Rest&&... arguments_then_kernel);

  const std::filesystem::path& folder() const noexcept { return detail::folder_of(*state_); }

 private:
  template <bool NeedsEffect, class Space, class... Rest>
  report carry_out(const options* how, Space&& space, Rest&&... rest) {
    return detail::start<NeedsEffect, detail::sent::yes>(
        [&](const detail::job& what) { return detail::execute_in(*state_, what, how); },
        std::forward<Space>(space), std::forward<Rest>(rest)...);
  }
  static report complete(report result) {
    if (!result.complete()) throw map_error(std::move(result));
    return result;
  }

  std::shared_ptr<detail::job_state> state_;
};

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report job::map(Space&& space, Rest&&... rest) {
  return complete(
      carry_out<true>(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...));
}
template <class Space, class... Rest>
report job::map(const options& how, Space&& space, Rest&&... rest) {
  return complete(carry_out<true>(&how, std::forward<Space>(space), std::forward<Rest>(rest)...));
}
template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report job::try_map(Space&& space, Rest&&... rest) {
  return carry_out<true>(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...);
}
template <class Space, class... Rest>
report job::try_map(const options& how, Space&& space, Rest&&... rest) {
  return carry_out<true>(&how, std::forward<Space>(space), std::forward<Rest>(rest)...);
}

template <class Space, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<Space>, options>)
report job::for_each(Space&& space, Rest&&... rest) {
  return complete(
      carry_out<false>(nullptr, std::forward<Space>(space), std::forward<Rest>(rest)...));
}
template <class Space, class... Rest>
report job::for_each(const options& how, Space&& space, Rest&&... rest) {
  return complete(carry_out<false>(&how, std::forward<Space>(space), std::forward<Rest>(rest)...));
}

}  // namespace shard
