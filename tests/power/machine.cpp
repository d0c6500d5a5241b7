#include "power/machine.hpp"

#include <fcntl.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "power/record.hpp"

namespace shard_test::power {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t page_bytes = 4096;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// The recorder's name for a file.
std::string key_of(const fs::path& path) {
  struct statx found {};
  if (::syscall(SYS_statx, AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW,
                STATX_BASIC_STATS | STATX_BTIME, &found) != 0) {
    fail("cannot look at " + path.string());
  }
  return std::to_string(found.stx_ino) + "-" + std::to_string(found.stx_btime.tv_sec) + "-" +
         std::to_string(found.stx_btime.tv_nsec);
}

std::string text_in(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// A file's content, by its pages. One that isn't listed is zeros: files here have large holes.
struct content {
  std::uint64_t size = 0;
  std::map<std::uint64_t, std::string> pages;  // by their offsets

  std::string page(std::uint64_t at) const {
    const auto found = pages.find(at);
    return found == pages.end() ? std::string(page_bytes, '\0') : found->second;
  }
};

class open_file {
 public:
  open_file(const fs::path& path, int flags)
      : file_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (file_ < 0) fail("cannot open " + path.string());
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  ~open_file() { ::close(file_); }

  int get() const { return file_; }

 private:
  int file_;
};

content content_of(const fs::path& path) {
  const open_file file(path, O_RDONLY);
  content found;
  for (off_t at = 0; (at = ::lseek(file.get(), at, SEEK_DATA)) >= 0;) {
    at -= at % static_cast<off_t>(page_bytes);
    std::string page(page_bytes, '\0');
    if (::pread(file.get(), page.data(), page.size(), at) < 0) fail("cannot read " + path.string());
    if (page.find_first_not_of('\0') != std::string::npos) {
      found.pages.emplace(static_cast<std::uint64_t>(at), std::move(page));
    }
    at += static_cast<off_t>(page_bytes);
  }
  found.size = static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END));
  return found;
}

// In place: the file stays the same one.
void write(const fs::path& path, const content& what) {
  const open_file file(path, O_RDWR | O_CREAT);
  if (::ftruncate(file.get(), 0) != 0) fail("cannot empty " + path.string());
  for (const auto& [at, page] : what.pages) {
    if (::pwrite(file.get(), page.data(), page.size(), static_cast<off_t>(at)) < 0) {
      fail("cannot write " + path.string());
    }
  }
  if (::ftruncate(file.get(), static_cast<off_t>(what.size)) != 0) fail("cannot write");
}

class shared_state {
 public:
  explicit shared_state(const fs::path& file) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0 || ::ftruncate(descriptor, sizeof(state)) != 0) fail("cannot make a state");
    void* const memory =
        ::mmap(nullptr, sizeof(state), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ::close(descriptor);
    if (memory == MAP_FAILED) fail("cannot map a state");
    state_ = static_cast<state*>(memory);
  }
  shared_state(const shared_state&) = delete;
  shared_state& operator=(const shared_state&) = delete;
  ~shared_state() { ::munmap(state_, sizeof(state)); }

  state* operator->() const { return state_; }

 private:
  state* state_;
};

// Stops all, and then kills them: nobody sees another die.
void end_all(const family& of) {
  const auto settled = [&](const char* states) {
    for (const relative& one : of.living()) {
      if (std::strchr(states, one.state) == nullptr) return false;
    }
    return true;
  };
  const bool stopped = eventually([&] {
    for (const relative& one : of.living()) ::kill(one.pid, SIGSTOP);
    return settled("Tt");
  });
  const bool ended = eventually([&] {
    for (const relative& one : of.living()) ::kill(one.pid, SIGKILL);
    return of.living().empty();
  });
  if (!stopped || !ended) throw std::runtime_error("cannot end all processes");
}

// ---- what the disk has
// ------------------------------------------------------------------------------

// One change of a folder: in these folders, these names then stand for these files ("": none).
struct change {
  struct place {
    std::string folder, name, before, after;
  };
  std::vector<place> places;
  bool durable = false;
};

struct history {
  std::vector<change> changes;
  std::map<std::string, bool> is_folder;
  std::map<std::string, std::string> synced;  // the last copy of each file
};

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream rest(line);
  for (std::string field; std::getline(rest, field, '\t');) fields.push_back(field);
  return fields;
}

