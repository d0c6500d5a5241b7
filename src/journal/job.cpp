// A job: its maps one by one, each of which is skipped, gone on with, or begun.
#include "shard/job.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "board/run_memory.hpp"
#include "journal/checkpointer.hpp"
#include "journal/folder.hpp"
#include "journal/identity.hpp"
#include "journal/live_area.hpp"
#include "journal/map_note.hpp"
#include "journal/record.hpp"
#include "mapping/chunk_runner.hpp"
#include "mapping/execute.hpp"
#include "mapping/failures.hpp"
#include "mapping/flight.hpp"
#include "mapping/nesting.hpp"
#include "mapping/old_values.hpp"
#include "mapping/outcome.hpp"
#include "mapping/replay.hpp"
#include "mapping/settings.hpp"
#include "mapping/unknown_variables.hpp"
#include "memory/granted.hpp"
#include "memory/segment.hpp"
#include "memory/spill_file.hpp"
#include "os/anonymous.hpp"
#include "os/boot.hpp"
#include "os/calls.hpp"
#include "os/file.hpp"
#include "shard/error.hpp"

namespace shard::journal {
namespace {

using nlohmann::ordered_json;

constexpr const char* part_suffix = ".part";

[[noreturn]] void refuse(std::errc code, const std::string& what, const std::string& found,
                         const std::string& expected) {
  throw error(code, "cannot " + what + ": found " + found + ", expected " + expected);
}

// A file that the job has made.
struct job_file {
  std::string name;  // when it is complete
  std::uint64_t inode = 0;
  std::weak_ptr<detail::segment> owner;  // in this start, once it is opened
  std::size_t written_by = 0;            // the last map of this start; 0: none
};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
  return text;
}

// As outcome::merge() does it of a board: in the same order, so with the same bits.
void merge(const record& of, const std::vector<detail::reduction>& into,
           const mapping::state_layout& states) {
  const os::anonymous_memory partials =
      board::run_memory(of.partials().size(), os::sharing::none);  // aligned as states want it
  if (!of.partials().empty()) {
    std::memcpy(partials.base(), of.partials().data(), of.partials().size());
  }
  for (std::size_t k = 0; k < into.size(); ++k) {
    const detail::reduction& one = into[k];
    if (!one.ordered) continue;
    one.merge(one, one.reducer, partials.base() + states.places[k].offset, of.of().chunks,
              states.partial_bytes);
  }
  if (states.accumulator_bytes == 0) return;
  const std::size_t bytes = of.of().state_words * sizeof(std::uint64_t);
  const os::anonymous_memory memory = board::run_memory(bytes, os::sharing::none);
  for (const std::vector<std::uint64_t>& words : of.states()) {
    std::memcpy(memory.base(), words.data(), bytes);
    for (std::size_t set = 0; set < bytes; set += states.accumulator_bytes) {
      for (std::size_t k = 0; k < into.size(); ++k) {
        const detail::reduction& one = into[k];
        if (!one.ordered)
          one.merge(one, one.reducer, memory.base() + set + states.places[k].offset, 1, 0);
      }
    }
  }
}

}  // namespace
}  // namespace shard::journal

namespace shard::detail {

using journal::folder;
using journal::harvest;
using journal::identity;
using journal::job_file;
using journal::live_area;
using journal::map_note;
using journal::record;
using journal::refuse;
using journal::shape;

class job_state {
 public:
  job_state(const std::filesystem::path& path, const job_options& how);

  array create(const std::string& name, const element_type& type,
               std::span<const std::size_t> extents);
  report carry_out(const job& what, const options* how);
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  // One map under way.
  struct leg {
    job& what;
    const options& given;
    const mapping::order& settled;
    std::size_t number;
    mapping::state_layout states;
    shape of;
    std::vector<job_file*> outputs;
    std::string began_in{};  // the boot in which an earlier start has begun it; empty: none has

    std::string note(const char* kind) const { return std::to_string(number) + "." + kind; }
  };
  enum class believed { nothing, live, log, done };

