// A job: its maps one by one, each of which is skipped, gone on with, or begun.
#include "shard/job.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "board/run_memory.hpp"
#include "journal/checkpointer.hpp"
#include "journal/folder.hpp"
#include "journal/history.hpp"
#include "journal/identity.hpp"
#include "journal/job_files.hpp"
#include "journal/left_reports.hpp"
#include "journal/live_area.hpp"
#include "journal/map_note.hpp"
#include "journal/record.hpp"
#include "journal/refusal.hpp"
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
#include "os/output.hpp"
#include "os/own_pid.hpp"

namespace shard::journal {
namespace {

constexpr seconds longest_pause{1e8};

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
using journal::job_files;
using journal::live_area;
using journal::live_view;
using journal::map_note;
using journal::record;
using journal::refuse;
using journal::shape;
using journal::trait;

class job_state {
 public:
  job_state(const std::filesystem::path& path, const job_options& how);

  array create(const std::string& name, const element_type& type,
               std::span<const std::size_t> extents);
  report carry_out(const job& what, const options* how);
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  // One call after the other. Throws shard::error where that can't be.
  class turn {
   public:
    turn(job_state& of, const std::string& what);
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn();

   private:
    job_state& of_;
  };
  // One map under way.
  struct leg {
    job& what;
    const options& given;
    const mapping::order& settled;
    std::size_t number;
    mapping::state_layout states;
    shape of;
    std::vector<job_file*> outputs;
    map_note now{};
    std::string noted{};                    // what an earlier start has noted
    std::optional<std::string> began_in{};  // the boot in which it was begun, or gone on with
    bool is_changed = false;                // and it is kept all the same

    // Of a complete map, what chunks in quarantine have added counts, too.
    shape with_aside() const {
      shape both = of;
      both.state_words *= 2;
      return both;
    }
    std::string note(const char* kind) const { return std::to_string(number) + "." + kind; }
  };

  void settle_identity(leg& map);
  void note_down(const leg& map);
  std::vector<job_file*> outputs_of(const job& what) const;
  void take_final_names_away(const leg& map) const;
  void give_final_names(const leg& map) const;
  static void protect(const leg& map, access rights);
  std::optional<record::found> result_of(const leg& map);
  std::optional<live_view> live_of(const leg& map);
  std::optional<harvest> harvest_of(const leg& map, const std::optional<live_view>& live);
  report skip(leg& map, const record::found& done);
  report run(leg& map);
  family::warm_family* family_of(const leg& map);
  void complete(const leg& map, const live_area& live, std::span<const os::descriptor> outputs);
  void open_spills(leg& map, job& own, bool go_on);
  std::vector<os::descriptor> outputs_once_more(const job& what) const;