history read_log(const fs::path& log) {
  history found;
  std::ifstream file(log);
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> word = fields_of(line);
    const char what = word.at(0).at(0);
    switch (what) {
      case 'D':
      case 'C':
        found.changes.push_back({{{word.at(1), word.at(2), "", word.at(3)}}, what == 'D'});
        found.is_folder[word.at(3)] = word.at(4) == "d";
        break;
      case 'R':
        found.changes.push_back(
            {{{word.at(1), word.at(2), word.at(5), ""}, {word.at(3), word.at(4), "", word.at(5)}}});
        break;
      case 'X':
        found.changes.push_back(
            {{{word.at(1), word.at(2), "", word.at(3)}, {word.at(4), word.at(5), "", word.at(6)}}});
        break;
      case 'U': found.changes.push_back({{{word.at(1), word.at(2), word.at(3), ""}}}); break;
      case 'S':
        for (change& one : found.changes) {
          // Of a rename from one folder to another, the one with the new name decides.
          if (one.places.back().folder == word.at(1)) one.durable = true;
        }
        break;
      case 'F': found.synced[word.at(1)] = word.at(1) + "." + word.at(2); break;
      default: break;
    }
  }
  return found;
}

class chance {
 public:
  chance(luck::of kind, std::uint32_t seed) : kind_(kind), random_(seed) {
    // Some runs lose little, others nearly all.
    const std::array<double, 3> kept{0.5, 0.15, 0.85};
    share_ = kept[seed % kept.size()];
  }
  bool good() {
    if (kind_ != luck::of::some) return kind_ == luck::of::all;
    return std::bernoulli_distribution(share_)(random_);
  }

 private:
  luck::of kind_;
  std::mt19937 random_;
  double share_ = 0.5;
};

// Of each page that has changed since the sync, what was then or what is now.
content mixed(const content& synced, const content& now, chance& pages) {
  content result;
  result.size = synced.size == now.size || pages.good() ? now.size : synced.size;
  std::set<std::uint64_t> all;
  for (const auto& [at, page] : synced.pages) all.insert(at);
  for (const auto& [at, page] : now.pages) all.insert(at);
  for (const std::uint64_t at : all) {
    const std::string then = synced.page(at);
    const std::string later = now.page(at);
    if (at < result.size) result.pages[at] = then == later || pages.good() ? later : then;
  }
  return result;
}

using entries = std::map<std::string, std::map<std::string, std::string>>;

entries entries_after(const std::vector<change>& changes, chance& luck) {
  entries found;
  for (const change& one : changes) {
    if (!one.durable && !luck.good()) continue;
    for (const change::place& at : one.places) {
      auto& folder = found[at.folder];
      if (!at.after.empty()) {
        folder[at.name] = at.after;
      } else if (const auto old = folder.find(at.name);
                 old != folder.end() && old->second == at.before) {
        folder.erase(old);
      }
    }
  }
  return found;
}

}  // namespace

std::vector<luck> every_luck(std::uint32_t mixtures, std::uint32_t seed) {
  constexpr auto all = luck::of::all;
  constexpr auto none = luck::of::none;
  constexpr auto some = luck::of::some;
  std::vector<luck> kinds{
      {all, all, 0, {}}, {none, none, 0, {}}, {none, all, 0, {}}, {all, none, 0, {}}};
  for (std::uint32_t k = 0; k < mixtures; ++k) kinds.push_back({some, some, seed + k, {}});
  return kinds;
}

std::string text_of(const luck& luck) {
  const auto text = [](luck::of of) {
    return of == luck::of::all ? "all" : of == luck::of::none ? "no" : "some";
  };
  return std::string(text(luck.pages)) + " pages and " + text(luck.entries) +
         " entries reach the disk, seed " + std::to_string(luck.seed) +
         (luck.whole.empty() ? "" : ", and all of " + luck.whole);
}

machine::machine(fs::path home)
    : disk_(fs::canonical(home) / "disk"),
      record_(fs::canonical(home) / "record"),
      boot_id_(fs::canonical(home) / "boot_id") {
  reset();
}

void machine::reset() {
  fs::remove_all(disk_);
  fs::create_directories(disk_);
  boots_ = 0;
  reboot();
}

void machine::reboot() {
  ++boots_;
  is_fresh_ = true;
  std::array<char, 48> id{};
  std::snprintf(id.data(), id.size(), "%08llx-0000-4000-8000-000000000000\n",
                static_cast<unsigned long long>(boots_));
  write_text(boot_id_, id.data());
}

void machine::begin_record() {
  fs::remove_all(record_);
  syncs_ = 0;
  for (const char* folder : {"synced", "kept"}) fs::create_directories(record_ / folder);
  write_text(record_ / "lock", "");
  std::ofstream log(record_ / "log");
  // What was there before is on the disk.
  for (const auto& one : fs::recursive_directory_iterator(disk_)) {
    const std::string key = key_of(one.path());
    log << "D\t" << key_of(one.path().parent_path()) << '\t' << one.path().filename().string()
        << '\t' << key << '\t' << (one.is_directory() ? 'd' : 'f') << '\n';
    if (!one.is_regular_file()) continue;
    write(record_ / "synced" / (key + ".0"), content_of(one.path()));
    log << "F\t" << key << "\t0\n";
  }
}