  void read_notes();
  void write_notes();
  job_file* file_of(const segment& owner);
  job_file* file_called(const std::string& name);
  void settle_identity(leg& map);
  void forget_from(std::size_t map);
  std::vector<job_file*> outputs_of(const job& what, bool durable);
  void take_final_names_away(const leg& map);
  void give_final_names(const leg& map);
  void protect(const leg& map, access rights);
  std::optional<record::found> result_of(const leg& map);
  std::optional<harvest> harvest_of(leg& map);
  report skip(leg& map, const record::found& done);
  report run(leg& map);
  family::warm_family* family_of(const leg& map);
  void complete(const leg& map, const live_area& live);
  void leave_reports(const leg& map, const report& of) const;
  void keep_failures(std::size_t map, const report& of, std::size_t start) const;
  void open_spills(leg& map, job& own, bool go_on);
  std::vector<int> synced_files(const job& what) const;

  std::filesystem::path path_;
  job_options how_;
  folder folder_;
  std::mutex busy_;
  std::string boot_ = os::boot_id();
  std::vector<std::unique_ptr<job_file>> files_;
  std::size_t starts_ = 0;
  std::size_t maps_ = 0;
  std::optional<family::warm_family> family_;  // for all maps, if it is to be
  std::string incomplete_;                     // why no further map is begun in this start
};

// ---- The folder ----

job_state::job_state(const std::filesystem::path& path, const job_options& how)
    : path_(path),
      how_(how),
      folder_(
          path,
          how.checkpoint > seconds{} ? journal::survives::power_cuts : journal::survives::processes,
          how.allow_network) {
  mapping::tell_unknown_variables();
  read_notes();
  ++starts_;
  write_notes();
}

void job_state::read_notes() {
  const std::optional<std::string> text = folder_.read_text("job.json");
  if (!text) return;
  try {
    const auto all = nlohmann::ordered_json::parse(*text);
    if (all.at("version") != 1) {
      refuse(std::errc::not_supported, "work on the job in " + folder_.name(),
             "notes of version " + all.at("version").dump(), "version 1");
    }
    const std::uint64_t inode = all.at("inode");
    if (inode != folder_.inode()) {
      if (how_.changed == on_change::start_over) {
        forget_from(1);
        return;
      }
      refuse(std::errc::operation_not_permitted, "work on the job in " + folder_.name(),
             "a copy of another folder, whose files may have changed while they were copied",
             "the folder that the job was begun in; or on_change::start_over");
    }
    starts_ = all.at("starts");
    for (const auto& one : all.at("files")) {
      files_.push_back(
          std::make_unique<job_file>(job_file{one.at("name"), one.at("inode"), {}, 0}));
    }
  } catch (const nlohmann::ordered_json::exception& e) {
    refuse(std::errc::bad_message, "work on the job in " + folder_.name(),
           std::string("'") + e.what() + "' in job.json", "what an earlier start has noted there");
  }
}

void job_state::write_notes() {
  nlohmann::ordered_json all{{"version", 1}, {"inode", folder_.inode()}, {"starts", starts_}};
  all["files"] = nlohmann::ordered_json::array();
  for (const auto& one : files_)
    all["files"].push_back({{"name", one->name}, {"inode", one->inode}});
  folder_.replace_text("job.json", all.dump(1));
}

// ---- Files ----

array job_state::create(const std::string& name, const element_type& type,
                        std::span<const std::size_t> extents) {
  const std::scoped_lock mine(busy_);
  const std::string doing = "create " + folder_.path_of(name);
  if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) {
    refuse(std::errc::invalid_argument, doing, "'" + name + "'",
           "the name of a file in the job's folder");
  }
  job_file* known = file_called(name);
  if (known != nullptr && !known->owner.expired()) {
    refuse(std::errc::file_exists, doing, "that this program has created it", "another name");
  }
  const std::string part = name + journal::part_suffix;
  const auto part_status =
      folder_.attempt("look", [&] { return os::status_at(folder_.files(), part); });
  const auto final_status =
      folder_.attempt("look", [&] { return os::status_at(folder_.files(), name); });
  const auto is_known = [&](const std::optional<os::file_status>& there) {
    return there && known != nullptr && there->identity.inode == known->inode;
  };
  array made;
  if (is_known(final_status) && !is_known(part_status)) {
    made = open_file(folder_.path_of(name), type, extents.size(), access::write);
  } else if (is_known(part_status)) {
    made = open_file(folder_.path_of(part), type, extents.size(), access::write);
  } else if (final_status) {
    refuse(std::errc::file_exists, doing, "a file of that name that this job has not made",
           "none; move it away");
  } else {
    // What has the name without a note was made by a start that ended before it could note it.
    folder_.attempt("remove " + part, [&] {
      if (part_status) os::unlink_at(folder_.files(), part);
    });
    made = create_live(folder_.path_of(part), type, extents);
    folder_.attempt("flush " + part, [&] {
      if (folder_.is_durable()) os::flush(made.owner->file());
    });
    folder_.flush_files();
    if (known == nullptr) {
      files_.push_back(std::make_unique<job_file>());
      known = files_.back().get();
      known->name = name;
    }
    known->inode = made.owner->identity().inode;
    write_notes();
  }
  if (!std::ranges::equal(made.shape, extents)) {
    const auto text = [](std::span<const std::size_t> all) {
      std::string list;
      for (const std::size_t each : all) list += (list.empty() ? "" : ", ") + std::to_string(each);
      return "shape (" + list + ")";
    };
    refuse(std::errc::invalid_argument, doing, text(made.shape) + " of an earlier start",
           text(extents) + "; or another name, or another folder for the job");
  }
  known->owner = made.owner;
  return made;
}

