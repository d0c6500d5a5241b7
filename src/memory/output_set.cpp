#include "memory/output_set.hpp"

#include <algorithm>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/location.hpp"
#include "memory/npy_header.hpp"
#include "memory/room.hpp"
#include "os/file.hpp"

namespace shard::memory {
namespace {

std::string sized(const std::string& what, std::size_t bytes) {
  return what + " of " + std::to_string(bytes) + " bytes";
}

constexpr const char* needs_room = "room for it on its disk";

}  // namespace

output_file& output_set::begin(const std::filesystem::path& path, std::size_t bytes) {
  const std::string what = file_location(path).name;
  require_file_size(what, {bytes - std::min(bytes, header_bytes)});
  files_.push_back({what, naming("create " + what, "a folder that can be written to",
                                 [&] { return output_file(path, taking::replaces, asked_); })});
  return files_.back().file;
}

void output_set::add(const std::filesystem::path& path, std::string_view text) {
  const output_file& output = begin(path, text.size());
  attempt("save " + sized(files_.back().name, text.size()), needs_room,
          [&] { os::write_all(output.file(), std::as_bytes(std::span(text)), 0); });
}

void output_set::add(const std::filesystem::path& path, const detail::element_type& type,
                     std::span<const std::size_t> shape, std::span<const std::byte> elements) {
  const output_file& output = begin(path, header_bytes + elements.size());
  attempt("save " + sized(files_.back().name, elements.size()), needs_room, [&] {
    os::write_all(output.file(), written(type.description, shape), 0);
    os::write_all(output.file(), elements, header_bytes);
  });
}

void output_set::finish(durability needed) {
  for (written_file& each : files_) {
    naming("save " + each.name, what_naming_needs(needed),
           [&] { each.file.finish(each.file.file(), needed); });
  }
  files_.clear();
}

}  // namespace shard::memory
