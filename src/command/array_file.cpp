#include "command/array_file.hpp"

#include <algorithm>
#include <span>

#include "memory/conversion.hpp"
#include "memory/inspect.hpp"
#include "memory/named.hpp"
#include "memory/observed.hpp"
#include "os/file.hpp"

namespace shard::command {
namespace {

constexpr std::size_t most_element_bytes = std::size_t{64} << 20;
// Of a struct with arrays inside: each is a column.
constexpr std::size_t most_values = std::size_t{1} << 20;
// Long enough to read a column-major file in few pieces, which are as long as the rows of a block.
constexpr std::size_t block_bytes = std::size_t{1} << 20;
constexpr std::size_t column_major_block_bytes = std::size_t{16} << 20;

// A path wins over a name: it can be told apart by "./", a name can't.
os::descriptor open_either(array_file& to) {
  to.path = to.argument;
  try {
    return os::open(to.path, os::protection::read);
  } catch (const os::call_failed& e) {
    if (e.code() != std::errc::no_such_file_or_directory || to.argument.empty() ||
        to.argument.find('/') != std::string::npos) {
      throw;
    }
  }
  to.path = memory::shared_path(to.argument);
  return os::open(to.path, os::protection::read);
}

void require_printable(const array_file& of) {
  using memory::malformed;
  const memory::layout& type = of.type;
  if (type.has_foreign) {
    throw malformed(memory::foreign_part(type), memory::own_types);
  }
  if (type.size_bytes == 0 || type.size_bytes > most_element_bytes) {
    throw malformed("elements of " + std::to_string(type.size_bytes) + " bytes",
                    "1 to " + std::to_string(most_element_bytes));
  }
  if (type.values > most_values) {
    throw malformed("elements of " + std::to_string(type.values) + " values",
                    "at most " + std::to_string(most_values));
  }
}

}  // namespace

const char* word(backing kind) noexcept {
  switch (kind) {
    case backing::memory: return "memory";
    case backing::file: return "file";
    case backing::named: return "named";
  }
  return "";
}

std::size_t array_file::row_elements() const noexcept {
  std::size_t count = 1;
  for (std::size_t d = 1; d < shape().size(); ++d) count *= shape()[d];
  return count;
}

array_file open_array(const std::string& argument, const std::string& verb) {
  return attempt(verb + " " + argument, [&] {
    array_file opened{.argument = argument};
    opened.file = open_either(opened);
    opened.npy = memory::read_npy_file(opened.file);
    opened.kind = memory::kind_of(opened.file);
    opened.mode = os::status(opened.file.get()).mode;
    opened.type = memory::layout_of(opened.npy.header.descr);
    const std::size_t available = opened.npy.available_bytes();
    opened.data_bytes = opened.type.has_objects
                            ? available
                            : memory::data_bytes(opened.shape(), opened.type.size_bytes, available);
    return opened;
  });
}

std::vector<range> torn_elements(const array_file& of) {
  return attempt("read " + of.argument, [&] {
    const memory::control::place where{of.file.get(), of.npy.data_offset + of.data_bytes,
                                       of.data_bytes};
    return memory::torn_elements(of.file, where, of.type.size_bytes);
  });
}

element_stream::element_stream(const array_file& of, range rows)
    : of_(of), element_bytes_(of.type.size_bytes) {
  attempt("print " + of.argument, [&] { require_printable(of); });
  // Nothing may be multiplied where an extent is 0: the others can be anything.
  if (of.data_bytes == 0) return;
  at_ = rows.first * of.row_elements();
  end_ = rows.last * of.row_elements();
}

const std::byte* element_stream::next() {
  if (used_ == block_.size()) attempt("read " + of_.argument, [&] { fill(); });
  const std::byte* const element = &block_[used_];
  used_ += element_bytes_;
  return element;
}

void element_stream::fill() {
  const bool columns = of_.npy.column_major();
  const std::size_t room =
      std::max<std::size_t>((columns ? column_major_block_bytes : block_bytes) / element_bytes_, 1);
  const std::size_t row = of_.row_elements();
  std::size_t count = std::min(room, end_ - at_);
  if (columns && count >= row) count -= count % row;
  block_.resize(count * element_bytes_);
  if (!columns) {
    read(block_, at_);
  } else if (count >= row) {
    read_rows(count / row);
  } else {
    read_scattered(count);
  }
  at_ += count;
  used_ = 0;
}

// `element` is a place in the file.
void element_stream::read(std::span<std::byte> to, std::size_t element) const {
  const std::size_t offset = of_.npy.data_offset + element * element_bytes_;
  if (os::read_some(of_.file, to, offset) < to.size()) {
    throw memory::malformed("a file that became shorter", "the rest of its data");
  }
}

// Whole rows of a column-major file: a piece of each column, and then their columns placed as
// load() places those of a whole file.
void element_stream::read_rows(std::size_t rows) {
  columns_.resize(block_.size());
  const std::size_t piece = rows * element_bytes_;
  const std::size_t first = at_ / of_.row_elements();
  for (std::size_t column = 0; column < of_.row_elements(); ++column) {
    read(std::span(columns_).subspan(column * piece, piece), first + column * of_.rows());
  }
  std::vector<std::size_t> shape = of_.shape();
  shape[0] = rows;
  memory::place_columns(columns_, 0, shape, element_bytes_, block_.data());
}

// Part of one row, which is longer than a block: each element is elsewhere.
void element_stream::read_scattered(std::size_t count) {
  const std::vector<std::size_t>& shape = of_.shape();
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t rest = at_ + i;
    std::size_t place = 0;
    // Horner's scheme, from the dimension that moves slowest in the file.
    for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) {
      place = place * shape[d] + rest % shape[d];
    }
    read(std::span(block_).subspan(i * element_bytes_, element_bytes_), place);
  }
}

}  // namespace shard::command