  std::filesystem::path path_;
  job_options how_;
  folder folder_;
  pid_t owner_ = os::own_pid();
  std::mutex busy_;
  std::atomic<std::thread::id> whose_turn_{};
  job_files files_;
  journal::history history_;
  std::vector<trait> code_;  // as it was when the job was opened
  std::string boot_ = os::boot_id();
  std::size_t maps_ = 0;
  std::optional<family::warm_family> family_;  // for all maps, if it is to be
  std::string incomplete_;                     // why no further map is begun in this start
};

// ---- The folder ----

job_state::job_state(const std::filesystem::path& path, const job_options& how)
    : path_(path),
      how_(how),
      folder_(
          path_,
          how.checkpoint > seconds{} ? journal::survives::power_cuts : journal::survives::processes,
          how.allow_network),
      files_(folder_, how.changed == on_change::start_over),
      history_(folder_, files_) {
  path_ = folder_.name();
  mapping::tell_unknown_variables();
  code_ = journal::traits_of_code();
  if (files_.are_copies()) history_.forget_from(1);
  files_.note_start();
}

// Who would wait for itself, or for a thread that a fork has left behind, is refused.
job_state::turn::turn(job_state& of, const std::string& what) : of_(of) {
  if (of.owner_ != os::own_pid()) {
    refuse(std::errc::operation_not_permitted, what,
           "process " + std::to_string(os::own_pid()) + ", forked by process " +
               std::to_string(of.owner_) + ", which has opened the job",
           "the process that has opened it");
  }
  if (mapping::threads_in_this_kernel()) {
    refuse(std::errc::operation_not_permitted, what, "a call in a kernel",
           "a call outside of kernels");
  }
  if (of.whose_turn_.load() == std::this_thread::get_id()) {
    refuse(std::errc::operation_not_permitted, what,
           "a call from on_progress or on_failure of one of the job's maps",
           "a call outside of its maps");
  }
  of.busy_.lock();
  of.whose_turn_.store(std::this_thread::get_id());
}

job_state::turn::~turn() {
  of_.whose_turn_.store({});
  of_.busy_.unlock();
}

// ---- Files ----

array job_state::create(const std::string& name, const element_type& type,
                        std::span<const std::size_t> extents) {
  const turn mine(*this, "create " + folder_.path_of(name));
  array made = files_.create(name, type, extents);
  const job_file& file = *files_.called(name);
  if (history_.is_written_from(file, 1)) made.owner->allow(access::read);
  return made;
}

std::vector<job_file*> job_state::outputs_of(const job& what) const {
  std::vector<job_file*> all;
  for (const grant& one : what.grants) {
    if (one.rights == access::read || one.is_spill) continue;
    job_file* const file = files_.of(*one.owner);
    if (file == nullptr) {
      refuse(std::errc::invalid_argument, "map in a job", "the output " + one.owner->name(),
             "one that the job has created, or the next start would find nothing in it");
    }
    if (one.keeps && folder_.is_durable()) {
      refuse(std::errc::invalid_argument, "map in a job with checkpoints",
             one.owner->name() + " in inout()",
             "in() and out(): what is changed in place can't be put right after a power cut; or "
             "job_options with checkpoint = 0");
    }
    all.push_back(file);
  }
  return all;
}

void job_state::take_final_names_away(const leg& map) const {
  for (const job_file* const one : map.outputs) files_.take_final_name_away(*one);
  folder_.flush_files();
}

void job_state::give_final_names(const leg& map) const {
  for (const job_file* const one : map.outputs) files_.give_final_name(*one);
  folder_.flush_files();
}

// What the program itself writes to what a map has written would not be there in another start.
void job_state::protect(const leg& map, access rights) {
  for (const job_file* const one : map.outputs) {
    if (const std::shared_ptr<segment> owner = one->owner.lock()) owner->allow(rights);
  }
}

// What a checkpoint says is on the disk.
std::vector<os::descriptor> job_state::outputs_once_more(const job& what) const {
  std::vector<os::descriptor> all;
  if (!folder_.is_durable()) return all;
  folder_.attempt("open the outputs once more", [&] {
    for (const grant& one : what.grants) {
      if (one.rights != access::write) continue;
      all.push_back(os::open_again(one.owner->descriptor(), os::protection::read));
    }
  });
  return all;
}

// ---- What a map is ----

void job_state::settle_identity(leg& map) {
  const auto origin = [&](const segment& of) -> journal::origin {
    const job_file* const file = files_.of(of);
    if (file == nullptr) return {of.name(), {}, false};
    return {file->name,
            file->written_by == 0 ? std::string()
                                  : "written by map " + std::to_string(file->written_by),
            history_.is_written_from(*file, map.number)};
  };
  const std::string name = journal::name_of_note(map.number);
  std::optional<map_note> then;
  if (const auto text = folder_.read_text(name)) {
    then = map_note::from(*text, name);
    map.noted = *text;
    map.began_in = then->boot;
  } else {
    // Whatever there is belongs to nothing that is known.
    history_.forget_from(map.number);
  }
  map_note& now = map.now;
  now.what = journal::identity_of(map.what, map.settled.chunks, origin, code_, map.of,
                                  then ? &then->what : nullptr);
  now.boot = boot_;
  now.in_place = std::ranges::any_of(map.what.grants, &grant::keeps);
  for (const job_file* const one : map.outputs) now.outputs.emplace_back(one->name, one->number);
  if (then) {
    std::vector<std::string> differs = now.what.differences_from(then->what);
    const bool others = now.outputs != then->outputs;
    if (others) differs.push_back("its outputs are other files");
    const bool unusable = others || now.what.is_other_shape_than(then->what);
    if (differs.empty()) {
      now.number = then->number;
    } else if (how_.changed == on_change::start_over) {
      history_.require_that_it_can_start_over(map.number);
      history_.forget_from(map.number);
      map.began_in.reset();
      map.noted.clear();
    } else if (how_.changed == on_change::keep && !unusable) {
      now.number = then->number;
      map.is_changed = true;
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
  map.of.map = now.number;
}

// Before the first row is changed. After a power cut it must be known if rows may be changed in
// place.
void job_state::note_down(const leg& map) {
  const std::string text = map.now.json();
  history_.note(map.number, map.now);
  if (text == map.noted) return;
  folder_.replace_text(journal::name_of_note(map.number), text, map.now.in_place);
}

// ---- What an earlier start has achieved ----

std::optional<record::found> job_state::result_of(const leg& map) {
  const std::string name = map.note("done");
  const std::optional<std::string> text = folder_.read(name);
  if (!text) return std::nullopt;
  const shape both = map.with_aside();
  auto found = record::read(std::as_bytes(std::span(*text)), &both);
  if (found && (found->synced || (!boot_.empty() && found->boot == boot_))) return found;
  folder_.remove(name);
  return std::nullopt;
}

// Nothing: there is none, or it isn't believed.
std::optional<live_view> job_state::live_of(const leg& map) {
  auto live = live_view::open(folder_, map.note("live"), os::protection::write);
  if (!live || !is_of_boot(live->header(), boot_) || live->header().map != map.of.map ||
      live->header().syncing.load() != 0) {
    return std::nullopt;
  }
  const board::dimensions& size = live->board().size();
  const shape found{map.of.map, size.chunks, size.partial_bytes, live->header().state_words};
  if (found != map.of) {
    refuse(std::errc::bad_message, "go on with map " + std::to_string(map.number),
           "notes of another map in " + map.note("live"), "those of this map");
  }
  return live;
}

std::optional<harvest> job_state::harvest_of(const leg& map, const std::optional<live_view>& live) {
  if (live) {
    // Of a start that has come to the map's end, they are told already.
    if (how_.reports && live->header().told.load() == 0) {
      // Addresses of an image that is gone.
      for (board::failure_record& each : live->board().failures()) {
        if (each.named.load() == 0) each.frames = 0;
      }
      const report of_then({}, mapping::all_failures(live->board(), map.settled.chunks), {}, {});
      journal::leave_failures(folder_, of_then, map.number, live->header().start);
      live->header().told.store(1);
    }
    const mapping::old_values old(map.what, map.settled.chunks, memory::data_here(map.what.grants));
    return journal::harvest_of(*live, map.of, old.undo());
  }
  if (map.now.in_place && map.began_in) {
    const bool went_down = boot_.empty() || *map.began_in != boot_;
    refuse(std::errc::operation_not_permitted,
           "go on with map " + std::to_string(map.number) + " of the job in " + folder_.name(),
           "that it changes a buffer in place, and that " +
               (went_down ? std::string("its machine has gone down meanwhile")
                          : map.note("live") + " is gone, or of another version of shard") +
               ", so that nobody knows which rows are changed",
           "a map from in() to out(); or start over, in another folder");
  }
  if (auto found = journal::last_record(folder_, map.note("log"), &map.of)) {
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
      if (go_on && !is_there) {
        refuse(std::errc::no_such_file_or_directory, "go on with map " + std::to_string(map.number),
               "no " + name, "what an earlier start has collected there");
      }
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
  const turn mine(*this, "map in the job in " + folder_.name());
  options given = how == nullptr ? how_.maps : mapping::merged(how_.maps, *how);
  if (!given.record_chunks && how_.reports) given.record_chunks = true;
  const mapping::settings decided = mapping::resolve(given);
  if (how_.reuse_workers && how != nullptr) mapping::refuse_what_a_pool_settles(*how);
  if (decided.start == start_by::fork) mapping::refuse_what_forks_have(given);
  const mapping::order settled(what, given, decided);
  if (!incomplete_.empty()) {
    refuse(std::errc::operation_not_permitted,
           "begin map " + std::to_string(maps_ + 1) + " of the job in " + folder_.name(),
           incomplete_, "that the maps before it are complete; start the program again");
  }
  if (settled.is_replayed()) {
    if (std::ranges::any_of(what.grants, &grant::keeps)) {
      refuse(std::errc::operation_not_permitted, "replay a map of a job",
             "that it changes a buffer in place", "a map from in() to out()");
    }
    incomplete_ = "that map " + std::to_string(++maps_) + " was replayed";
    for (const job_file* const one : outputs_of(what)) one->owner.lock()->keep_to_itself();
    return mapping::finished(
        what, settled.chunks,
        mapping::replay(what, settled.chunks, settled.how.replay, settled.how.record_chunks));
  }
  job own = what;
  leg map{.what = own,
          .given = given,
          .settled = settled,
          .number = maps_ + 1,
          .states = mapping::state_layout(own.reductions),
          .of = {},
          .outputs = outputs_of(own)};
  map.of = {0, settled.chunks.chunks(), map.states.partial_bytes,
            map.states.accumulator_bytes / sizeof(std::uint64_t)};
  maps_ = map.number;
  incomplete_ = "that map " + std::to_string(map.number) + " has not come to its end";
  settle_identity(map);
  report told;
  if (const auto done = result_of(map)) {
    open_spills(map, own, true);
    note_down(map);
    told = skip(map, *done);
  } else {
    try {
      told = run(map);
    } catch (...) {
      protect(map, access::read);
      throw;
    }
    protect(map, access::read);
    if (how_.reports) journal::leave_reports(folder_, told, map.number, files_.starts());
  }
  if (!told.complete()) {
    incomplete_ = "that map " + std::to_string(map.number) + " is not complete";
    return told;
  }
  for (job_file* const one : map.outputs) one->written_by = map.number;
  told = mapping::finished(own, settled.chunks, std::move(told));
  incomplete_.clear();
  return told;
}

report job_state::skip(leg& map, const record::found& done) {
  journal::merge(done.what, map.what.reductions, map.states);
  mapping::settle_reducers(map.what, true);
  folder_.flush_notes();  // whoever wrote what is complete may have died before
  // A later map may be at work on the same files.
  if (!history_.has(map.number + 1)) give_final_names(map);
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
  std::optional<live_view> before = live_of(map);
  std::optional<harvest> found = harvest_of(map, before);
  if (found && map.is_changed) found->suspects.clear();  // it may have been mended
  open_spills(map, map.what, found && found->achieved.count() != 0);
  take_final_names_away(map);
  family::warm_family* const family = family_of(map);
  live_area live(folder_, map.note("live"), map.of, std::move(found), map.settled.chunks,
                 files_.starts(), family != nullptr);
  const std::vector<os::descriptor> outputs = outputs_once_more(map.what);
  report told;
  try {
    mapping::flight flight(map.what, map.given, map.settled, family, &live);
    note_down(map);
    std::optional<journal::checkpointer> checkpoints;
    if (folder_.is_durable()) {
      checkpoints.emplace(journal::checkpointer::orders{
          folder_, map.note("log"), live, map.of, outputs_once_more(map.what),
          std::chrono::ceil<std::chrono::nanoseconds>(
              std::min(how_.checkpoint, journal::longest_pause))});
    }
    flight.begin(false, true);
    before.reset();  // not before: to give its pages back takes longer than to begin
    told = flight.join();
    if (checkpoints && !checkpoints->end()) {
      os::print_error("shard: the process that made checkpoints of map " +
                      std::to_string(map.number) + " was killed; from then on there were none\n");
      // Whatever it was told of a sync, our own descriptions are going to be told, too.
      live.header().syncing.store(0);
    }
  } catch (...) {
    // No chunk is to blame for what the program itself has ended.
    live.blame_none();
    throw;
  }
  if (family != nullptr) family->wait_for_output();
  if (!how_.reuse_workers) family_.reset();
  live.header().told.store(1);
  if (told.complete()) complete(map, live, outputs);
  return told;
}

void job_state::complete(const leg& map, const live_area& live,
                         std::span<const os::descriptor> outputs) {
  folder_.attempt("write what is complete", [&] {
    for (const grant& one : map.what.grants) {
      if (one.is_spill) trim_spill(*one.owner);
    }
    if (folder_.is_durable() && !sync(live.header(), outputs)) {
      refuse(std::errc::io_error, "complete map " + std::to_string(map.number),
             "that a write to its disk has failed, so that nobody knows what is on it",
             "a disk that works; start the program again");
    }
    const record all = journal::result_of(live.board(), map.with_aside());
    const auto bytes = all.written(0, boot_, folder_.is_durable());
    folder_.replace(map.note("done"), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  });
  give_final_names(map);
  folder_.remove(map.note("live"));
  folder_.remove(map.note("log"));
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
