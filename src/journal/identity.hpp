// What a map of a job is: if any of it differs, what an earlier start has achieved may be something
// else than what this one would.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "journal/record.hpp"
#include "plan/partition.hpp"
#include "shard/detail/job.hpp"

namespace shard::journal {

// What is compared is `value`. The rest is for people.
struct trait {
  std::string name{};  // "kernel", "input delay.npy", …
  std::string value{};
  std::string shown{};  // "5201 rows"; empty: the value says it
  // Of a file: if all of it is as before, the content is taken to be. Empty: it isn't looked at.
  std::string stamp{};
  std::string path{};     // of that file, absolute
  bool is_shape = false;  // if it differs, nothing that was achieved means anything

  bool operator==(const trait&) const = default;
};

class identity {
 public:
  identity() = default;

  std::vector<trait>& traits() noexcept { return traits_; }
  const std::vector<trait>& traits() const noexcept { return traits_; }

  // Null: there is none of that name.
  const trait* find(const std::string& name) const;

  // One line for each trait that differs: "delay.npy has changed: 5113 rows then, 5201 now".
  std::vector<std::string> differences_from(const identity& then) const;
  // Whether what was achieved as that can't be kept, whatever anybody wants.
  bool is_other_shape_than(const identity& then) const;

  // Of the files that are inputs: which have other contents now, or are not there. One line for
  // each. Throws shard::error.
  std::vector<std::string> changed_files() const;

  std::string json() const;
  // Throws shard::error.
  static identity from_json(const std::string& text);

 private:
  std::vector<trait> traits_;
};

// What an input is called, in every start, and where it comes from, if a map of this job has
// written it: "written by map 3"; or else nothing.
struct origin {
  std::string name;
  std::string by;
  bool is_rewritten = false;  // a later map of an earlier start has changed it
};
using find_origin = std::function<origin(const detail::segment&)>;

// The program and the libraries that it has loaded so far.
std::vector<trait> traits_of_code();

// code: of the program. then: what an earlier start has noted; null: nothing. Files that have the
// same stamp as there are not read. Throws shard::error.
identity identity_of(const detail::job& what, const plan::partition& chunks,
                     const find_origin& from, const std::vector<trait>& code, const shape& states,
                     const identity* then);

// What is no UTF-8 is replaced, as it is in notes.
std::string made_valid(const std::string& text);

}  // namespace shard::journal
