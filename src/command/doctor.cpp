// shard doctor: what the machine means for a job, before the job.

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "command/values.hpp"
#include "os/affinity.hpp"
#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/cpu.hpp"
#include "os/file.hpp"
#include "os/headroom.hpp"
#include "os/huge_pages.hpp"
#include "os/machine.hpp"
#include "os/own_pid.hpp"
#include "os/topology.hpp"
#include "shard/buffer.hpp"
#include "shard/named.hpp"

namespace shard::command {
namespace {

enum class verdict { ok, note, problem };

struct finding {
  std::string subject;
  verdict judged = verdict::ok;
  std::string found;
  std::string meaning;  // for a job
};

constexpr std::size_t mebi = std::size_t{1} << 20;

const char* word(verdict judged) {
  switch (judged) {
    case verdict::ok: return "ok";
    case verdict::note: return "note";
    case verdict::problem: return "problem";
  }
  return "";
}

// ---- processes

finding check_kernel() {
  const os::kernel_version kernel = os::kernel();
  const bool recent = kernel.major > 5 || (kernel.major == 5 && kernel.minor >= 6);
  return {"kernel", recent ? verdict::ok : verdict::problem, "Linux " + kernel.release,
          recent ? "has all that shard uses" : "shard needs 5.6 or newer"};
}

finding check_watching() {
  if (!os::has_proc()) {
    return {"processes", verdict::problem, "no /proc",
            "workers can't map buffers: mount /proc in this container"};
  }
  if (!os::has_process_descriptors()) {
    return {"processes", verdict::problem, "pidfd_open is refused",
            "workers can't be watched: allow it in this sandbox (seccomp)"};
  }
  return {"processes", verdict::ok, "/proc and pidfds", "workers can be watched and replaced"};
}

finding check_memory_files() {
  if (!os::has_memory_files()) {
    return {"memory files", verdict::problem, "memfd_create is refused",
            "buffers in memory can't be made: allow it in this sandbox (seccomp)"};
  }
  return {"memory files", verdict::ok, "memfd_create works", "buffers in memory can be made"};
}

finding check_robust_mutexes() try {
  if (!os::has_robust_mutexes()) {
    return {"robust mutexes", verdict::problem, "a mutex whose owner died is not handed on",
            "bulk writes and locks wait for ever once a process has died in one"};
  }
  return {"robust mutexes", verdict::ok, "a mutex whose owner died is handed on",
          "bulk writes and locks go on when a process dies"};
} catch (const std::system_error& e) {
  return {"robust mutexes", verdict::problem, e.code().message(), "no process can be started"};
}

finding check_cpus() {
  const unsigned all = std::max(std::thread::hardware_concurrency(), 1u);
  const unsigned budget = os::cpu_budget();
  const std::string workers =
      fmt::format("a map starts {} worker{} by default", budget, budget == 1 ? "" : "s");
  return {"cpu", verdict::ok, fmt::format("{} by affinity, {} with quotas", all, budget), workers};
}

std::string counted(unsigned count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

finding check_topology() try {
  const std::optional<os::processors> own = os::own_processors();
  const os::topology* const machine = os::topology::of_this_machine();
  if (!own || machine == nullptr) {
    return {"topology", verdict::note, "not known", "workers can't be pinned (SHARD_PIN)"};
  }
  const os::topology::counts has = machine->count(*own);
  const std::string found = fmt::format(
      "{}, {}, {}, {}; processors {}", counted(has.packages, "package"), counted(has.cores, "core"),
      counted(has.processors, "processor"), counted(has.nodes, "NUMA node"), to_string(*own));
  const char* const place = os::cpu_budget() <= has.cores ? "core" : "processor";
  return {"topology", verdict::ok, found,
          fmt::format("each worker can have a {} to itself (SHARD_PIN=1)", place)};
} catch (const os::call_failed&) {
  return {"topology", verdict::note, "not that of the processors that this process may use",
          "workers can't be pinned (SHARD_PIN)"};
}

// ---- memory

finding check_memory() {
  const os::memory_status memory = os::machine_memory();
  const os::headroom room = os::memory_headroom(std::numeric_limits<std::size_t>::max());
  const std::string swap =
      memory.swap_bytes == 0
          ? "no swap"
          : fmt::format("swap {} of {}", size(memory.free_swap_bytes), size(memory.swap_bytes));
  const std::string found = fmt::format("{} of {} available, {}", size(memory.available_bytes),
                                        size(memory.total_bytes), swap);
  if (room.available_bytes == std::numeric_limits<std::size_t>::max()) {
    return {"memory", verdict::note, found, "no limit can be seen: buffers are never refused"};
  }
  const verdict judged = room.available_bytes < 64 * mebi    ? verdict::problem
                         : room.available_bytes < 512 * mebi ? verdict::note
                                                             : verdict::ok;
  return {"memory", judged, found,
          fmt::format("buffers in memory are refused beyond {} ({})", size(room.available_bytes),
                      room.limit)};
}

finding check_groups() {
  const auto memory = os::memory_limit();
  const auto processes = os::process_limit();
  if (!memory && !processes) {
    return {"control groups", verdict::ok, "no limit of memory or processes",
            "a job may use the whole machine"};
  }
  std::string found;
  std::string meaning;
  verdict judged = verdict::note;
  if (memory) {
    found = fmt::format("{} of {} used in {}", size(memory->used), size(memory->most),
                        printable(memory->group));
    meaning = "beyond its memory the kernel kills a job's processes, buffers counted";
  }
  if (processes) {
    const std::size_t left = processes->most - std::min(processes->used, processes->most);
    if (left < os::cpu_budget() + std::size_t{2}) judged = verdict::problem;
    found += fmt::format("{}{} of {} processes in {}", found.empty() ? "" : "; ", processes->used,
                         processes->most, printable(processes->group));
    meaning +=
        fmt::format("{}workers can't be started beyond {} more", meaning.empty() ? "" : "; ", left);
  }
  return {"control groups", judged, found, meaning};
}

// What is free says little: a tmpfs without a limit reports no blocks at all, and who may write
// there is another matter. So a buffer is created, written to, and removed.
std::string why_no_named_buffer() try {
  const std::size_t some_pages = std::size_t{1} << 16;
  const std::string name = fmt::format("shard-doctor-{}", os::own_pid());
  auto tried = named::create<std::uint8_t>(name, some_pages);
  tried[some_pages - 1] = 1;
  return {};
} catch (const error& e) {
  return e.what();
}

std::string room_text(const os::file_system& in) {
  if (in.size_bytes == 0) return in.kind + ", no limit of its own";
  return fmt::format("{}, {} of {} free", in.kind, size(in.free_bytes), size(in.size_bytes));
}

finding check_shared_memory() try {
  const os::file_system shm = os::file_system_of("/dev/shm");
  const std::string found = room_text(shm);
  if (const std::string why = why_no_named_buffer(); !why.empty()) {
    return {"/dev/shm", verdict::problem, found, "no named buffers: " + printable(why)};
  }
  if (shm.kind != "tmpfs" && shm.kind != "ramfs") {
    return {"/dev/shm", verdict::note, found,
            "named buffers work, and are on a disk: a tmpfs belongs there"};
  }
  const bool little = shm.size_bytes != 0 && shm.free_bytes < 128 * mebi;
  return {"/dev/shm", little ? verdict::note : verdict::ok, found,
          "room for named buffers; those without a name don't count"};
} catch (const os::call_failed& e) {
  return {"/dev/shm", verdict::problem, e.code().message(), "named buffers need it mounted"};
}

finding check_names() try {
  const std::vector<named::entry> all = named::list();
  std::size_t held = 0;
  std::size_t left = 0;
  std::size_t left_bytes = 0;
  for (const named::entry& each : all) {
    each.held ? ++held : ++left;
    if (!each.held) left_bytes += each.size_bytes;
  }
  const std::string found = fmt::format("{} in use, {} left by kills", held, left);
  if (left == 0) return {"named buffers", verdict::ok, found, "nothing to tidy up"};
  return {"named buffers", verdict::note, found,
          fmt::format("{} of memory are taken for nothing: shard gc", size(left_bytes))};
} catch (const error& e) {
  return {"named buffers", verdict::problem, "not known", printable(e.what())};
}

// Tries it: which kernels join pages, and when, no setting tells.
bool can_join_pages() try {
  const std::size_t bytes = 2 * os::huge_page_bytes();
  return buffer<char>(pages::huge, bytes).stats().huge_bytes > 0;
} catch (const error&) {
  return false;
}

finding check_huge_pages() {
  const os::memory_status memory = os::machine_memory();
  const std::string mode =
      memory.huge_shared_memory.empty() ? "unknown" : memory.huge_shared_memory;
  const bool joined = can_join_pages();
  const bool given = joined || memory.free_huge_pages > 0;
  return {"huge pages", given ? verdict::ok : verdict::note,
          fmt::format("for shared memory: {}; {} of {} reserved and free; normal pages {} joined",
                      mode, memory.free_huge_pages, size(memory.huge_page_bytes),
                      joined ? "can be" : "can't be"),
          given ? "buffers with pages::huge have them"
                : "pages::huge means normal pages: first writes to large buffers take longer"};
}

// ---- limits

std::string limit_text(std::optional<std::size_t> limit) {
  return limit ? std::to_string(*limit) : "no limit";
}

finding check_descriptors() {
  const auto limit = os::limit_of(os::resource::descriptors);
  const std::size_t needed = std::size_t{64} + 4 * os::cpu_budget();
  const std::size_t most = limit.value_or(std::numeric_limits<std::size_t>::max());
  return {"descriptors",
          most < needed       ? verdict::problem
          : most < 4 * needed ? verdict::note
                              : verdict::ok,
          limit_text(limit), "each open buffer and each worker takes some (ulimit -n)"};
}

finding check_processes() {
  const auto limit = os::limit_of(os::resource::processes);
  const std::size_t needed = os::cpu_budget() + std::size_t{2};
  const std::size_t most = limit.value_or(std::numeric_limits<std::size_t>::max());
  return {"user processes",
          most < needed       ? verdict::problem
          : most < 8 * needed ? verdict::note
                              : verdict::ok,
          limit_text(limit), "of this user in all, workers among them (ulimit -u)"};
}

finding check_address_space() {
  const auto limit = os::limit_of(os::resource::address_space);
  return {"address space", limit ? verdict::note : verdict::ok, limit ? size(*limit) : "no limit",
          limit ? "all buffers together must fit, files too (ulimit -v)"
                : "files of any size can be mapped"};
}

finding check_file_size() {
  const auto limit = os::limit_of(os::resource::file_size);
  return {"file size", limit ? verdict::note : verdict::ok, limit ? size(*limit) : "no limit",
          limit ? "larger buffers are refused, those in memory too (ulimit -f)"
                : "buffers of any size can be made"};
}

finding check_core() {
  const auto limit = os::limit_of(os::resource::core);
  const bool none = limit && *limit == 0;
  return {"core files", none ? verdict::ok : verdict::note, limit ? size(*limit) : "no limit",
          none ? "a kernel that crashes leaves none (ulimit -c)"
               : "each crash of a kernel may write one (ulimit -c)"};
}

// ---- the folder for output

// What can be done with files there, found out with one that is gone afterwards.
finding check_files(const std::string& path, const os::file_system& in) {
  const std::string subject = "files in " + path;
  const os::descriptor folder = os::open_directory(path);
  os::descriptor file = os::unnamed_file(folder);
  const bool unnamed = static_cast<bool>(file);
  if (!unnamed) {
    const std::string name = fmt::format(".shard-doctor-{}", os::own_pid());
    file = os::create_new(folder, name);
    os::unlink_at(folder, name);
  }
  const bool reserves = os::reserves(file);
  bool has_room = true;
  try {
    os::reserve(file, mebi);
  } catch (const os::call_failed&) {
    has_room = false;
  }
  bool locks = true;
  try {
    os::try_lock_byte(file, 0, os::hold::exclusive);
  } catch (const os::call_failed&) {
    locks = false;
  }
  const std::string found = fmt::format(
      "{}{}; {}, {}, {}", room_text(in), in.network ? " (network or user space)" : "",
      unnamed ? "unnamed files" : "no unnamed files",
      reserves ? "reserves blocks" : "does not reserve blocks", locks ? "locks" : "no locks");
  if (!locks) {
    return {subject, verdict::note, found,
            "outputs can be written; processes can't share a file by bulk or locks"};
  }
  if (!has_room) {
    return {subject, verdict::problem, found, "outputs are refused: there is no room for them"};
  }
  if (in.kind == "tmpfs" || in.kind == "ramfs") {
    return {subject, verdict::note, found, "outputs there take memory, and go with the machine"};
  }
  if (in.kind == "overlay") {
    return {
        subject, verdict::note, found,
        "who opened a file of the image before its first writer sees its old elements for ever"};
  }
  if (in.network) {
    return {subject, verdict::note, found,
            "processes of one machine may share a file there, those of several may not"};
  }
  if (!reserves) {
    return {subject, verdict::note, found, "creating an output writes to all of it, to reserve it"};
  }
  return {subject, verdict::ok, found,
          unnamed ? "a job that is killed leaves nothing of an unfinished output"
                  : "a job that is killed can leave a hidden temporary file"};
}

finding check_folder(const std::string& path) try {
  // Of a file that is to be replaced, the folder it is in.
  std::filesystem::path at = path;
  if (exists(at) && !is_directory(at)) at = absolute(at).parent_path();
  const std::string folder = at.string();
  const os::file_system in = os::file_system_of(folder);
  return check_files(folder, in);
} catch (const std::system_error& e) {
  return {"files in " + path, verdict::problem, e.code().message(), "no outputs can be made there"};
}

// ----

std::vector<finding> check_all(const std::string& path) {
  return {check_kernel(),         check_watching(),      check_memory_files(),
          check_robust_mutexes(), check_cpus(),          check_topology(),
          check_memory(),         check_groups(),        check_shared_memory(),
          check_names(),          check_huge_pages(),    check_descriptors(),
          check_processes(),      check_address_space(), check_file_size(),
          check_core(),           check_folder(path)};
}

void put_text(output& to, const std::vector<finding>& all) {
  std::size_t width = 0;
  for (const finding& each : all) width = std::max(width, each.subject.size());
  for (const finding& each : all) {
    to.print("{:<8} {:<{}}  {}: {}\n", word(each.judged), each.subject, width, each.found,
             each.meaning);
  }
}

void put_findings(output& to, const std::vector<finding>& all) {
  using json = nlohmann::ordered_json;
  json list = json::array();
  for (const finding& each : all) {
    list.push_back({{"subject", each.subject},
                    {"verdict", word(each.judged)},
                    {"found", each.found},
                    {"meaning", each.meaning}});
  }
  put_json(to, list);
}

}  // namespace

status doctor(const std::string& path, bool as_json) {
  const std::vector<finding> all = check_all(path);
  output to;
  as_json ? put_findings(to, all) : put_text(to, all);
  to.flush();
  const auto bad = [](const finding& each) { return each.judged == verdict::problem; };
  return std::ranges::any_of(all, bad) ? status::failed : status::ok;
}

}  // namespace shard::command
