// What a .npy file or a named buffer holds, for programs that do not know it beforehand. Reads the
// header alone, whatever the size of the file.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "shard/backing.hpp"

namespace shard {

enum class element_kind {
  boolean,
  integer,  // signed
  natural,  // unsigned
  real,     // floating point
  complex,
  text,      // of bytes: shard::text
  u32text,   // of characters: shard::u32text
  date,      // a time point, datetime64
  duration,  // timedelta64
  bytes,     // that only the program knows the meaning of: shard::raw
  structure,
  objects,  // of Python, or a struct with such a field: nothing but Python reads them
};

struct field_info;

// The type of the elements, or of a field.
struct element_info {
  element_kind kind = element_kind::bytes;
  std::size_t size_bytes = 0;
  bool big_endian = false;
  std::string name{};  // "float64", "datetime64[ns]", "text of up to 5 bytes", "struct of 24 bytes"
  std::vector<field_info> fields;  // of a struct, in the order of their bytes
};

struct field_info {
  std::string name;  // in UTF-8
  std::size_t offset = 0;
  element_info type{};
  std::vector<std::size_t> shape{};  // of an array inside the struct; else empty
  bool padding = false;              // bytes between fields, without a name
};

enum class byte_order {
  none,  // of no importance: bytes, text of bytes
  little,
  big,
  mixed,  // fields in both orders
};

// What gives a program the elements.
enum class way_in {
  open,  // shard::open maps the file in place
  load,  // shard::load reads and converts it
  none,
};

struct array_info {
  std::string descr{};  // as the header writes the type: "'<f8'"
  element_info type{};
  std::vector<std::size_t> shape{};  // empty for an array without dimensions, which is one element
  bool column_major = false;         // as the header says
  byte_order order = byte_order::none;
  std::size_t data_offset = 0;
  std::size_t data_bytes = 0;  // of objects: all that is behind the header
  std::size_t file_bytes = 0;
  backing kind = backing::file;

  way_in access = way_in::none;
  std::string element{};  // the T of the buffer<T> to open or load: "double", "shard::raw<8>"
  std::string why{};      // why not by open; empty if open does

  // The number of elements.
  std::size_t size() const noexcept;
};

// Describes an array that open() or load() could read, or says why none of them can. Symlinks are
// followed. Throws shard::error if the file can't be read, or is no .npy file.
array_info inspect(const std::filesystem::path& path);

namespace named {
// Describes the named buffer of that name, whether somebody holds it or not.
array_info inspect(const std::string& name);
}  // namespace named

}  // namespace shard