job_file* job_state::file_of(const segment& owner) {
  for (const auto& one : files_) {
    const std::shared_ptr<segment> mine = one->owner.lock();
    if (mine && (mine.get() == &owner || mine->same_memory(owner))) return one.get();
  }
  return nullptr;
}

job_file* job_state::file_called(const std::string& name) {
  for (const auto& one : files_) {
    if (one->name == name) return one.get();
  }
  return nullptr;
}

std::vector<job_file*> job_state::outputs_of(const job& what, bool durable) {
  std::vector<job_file*> all;
  for (const grant& one : what.grants) {
    if (one.rights == access::read || one.is_spill) continue;
    job_file* const file = file_of(*one.owner);
    if (file == nullptr) {
      refuse(std::errc::invalid_argument, "map in a job", "the output " + one.owner->name(),
             "one that the job has created, or the next start would find nothing in it");
    }
    if (one.keeps && durable) {
      refuse(std::errc::invalid_argument, "map in a job with checkpoints",
             one.owner->name() + " in inout()",
             "in() and out(): what is changed in place can't be put right after a power cut; or "
             "job_options with checkpoint = 0");
    }
    all.push_back(file);
  }
  return all;
}

// A name without .part is a promise that the file is complete.
void job_state::take_final_names_away(const leg& map) {
  for (const job_file* const one : map.outputs) {
    const auto there =
        folder_.attempt("look", [&] { return os::status_at(folder_.files(), one->name); });
    if (there && there->identity.inode == one->inode) {
      folder_.rename(one->name, one->name + journal::part_suffix);
    }
  }
  folder_.flush_files();
}

void job_state::give_final_names(const leg& map) {
  for (const job_file* const one : map.outputs) {
    const std::string part = one->name + journal::part_suffix;
    const auto there =
        folder_.attempt("look", [&] { return os::status_at(folder_.files(), part); });
    if (there && there->identity.inode == one->inode) folder_.rename(part, one->name);
  }
  folder_.flush_files();
}

// What the program writes between two maps would be written twice, after another start.
void job_state::protect(const leg& map, access rights) {
  for (const job_file* const one : map.outputs) {
    if (const std::shared_ptr<segment> owner = one->owner.lock()) owner->allow(rights);
  }
}

// What a checkpoint says is on the disk.
std::vector<int> job_state::synced_files(const job& what) const {
  std::vector<int> all;
  for (const grant& one : what.grants) {
    if (one.rights == access::write) all.push_back(one.owner->descriptor());
  }
  return all;
}

// ---- What a map is ----