machine::outcome machine::run(const std::vector<std::string>& program, const point& cut) {
  // In the same boot, what was not synced is still not on the disk.
  if (is_fresh_) begin_record();
  is_fresh_ = false;
  const shared_state shared(record_ / "state");
  shared->cut_at = cut.at;
  if (!cut.call.empty()) {
    cut.call.copy(shared->call.data(), shared->call.size() - 1);
    cut.path.copy(shared->object.data(), shared->object.size() - 1);
    shared->matches_left = cut.number;
    shared->later = cut.later;
  }
  shared->syncs = syncs_;
  if (failing_sync_ != 0) shared->failing_sync = syncs_ + std::exchange(failing_sync_, 0);
  const fs::path output = record_ / "output";

  std::vector<std::string> words = program;
  for (std::string& word : words) {
    if (word.starts_with("{}")) word.replace(0, 2, disk_.string());
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::vector<std::pair<const char*, std::string>> variables{
      {"LD_PRELOAD", POWER_RECORDER},
      {folder_variable, disk_.string()},
      {record_variable, record_.string()},
      {boot_variable, boot_id_.string()}};

  const pid_t child = ::fork();
  if (child < 0) fail("cannot fork");
  if (child == 0) {
    const int streams = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    ::dup2(streams, STDOUT_FILENO);
    ::dup2(streams, STDERR_FILENO);
    for (const auto& [name, value] : variables) ::setenv(name, value.c_str(), 1);
    ::execv(arguments[0], arguments.data());
    ::_exit(98);
  }
  outcome result;
  bool over = false;
  int status = 0;
  const bool went_on = eventually([&] {
    over = ::waitpid(child, &status, WNOHANG) == child;
    return over || shared->cut != 0;
  });
  if (shared->cut != 0 || !went_on) {
    end_all(family_);
    if (!over) ::waitpid(child, &status, 0);
    result.cut = shared->cut != 0;
  }
  const bool alone = eventually([&] { return family_.living().empty(); });
  if (!alone) end_all(family_);
  result.points = shared->points;
  syncs_ = shared->syncs;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.output = text_in(output);
  if (!went_on) result.output += "\n(it did not end)";
  if (!alone) result.output += "\n(some of its processes did not end)";
  std::ifstream log(record_ / "log");
  for (std::string line; std::getline(log, line);) {
    if (line.starts_with("P\t")) result.last_point = line.substr(2);
  }
  return result;
}

void machine::lose_power(const luck& luck) {
  const history past = read_log(record_ / "log");
  chance pages(luck.pages, luck.seed);
  chance names(luck.entries, luck.seed + 1);
  const std::string root = key_of(disk_);

  // All that has a name now goes aside, so that it stays what it is: programs know files by their
  // inodes.
  const fs::path aside = record_ / "aside";
  fs::create_directories(aside);
  std::vector<fs::path> found;
  for (const auto& one : fs::recursive_directory_iterator(disk_)) found.push_back(one.path());
  std::reverse(found.begin(), found.end());  // what is in a folder before the folder
  for (const fs::path& one : found) {
    const fs::path to = aside / key_of(one);
    if (fs::exists(to)) {
      fs::remove(one);  // has two names
    } else {
      fs::rename(one, to);
    }
  }

  const auto left_of = [&](const std::string& key, const std::string& name) {
    const auto copy = past.synced.find(key);
    const content synced =
        copy == past.synced.end() ? content() : content_of(record_ / "synced" / copy->second);
    const fs::path now = aside / key;
    content written = content_of(fs::exists(now) ? now : record_ / "kept" / key);
    if (!luck.whole.empty() && name.ends_with(luck.whole)) return written;
    return mixed(synced, written, pages);
  };
  const entries left = entries_after(past.changes, names);
  std::map<std::string, fs::path> placed;
  const auto place = [&](const auto& self, const std::string& folder,
                         const fs::path& where) -> void {
    const auto those = left.find(folder);
    if (those == left.end()) return;
    for (const auto& [name, key] : those->second) {
      const fs::path to = where / name;
      if (const auto other = placed.find(key); other != placed.end()) {
        if (!past.is_folder.at(key)) fs::create_hard_link(other->second, to);
        continue;
      }
      placed.emplace(key, to);
      if (past.is_folder.at(key)) {
        if (fs::exists(aside / key)) {
          fs::rename(aside / key, to);
        } else {
          fs::create_directory(to);
        }
        self(self, key, to);
        continue;
      }
      const content bytes = left_of(key, name);
      if (fs::exists(aside / key)) fs::rename(aside / key, to);
      write(to, bytes);
    }
  };
  place(place, root, disk_);
  fs::remove_all(aside);
  reboot();
}

}  // namespace shard_test::power
