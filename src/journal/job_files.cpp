#include "journal/job_files.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "journal/identity.hpp"
#include "journal/left_reports.hpp"
#include "journal/refusal.hpp"
#include "memory/segment.hpp"
#include "os/boot.hpp"
#include "os/file.hpp"

namespace shard::journal {
namespace {

constexpr const char* notes_name = "job.json";

constexpr std::string_view part = ".part";
std::string part_of(const std::string& name) { return name + std::string(part); }

void require_usable(const std::string& name, const std::string& doing) {
  const bool is_name = !name.empty() && name.front() != '.' &&
                       name.find('/') == std::string::npos && made_valid(name) == name;
  if (!is_name || name.ends_with(part) || std::ranges::count(names_of_reports, name) != 0) {
    refuse(
        std::errc::invalid_argument, doing, "'" + name + "'",
        "the name of a file in the job's folder, in UTF-8, that doesn't end in .part and is none "
        "of a job's reports");
  }
}

std::optional<os::file_status> look_at(const folder& in, const std::string& file) {
  return in.attempt("look", [&] { return os::status_at(in.files(), file); });
}

bool is(const job_file& file, const std::optional<os::file_status>& there) {
  return there && there->identity.inode == file.inode;
}

std::string in_words(std::span<const std::size_t> shape) {
  std::string list;
  for (const std::size_t each : shape) list += (list.empty() ? "" : ", ") + std::to_string(each);
  return "shape (" + list + ")";
}

}  // namespace

// ---- Notes ----

job_files::job_files(const folder& in, bool may_be_copy) : folder_(in) { read_notes(may_be_copy); }

void job_files::read_notes(bool may_be_copy) {
  const std::optional<std::string> text = folder_.read_text(notes_name);
  if (!text) return;
  const std::string doing = "work on the job in " + folder_.name();
  try {
    const auto notes = nlohmann::ordered_json::parse(*text);
    if (notes.at("version") != 1) {
      refuse(std::errc::not_supported, doing, "notes of version " + notes.at("version").dump(),
             "version 1");
    }
    const std::uint64_t inode = notes.at("inode");
    const std::int64_t birth = notes.at("birth");
    const bool is_younger = birth != 0 && folder_.birth() != 0 && birth != folder_.birth();
    are_copies_ = inode != folder_.inode() || is_younger;
    if (are_copies_ && !may_be_copy) {
      refuse(std::errc::operation_not_permitted, doing,
             "a copy of another folder, whose files may have changed while they were copied",
             "the folder that the job was begun in; or on_change::start_over");
    }
    starts_ = notes.at("starts");
    for (const auto& one : notes.at("files")) {
      all_.push_back(
          std::make_unique<job_file>(job_file{one.at("name"), one.at("inode"), one.at("number")}));
    }
  } catch (const nlohmann::ordered_json::exception& e) {
    refuse(std::errc::bad_message, doing, std::string("'") + e.what() + "' in " + notes_name,
           "what an earlier start has noted there");
  }
  if (!are_copies_) return;
  for (const auto& one : all_) one->inode = inode_of(*one);
}

void job_files::note_start() {
  ++starts_;
  write_notes();
}

void job_files::write_notes() const {
  nlohmann::ordered_json notes{
      {"version", 1}, {"inode", folder_.inode()}, {"birth", folder_.birth()}, {"starts", starts_}};
  notes["files"] = nlohmann::ordered_json::array();
  for (const auto& one : all_) {
    notes["files"].push_back({{"name", one->name}, {"inode", one->inode}, {"number", one->number}});
  }
  folder_.replace_text(notes_name, notes.dump(1), true);
}

// 0: it is not there.
std::uint64_t job_files::inode_of(const job_file& one) const {
  for (const std::string& name : {one.name, part_of(one.name)}) {
    if (const auto there = look_at(folder_, name)) return there->identity.inode;
  }
  return 0;
}

// ---- Which file is it ----

job_file* job_files::of(const detail::segment& owner) const {
  for (const auto& one : all_) {
    const std::shared_ptr<detail::segment> mine = one->owner.lock();
    if (mine && (mine.get() == &owner || mine->same_memory(owner))) return one.get();
  }
  return nullptr;
}

job_file* job_files::called(const std::string& name) const {
  for (const auto& one : all_) {
    if (one->name == name) return one.get();
  }
  return nullptr;
}

// ---- Making one ----

detail::array job_files::create(const std::string& name, const detail::element_type& type,
                                std::span<const std::size_t> extents) {
  const std::string doing = "create " + folder_.path_of(name);
  require_usable(name, doing);
  job_file* known = called(name);
  if (known != nullptr && !known->owner.expired()) {
    refuse(std::errc::file_exists, doing, "that this program has created it", "another name");
  }
  detail::array made;
  if (known != nullptr) made = open_again(*known, type, extents.size());
  if (!made.owner) {
    // An earlier start may have ended while it made the file: what is there is what it has left.
    const bool was_begun = known != nullptr && known->inode == 0;
    require_free(name, doing, was_begun);
    if (known == nullptr) known = all_.emplace_back(std::make_unique<job_file>()).get();
    *known = {name, 0, os::random_number()};
    write_notes();
    made = make(name, type, extents);
    known->inode = made.owner->identity().inode;
    write_notes();
  }
  if (!std::ranges::equal(made.shape, extents)) {
    refuse(std::errc::invalid_argument, doing, in_words(made.shape) + " of an earlier start",
           in_words(extents) + "; or another name, or another folder for the job");
  }
  known->owner = made.owner;
  return made;
}

// Empty: it is there no more.
detail::array job_files::open_again(const job_file& file, const detail::element_type& type,
                                    std::size_t rank) const {
  for (const std::string& name : {part_of(file.name), file.name}) {
    if (is(file, look_at(folder_, name))) {
      return detail::open_file(folder_.path_of(name), type, rank, detail::access::write);
    }
  }
  return {};
}

// Nothing of anybody else's is overwritten.
void job_files::require_free(const std::string& name, const std::string& doing,
                             bool part_is_ours) const {
  for (const std::string& file : {name, part_of(name)}) {
    if (file != name && part_is_ours) continue;
    if (!look_at(folder_, file)) continue;
    refuse(std::errc::file_exists, doing, file + ", which this job has not made",
           "no file of that name; move it away");
  }
}

detail::array job_files::make(const std::string& name, const detail::element_type& type,
                              std::span<const std::size_t> extents) const {
  const std::string unfinished = part_of(name);
  folder_.attempt("remove " + unfinished, [&] {
    if (os::status_at(folder_.files(), unfinished)) {
      os::unlink_at(folder_.files(), unfinished);
    }
  });
  detail::array made = detail::create_live(folder_.path_of(unfinished), type, extents);
  // Always: what has a name must be a file, also after a power cut.
  folder_.attempt("flush " + unfinished, [&] {
    os::flush(made.owner->file());
    os::flush(os::open_to_flush(folder_.files()));
  });
  return made;
}

// ---- Names ----

void job_files::take_final_name_away(const job_file& from) const {
  if (is(from, look_at(folder_, from.name))) folder_.rename(from.name, part_of(from.name));
}

void job_files::give_final_name(const job_file& to) const {
  if (is(to, look_at(folder_, part_of(to.name)))) folder_.rename(part_of(to.name), to.name);
}

}  // namespace shard::journal
