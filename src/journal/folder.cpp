#include "journal/folder.hpp"

#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <sstream>
#include <thread>

#include "journal/refusal.hpp"
#include "memory/output_file.hpp"
#include "os/boot.hpp"
#include "os/byte_lock.hpp"
#include "os/calls.hpp"
#include "os/headroom.hpp"
#include "os/own_pid.hpp"
#include "shard/error.hpp"

namespace shard::journal {
namespace {

using namespace std::chrono_literals;

// How long a family takes to end once its caller has died, at most; and a process that was killed.
constexpr auto patience = 10s;
constexpr auto patience_with_the_living = 300ms;

std::string now_in_words() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 64> text{};
  const std::size_t bytes = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return {text.data(), bytes};
}

std::string content_of(const os::descriptor& file) {
  std::string text(os::status(file.get()).size_bytes, '\0');
  text.resize(os::read_some(file, std::as_writable_bytes(std::span(text)), 0));
  return text;
}

// It may be there already, and then its parent need not be writable.
void make_folder(const std::filesystem::path& path, survives what) {
  std::error_code why;
  if (std::filesystem::is_directory(path, why)) return;
  const std::filesystem::path parent = path.parent_path();
  if (parent != path) make_folder(parent, what);
  std::filesystem::create_directory(path, why);
  std::error_code ignored;
  if (why && !std::filesystem::is_directory(path, ignored)) {
    throw os::call_failed(why.value(), "mkdir");
  }
  if (what == survives::power_cuts) {
    os::flush(os::open_to_flush(os::open_directory(parent.string())));
  }
}

constexpr const char* end_begins = "\n#xxh3 ";

std::string end_of(const std::string& text) {
  std::array<char, 32> line{};
  std::snprintf(line.data(), line.size(), "%s%016llx\n", end_begins,
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  return line.data();
}

void take_lock(const std::string& folder, const os::descriptor& lock) {
  const auto begin = std::chrono::steady_clock::now();
  while (!os::try_lock_byte(lock, 0, os::hold::exclusive)) {
    const holder who = holder_in(lock);
    const bool dying = who.pid != 0 && who.host == os::host_name() && who.boot == os::boot_id() &&
                       !os::is_alive(who.pid);
    const auto waited = std::chrono::steady_clock::now() - begin;
    if (waited < (dying ? patience : patience_with_the_living)) {
      std::this_thread::sleep_for(5ms);
      continue;
    }
    throw error(std::errc::device_or_resource_busy,
                "cannot work on the job in " + folder + ": found it in use by " +
                    (who.pid == 0 ? "a process that has just opened it"
                                  : "process " + std::to_string(who.pid) + " on " + who.host +
                                        " since " + who.since) +
                    (dying ? ", which has died, and whose workers have not" : "") +
                    ", expected nobody");
  }
}

}  // namespace

holder holder_in(const os::descriptor& lock) {
  std::istringstream text(content_of(lock));
  holder who;
  std::string pid;
  std::getline(text, who.host);
  std::getline(text, who.boot);
  std::getline(text, pid);
  std::getline(text, who.since);
  who.pid = std::atoi(pid.c_str());
  return who;
}

notes::notes(not_opened, const std::filesystem::path& folder)
    : name_(folder.empty() ? "" : std::filesystem::absolute(folder).string()) {
  while (name_.size() > 1 && name_.back() == '/') name_.pop_back();
}

notes::notes(const std::filesystem::path& folder) : notes(not_opened{}, folder) {
  memory::attempt("look at the job in " + name_, "the folder of a job, and the right to read it",
                  [&] { open_notes(); });
}

void notes::open_notes() { notes_ = os::open_directory(name_ + "/" + notes_folder); }

folder::folder(const std::filesystem::path& path, survives what, bool on_network_too)
    : notes(not_opened{}, path), what_(what) {
  if (path.empty()) {
    refuse(std::errc::invalid_argument, "open a job", "an empty path", "that of a folder");
  }
  memory::attempt("work on the job in " + name(), "a folder that can be written to", [&] {
    make_folder(name() + "/" + notes_folder, what_);
    files_ = os::open_directory(name());
    open_notes();
    if (!on_network_too && os::is_on_network(os::open_to_flush(directory()))) {
      throw error(std::errc::not_supported,
                  "cannot keep a job in " + name() +
                      ": found a file system on the network, expected a local one, where a lock "
                      "keeps others out, and what is written is seen by all; or job_options with "
                      "allow_network, and nobody on another host");
    }
    try {
      lock_ = os::create_new(directory(), "lock");
    } catch (const os::call_failed& e) {
      if (e.code() != std::errc::file_exists) throw;
      lock_ = os::open_at(directory(), "lock", os::protection::write);
    }
    take_lock(name(), lock_);
    const std::string who = os::host_name() + "\n" + os::boot_id() + "\n" +
                            std::to_string(os::own_pid()) + "\n" + now_in_words() + "\n";
    require_size("lock", who.size());
    os::cut(lock_, 0);
    os::write_all(lock_, std::as_bytes(std::span(who)), 0);
  });
  flush_files();
}

std::optional<std::string> notes::read(const std::string& note) const {
  return attempt("read " + note, [&]() -> std::optional<std::string> {
    try {
      return content_of(os::open_at(notes_, note, os::protection::read));
    } catch (const os::call_failed& e) {
      if (e.code() == std::errc::no_such_file_or_directory) return std::nullopt;
      throw;
    }
  });
}

void folder::require_size(const std::string& file, std::size_t bytes) const {
  const os::headroom room = os::file_size_headroom();
  if (bytes <= room.available_bytes) return;
  refuse(std::errc::file_too_large,
         "write " + std::to_string(bytes) + " bytes to " + file + " in " + name(),
         room.limit + " with " + std::to_string(room.available_bytes) + " bytes",
         "more; raise the limit (ulimit -f)");
}

void folder::replace(const std::string& note, std::string_view content, bool always) const {
  require_size(note, content.size());
  attempt("write " + note, [&] {
    const std::string fresh = note + ".new";
    remove(fresh);
    const os::descriptor file = os::create_new(directory(), fresh);
    os::write_all(file, std::as_bytes(std::span(content)), 0);
    if (is_durable() || always) os::flush(file);
    os::rename_at(directory(), fresh, note);
    if (is_durable() || always) os::flush(os::open_to_flush(directory()));
  });
}

void folder::replace_text(const std::string& note, const std::string& text, bool always) const {
  replace(note, text + end_of(text), always);
}

// After a power cut a file may be empty, cut, or have zeros in it. Anything else that isn't as it
// was written, somebody has changed.
std::optional<std::string> notes::read_text(const std::string& note) const {
  std::optional<std::string> text = read(note);
  if (!text) return std::nullopt;
  const std::size_t last = text->rfind(end_begins);
  if (last == std::string::npos || text->find('\0') != std::string::npos) return std::nullopt;
  const std::string end = text->substr(last);
  text->resize(last);
  if (end == end_of(*text)) return text;
  if (end.size() != end_of(*text).size()) return std::nullopt;
  throw error(std::errc::bad_message, "cannot read " + note + " in " + name_ +
                                          ": found that somebody has changed it, expected it as "
                                          "the job has written it");
}

void folder::remove(const std::string& note) const {
  attempt("remove " + note, [&] {
    try {
      os::unlink_at(directory(), note);
    } catch (const os::call_failed& e) {
      if (e.code() != std::errc::no_such_file_or_directory) throw;
    }
  });
}

std::vector<std::string> notes::all_notes() const {
  return attempt("look", [&] { return os::names_in(name_ + "/" + notes_folder); });
}

void folder::write(const std::string& file, std::string_view content) const {
  require_size(file, content.size());
  attempt("write " + file, [&] {
    memory::output_file made(path_of(file));
    os::write_all(made.file(), std::as_bytes(std::span(content)), 0);
    made.finish(made.file(), durability::memory);
  });
}

void folder::append(const std::string& file, std::string_view content) const {
  attempt("write " + file, [&] {
    const bool is_there = os::status_at(files_, file).has_value();
    const os::descriptor to =
        is_there ? os::open_at(files_, file, os::protection::write) : os::create_new(files_, file);
    const std::size_t end = os::status(to.get()).size_bytes;
    require_size(file, end + content.size());
    os::write_all(to, std::as_bytes(std::span(content)), end);
  });
}

void folder::rename(const std::string& from, const std::string& to) const {
  attempt("rename " + from + " to " + to, [&] { os::rename_at(files_, from, to); });
}

void folder::flush_files() const {
  if (!is_durable()) return;
  attempt("flush names", [&] { os::flush(os::open_to_flush(files_)); });
}

void folder::flush_notes() const {
  if (!is_durable()) return;
  attempt("flush names", [&] { os::flush(os::open_to_flush(directory())); });
}

}  // namespace shard::journal