void job_state::forget_from(std::size_t map) {
  for (const std::string& note : folder_.all_notes()) {
    const std::size_t number = std::strtoul(note.c_str(), nullptr, 10);
    if (number >= map && number != 0) folder_.remove(note);
  }
  folder_.flush_notes();
}

void job_state::settle_identity(leg& map) {
  const auto origin = [this](const segment& of) -> journal::origin {
    const job_file* const file = file_of(of);
    if (file == nullptr) return {of.name(), {}};
    return {file->name, file->written_by == 0
                            ? std::string()
                            : "written by map " + std::to_string(file->written_by)};
  };
  const std::string name = map.note("map.json");
  const std::optional<std::string> text = folder_.read_text(name);
  std::optional<map_note> then;
  if (text) then = map_note::from(*text, name);
  if (!then) forget_from(map.number);  // whatever there is belongs to nothing that is known
  map_note now;
  now.what =
      journal::identity_of(map.what, map.settled.chunks, origin, then ? &then->what : nullptr);
  for (const job_file* const one : map.outputs) now.outputs.emplace_back(one->name, one->inode);
  if (then) {
    std::vector<std::string> differs = now.what.differences_from(then->what);
    const bool others = now.outputs != then->outputs;
    if (others) differs.push_back("its outputs are other files");
    map.began_in = then->boot;
    const bool unusable = others || now.what.is_other_shape_than(then->what);
    if (differs.empty()) {
      now.number = then->number;
    } else if (how_.changed == on_change::start_over) {
      forget_from(map.number);
      map.began_in.clear();
    } else if (how_.changed == on_change::keep && !unusable) {
      now.number = then->number;
    } else {
      refuse(std::errc::operation_not_permitted,
             "go on with map " + std::to_string(map.number) + " of the job in " + folder_.name(),
             "that it is another one: " + journal::joined(differs),
             unusable ? "the map of the earlier start; or on_change::start_over"
                      : "the map of the earlier start; or on_change::start_over, or "
                        "on_change::keep");
    }
  }
  while (now.number == 0) now.number = os::random_number();
  now.boot = boot_;
  now.in_place = std::ranges::any_of(map.what.grants, &grant::keeps);
  map.of.map = now.number;
  // After a power cut, it must be known that rows may have been changed.
  folder_.replace_text(name, now.json(), now.in_place);
}

// ---- What an earlier start has achieved ----

std::optional<record::found> job_state::result_of(const leg& map) {
  const std::string name = map.note("done");
  const std::optional<std::string> text = folder_.read(name);
  if (!text) return std::nullopt;
  shape both_sets = map.of;
  both_sets.state_words *= 2;
  auto found = record::read(std::as_bytes(std::span(*text)), both_sets);
  if (found && (found->synced || (!boot_.empty() && found->boot == boot_))) return found;
  folder_.remove(name);
  return std::nullopt;
}

std::optional<harvest> job_state::harvest_of(leg& map) {
  const auto live = journal::live_view::open(folder_, map.note("live"), os::protection::write);
  if (live && is_of_boot(live->header(), boot_) && live->header().map == map.of.map &&
      live->header().syncing.load() == 0) {
    const board::dimensions& size = live->board().size();
    const shape found{map.of.map, size.chunks, size.partial_bytes, live->header().state_words};
    if (found != map.of) {
      refuse(std::errc::bad_message, "go on with map " + std::to_string(map.number),
             "notes of another map in " + map.note("live"), "those of this map");
    }
    // Of a start that has come to the map's end, they are told already.
    if (how_.reports && live->header().told.load() == 0) {
      // Addresses of an image that is gone.
      for (board::failure_record& each : live->board().failures()) {
        if (each.named.load() == 0) each.frames = 0;
      }
      keep_failures(map.number,
                    report({}, mapping::all_failures(live->board(), map.settled.chunks), {}, {}),
                    starts_ - 1);
      live->header().told.store(1);
    }
    const mapping::old_values old(map.what, map.settled.chunks, memory::data_here(map.what.grants));
    return journal::harvest_of(*live, map.of, old.undo());
  }
  const bool in_place = std::ranges::any_of(map.what.grants, &grant::keeps);
  if (in_place && !map.began_in.empty() && map.began_in != boot_) {
    refuse(std::errc::operation_not_permitted,
           "go on with map " + std::to_string(map.number) + " of the job in " + folder_.name(),
           "that it changes a buffer in place, and that its machine has gone down meanwhile, so "
           "that nobody knows which rows are changed",
           "a map from in() to out(); or start over, in another folder");
  }
  if (auto found = journal::last_record(folder_, map.note("log"), map.of)) {
    return harvest{std::move(found->what), {}};
  }
  return std::nullopt;
}

