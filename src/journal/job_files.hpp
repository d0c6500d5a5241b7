// The files that a job has made: name.part until a map that writes all of it is complete, then
// name. job.json notes them for the next start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "journal/folder.hpp"
#include "shard/detail/segment.hpp"
#include "shard/npy.hpp"

namespace shard::journal {

struct job_file {
  std::string name;          // when it is complete
  std::uint64_t inode = 0;   // which a file system gives again, once the file is removed
  std::uint64_t number = 0;  // that no other file of the job has had
  std::weak_ptr<detail::segment> owner{};  // in this start, once it is opened
  std::size_t written_by = 0;              // the last map of this start that is complete; 0: none
};

class job_files {
 public:
  // What an earlier start has noted. Throws shard::error, also if the folder is a copy of another
  // one and may not be.
  job_files(const folder& in, bool may_be_copy);

  // Whether the folder is a copy: what is noted of its maps means nothing.
  bool are_copies() const noexcept { return are_copies_; }
  // This one is counted from note_start() on.
  std::size_t starts() const noexcept { return starts_; }
  void note_start();

  // Makes it, or opens what an earlier start has made. Throws shard::error.
  detail::array create(const std::string& name, const detail::element_type& type,
                       std::span<const std::size_t> extents);

  // Null: it is none of the job's.
  job_file* of(const detail::segment& owner) const;
  job_file* called(const std::string& name) const;

  // A name without .part is a promise that the file is complete. Whoever calls one of these calls
  // flush_files() of the folder behind them.
  void take_final_name_away(const job_file& from) const;
  void give_final_name(const job_file& to) const;

 private:
  void read_notes(bool may_be_copy);
  void write_notes() const;
  detail::array open_again(const job_file& file, const detail::element_type& type,
                           std::size_t rank) const;
  void require_free(const std::string& name, const std::string& doing, bool part_is_ours) const;
  detail::array make(const std::string& name, const detail::element_type& type,
                     std::span<const std::size_t> extents) const;
  std::uint64_t inode_of(const job_file& one) const;

  const folder& folder_;
  std::vector<std::unique_ptr<job_file>> all_;  // what they point to stays where it is
  std::size_t starts_ = 0;
  bool are_copies_ = false;
};

}  // namespace shard::journal
