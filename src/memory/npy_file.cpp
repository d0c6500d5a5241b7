#include "memory/npy_file.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "memory/malformed.hpp"
#include "os/file.hpp"

namespace shard::memory {
namespace {

prologue prologue_of(const os::descriptor& file, std::size_t file_bytes) {
  std::array<std::byte, longest_prologue_bytes> first{};
  const std::size_t found = os::read_some(file, first, 0);
  const prologue begins = read_prologue(std::span(first).first(found));
  if (begins.data_offset() > file_bytes) {
    throw malformed("a file of " + std::to_string(file_bytes) + " bytes",
                    "at least its header's " + std::to_string(begins.data_offset()));
  }
  return begins;
}

std::size_t size_of(const os::descriptor& file) {
  const os::file_status status = os::status(file.get());
  if (!status.regular) throw malformed(status.kind, "a regular file");
  return status.size_bytes;
}

}  // namespace

bool npy_file::column_major() const {
  const auto several = [](std::size_t extent) { return extent != 1; };
  return header.fortran_order && std::ranges::count_if(header.shape, several) > 1 &&
         std::ranges::count(header.shape, std::size_t{0}) == 0;
}

npy_file read_npy_file(const os::descriptor& file) {
  npy_file found;
  found.file_bytes = size_of(file);
  const prologue begins = prologue_of(file, found.file_bytes);
  std::string dictionary(begins.dictionary_bytes, '\0');
  const auto bytes = std::as_writable_bytes(std::span(dictionary));
  if (os::read_some(file, bytes, begins.dictionary_offset) < bytes.size()) {
    throw malformed("the end of the file", "the rest of its header");
  }
  found.header = parse(dictionary, begins.characters);
  found.data_offset = begins.data_offset();
  return found;
}

}  // namespace shard::memory