void job_state::open_spills(leg& map, job& own, bool go_on) {
  std::size_t number = 0;
  for (grant& one : own.grants) {
    if (!one.is_spill) continue;
    const std::string name = map.note("spill.") + std::to_string(number++);
    array made = folder_.attempt("open " + name, [&] {
      if (!go_on) folder_.remove(name);
      const bool is_there = os::status_at(folder_.directory(), name).has_value();
      os::descriptor file = is_there ? os::open_at(folder_.directory(), name, os::protection::write)
                                     : os::create_new(folder_.directory(), name);
      return make_spill_in(std::move(file), is_there);
    });
    for (reduction& each : own.reductions) {
      if (each.spill == one.owner->data()) each.spill = made.data;
    }
    one.owner = std::move(made.owner);
  }
}

// ---- Maps ----

report job_state::carry_out(const job& what, const options* how) {
  const std::scoped_lock mine(busy_);
  options given = how == nullptr ? how_.maps : mapping::merged(how_.maps, *how);
  if (!given.record_chunks && how_.reports) given.record_chunks = true;
  const mapping::settings decided = mapping::resolve(given);
  if (mapping::threads_in_this_kernel()) {
    refuse(std::errc::operation_not_permitted, "map in a job", "a call in a kernel",
           "a call outside of kernels");
  }
  if (how_.reuse_workers && how != nullptr) mapping::refuse_what_a_pool_settles(*how);
  if (decided.start == start_by::fork) mapping::refuse_what_forks_have(given);
  const mapping::order settled(what, given, decided);
  if (settled.is_replayed()) {
    return mapping::finished(
        what, settled.chunks,
        mapping::replay(what, settled.chunks, settled.how.replay, settled.how.record_chunks));
  }
  if (!incomplete_.empty()) {
    refuse(std::errc::operation_not_permitted,
           "begin map " + std::to_string(maps_ + 1) + " of the job in " + folder_.name(),
           incomplete_, "that the maps before it are complete; start the program again");
  }
  job own = what;
  leg map{.what = own,
          .given = given,
          .settled = settled,
          .number = maps_ + 1,
          .states = mapping::state_layout(own.reductions),
          .of = {},
          .outputs = outputs_of(own, folder_.is_durable())};
  map.of = {0, settled.chunks.chunks(), map.states.partial_bytes,
            map.states.accumulator_bytes / sizeof(std::uint64_t)};
  settle_identity(map);
  maps_ = map.number;
  incomplete_ = "that map " + std::to_string(map.number) + " has not come to its end";
  report told;
  if (const auto done = result_of(map)) {
    open_spills(map, own, true);
    told = skip(map, *done);
  } else {
    told = run(map);
    if (how_.reports) leave_reports(map, told);
  }
  if (!told.complete()) {
    incomplete_ = "that map " + std::to_string(map.number) + " has lost indices";
    return told;
  }
  for (job_file* const one : map.outputs) one->written_by = map.number;
  told = mapping::finished(own, settled.chunks, std::move(told));
  protect(map, access::read);
  incomplete_.clear();
  return told;
}

report job_state::skip(leg& map, const record::found& done) {
  journal::merge(done.what, map.what.reductions, map.states);
  mapping::settle_reducers(map.what, true);
  folder_.flush_notes();  // whoever wrote what is complete may have died before
  // A later map may be at work on the same files.
  if (!folder_.read_text(std::to_string(map.number + 1) + ".map.json")) give_final_names(map);
  folder_.remove(map.note("live"));
  folder_.remove(map.note("log"));
  const plan::partition& chunks = map.settled.chunks;
  run_counts counts{.map = map.settled.number,
                    .chunks = chunks.chunks(),
                    .grain = chunks.grain(),
                    .carried_over = chunks.chunks()};
  return report(mapping::all_completed(chunks), {}, counts,
                mapping::clock::now() - map.settled.began);
}

