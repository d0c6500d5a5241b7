#include "outputs.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace flights {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(std::error_code why, std::string_view verb, const fs::path& object,
                         std::string_view expected) {
  throw shard::error(why, fmt::format("cannot {} {}: found '{}', expected {}", verb,
                                      object.string(), why.message(), expected));
}

// mkdtemp, so that two runs into one folder don't meet.
fs::path make_hidden_folder(const fs::path& inside) {
  std::string name = (inside / ".flights-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    refuse({errno, std::generic_category()}, "write to", inside, "a folder to make files in");
  }
  return name;
}

std::string quoted(std::string_view field) {
  if (field.find_first_of(",\"\r\n") == field.npos) return std::string(field);
  std::string result = "\"";
  for (const char c : field) result.append(c == '"' ? 2 : 1, c);
  return result += '"';
}

// The last bytes are written here, and a full disk is seen.
void finish(std::ofstream& to, const fs::path& file, std::string_view expected) {
  to.close();
  if (!to) refuse(std::make_error_code(std::errc::io_error), "write", file, expected);
}

}  // namespace

outputs::outputs(fs::path folder) : folder_(std::move(folder)) {
  std::error_code why;
  made_folder_ = fs::create_directories(folder_, why);
  if (why) refuse(why, "make", folder_, "a folder, or nothing in its place");
  for (const char* name : names) {
    if (!fs::is_directory(folder_ / name, why)) continue;
    refuse(std::make_error_code(std::errc::is_a_directory), "replace", folder_ / name,
           "a file, or nothing");
  }
  drafts_ = make_hidden_folder(folder_);
}

outputs::~outputs() {
  std::error_code ignored;  // what can't be removed stays; there is nobody to tell
  fs::remove_all(drafts_, ignored);
  if (made_folder_ && !published_) fs::remove(folder_, ignored);
}

void outputs::publish() {
  for (const char* name : names) fs::rename(draft(name), folder_ / name);
  published_ = true;
}

void write_csv(const fs::path& file, const std::vector<airport>& airports) {
  std::ofstream csv(file, std::ios::binary);
  csv << "origin,flights,mean_delay,sd_delay\n";
  for (const airport& a : airports) {
    csv << fmt::format("{},{},{},{}\n", quoted(a.origin), a.flights, a.mean_delay, a.sd_delay);
  }
  finish(csv, file, "room for all rows");
}

void write_text(const fs::path& file, const std::string& text) {
  std::ofstream to(file, std::ios::binary);
  to << text;
  finish(to, file, "room for all of it");
}

}  // namespace flights
