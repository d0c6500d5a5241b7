// Any bytes as the beginning of a .npy file: refused as malformed, or a header that means the same
// when it is written again. Whatever else happens is a finding: a fault, another exception, memory
// out of proportion.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "memory/dtype.hpp"
#include "memory/layout.hpp"
#include "memory/malformed.hpp"
#include "memory/npy_header.hpp"

namespace {

using shard::detail::dtype;
namespace memory = shard::memory;

void require(bool holds) {
  if (!holds) std::abort();
}

// What users might open it as: a number, texts, a date, a span of time, an opaque struct, and a
// struct with all kinds of fields.
const std::vector<dtype>& wanted_types() {
  static const std::vector<dtype> types = {
      {"<f8", {}},
      {"|u1", {}},
      {"<f2", {}},
      {"<c16", {}},
      {"<f16", {}},
      {"|S3", {}},
      {"<U3", {}},
      {"<M8[ns]", {}},
      {"<m8[m]", {}},
      {"|V24", {}},
      {"|V8", {}, true},
      {"", {{"time", {"<i8", {}}, {}}, {"rest", {"|V8", {}, true}, {}}}},
      {"",
       {{"time", {"<i8", {}}, {}},
        {"table", {"<f4", {}}, {2, 3}},
        {"day", {"<M8[D]", {}}, {}},
        {"", {"|V4", {}}, {}},
        {"last", {"", {{"x", {"<i2", {}}, {}}, {"y", {"<c8", {}}, {}}}}, {2}}}},
  };
  return types;
}

void compare(const dtype& found, const dtype& wanted) try {
  for (const memory::swap& numbers : memory::differences(found, wanted)) {
    require(numbers.width == 2 || numbers.width == 4 || numbers.width == 8 || numbers.width == 16);
    require(numbers.offset + numbers.width * numbers.count <= 72);
  }
  // What it becomes is written and read again, and then differs in nothing.
  memory::npy_header header;
  header.descr = memory::converted(found, wanted);
  const dtype again = memory::parse(memory::dictionary(header)).descr;
  require(memory::text(again) == memory::text(header.descr));
  require(memory::differences(again, wanted).empty());
} catch (const memory::malformed&) {
}

void measure(const memory::npy_header& header, std::size_t available) try {
  require(memory::data_bytes(header.shape, 8, available) <= available);
} catch (const memory::malformed&) {
}

// Fields follow each other and are inside the element, at every level.
void require_inside(const memory::layout& type) {
  std::size_t end = 0;
  for (const memory::layout_field& field : type.fields) {
    require(field.offset == end);
    end += field.type.size_bytes * field.count;
    require_inside(field.type);
  }
  require(type.fields.empty() || end == type.size_bytes);
  require(type.has_foreign == !memory::foreign_part(type).empty());
  require(!memory::words(type).empty());
  require(type.alignment > 0 && type.values > 0);
}

void lay_out(const dtype& found) try {
  require_inside(memory::layout_of(found));
} catch (const memory::malformed&) {
}

void read(std::span<const std::byte> file) try {
  const memory::prologue begins = memory::read_prologue(file);
  if (begins.data_offset() > file.size()) return;
  const memory::npy_header header =
      memory::parse({reinterpret_cast<const char*>(file.data()) + begins.dictionary_offset,
                     begins.dictionary_bytes},
                    begins.characters);
  const std::string text = memory::dictionary(header);
  require(memory::dictionary(memory::parse(text)) == text);
  // One of them for each input: refusals are what takes time.
  compare(header.descr, wanted_types()[file.size() % wanted_types().size()]);
  lay_out(header.descr);
  measure(header, file.size() - begins.data_offset());
} catch (const memory::malformed&) {
}

}  // namespace

// Bytes that begin like a file are one; any other are a dictionary, so that mutations need not keep
// a length right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  if (size > 0 && data[0] == 0x93) {
    read(bytes);
    return 0;
  }
  std::string file("\x93NUMPY\x02\x00", 8);
  for (int shift = 0; shift < 32; shift += 8) file += static_cast<char>(size >> shift & 0xff);
  file.append(reinterpret_cast<const char*>(data), size);
  read(std::as_bytes(std::span(file)));
  return 0;
}
