// Any type without Python objects, as rapidcheck makes them: structs of structs and arrays, with
// padding anywhere. The headers are written here as numpy writes them, so that a case that fails
// can be made smaller. numpy judges all of them at the end, in one process.

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <ostream>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "memory/dtype.hpp"
#include "memory/layout.hpp"
#include "memory/npy_file.hpp"
#include "numpy.hpp"
#include "os/file.hpp"
#include "refusal.hpp"
#include "shard/inspect.hpp"
#include "shard/npy.hpp"

namespace {

namespace fs = std::filesystem;
namespace memory = shard::memory;

using shard_test::folder;
using shard_test::numpy_agrees;

using extents = std::vector<std::size_t>;

std::size_t volume(const extents& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}

// ---- Types, and how numpy writes them.

struct scalar {
  std::string code;  // behind the order of bytes
  std::size_t bytes = 0;
  std::size_t alignment = 0;
  std::size_t number = 0;  // bytes of each number; 0: load() leaves the bytes as they are
};

const std::vector<scalar>& ordered_scalars() {
  static const std::vector<scalar> all{
      {"f8", 8, 8, 8},     {"i2", 2, 2, 2},      {"u2", 2, 2, 2},     {"i4", 4, 4, 4},
      {"u4", 4, 4, 4},     {"i8", 8, 8, 8},      {"u8", 8, 8, 8},     {"f2", 2, 2, 2},
      {"f4", 4, 4, 4},     {"f16", 16, 16, 16},  {"c8", 8, 4, 4},     {"c16", 16, 8, 8},
      {"c32", 32, 16, 16}, {"U1", 4, 4, 4},      {"U5", 20, 4, 4},    {"M8[ns]", 8, 8, 8},
      {"M8[7D]", 8, 8, 8}, {"m8[25s]", 8, 8, 8}, {"m8[as]", 8, 8, 8}, {"M8[Y]", 8, 8, 0},
      {"m8[3M]", 8, 8, 0}, {"m8", 8, 8, 0}};
  return all;
}
const std::vector<scalar>& other_scalars() {
  static const std::vector<scalar> all{{"u1", 1, 1, 0},  {"i1", 1, 1, 0}, {"b1", 1, 1, 0},
                                       {"S1", 1, 1, 0},  {"S7", 7, 1, 0}, {"V3", 3, 1, 0},
                                       {"V16", 16, 1, 0}};
  return all;
}

struct field;

struct type {
  char order = '|';
  scalar one{};  // unless there are fields
  std::vector<field> fields;
  std::size_t bytes = 0;
  std::size_t alignment = 1;
};
struct field {
  std::string name, title;  // without a name: padding
  type of;
  extents shape;
  std::size_t offset = 0;