// Null: processes of its own, or none.
family::warm_family* job_state::family_of(const leg& map) {
  const mapping::settings& decided = map.settled.how;
  if (decided.run_on != executor::processes) return nullptr;
  if (!how_.reuse_workers && decided.start == start_by::fork) return nullptr;
  if (family_ && (family_->has_ended() || family_->is_worn())) family_.reset();
  if (!family_) {
    auto what = mapping::family_for(map.given, decided, mapping::workers_of(decided));
    what.held = folder_.lock_descriptor();
    family_.emplace(what);
  }
  return &*family_;
}

report job_state::run(leg& map) {
  protect(map, access::write);
  std::optional<harvest> found = harvest_of(map);
  open_spills(map, map.what, found && found->achieved.count() != 0);
  take_final_names_away(map);
  family::warm_family* const family = family_of(map);
  live_area live(folder_, map.note("live"), map.of, std::move(found), map.settled.chunks,
                 family != nullptr);
  report told;
  {
    mapping::flight flight(map.what, map.given, map.settled, family, &live);
    std::optional<journal::checkpointer> checkpoints;
    if (folder_.is_durable()) {
      checkpoints.emplace(journal::checkpointer::orders{
          folder_, map.note("log"), live, map.of, synced_files(map.what),
          std::chrono::ceil<std::chrono::nanoseconds>(how_.checkpoint)});
    }
    flight.begin(false, true);
    told = flight.join();
  }
  if (family != nullptr) family->wait_for_output();
  if (!how_.reuse_workers) family_.reset();
  live.header().told.store(1);
  if (told.complete()) complete(map, live);
  return told;
}

void job_state::complete(const leg& map, const live_area& live) {
  folder_.attempt("write what is complete", [&] {
    if (folder_.is_durable() && !sync(live.header(), synced_files(map.what))) {
      refuse(std::errc::io_error, "complete map " + std::to_string(map.number),
             "that a write to its disk has failed, so that nobody knows what is on it",
             "a disk that works; start the program again");
    }
    shape both_sets = map.of;
    both_sets.state_words *= 2;
    const record all = journal::result_of(live.board(), both_sets);
    const auto bytes = all.written(0, boot_, folder_.is_durable());
    folder_.replace(map.note("done"), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  });
  give_final_names(map);
  folder_.remove(map.note("live"));
  folder_.remove(map.note("log"));
}

// ---- For people ----

void job_state::leave_reports(const leg& map, const report& of) const {
  keep_failures(map.number, of, starts_);
  folder_.write("report.json", of.json() + "\n");
  folder_.write("report.html", of.html());
  of.write_chunks(folder_.path_of("chunks.tsv"));
  of.write_trace(folder_.path_of("trace.pftrace"));
}

// One line for each: the report of the next start has none of them.
void job_state::keep_failures(std::size_t map, const report& of, std::size_t start) const {
  if (of.failures().empty()) return;
  const auto all = nlohmann::ordered_json::parse(of.json());
  std::string lines;
  for (const auto& one : all.at("failures")) {
    nlohmann::ordered_json line{{"start", start}, {"map", map}};
    line.update(one);
    lines += line.dump() + "\n";
  }
  folder_.append("failures.jsonl", lines);
}

// ---- As the header has it ----

std::shared_ptr<job_state> open_job(const std::filesystem::path& path, const job_options& how) {
  return std::make_shared<job_state>(path, how);
}
array create_in(job_state& of, const std::string& name, const element_type& type,
                std::span<const std::size_t> extents) {
  return of.create(name, type, extents);
}
report execute_in(job_state& of, const job& what, const options* how) {
  return of.carry_out(what, how);
}
const std::filesystem::path& folder_of(const job_state& of) noexcept { return of.path(); }

}  // namespace shard::detail
