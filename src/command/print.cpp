#include "command/print.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace shard::command {
namespace {

using memory::kind;
using memory::layout;
using memory::layout_field;

// ---- CSV and text: a line for each element, or for each row of a matrix

// What is between the values of a line.
class line {
 public:
  line(output& to, format as) : to_(to), as_(as) {}

  void text(std::string_view one) {
    separate();
    append_text(value_, one, as_);
    flush();
  }
  void value(const layout& type, const std::byte* at) {
    separate();
    append_value(value_, type, at, as_);
    flush();
  }
  void index(std::size_t one) {
    separate();
    to_.print("{}", one);
  }
  void end() {
    to_.put('\n');
    first_ = true;
  }

 private:
  void separate() {
    if (!first_) to_.put(as_ == format::csv ? ',' : '\t');
    first_ = false;
  }
  void flush() {
    to_.put(value_);
    value_.clear();
  }

  output& to_;
  format as_;
  bool first_ = true;
  std::string value_{};  // kept, so that it is not allocated again and again
};

void put_values(line& to, const layout& type, const std::byte* at) {
  if (type.kind != kind::structure) return to.value(type, at);
  for (const layout_field& field : type.fields) {
    if (field.padding) continue;
    for (std::size_t i = 0; i < field.count; ++i) {
      put_values(to, field.type, at + field.offset + i * field.type.size_bytes);
    }
  }
}

// "[1][2]", of element `at` of an array inside a struct.
std::string subscript(std::size_t at, const std::vector<std::size_t>& shape) {
  std::string text;
  for (std::size_t d = shape.size(); d-- > 0; at /= shape[d]) {
    text.insert(0, fmt::format("[{}]", at % shape[d]));
  }
  return text;
}

void put_names(line& to, const layout& type, const std::string& name) {
  if (type.kind != kind::structure) return to.text(name);
  for (const layout_field& field : type.fields) {
    if (field.padding) continue;
    const std::string whole = name.empty() ? field.name : name + "." + field.name;
    for (std::size_t i = 0; i < field.count; ++i) {
      put_names(to, field.type, whole + subscript(i, field.shape));
    }
  }
}

// Moves to the next index in row-major order.
void advance(std::vector<std::size_t>& index, const std::vector<std::size_t>& shape) {
  for (std::size_t d = index.size(); d-- > 0;) {
    if (++index[d] < shape[d] || d == 0) return;
    index[d] = 0;
  }
}

void print_table(output& to, const array_file& array, range rows, format as) {
  element_stream elements(array, rows);
  const layout& type = array.type;
  const std::vector<std::size_t>& shape = array.shape();
  const bool structs = type.kind == kind::structure;
  const bool matrix = shape.size() == 2 && !structs;
  const bool indexed = shape.size() > 1 && !matrix;
  line one(to, as);
  if (indexed || structs) {
    for (std::size_t d = 0; indexed && d < shape.size(); ++d) one.text(fmt::format("index{}", d));
    put_names(one, type, structs ? "" : "value");
    one.end();
  }
  if (array.data_bytes == 0) return;
  const std::size_t width = matrix ? shape[1] : 1;
  std::vector<std::size_t> index(indexed ? shape.size() : 0);
  if (indexed) index[0] = rows.first;
  for (std::size_t left = rows.size() * array.row_elements(); left > 0; left -= width) {
    for (const std::size_t each : index) one.index(each);
    for (std::size_t i = 0; i < width; ++i) put_values(one, type, elements.next());
    one.end();
    advance(index, shape);
  }
}

// ---- JSON: arrays in arrays, a line for each row. One without elements is [], whatever its other
// extents (a header of a few bytes can say any), and one without dimensions whose only row was not
// asked for.

class json_array {
 public:
  json_array(output& to, const array_file& array, range rows)
      : to_(to), array_(array), elements_(array, rows), rows_(rows) {}

  void print() {
    const std::vector<std::size_t>& shape = array_.shape();
    if (shape.empty() && rows_.size() == 1) {
      put(array_.type, elements_.next());
    } else {
      const std::size_t rows = array_.data_bytes == 0 ? 0 : rows_.size();
      to_.put('[');
      for (std::size_t row = 0; row < rows; ++row) {
        to_.put(row == 0 ? "\n" : ",\n");
        put_from(1);
      }
      to_.put(rows == 0 ? "]" : "\n]");
    }
    to_.put('\n');
  }

 private:
  // The elements from the stream that are of this dimension and those behind it.
  void put_from(std::size_t dimension) {
    const std::vector<std::size_t>& shape = array_.shape();
    if (dimension == shape.size()) return put(array_.type, elements_.next());
    to_.put('[');
    for (std::size_t i = 0; i < shape[dimension]; ++i) {
      if (i > 0) to_.put(',');
      put_from(dimension + 1);
    }
    to_.put(']');
  }

  void put(const layout& type, const std::byte* at) {
    if (type.kind != kind::structure) {
      append_value(value_, type, at, format::json);
      return flush();
    }
    bool first = true;
    to_.put('{');
    for (const layout_field& field : type.fields) {
      if (field.padding) continue;
      if (!first) to_.put(',');
      first = false;
      append_text(value_, field.name, format::json);
      flush();
      to_.put(':');
      const std::byte* next = at + field.offset;
      put_field(field, 0, next);
    }
    to_.put('}');
  }

  // Elements of an array inside a struct, from `next` on, which moves past them.
  void put_field(const layout_field& field, std::size_t dimension, const std::byte*& next) {
    if (field.count == 0) return to_.put("[]");
    if (dimension == field.shape.size()) {
      put(field.type, next);
      next += field.type.size_bytes;
      return;
    }
    to_.put('[');
    for (std::size_t i = 0; i < field.shape[dimension]; ++i) {
      if (i > 0) to_.put(',');
      put_field(field, dimension + 1, next);
    }
    to_.put(']');
  }

  void flush() {
    to_.put(value_);
    value_.clear();
  }

  output& to_;
  const array_file& array_;
  element_stream elements_;
  range rows_;
  std::string value_{};
};

}  // namespace

status print(const array_file& array, range rows, format as) {
  output to;
  if (as == format::json) {
    json_array(to, array, rows).print();
  } else {
    print_table(to, array, rows, as);
  }
  to.flush();

  // Behind what was printed: a writer who died there meanwhile counts, too.
  std::vector<range> torn = torn_elements(array);
  const std::size_t row = array.row_elements();
  std::erase_if(torn, [&](const range& each) {
    return each.last <= rows.first * row || each.first >= rows.last * row;
  });
  if (torn.empty()) return status::ok;
  complain("printed " + array.argument + " as it is: found " + elements(torn) +
           " torn by a writer that died, expected them whole");
  return status::failed;
}

}  // namespace shard::command