  std::size_t bytes() const { return of.bytes * volume(shape); }
};

field padding(std::size_t bytes) {
  return {"",
          "",
          {.one = {"V" + std::to_string(bytes), bytes, 1, 0}, .fields = {}, .bytes = bytes},
          {},
          0};
}

std::string quoted(const std::string& name) {
  std::string text;
  for (const char each : name) text += each == '\\' ? "\\\\" : std::string(1, each);
  const char* const quote = name.find('\'') == std::string::npos ? "'" : "\"";
  return quote + text + quote;
}

std::string tuple(const extents& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

// A scalar that none of shard's types stands for, but raw<N>: a time whose unit has no fixed
// length.
bool has_no_type(const type& of) {
  return of.fields.empty() &&
         (of.one.code == "m8" || of.one.code.ends_with("[Y]") || of.one.code.ends_with("M]"));
}

// As the header of a file has it; `converted`: of what load() makes of it for a described type.
// Described fields have no titles. What stays bytes keeps all that the file says of it.
std::string descr(const type& of, bool converted = false) {
  if (of.fields.empty()) {
    const bool native = converted && of.one.number != 0;
    return quoted((native ? '<' : of.order) + of.one.code);
  }
  std::string list;
  for (const field& each : of.fields) {
    const bool titled =
        !each.title.empty() && (!converted || (has_no_type(each.of) && each.shape.empty()));
    const std::string name =
        !titled ? quoted(each.name) : "(" + quoted(each.title) + ", " + quoted(each.name) + ")";
    list += (list.empty() ? "(" : ", (") + name + ", " + descr(each.of, converted) +
            (each.shape.empty() ? "" : ", " + tuple(each.shape)) + ")";
  }
  return "[" + list + "]";
}

type some_scalar() {
  const bool ordered = *rc::gen::weightedElement<bool>({{3, true}, {1, false}});
  const scalar one = *rc::gen::elementOf(ordered ? ordered_scalars() : other_scalars());
  return {ordered ? *rc::gen::element('<', '>') : '|', one, {}, one.bytes, one.alignment};
}

enum class layout { packed, aligned, anywhere };

type some_type(int depth) {
  if (depth == 0 || *rc::gen::inRange(0, 3) == 0) return some_scalar();
  // The first of them a described struct can have, too.
  constexpr std::size_t plain_names = 4;
  static const std::vector<std::string> names{
      "a", "b", "time", "x y", "\xc3\xa9", "\xe6\x97\xa5", "it's", "b\\c"};
  const auto how = *rc::gen::element(layout::packed, layout::aligned, layout::anywhere);
  const auto count = *rc::gen::inRange<std::size_t>(1, 5);
  const auto first = *rc::gen::inRange<std::size_t>(0, names.size());
  const bool plain = *rc::gen::inRange(0, 8) != 7;
  type made;
  const auto leave = [&](std::size_t bytes) {
    if (bytes == 0) return;
    made.fields.push_back(padding(bytes));
    made.fields.back().offset = std::exchange(made.bytes, made.bytes + bytes);
  };
  const auto gap_before = [&](std::size_t alignment) {
    if (how == layout::packed) return std::size_t{0};
    if (how == layout::anywhere) return *rc::gen::inRange<std::size_t>(0, 5);
    return (alignment - made.bytes % alignment) % alignment;
  };
  for (std::size_t i = 0; i < count; ++i) {
    field one;
    one.name = names[(first + i) % (plain ? plain_names : names.size())];
    if (*rc::gen::inRange(0, 10) == 9) one.title = "t" + one.name;
    one.of = some_type(depth - 1);
    one.shape = *rc::gen::elementOf(std::vector<extents>{{}, {}, {2}, {1}, {2, 3}});
    leave(gap_before(one.of.alignment));
    one.offset = std::exchange(made.bytes, made.bytes + one.bytes());
    if (how == layout::aligned) made.alignment = std::max(made.alignment, one.of.alignment);
    made.fields.push_back(std::move(one));
  }
  leave(gap_before(made.alignment));
  return made;
}

// ---- Elements.

void fill(const type& of, std::byte* at, std::mt19937& random) {
  for (std::size_t i = 0; i < of.bytes; ++i) at[i] = static_cast<std::byte>(random());
  for (const field& each : of.fields) {
    for (std::size_t k = 0; k < volume(each.shape); ++k) {
      fill(each.of, at + each.offset + k * each.of.bytes, random);
    }
  }
  if (of.one.code == "b1") at[0] &= std::byte{1};
  if (!of.one.code.starts_with('U')) return;
  for (std::size_t i = 0; i < of.bytes; i += 4) {  // any character below 2^15
    at[i] = at[i + 3] = std::byte{0};
    (of.order == '<' ? at[i + 2] : at[i + 1]) = std::byte{0};
    (of.order == '<' ? at[i + 1] : at[i + 2]) &= std::byte{0x7f};
  }
}

// Into this machine's order of bytes.
void convert(const type& of, std::byte* at) {
  for (const field& each : of.fields) {
    for (std::size_t k = 0; k < volume(each.shape); ++k) {
      convert(each.of, at + each.offset + k * each.of.bytes);
    }
  }
  if (!of.fields.empty() || of.order != '>' || of.one.number == 0) return;
  for (std::size_t i = 0; i < of.bytes; i += of.one.number) {
    std::reverse(at + i, at + i + of.one.number);
  }
}

struct array {
  type of;
  extents shape;
  bool column_major = false;
  std::vector<std::byte> elements{};  // in row-major order

  // Where element `index` of the row-major order is in the file.
  std::size_t place(std::size_t index) const {
    if (!column_major) return index;
    std::size_t at = 0;
    std::size_t stride = volume(shape);
    for (std::size_t d = shape.size(); d-- > 0;) {
      stride /= shape[d];
      at += index % shape[d] * stride;
      index /= shape[d];
    }
    return at;
  }
  std::vector<std::byte> file_bytes() const {
    std::vector<std::byte> placed(elements.size());
    for (std::size_t i = 0; i < volume(shape); ++i) {
      std::memcpy(placed.data() + place(i) * of.bytes, elements.data() + i * of.bytes, of.bytes);
    }
    return placed;
  }
  std::vector<std::byte> converted() const {
    std::vector<std::byte> native = elements;
    for (std::size_t i = 0; i < volume(shape); ++i) convert(of, native.data() + i * of.bytes);
    return native;
  }
};

array some_array() {
  array made;
  made.of = some_type(3);
  made.shape = *rc::gen::elementOf(
      std::vector<extents>{{1}, {}, {0}, {5}, {2, 3}, {2, 1, 3}, {2, 3, 1, 2}, {3, 0}});
  made.column_major = made.shape.size() > 1 && *rc::gen::arbitrary<bool>();
  made.elements.resize(volume(made.shape) * made.of.bytes);
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  for (std::size_t i = 0; i < volume(made.shape); ++i) {
    fill(made.of, made.elements.data() + i * made.of.bytes, random);
  }
  return made;
}

// What rapidcheck prints.
void showValue(const array& of, std::ostream& to) {
  to << descr(of.of) << ", shape " << tuple(of.shape) << (of.column_major ? " by columns" : "");
}

void write(const fs::path& path, const array& of) {
  const std::string type = descr(of.of);
  const bool ascii = std::ranges::all_of(type, [](char c) { return c >= 0; });
  std::string text = "{'descr': " + type +
                     ", 'fortran_order': " + (of.column_major ? "True" : "False") +
                     ", 'shape': " + tuple(of.shape) + ", }";
  const bool longer = !ascii || text.size() > 60'000;
  const std::size_t begin = longer ? 12 : 10;
  text.append(63 - (begin + text.size()) % 64, ' ') += '\n';
  std::string file = "\x93NUMPY";
  file += ascii ? (longer ? '\2' : '\1') : '\3';
  file += '\0';
  for (std::size_t i = 8; i < begin; ++i) {
    file += static_cast<char>(text.size() >> (8 * (i - 8)) & 0xff);
  }
  file += text;
  const std::vector<std::byte> data = of.file_bytes();
  file.append(reinterpret_cast<const char*>(data.data()), data.size());
  std::ofstream(path, std::ios::binary) << file;
}

// ---- What shard makes of it.

void check_fields(const type& expected, const shard::element_info& found) {
  RC_ASSERT(found.size_bytes == expected.bytes);
  RC_ASSERT(found.fields.size() == expected.fields.size());
  for (std::size_t i = 0; i < expected.fields.size(); ++i) {
    const field& one = expected.fields[i];
    const shard::field_info& other = found.fields[i];
    RC_ASSERT(other.name == one.name);
    RC_ASSERT(other.padding == one.name.empty());
    RC_ASSERT(other.offset == one.offset);
    RC_ASSERT(other.shape == one.shape);
    check_fields(one.of, other.type);
  }
  if (expected.fields.empty() && expected.one.number != 0) {
    RC_ASSERT(found.big_endian == (expected.order == '>'));
  }
}

// A saved file has this type, this shape and these bytes.
void check_saved(const fs::path& path, const std::string& expected_descr, const array& of,
                 const std::vector<std::byte>& expected) {
  const shard::array_info found = shard::inspect(path);
  RC_ASSERT(found.descr == expected_descr);
  RC_ASSERT(found.shape == (of.shape.empty() ? extents{1} : of.shape));
  RC_ASSERT(!found.column_major);
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(found.data_offset));
  const std::string data{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  RC_ASSERT(std::ranges::equal(std::as_bytes(std::span(data)), expected));
}

bool has_plain_names(const type& of) {
  return std::ranges::all_of(of.fields, [](const field& each) {
    const bool plain = std::ranges::all_of(
        each.name, [](char c) { return c >= ' ' && c <= '~' && c != '\'' && c != '\\'; });
    return plain && has_plain_names(each.of);
  });
}
// The type of a program's buffer: a described one, or bytes.
shard::detail::element_type described_type(const fs::path& path) {
  const auto file = shard::os::open(path.string(), shard::os::protection::read);
  return memory::element_type_of(memory::layout_of(memory::read_npy_file(file).header.descr));
}
shard::detail::element_type raw_type(const array& of) {
  return {{"|V" + std::to_string(of.of.bytes), {}, true}, of.of.bytes, 1};
}

struct names_of_files {
  fs::path made, opened, loaded, described;
};

// Returns whether open() takes the file, too.
bool check(const array& of, const names_of_files& files) {
  write(files.made, of);
  const shard::array_info info = shard::inspect(files.made);
  RC_ASSERT(info.descr == descr(of.of));
  RC_ASSERT(info.shape == of.shape);
  RC_ASSERT(info.column_major == of.column_major);
  check_fields(of.of, info.type);

  const std::size_t rank = std::max<std::size_t>(of.shape.size(), 1);
  const auto save = [&](const fs::path& to, const shard::detail::element_type& type,
                        const shard::detail::array& from) {
    shard::detail::save_file(to, type, from.shape, from.owner, shard::durability::memory);
  };
  const auto open = [&](const shard::detail::element_type& type) {
    return shard::detail::open_file(files.made, type, rank, shard::detail::access::read);
  };
  const auto bytes = raw_type(of);
  save(files.loaded, bytes, shard::detail::load_file(files.made, bytes, rank));
  check_saved(files.loaded, descr(of.of), of, of.elements);
  // No struct is described with a field of such a name: then it is bytes.
  const bool describable = has_plain_names(of.of);
  RC_ASSERT(
      (info.element == "shard::raw<" + std::to_string(of.of.bytes) + ">") ==
      (!describable || has_no_type(of.of) || (of.of.fields.empty() && of.of.one.code[0] == 'V')));
  const auto type = describable ? described_type(files.made) : bytes;
  save(files.described, type, shard::detail::load_file(files.made, type, rank));
  check_saved(files.described, descr(of.of, describable), of,
              describable ? of.converted() : of.elements);

  RC_ASSERT(info.access != shard::way_in::none);
  const bool opens = info.access == shard::way_in::open;
  RC_ASSERT(shard_test::refusal([&] { open(type); }).empty() == opens);
  if (!opens) return false;
  save(files.opened, bytes, open(bytes));
  check_saved(files.opened, descr(of.of), of, of.elements);
  return true;
}

// numpy's own view: that it would write the same header, and finds the same in what was saved.
constexpr const char* numpys_view = R"(
import os, warnings
warnings.simplefilter('ignore')
def leaves(a):
    if a.dtype.names:
        for name in a.dtype.names: yield from leaves(a[name])
    else: yield a
def bits(a):  # without the padding of long doubles, where numpy leaves anything
    native = a.astype(a.dtype.newbyteorder('=')).tobytes()
    if a.dtype.char not in 'gG' or np.finfo(a.dtype).nmant != 63: return native
    return np.frombuffer(native, 'u1').reshape(-1, 16)[:, :10].tobytes()
def dictionary(name):
    with open(name, 'rb') as file:
        wide = file.read(7)[6] != 1
        file.seek(8)
        length = int.from_bytes(file.read(4 if wide else 2), 'little')
        return file.read(length).decode('utf8')
seen = 0
while os.path.exists('%d.npy' % seen):
    a = np.load('%d.npy' % seen)
    as_numpy = repr(np.lib.format.dtype_to_descr(a.dtype))
    assert dictionary('%d.npy' % seen).startswith("{'descr': " + as_numpy + ", 'fortran_order'"), as_numpy
    for name in 'opened', 'loaded', 'described':
        path = '%s-%d.npy' % (name, seen)
        if name == 'opened' and not os.path.exists(path): continue
        saved = np.load(path)
        assert saved.shape == (a.shape or (1,)), (path, saved.shape, a.shape)
        assert name == 'described' or saved.dtype == a.dtype, (path, saved.dtype, a.dtype)
        for found, expected in zip(leaves(saved.ravel()), leaves(a.ravel()), strict=True):
            assert bits(found) == bits(expected), (path, found, expected)
    seen += 1
)";

TEST(NestedDtype, OfAnyKindGoesThroughInspectOpenLoadAndSave) {
  const folder in;
  int cases = 0;
  int opened = 0;
  const bool holds = rc::check([&] {
    const array one = *rc::gen::exec(some_array);
    const std::string name = std::to_string(cases) + ".npy";
    opened += check(one, {in / name, in / ("opened-" + name), in / ("loaded-" + name),
                          in / ("described-" + name)});
    ++cases;
  });
  ASSERT_TRUE(holds) << "see above";
  EXPECT_GT(opened, cases / 10);
  SHARD_NEEDS_NUMPY();
  EXPECT_TRUE(numpy_agrees(in, numpys_view + ("assert seen == " + std::to_string(cases))));
}

}  // namespace
