// The program `shard` as its users run it: SHARD_PROGRAM is its path, SHARD_COMPLETION the file
// that completes it in bash, and SHARD_CORPUS a folder of headers that break readers. What it
// should print, numpy says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/process.hpp>
#include <cstddef>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "memory/control.hpp"
#include "mounts.hpp"
#include "neighbour.hpp"
#include "numpy.hpp"
#include "os/byte_lock.hpp"
#include "os/file.hpp"
#include "process/family.hpp"
#include "shard/shard.hpp"

namespace {

namespace fs = std::filesystem;
namespace process = boost::process;

using shard_test::folder;
using shard_test::numpy_agrees;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using json = nlohmann::json;
using strings = std::vector<std::string>;

struct ended {
  int status = -1;  // -N: by signal N
  std::string out;
  std::string err;
};

std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Runs a line of bash in a folder, where $shard is the program.
ended run(const folder& in, const std::string& line) {
  const folder streams;
  process::child child(
      process::search_path("bash"), "-c", "cd \"$0\" && " + line, in.path().string(),
      process::std_in<process::null, process::std_out>(streams / "out").string(),
      process::std_err > (streams / "err").string(), process::env["shard"] = SHARD_PROGRAM,
      process::env["completion"] = SHARD_COMPLETION);
  child.wait();
  const int raw = child.native_exit_code();
  const int status = WIFEXITED(raw) ? WEXITSTATUS(raw) : -WTERMSIG(raw);
  // bash says 128 + N of a signal that ended what it ran.
  return {status > 128 ? 128 - status : status, contents(streams / "out"),
          contents(streams / "err")};
}

// What scripts of the tests below have: arrays of every type, and what should be printed of them.
const std::string oracle = std::string("slow = ") + (shard_test::sanitized ? "True" : "False") + R"(
import csv, io, itertools, json, math, re, subprocess, sys
np.random.seed(7)
def shard(*words, status=0):
    ended = subprocess.run([')" SHARD_PROGRAM R"(', *map(str, words)], capture_output=True)
    assert ended.returncode == status, (words, ended)
    return ended.stdout
types = ['?', 'i1', 'u1', 'S1', 'S7', 'V3'] + [o + t for o in '<>' for t in
         ('i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8', 'f16', 'c8', 'c16', 'c32', 'M8[us]', 'M8[Y]', 'm8[25s]', 'U1', 'U5')]
inner = np.dtype([('x', '>i2'), ('y', '<c8', (2,))])
types += [np.dtype([('time', '<i8'), ('name, "quoted"', 'S5'), ('table', '>f4', (2, 3)),
                    ('both', inner, (2,)), ('city', '>U3'), ('day', '>M8[D]'), ('last', '?')], align=a) for a in (False, True)]
def fill(dtype, shape):
    a = np.zeros(shape, dtype)
    whole = np.random.randint(0, 256, a.nbytes, 'u1')
    if a.nbytes: a = np.frombuffer(whole.tobytes(), dtype).reshape(shape).copy()
    clean(a)
    return a
def clean(a):  # bools are 0 or 1, text is UTF-8, dates are some that numpy prints
    if a.dtype.names:
        for name in a.dtype.names: clean(a[name])
    elif a.dtype.kind == 'b': a[...] = a.view('u1') & 1
    elif a.dtype.kind in 'fc' and a.itemsize >= 16 and a.dtype.char in 'gG':  # not all bits are numbers
        some = np.longdouble(1) / np.array([3, -7, 1e300, 1e-300, 1, 1e17, np.inf, -np.inf, np.nan, 0.25])
        a[...] = np.random.choice(some, a.shape)
        if a.dtype.kind == 'c': a.imag = np.random.choice(some, a.shape)
    elif a.dtype.kind == 'U':
        words = ['', 'a', 'a,b', '"', '\n', ' \r', '\x01', '\xe9', '\u65e5\U0001f600', '\\t', '\u202e']
        a[...] = np.random.choice(words, a.shape)
    elif a.dtype.kind in 'mM':
        a[...] = np.random.choice([0, 1, -1, 10**6, -10**6, -2**63], a.shape).astype(a.dtype)
    elif a.dtype.kind == 'S':
        words = np.array([b'', b'a', b'a,b', b'"', b'\n', b' \r', b'\x01', b'\xc3\xa9', b'\\t'])
        a[...] = np.random.choice(words, a.shape)
        if a.dtype.itemsize == 1: a[a == b'\xc3'] = b'c'
arrays = [np.require(fill(t, s), requirements=o) for t in types
          for s in ((), (0,), (5,), (3, 4), (0, 3), (3, 0), (2, 3, 4), (2, 1, 2, 3)) for o in 'CF']
if slow: arrays = arrays[::7]
def plain(v, dtype):  # as JSON has it
    if dtype.subdtype:
        return [plain(e, dtype.subdtype[0]) for e in v] if len(dtype.shape) == 1 else [
            plain(e, np.dtype((dtype.subdtype[0], dtype.shape[1:]))) for e in v]
    if dtype.names: return {n: plain(v[n], dtype[n]) for n in dtype.names}
    if dtype.kind == 'V': return v.tobytes().hex()
    if dtype.kind == 'S': return bytes(v).decode()
    if dtype.kind in 'mM': return None if np.isnat(v) else str(v) if dtype.kind == 'M' else int(v.view('i8'))
    if dtype.kind == 'c': return [plain(p, p.dtype) for p in (v.real, v.imag)]
    if dtype.kind == 'f': return (float(v) if math.isfinite(v) else None, dtype.itemsize)
    return v.item()
def nested(a, at=()):
    if len(at) == a.ndim: return plain(a[at], a.dtype)
    return [nested(a, (*at, i)) for i in range(a.shape[len(at)])] if a.size else []
def same(found, expected):
    if isinstance(expected, tuple):
        value, size = expected
        if value is None: return found is None
        if size == 16: return isinstance(found, float) and math.isclose(found, value, rel_tol=1e-15)
        kind = {2: np.float16, 4: np.float32, 8: np.float64}[size]
        return isinstance(found, float) and kind(found).tobytes() == kind(value).tobytes()
    if type(found) != type(expected): return False
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[k], expected[k]) for k in found)
    return found == expected
)";

TEST(Command, PrintsJsonOfEveryTypeOrderAndRank) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
for a in arrays:
    np.save('a.npy', a)
    said = shard('cat', 'a.npy', '--format', 'json')
    assert same(json.loads(said), nested(a)), (a.dtype, a.shape, a, said)
)"));
}

TEST(Command, PrintsCsvOfEveryTypeOrderAndRank) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
def leaves(v, dtype, name):
    if dtype.subdtype:
        for i in np.ndindex(*dtype.shape):
            yield from leaves(v[i], dtype.subdtype[0], name + ''.join('[%d]' % k for k in i))
    elif dtype.names:
        for n in dtype.names: yield from leaves(v[n], dtype[n], (name + '.' if name else '') + n)
    else: yield name, v, dtype
def agrees(text, v, dtype):
    if dtype.kind == 'f': return same_bits(dtype.type(text), v)
    if dtype.kind == 'c':
        if dtype.itemsize == 32:
            real, imaginary = re.fullmatch('(-?(?:inf|nan|[0-9.]+(?:e.[0-9]+)?))([+-].*)j', text).groups()
            return same_bits(np.longdouble(real), v.real) and same_bits(np.longdouble(imaginary), v.imag)
        z = complex(text)
        part = np.float32 if dtype.itemsize == 8 else np.float64
        return same_bits(part(z.real), v.real) and same_bits(part(z.imag), v.imag)
    if dtype.kind == 'S': return text.encode() == bytes(v)
    if dtype.kind == 'V': return text == v.tobytes().hex()
    if dtype.kind == 'b': return text == str(bool(v)).lower()
    if dtype.kind == 'm' and not np.isnat(v): return text == str(v.astype(dtype.newbyteorder('=')).view('i8'))
    return text == str(v)
def same_bits(x, y): return (x == y and np.signbit(x) == np.signbit(y)) or (x != x and y != y)
for a in arrays:
    np.save('a.npy', a)
    said = shard('cat', 'a.npy', '-f', 'csv').decode()
    rows = list(csv.reader(io.StringIO(said, newline=''), strict=True))
    matrix = a.ndim == 2 and not a.dtype.names
    indexed = a.ndim > 1 and not matrix
    if indexed or a.dtype.names:
        names = [n for n, _, _ in leaves(np.zeros((), a.dtype)[()], a.dtype, '')] if a.dtype.names else ['value']
        assert rows.pop(0) == ['index%d' % d for d in range(a.ndim) if indexed] + names, said
    width = a.shape[1] if matrix else 1
    assert len(rows) == (a.size // width if a.size else 0), (a.dtype, a.shape, said)
    every = [(i, v, d) for i in np.ndindex(*a.shape) for _, v, d in leaves(a[i], a.dtype, '')]
    texts = [t for row in rows for t in row[a.ndim if indexed else 0:]]
    assert len(texts) == len(every)
    assert all(agrees(t, v, d) for t, (i, v, d) in zip(texts, every)), (a.dtype, a.shape, a, said)
    if indexed:
        assert [tuple(map(int, row[:a.ndim])) for row in rows] == list(np.ndindex(*a.shape))
)"));
}

TEST(Command, PrintsTheRowsThatWereAskedFor) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  const std::string shapes = shard_test::sanitized ? "[(10, 3)]" : "[(10,), (10, 3), (10, 2, 3)]";
  EXPECT_TRUE(numpy_agrees(here, oracle + "\nshapes = " + shapes + R"(
for shape, order in itertools.product(shapes, 'CF'):
    a = np.require(fill('<i4', shape), requirements=order)
    np.save('a.npy', a)
    for first, last in itertools.product([None, 0, 3, 9, 10, 99], repeat=2):
        rows = '%s:%s' % tuple('' if e is None else e for e in (first, last))
        said = shard('cat', 'a.npy', '-f', 'json', '--rows', rows)
        assert json.loads(said) == a[first:last].tolist(), (rows, said)
    for n in (0, 1, 10, 11):
        assert shard('head', 'a.npy', '-n', n) == shard('cat', 'a.npy', '--rows', ':%d' % n)
    assert shard('head', 'a.npy') == shard('cat', 'a.npy')
)"));
}

TEST(Command, PrintsColumnMajorRowsLongerThanABlock) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  // Rows of 19 MiB, and rows of which not all fit into a block.
  const std::string shapes = shard_test::sanitized ? "[(5, 90)]" : "[(2, 300), (5, 90)]";
  EXPECT_TRUE(numpy_agrees(here, oracle + "\nshapes = " + shapes + R"(
for shape in shapes:
    a = np.random.randint(0, 256, (*shape, 65536), 'u1').view('V65536')[..., 0]
    np.save('a.npy', np.asfortranarray(a))
    expected = ''.join(','.join(e.tobytes().hex() for e in row) + '\n' for row in a)
    assert shard('cat', 'a.npy', '-f', 'csv').decode() == expected
)"));
}

TEST(Command, TakesNoMoreMemoryForALargerFile) {
  if (shard_test::sanitized) GTEST_SKIP() << "sanitizers take memory, and minutes, of their own";
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
import resource
for order in False, True:
    with open('a.npy', 'wb') as file:
        np.lib.format.write_array_header_1_0(
            file, dict(descr='|V65536', fortran_order=order, shape=(128, 32)))
        file.truncate(file.tell() + 65536 * 128 * 32)
    subprocess.run([')" SHARD_PROGRAM R"(', 'cat', 'a.npy'], stdout=subprocess.DEVNULL, check=True)
assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 65536 * 128 * 32 / 2
)"));
}

TEST(Command, DescribesWhatNumpyWrote) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
def order_of(d):
    if d.subdtype: return order_of(d.subdtype[0])
    if d.names: return set().union(*(order_of(d[n]) for n in d.names))
    return {'=': {'little'}, '<': {'little'}, '>': {'big'}, '|': set()}[d.byteorder]
for a, version in zip(arrays, itertools.cycle([(1, 0), (2, 0), (3, 0)])):
    with open('a.npy', 'wb') as file: np.lib.format.write_array(file, a, version=version)
    said, = json.loads(shard('info', '--json', 'a.npy'))
    assert said['backing'] == 'file' and said['name'] == 'a.npy', said
    assert tuple(said['shape']) == a.shape and said['data_bytes'] == a.nbytes, said
    assert said['element_bytes'] == a.itemsize, said
    assert np.lib.format.descr_to_dtype(eval(said['descr'])) == a.dtype, (said, a.dtype)
    assert said['data_offset'] + a.nbytes == said['file_bytes'], said
    orders = order_of(a.dtype)
    assert said['byte_order'] == ('mixed' if len(orders) > 1 else ''.join(orders) or 'none')
    converts = 'big' in orders or not (a.flags.c_contiguous or a.size == 0)
    named = all(n.replace('"', '') == n for n in a.dtype.names or ()) and '[Y]' not in a.dtype.str
    if not named: converts = not (a.flags.c_contiguous or a.size == 0)  # bytes have no order
    access = 'load' if converts else 'open'
    assert said['access'] == access, (said, a.shape, a.dtype)
    assert said['element'].startswith('shard::raw<') == (not named or a.dtype.kind == 'V' and not a.dtype.names), said
    if a.dtype.names:
        assert {f['name']: f['offset'] for f in said['fields']} == {
            n: a.dtype.fields[n][1] for n in a.dtype.names}, said
)"));
}

void write_npy(const fs::path& path, const std::string& descr, const std::string& shape) {
  std::string header = "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(117, ' ');
  std::ofstream(path, std::ios::binary)
      << "\x93NUMPY\x01" << '\0' << '\x76' << '\0' << header << '\n'
      << std::string(512, '\0');
}

struct described {
  std::int32_t a;
};

}  // namespace
template <>
inline constexpr auto shard::fields<described> = std::tuple{shard::field{"a", &described::a}};
namespace {

// As the library does.
TEST(Command, SaysHowAnArrayCanBeOpened) {
  const folder here;
  const auto opens = [&](auto type) {
    using T = decltype(type);
    const auto refused = [](auto steps) { return !shard_test::refusal(steps).empty(); };
    if (!refused([&] { shard::open<T>(here / "a.npy"); })) return "open";
    return refused([&] { shard::load<T>(here / "a.npy"); }) ? "none" : "load";
  };
  const auto said = [&] {
    return json::parse(run(here, "\"$shard\" info --json a.npy").out)[0]["access"];
  };
  for (const char* code : {"'<i4'", "'>i4'", "'=i4'", "'i4'", "'|i4'", "'<i04'"}) {
    write_npy(here / "a.npy", code, "(2,)");
    EXPECT_EQ(said(), opens(std::int32_t{})) << code;
  }
  for (const char* code : {"'|u1'", "'<u1'", "'>u1'", "'=u1'", "'u1'"}) {
    write_npy(here / "a.npy", code, "(2,)");
    EXPECT_EQ(said(), opens(std::uint8_t{})) << code;
  }
  for (const char* fields : {"[('a', '<i4')]", "[('a', '>i4')]", "[('a', '=i4')]"}) {
    write_npy(here / "a.npy", fields, "(2,)");
    EXPECT_EQ(said(), opens(described{})) << fields;
  }
  for (const char* fields :
       {"[('\xc3\xa9', '<i4')]", "[('', '<i4')]", "[('', '|V4')]",
        "[('a', '<i4'), ('', '|V2'), ('', '|V2')]", "[('a', '<i4'), ('b', '|V0')]"}) {
    write_npy(here / "a.npy", fields, "(2,)");
    EXPECT_EQ(said(), "open") << fields;
    EXPECT_THAT(run(here, "\"$shard\" info a.npy").out, HasSubstr("element       shard::raw<"))
        << fields;
  }
  write_npy(here / "a.npy", "[('a', '<i4'), ('a', '<i4')]", "(2,)");
  EXPECT_THAT(run(here, "\"$shard\" cat a.npy").err, HasSubstr("two fields 'a'"))
      << "a value would be lost in JSON; numpy refuses it, too";
  write_npy(here / "a.npy", "'<i4'", "()");
  EXPECT_EQ(said(), "open");
  write_npy(here / "a.npy", "'<i4'", "(1, 1, 1, 1, 1, 1, 1, 1)");
  EXPECT_EQ(said(), "open");
  write_npy(here / "a.npy", "'<i4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)");
  EXPECT_EQ(said(), "none");
}

TEST(Command, ShowsStructsAndHowToOpenThem) {
  const folder here;
  shard::save(here / "a.npy", shard::buffer<double, 2>(3, 4));
  const ended said = run(here, "\"$shard\" info a.npy");
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_THAT(said.out, AllOf(HasSubstr("'<f8': float64"), HasSubstr("(3, 4)"),
                              HasSubstr("mode 0600"), HasSubstr("96 bytes at byte 4096 of 4192"),
                              HasSubstr("row-major"), HasSubstr("shard::open")));
}

// Names that numpy writes in each version of the format, and with escapes: no two become one key.
TEST(Command, KeepsEveryFieldWhateverItsName) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
import warnings
warnings.simplefilter('ignore')
for names in [('\xe9', '\xe8'), ('\u65e5', '\u672c', '\xe9'), ('a\\b', 'a\\\\b', 'a\nb', 'a\tb', 'a'),
              ('\x00x', '\x7f', '\x80', '\xad'), ("it's", 'a "name"', "it's a \"name\""),
              ('\U0001f600', '\u200b', '\u200c', ' ')]:
    a = np.array([tuple(range(len(names)))], [(n, 'i4') for n in names])
    np.save('a.npy', a)
    assert json.loads(shard('cat', 'a.npy', '--format', 'json')) == nested(a), names
    told = json.loads(shard('info', '--json', 'a.npy'))[0]
    assert [f['name'] for f in told['fields']] == list(names), (names, told)
    assert np.lib.format.descr_to_dtype(eval(told['descr'])) == a.dtype, told
titled = np.array([(1, 2.5)], [(('the title', 'x'), 'i4'), (('x y', 'y'), 'f8')])
np.save('a.npy', titled)
assert json.loads(shard('cat', 'a.npy', '--format', 'json')) == [dict(x=1, y=2.5)]
np.save('a.npy', np.zeros(3, []))
assert json.loads(shard('info', '--json', 'a.npy'))[0]['element_bytes'] == 0
nothing = np.array([((), 7)], [('x', [], (2,)), ('y', 'i4')])
np.save('a.npy', nothing)
assert json.loads(shard('info', '--json', 'a.npy'))[0]['element_bytes'] == 4
np.save('a.npy', np.array([(np.arange(6).reshape(3, 2),)], [('x', ('<f8', (2,)), (3,))]))
assert json.loads(shard('cat', 'a.npy', '--format', 'json')) == [dict(x=[[0, 1], [2, 3], [4, 5]])]
)"));
}

// Whatever numpy saves, info says what it is; and cat, which can't print it, says so, too.
TEST(Command, NamesInWordsWhatShardDoesNotHave) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
types = {'O': 'Python objects'}
for code, words in types.items():
    for dtype, where in (code, ''), ([('a', 'i4'), ('b', [('c', code, (2,))])], " in field 'b.c'"):
        np.save('a.npy', np.zeros((2, 3), dtype))
        told = json.loads(shard('info', '--json', 'a.npy'))[0]
        assert told['element_bytes'] == np.dtype(dtype).itemsize, told
        assert told['access'] == 'none' and words + where in told['why'], told
        assert words in (told['fields'][1]['fields'][0]['type'] if where else told['type']), told
        shown = shard('info', 'a.npy').decode()
        assert words in shown and 'does not have' not in shown, shown
        refused = subprocess.run([')" SHARD_PROGRAM R"(', 'cat', 'a.npy'], capture_output=True)
        assert refused.returncode == 1 and words + where in refused.stderr.decode(), refused
)"));
}

// Around the turns of all calendars, in every unit and multiples; the text is numpy's own.
TEST(Command, PrintsDatesAsNumpyDoes) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
days = [d + e for d in (0, 11016, 11017, 10957, -25509, -719162, -719528, -719529, 2932896, 146097)
        for e in (-1, 0, 1, 58, 59, 60, 365)]
seconds = {'W': 604800, 'D': 86400, 'h': 3600, 'm': 60, 's': 1}
for unit in 'Y M W D h m s ms us ns ps fs as 25s 12h 7D 90m 15M 10Y 250ms'.split():
    letter = unit.lstrip('0123456789')
    each = seconds.get(letter, 1)
    numbers = [n for d in days for n in (d * 86400 // each - 1, d * 86400 // each)]
    numbers += [2**63 - 1, -2**63, -2**63 + 1] if letter in 'ms us ns ps fs as'.split() and unit == letter else [-2**63]
    a = np.array(numbers).view('M8[%s]' % unit)
    np.save('a.npy', a)
    said = shard('cat', 'a.npy').decode().split('\n')[:-1]
    assert said == a.astype(str).tolist(), [both for both in zip(said, a.astype(str)) if both[0] != both[1]]
)"));
}

// As numpy prints them: the shortest decimals that it reads as the same float16.
TEST(Command, PrintsEveryFloat16) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
a = np.arange(65536).astype('u2').view('f2')
np.save('a.npy', a)
said = shard('cat', 'a.npy').decode().split()
for text, x in zip(said, a, strict=True):
    assert np.isnan(x) and text == 'nan' or float(text) == float(str(x)), (text, x)
)"));
}

// For people: what a terminal would act on, or reorder, is escaped; all else is UTF-8.
TEST(Command, PrintsTextOfCharacters) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
a = np.array(['caf\xe9', '\u65e5\U0001f600', 'a\\b\t\n', '\x1b[31m\x9b', '\u202e\u061c\u2028\ufeff', ''])
for order in '<>':
    np.save('a.npy', a.astype(a.dtype.newbyteorder(order)))
    said = shard('cat', 'a.npy').decode()
    assert said == ('caf\xe9\n\u65e5\U0001f600\na\\\\b\\t\\n\n\\x1b[31m\\x9b\n\\u202e\\u061c\\u2028\\ufeff\n\n'), said
    told, = json.loads(shard('info', '--json', 'a.npy'))
    assert told['type'] == 'text of up to 6 characters', told
    assert told['access'] == ('open' if order == '<' else 'load'), told
odd = np.array([0xd800, 0x110000, 0xffffffff], 'u4')
np.save('a.npy', odd.view('U1'))
assert shard('cat', 'a.npy') == b'\\ud800\n\\U00110000\n\\Uffffffff\n'
assert json.loads(shard('cat', 'a.npy', '-f', 'json')) == ['\ufffd'] * 3
)"));
}

// Units without a fixed length are printed, but to a buffer they are bytes.
TEST(Command, PrintsYearsAndOpensThemAsBytes) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
for code, name in ('M8[Y]', 'datetime64[Y]'), ('m8[3M]', 'timedelta64[3M]'), ('m8', 'timedelta64'):
    a = np.array([5, -2**63]).view(code)
    np.save('a.npy', a)
    told, = json.loads(shard('info', '--json', 'a.npy'))
    assert told['type'] == name and told['access'] == 'open', told
    assert told['element'] == 'shard::raw<8>' and 'why' not in told, told
    shown = a.astype(str).tolist() if 'M8' in code else ['5', 'NaT']
    assert shard('cat', 'a.npy').decode().split() == shown
)"));
}

TEST(Command, ReadsNamedBuffersByTheirName) {
  const folder here;
  const std::string name = "test-" + std::to_string(getpid());
  const fs::path file = "/dev/shm/shard." + name;
  shard::save(file, shard::buffer<int>(std::vector<int>{4, 5}));
  const ended head = run(here, "\"$shard\" head " + name);
  const ended info = run(here, "\"$shard\" info --json " + name);
  shard::save(here / name, shard::buffer<int>(std::vector<int>{6}));
  const ended shadowed = run(here, "\"$shard\" head " + name);
  fs::remove(file);
  EXPECT_EQ(head.out, "4\n5\n") << head.err;
  EXPECT_EQ(json::parse(info.out)[0]["backing"], "named");
  EXPECT_EQ(shadowed.out, "6\n") << "a path wins";
}

TEST(Command, SaysWhichElementsAreTorn) {
  const folder here;
  auto some = shard::create_live<int>(here / "a.npy", 4096);
  shard_test::tear(some);
  const ended info = run(here, "\"$shard\" info a.npy");
  EXPECT_EQ(info.status, 0);
  EXPECT_THAT(info.out, HasSubstr("torn          elements [0, 1024): a writer died"));
  EXPECT_EQ(json::parse(run(here, "\"$shard\" info --json a.npy").out)[0]["torn"],
            json({{0, 1024}}));
  for (const char* what : {"head", "cat -r 1023:1030", "cat -f json"}) {
    const ended printed = run(here, std::string("\"$shard\" ") + what + " a.npy");
    EXPECT_EQ(printed.status, 1) << what;
    EXPECT_THAT(printed.out, HasSubstr("0")) << what;
    EXPECT_THAT(printed.err, AllOf(HasSubstr("a.npy"), HasSubstr("[0, 1024) torn"))) << what;
  }
  const ended others = run(here, "\"$shard\" cat -r 1024: a.npy");
  EXPECT_EQ(others.status, 0);
  EXPECT_EQ(others.err, "");
  some.clear_torn({0, 1024});
  EXPECT_THAT(run(here, "\"$shard\" info a.npy").out, Not(HasSubstr("torn")));
  EXPECT_EQ(run(here, "\"$shard\" cat a.npy").status, 0);
}

TEST(Command, EscapesWhatATerminalWouldActOn) {
  const folder here;
  shard::buffer<shard::text<8>> texts(2);
  texts[0] = shard::text<8>("\x1b[2J\t\\");
  texts[1] = shard::text<8>("\xff\n");
  shard::save(here / "a.npy", texts);
  EXPECT_EQ(run(here, "\"$shard\" head a.npy").out, "\\x1b[2J\\t\\\\\n\\xff\\n\n");
  for (const char* what : {"head", "info", "cat -f '\x1b[2J'", "\x1b[2J"}) {
    const ended failed = run(here, std::string("\"$shard\" ") + what + " $'no\x1b[2Jne\n'");
    EXPECT_NE(failed.status, 0) << what;
    EXPECT_THAT(failed.err, AllOf(HasSubstr("\\x1b[2J"), Not(HasSubstr("\x1b")))) << what;
  }
  const ended as_json = run(here, "\"$shard\" cat -f json a.npy");
  EXPECT_EQ(json::parse(as_json.out)[1], "\xef\xbf\xbd\n") << "U+FFFD stands for no UTF-8";
}

TEST(Command, RefusesWhatIsNoArrayAndSaysWhy) {
  const folder here;
  ASSERT_EQ(mkfifo((here / "fifo").c_str(), 0600), 0);
  fs::create_directory(here / "folder");
  std::ofstream(here / "empty");
  std::ofstream(here / "text") << "not an array at all";
  shard::save(here / "cut.npy", shard::buffer<int>(100));
  fs::resize_file(here / "cut.npy", 4200);
  const std::vector<std::pair<std::string, std::string>> cases{
      {"missing", "No such file"},  {"folder", "a directory"}, {"fifo", "a FIFO"},
      {"empty", "0 bytes"},         {"text", "another kind"},  {"cut.npy", "104 bytes of data"},
      {"/dev/null", "a character"}, {"\"\"", "No such file"}};
  for (const auto& [file, why] : cases) {
    for (const char* subcommand : {"info", "head", "cat", "stats"}) {
      const ended said = run(here, std::string("\"$shard\" ") + subcommand + " " + file);
      EXPECT_EQ(said.status, 1) << subcommand << " " << file;
      EXPECT_THAT(said.out, IsEmpty());
      EXPECT_THAT(said.err, AllOf(HasSubstr("shard: cannot "), HasSubstr(why)));
    }
  }
}

TEST(Command, DescribesTheOthersWhereOneFails) {
  const folder here;
  shard::save(here / "a.npy", shard::buffer<int>(1));
  const ended said = run(here, "\"$shard\" info --json missing a.npy");
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(json::parse(said.out).size(), 1u);
  EXPECT_THAT(said.err, HasSubstr("missing"));
}

TEST(Command, SurvivesHostileFiles) {
  const folder here;
  for (const auto& entry : fs::directory_iterator(SHARD_CORPUS)) {
    fs::copy(entry.path(), here.path());
    // A dictionary without what is before it, for the fuzzer's sake.
    const std::string bytes = contents(entry.path());
    if (bytes.starts_with('\x93')) continue;
    std::string whole("\x93NUMPY\x02\x00", 8);
    for (int shift = 0; shift < 32; shift += 8) whole += static_cast<char>(bytes.size() >> shift);
    std::ofstream(here / (entry.path().filename().string() + ".whole"), std::ios::binary)
        << whole << bytes << std::string(4096, '\x80');
  }
  strings ways{"info", "cat -f csv", "stats"};
  if (!shard_test::sanitized) {  // or it takes minutes
    ways.insert(ways.end(), {"info --json", "cat -f json", "head", "stats --json"});
  }
  for (const std::string& name : here.names()) {
    for (const std::string& rest : ways) {
      const ended said =
          run(here, "\"$shard\" " + rest + " '" + name + "' | head -c 100000; exit $PIPESTATUS");
      EXPECT_TRUE(said.status == 0 || said.status == 1) << rest << " " << name << said.status;
      EXPECT_EQ(said.err.empty(), said.status == 0) << rest << " " << name << ": " << said.err;
    }
  }
}

TEST(Command, RefusesElementsWithMoreValuesThanAnyoneReads) {
  const folder here;
  const strings types{
      "[('a', '|S0', (1000000000000,))]",
      "[('a', [('', '|V0')], (1000000000000,)), ('b', '<i4')]",
      "[('a', '<i4', (1000000000000, 0)), ('b', '<i4')]",  // nothing, however often
      "[('a', '<f8', (4294967296, 4294967296))]",
      "'|V99999999999999999999'",
  };
  for (const std::string& type : types) {
    std::string header = "{'descr': " + type + ", 'fortran_order': False, 'shape': (1,), }\n";
    std::ofstream(here / "a.npy", std::ios::binary)
        << std::string("\x93NUMPY\x01\x00", 8) << static_cast<char>(header.size()) << '\0' << header
        << std::string(64, '\1');
    for (const char* as : {"csv", "json"}) {
      const ended said = run(here, std::string("\"$shard\" cat a.npy -f ") + as);
      EXPECT_GE(said.status, 0) << type;
      EXPECT_LT(said.out.size(), 100u) << type;
    }
  }
}

TEST(Command, EndsQuietlyWhenNobodyReadsOn) {
  const folder here;
  shard::save(here / "a.npy", shard::buffer<double>(1'000'000));
  for (const char* line :
       {"set -o pipefail; \"$shard\" cat a.npy | head -n 1",
        "set -o pipefail; trap '' PIPE; \"$shard\" cat a.npy -f json | head -n 1"}) {
    const ended said = run(here, line);
    EXPECT_EQ(said.status, 0) << line;
    EXPECT_THAT(said.err, IsEmpty());
  }
}

TEST(Command, ReportsOutputThatIsLost) {
  const folder here;
  shard::save(here / "a.npy", shard::buffer<double>(10));
  for (const char* what : {"cat a.npy", "cat a.npy -f json", "head a.npy", "info a.npy",
                           "info --json a.npy", "stats a.npy", "stats --json a.npy", "gc --dry-run",
                           "gc -n --json", "doctor", "--help", "cat --help", "--version"}) {
    const ended full = run(here, std::string("\"$shard\" ") + what + " > /dev/full");
    EXPECT_EQ(full.status, 1) << what;
    EXPECT_THAT(full.err, HasSubstr("No space left")) << what;
    const ended closed = run(here, std::string("\"$shard\" ") + what + " >&-");
    EXPECT_EQ(closed.status, 1) << what;
    EXPECT_THAT(closed.err, HasSubstr("standard output")) << what;
  }
  shard::save(here / "long.npy", shard::buffer<double>(100'000));
  const ended limited = run(here, "ulimit -f 1; \"$shard\" cat long.npy > out");
  EXPECT_EQ(limited.status, 1);
  EXPECT_THAT(limited.err, HasSubstr("File too large"));
}

TEST(Command, TellsUsageFromFailure) {
  const folder here;
  for (const char* line :
       {"", "nonsense", "info", "cat", "stats", "gc a", "gc --nonsense", "head a b", "head a -n ''",
        "head a -n 1e3", "cat a --rows 3", "cat a --rows 1:x", "cat a --format xml", "head a -n -1",
        "--nonsense"}) {
    const ended said = run(here, std::string("\"$shard\" ") + line);
    EXPECT_EQ(said.status, 2) << line;
    EXPECT_THAT(said.out, IsEmpty());
    EXPECT_THAT(said.err, AllOf(HasSubstr("shard: "), HasSubstr("--help"))) << line;
  }
}

TEST(Command, RefusesNumbersThatNothingCanBeDoneWith) {
  const folder here;
  for (const char* number : {"nan", "inf", "-1", "0", "1e-9", "1e9", "1s", "1e999"}) {
    const ended said = run(here, std::string("\"$shard\" watch a -s ") + number);
    EXPECT_EQ(said.status, 2) << number;
    EXPECT_THAT(said.err, AllOf(HasSubstr("found '" + std::string(number) + "'"),
                                HasSubstr("expected a number of seconds from 0.01 to 86400")));
  }
  const std::string large = "99999999999999999999";
  for (const std::string& line : {"head a -n " + large, "cat a --rows 0:" + large}) {
    const ended said = run(here, "\"$shard\" " + line);
    EXPECT_EQ(said.status, 2) << line;
    EXPECT_THAT(said.err, AllOf(HasSubstr(large + "'"), HasSubstr("expected ")));
  }
}

TEST(Command, NamesWhatItDoesNotKnow) {
  const folder here;
  EXPECT_THAT(
      run(here, "\"$shard\" nonsense").err,
      AllOf(HasSubstr("'nonsense'"), HasSubstr("info, head, cat, stats, report, gc, doctor")));
  EXPECT_THAT(run(here, "\"$shard\" head -n -1 a.npy").err, HasSubstr("'-1'"));
}

TEST(Command, PrintsAnArrayWithoutDimensionsAsItsOneRow) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
np.save('a.npy', np.array(3.5))
for rows in '0:', ':1', '0:9': assert shard('cat', 'a.npy', '-f', 'json', '-r', rows) == b'3.5\n'
for rows in '1:', '0:0', '5:9':
    assert shard('cat', 'a.npy', '-f', 'json', '-r', rows) == b'[]\n'
    assert shard('cat', 'a.npy', '-f', 'csv', '-r', rows) == b''
)"));
}

TEST(Command, PrintsRowsOfFilesLargerThanAnyMemory) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
with open('a.npy', 'wb') as file:
    n = 1 << 37
    np.lib.format.write_array_header_1_0(file, dict(descr='<f8', fortran_order=False, shape=(n,)))
    start = file.tell()
    try: file.truncate(start + 8 * n)
    except OSError: sys.exit(0)  # a file system without such files
    file.seek(start + 8 * (n - 1))
    file.write(np.array([2.5]).tobytes())
assert shard('head', 'a.npy', '-n', 1) == b'0.0\n'
assert shard('cat', 'a.npy', '--rows', '%d:' % (n - 2)) == b'0.0\n2.5\n'
)"));
}

TEST(Command, HelpsWithExamplesAndVersions) {
  const folder here;
  EXPECT_EQ(run(here, "\"$shard\" --version").out, "shard " + std::to_string(SHARD_VERSION_MAJOR) +
                                                       "." + std::to_string(SHARD_VERSION_MINOR) +
                                                       "." + std::to_string(SHARD_VERSION_PATCH) +
                                                       "\n");
  EXPECT_THAT(run(here, "\"$shard\" --help").out, HasSubstr("Exit status: 0"));
  for (const char* subcommand : {"info", "head", "cat", "stats", "report", "gc", "doctor"}) {
    const ended said = run(here, std::string("\"$shard\" ") + subcommand + " --help");
    EXPECT_EQ(said.status, 0);
    EXPECT_THAT(said.out, HasSubstr(std::string("Examples:\n  shard ") + subcommand));
  }
}

// What numpy knows of a file, too, is the same; and nothing about it has changed.
TEST(Stats, TellOfWhatNumpyWrote) {
  SHARD_NEEDS_NUMPY();
  const folder here;
  EXPECT_TRUE(numpy_agrees(here, oracle + R"(
import os
def seen(path):
    at = os.stat(path)
    with open(path, 'rb') as file: return file.read(), at.st_mtime_ns, at.st_ctime_ns, at.st_blocks
foreign = [np.zeros((2, 3), d) for d in ('U3', 'M8[ns]', 'f2', 'V0')]
for a in arrays + foreign:
    np.save('a.npy', a)
    os.chmod('a.npy', 0o400)
    before = seen('a.npy')
    said, = json.loads(shard('stats', '--json', 'a.npy'))
    assert seen('a.npy') == before
    os.remove('a.npy')
    assert said['name'] == 'a.npy' and said['backing'] == 'file' and 'held' not in said, said
    assert tuple(said['shape']) == a.shape and said['data_bytes'] == a.nbytes, said
    assert said['file_bytes'] == len(before[0]) and said['allocated_bytes'] == 512 * before[3]
    assert 0 < said['resident_bytes'] <= said['file_bytes'], said
    assert said['page_bytes'] == os.sysconf('SC_PAGESIZE') and not said['huge_pages'], said
    assert said['control_words'] is False and said['exclusive_holder'] is None, said
    assert said['handles'] == said['writers'] == said['recoveries'] == said['notifications'] == 0
    assert said['shared_holders'] == said['torn'] == [] and said['abandoned'] is False, said
)"));
}

json stats_of(const folder& in, const std::string& argument) {
  const ended said = run(in, "\"$shard\" stats --json " + argument);
  EXPECT_EQ(said.status, 0) << said.err;
  return json::parse(said.out).at(0);
}

// A thread that holds nothing has asked; a buffer of each kind, as the command finds it.
template <class Check>
void for_each_shared(Check check) {
  const folder here;
  auto live = shard::create_live<int>(here / "live.npy", 2048);
  check(here, live, "live.npy");
  const std::string name = "stats-" + std::to_string(getpid());
  auto named = shard::named::create<int>(name, 2048);
  check(here, named, name);
  shard::buffer<int> memory(2048);
  check(here, memory,
        "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(memory.descriptor()));
}

TEST(Stats, SayWhatTheHandleSays) {
  for_each_shared([](const folder& here, shard::buffer<int>& some, const std::string& argument) {
    SCOPED_TRACE(argument);
    const auto agree = [&] {
      const json said = stats_of(here, argument);
      const shard::buffer_stats expected = some.stats();
      EXPECT_EQ(said["shape"], json(expected.shape));
      EXPECT_EQ(said["data_bytes"], expected.data_bytes);
      EXPECT_EQ(said["allocated_bytes"], expected.allocated_bytes);
      EXPECT_EQ(said["page_bytes"], expected.page_bytes);
      EXPECT_EQ(said["control_words"], expected.control_words);
      EXPECT_EQ(said["handles"], expected.handles);
      EXPECT_EQ(said["writers"], expected.writers);
      EXPECT_EQ(said["recoveries"], expected.recoveries);
      EXPECT_EQ(said["notifications"], expected.notifications);
      EXPECT_EQ(said["exclusive_holder"],
                expected.exclusive_holder == 0 ? json() : json(expected.exclusive_holder));
      EXPECT_EQ(said["shared_holders"], json(expected.shared_holders));
      EXPECT_EQ(said["abandoned"], expected.abandoned);
      EXPECT_EQ(said["torn"].size(), expected.torn.size());
      return said;
    };
    EXPECT_EQ(agree()["control_words"], false);
    some.notify();
    some.lock();
    EXPECT_EQ(agree()["exclusive_holder"], gettid());
    some.unlock();
    some.lock_shared();
    EXPECT_EQ(agree()["shared_holders"], json({gettid()}));
    some.unlock_shared();
    shard_test::neighbour([&] { return some.lock(), true; }).die();
    EXPECT_EQ(agree()["abandoned"], true);
    EXPECT_TRUE(some.try_lock());
    some.unlock();
    EXPECT_EQ(agree()["recoveries"], 1);
    shard_test::tear(some);
    EXPECT_EQ(agree()["torn"], json({{0, 1024}}));

    const std::string text = run(here, "\"$shard\" stats " + argument).out;
    EXPECT_THAT(text, AllOf(HasSubstr("[0, 1024): a writer died"), HasSubstr("(2048,)"),
                            HasSubstr("free; abandoned"), HasSubstr("1 handle attached")));
  });
}

TEST(Stats, TellWhetherANamedBufferIsHeld) {
  const folder here;
  const std::string name = "held-" + std::to_string(getpid());
  shard_test::neighbour owner(
      [&] { return std::make_unique<shard::buffer<int>>(shard::named::create<int>(name, 3)); });
  EXPECT_EQ(stats_of(here, name)["held"], true);
  EXPECT_EQ(stats_of(here, "/dev/shm/shard." + name)["backing"], "named");
  EXPECT_THAT(run(here, "\"$shard\" stats " + name).out, HasSubstr("held by 1 handle\n"));
  owner.die();
  EXPECT_EQ(stats_of(here, name)["held"], false);
  EXPECT_THAT(run(here, "\"$shard\" stats " + name).out, HasSubstr("left by a kill"));
  fs::remove("/dev/shm/shard." + name);
}

TEST(Stats, OfTheOthersAreShownWhereOneFails) {
  const folder here;
  shard::save(here / "a.npy", shard::buffer<int>(1));
  std::ofstream(here / "torn off.npy") << "\x93NUMPY";
  const ended said = run(here, "\"$shard\" stats missing a.npy 'torn off.npy'");
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.out, testing::StartsWith("a.npy\n"));
  EXPECT_THAT(said.err, AllOf(HasSubstr("cannot measure missing"), HasSubstr("torn off.npy")));
}

// Runs `steps` where /dev/shm is the test's alone: in a mount namespace, which any user may have
// where the system lets users have namespaces. False: it doesn't.
template <class Steps>
[[nodiscard]] bool with_own_names(Steps steps) {
  return shard_test::with_own_mounts([&] {
    if (!shard_test::mount_tmpfs("/dev/shm", "size=16m")) return false;
    steps();
    return true;
  });
}

strings shared_files() {
  strings found;
  for (const auto& each : fs::directory_iterator("/dev/shm")) {
    found.push_back(each.path().filename());
  }
  std::ranges::sort(found);
  return found;
}

TEST(Gc, RemovesWhatNobodyHoldsAndNothingElse) {
  const folder here;
  const bool done = with_own_names([&] {
    const auto held = shard::named::create<int>("held", 3);
    for (const char* name : {"left", "left.too"}) {
      shard_test::neighbour([&] {
        return std::make_unique<shard::buffer<int>>(shard::named::create<int>(name, 1000));
      }).die();
    }
    std::ofstream("/dev/shm/shard.text") << "not a buffer";
    std::ofstream("/dev/shm/other");
    fs::create_symlink("shard.left", "/dev/shm/shard.link");
    fs::create_directory("/dev/shm/shard.folder");
    EXPECT_EQ(mkfifo("/dev/shm/shard.fifo", 0600), 0);
    const strings before = shared_files();
    const auto bytes = fs::file_size("/dev/shm/shard.left");

    EXPECT_THAT(run(here, "\"$shard\" doctor").out, HasSubstr("1 in use, 2 left by kills"));
    const ended dry = run(here, "\"$shard\" gc --dry-run");
    const ended dry_json = run(here, "\"$shard\" gc -n --json");
    EXPECT_EQ(shared_files(), before);
    EXPECT_EQ(dry.status, 0) << dry.err;
    const std::string sizes = std::to_string(bytes) + " bytes\n";
    EXPECT_EQ(dry.out, "would remove left  " + sizes + "would remove left.too  " + sizes +
                           "2 buffers, " + std::to_string(2 * bytes) + " bytes\n");
    const json expected = {{{"name", "left"}, {"bytes", bytes}, {"removed", false}},
                           {{"name", "left.too"}, {"bytes", bytes}, {"removed", false}}};
    EXPECT_EQ(json::parse(dry_json.out), expected);

    const ended gone = run(here, "\"$shard\" gc --json");
    EXPECT_EQ(gone.status, 0) << gone.err;
    EXPECT_EQ(json::parse(gone.out)[1]["removed"], true);
    strings rest = before;
    std::erase_if(rest, [](const std::string& each) { return each.starts_with("shard.left"); });
    EXPECT_EQ(shared_files(), rest);
    EXPECT_EQ(shard::named::open<int>("held").size(), 3u);

    EXPECT_THAT(run(here, "\"$shard\" gc").out, HasSubstr("nothing is left"));
    EXPECT_EQ(run(here, "\"$shard\" gc --json").out, "[]\n");
  });
  if (!done) GTEST_SKIP() << "no mounting in a user namespace here";
}

// A process that may open no more has not seen that nothing is left.
TEST(Gc, SaysThatItCouldNotLook) {
  const folder here;
  const bool done = with_own_names([&] {
    shard_test::neighbour([&] {
      return std::make_unique<shard::buffer<int>>(shard::named::create<int>("left", 3));
    }).die();
    // One descriptor besides the standard streams: enough to begin with.
    const std::string starved =
        "for fd in {3..63}; do eval \"exec $fd>&-\"; done; ulimit -n 4; \"$shard\" ";
    for (const char* asked : {"gc", "gc --dry-run", "gc --json"}) {
      const ended said = run(here, starved + asked);
      EXPECT_EQ(said.status, 1) << asked;
      EXPECT_THAT(said.err, AllOf(HasSubstr("cannot "), HasSubstr("ulimit -n")));
      EXPECT_THAT(said.out, Not(HasSubstr("nothing")));
    }
    EXPECT_EQ(shared_files(), strings{"shard.left"});
  });
  if (!done) GTEST_SKIP() << "no mounting in a user namespace here";
}

TEST(Gc, WaitsForNobodyWhoHoldsABuffer) {
  const folder here;
  const bool done = with_own_names([&] {
    const auto held = shard::named::create<int>("held", 3);
    // As one has it that was stopped while it decided about the name.
    const auto stopped = shard::os::open_again(held.descriptor(), shard::os::protection::write);
    shard::os::lock_byte(stopped, shard::memory::attaching_byte, shard::os::hold::exclusive);
    EXPECT_THAT(run(here, "timeout 60 \"$shard\" gc").out, HasSubstr("nothing is left"));
  });
  if (!done) GTEST_SKIP() << "no mounting in a user namespace here";
}

TEST(Doctor, JudgesEachThingInALine) {
  const folder here;
  const ended said = run(here, "\"$shard\" doctor --json .");
  const json all = json::parse(said.out);
  strings subjects;
  bool problem = false;
  for (const json& each : all) {
    subjects.push_back(each["subject"]);
    EXPECT_FALSE(each["found"].get<std::string>().empty()) << each;
    EXPECT_FALSE(each["meaning"].get<std::string>().empty()) << each;
    EXPECT_THAT((strings{"ok", "note", "problem"}), Contains(each["verdict"]));
    problem = problem || each["verdict"] == "problem";
  }
  EXPECT_EQ(said.status, problem ? 1 : 0);
  for (const char* subject :
       {"kernel", "memory files", "robust mutexes", "memory", "control groups", "/dev/shm",
        "named buffers", "huge pages", "cpu", "topology", "descriptors", "files in ."}) {
    EXPECT_THAT(subjects, Contains(subject));
  }
  EXPECT_THAT(here.names(), IsEmpty());
  const std::string text = run(here, "\"$shard\" doctor").out;
  EXPECT_EQ(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')), all.size());
}

TEST(Doctor, FailsWhereThereIsAProblem) {
  const folder here;
  for (const char* line : {"ulimit -n 32; \"$shard\" doctor", "\"$shard\" doctor missing",
                           "\"$shard\" doctor /proc"}) {
    const ended said = run(here, line);
    EXPECT_EQ(said.status, 1) << line;
    EXPECT_THAT(said.out, HasSubstr("\nproblem ")) << line;
  }
  EXPECT_THAT(run(here, "\"$shard\" doctor /dev/shm").out, HasSubstr("outputs there take memory"));
  EXPECT_THAT(run(here, "ulimit -f 1024; \"$shard\" doctor").out,
              HasSubstr("note     file size       1.0 MiB"));
}

// What statfs says of a file system, and what a user can do there, are two things.
TEST(Doctor, TriesWhereNamedBuffersAre) {
  const folder here;
  const auto said = [&] {
    for (const json& each : json::parse(run(here, "\"$shard\" doctor --json").out)) {
      if (each["subject"] == "/dev/shm") return each;
    }
    return json();
  };
  const bool done = shard_test::with_own_mounts([&] {
    const fs::path shm = "/dev/shm";
    if (!shard_test::mount_tmpfs(shm, "size=0")) return false;
    EXPECT_EQ(said()["verdict"], "ok") << said();
    EXPECT_EQ(said()["found"], "tmpfs, no limit of its own");
    EXPECT_TRUE(fs::is_empty(shm));

    if (!shard_test::mount_tmpfs(shm, "size=64k")) return false;
    std::ofstream filler(shm / "filler");
    while (filler << std::string(4096, 'x') << std::flush) {
    }
    EXPECT_EQ(said()["verdict"], "problem") << said();
    EXPECT_THAT(said()["meaning"], HasSubstr("No space left"));

    if (mount("tmpfs", shm.c_str(), "tmpfs", MS_RDONLY, nullptr) != 0) return false;
    EXPECT_EQ(said()["verdict"], "problem") << said();
    EXPECT_THAT(said()["meaning"], HasSubstr("Read-only file system"));

    // Not in a user namespace.
    if (mount("ramfs", shm.c_str(), "ramfs", 0, nullptr) != 0) return true;
    EXPECT_EQ(said()["verdict"], "ok") << said();
    EXPECT_TRUE(fs::is_empty(shm));
    return true;
  });
  if (!done) GTEST_SKIP() << "no mounting here";
}

TEST(Doctor, SaysThatAFolderIsReadOnlyToItsUser) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  const folder here;
  fs::permissions(here.path(), fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_THAT(run(here, "\"$shard\" doctor").out, HasSubstr("problem  files in"));
  fs::permissions(here.path(), fs::perms::owner_all);
}

// ---- Reports

// One with all that a report can have.
shard::report full_report() {
  shard::failure one{.chunk = 3,
                     .indices = {30, 31},
                     .kind = "signal",
                     .what = "signal 11 (SIGSEGV) at address 0x10",
                     .signal = 11,
                     .attempt = 2,
                     .worker = 1,
                     .stack = {"score(double) at score.cpp:12"},
                     .stderr_tail = "last line\n",
                     .pid = 4711,
                     .at = shard::seconds(1.5),
                     .elapsed = shard::seconds(0.25)};
  shard::run_counts counts{.map = 2, .chunks = 10, .grain = 10, .workers = 2, .retries = 1};
  counts.deaths = 2;
  counts.without = {"a thing (call)"};
  shard::run_resources used{.recorded = true, .processes = true};
  for (unsigned k = 0; k < 2; ++k) {
    used.workers.push_back({.worker = k, .processes = k + 1, .chunks = 5});
    used.workers[k].user_time = shard::seconds(1.25);
    used.workers[k].peak_private_bytes = 950'000'000;
    used.workers[k].busy = {0, 0.5f, 0.125f};
  }
  used.replacements = {{1, shard::seconds(1.75)}};
  used.working = 0.75;
  used.waiting = 0.25;
  used.slowest = shard::chunk_record{
      .chunk = 7, .indices = {70, 80}, .worker = 1, .duration = shard::seconds(1)};
  used.median_chunk = shard::seconds(0.1);
  used.memory_limit_bytes = 1'000'000'000;
  return shard::report({.completed = {{0, 30}, {31, 100}},
                        .failed = {{30, 31}},
                        .not_tried = {},
                        .missing_chunks = {{3, 4}}},
                       {one}, counts, shard::seconds(4), "the end", used);
}

TEST(Command, PrintsAReportAsItsProgramDoes) {
  const folder here;
  const shard::report of = full_report();
  fs::create_directory(here / "results");
  std::ofstream(here / "results" / "report.json") << of.json() << "\n";
  std::ostringstream text;
  text << of << "\n";
  for (const char* const file : {"results", "results/report.json"}) {
    const ended said = run(here, std::string("\"$shard\" report ") + file);
    EXPECT_EQ(said.status, 0) << said.err;
    EXPECT_EQ(said.out, text.str());
  }
}

TEST(Command, MakesAPageOfAReport) {
  const folder here;
  const shard::report of = full_report();
  std::ofstream(here / "report.json") << of.json();
  EXPECT_EQ(run(here, "\"$shard\" report report.json --html").out,
            of.html("Report of report.json"));
  const ended said = run(here, "\"$shard\" report report.json --html -o page.html");
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(said.out, "");
  EXPECT_EQ(contents(here / "page.html"), of.html("Report of report.json"));
}

TEST(Command, RefusesWhatIsNoReport) {
  const folder here;
  std::ofstream(here / "text.json") << "no JSON";
  std::ofstream(here / "other.json") << "[1, 2]";
  std::ofstream(here / "types.json") << R"({"counts": {"chunks": "many"}})";
  fs::create_directory(here / "empty");
  for (const char* const file : {"text.json", "other.json", "types.json", "empty", "nothing"}) {
    const ended said = run(here, std::string("\"$shard\" report ") + file);
    EXPECT_EQ(said.status, 1) << file;
    EXPECT_THAT(said.err, AllOf(HasSubstr("cannot read"), HasSubstr(file), HasSubstr("expected")));
    EXPECT_EQ(said.out, "");
  }
}

// What bash would offer for a line of words, of which the last is being typed.
strings offered(const folder& in, const std::string& words) {
  const ended said = run(in, "source \"$completion\"; COMP_WORDS=(\"$shard\" " + words +
                                 "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shard 2>/dev/null; "
                                 "printf '%s\\n' \"${COMPREPLY[@]}\"; complete -p shard");
  EXPECT_EQ(said.status, 0) << said.err;
  strings lines;
  std::istringstream out(said.out);
  for (std::string line; std::getline(out, line);) lines.push_back(line);
  EXPECT_EQ(lines.back(), "complete -F _shard shard");
  lines.pop_back();
  return lines;
}

TEST(Command, ShowsHowFarAJobIs) {
  const folder here;
  {
    auto x = shard::create<double>(here / "x.npy", 20);
    x.finish();
  }
  const auto start = [&](bool fails) {
    const auto x = shard::open<double>(here / "x.npy");
    shard::job job(here / "job", {.checkpoint = shard::seconds{}, .maps = {.workers = 1}});
    auto first = job.create<double>("first.npy", 20);
    auto second = job.create<double>("second.npy", 20);
    job.map(first, shard::in(x), [](std::size_t i, shard::view<double> from) { return from[i]; });
    static bool failing = false;
    failing = fails;
    static_cast<void>(job.try_map({.retries = 0, .keep_going = true}, second, [](std::size_t i) {
      if (failing && i == 7) throw std::runtime_error("no");
      return 1.0;
    }));
  };
  EXPECT_EQ(run(here, "mkdir none; \"$shard\" status none").status, 1);
  start(true);
  const ended half = run(here, "\"$shard\" status job");
  EXPECT_EQ(half.status, 0) << half.err;
  EXPECT_THAT(half.out, HasSubstr("nobody works on it"));
  EXPECT_THAT(half.out, HasSubstr("map 1: complete, 20 chunks\n"));
  EXPECT_THAT(half.out, HasSubstr("map 2: 19 of 20 chunks are done (95.0%)"));
  EXPECT_THAT(half.out, HasSubstr("1 index given up\n"));
  start(false);
  EXPECT_THAT(run(here, "\"$shard\" status job").out, HasSubstr("map 2: complete, 20 chunks\n"));
  EXPECT_EQ(run(here, "\"$shard\" watch job").out, "map 2 is complete\nnobody works on it\n");
  EXPECT_EQ(json::parse(run(here, "\"$shard\" status --json job").out)["maps"].size(), 2U);
  EXPECT_EQ(run(here, "\"$shard\" status --why job").status, 0);
  {
    auto x = shard::open_writable<double>(here / "x.npy");
    x[3] = 1;
  }
  fs::last_write_time(here / "x.npy", fs::file_time_type::clock::now());
  const ended why = run(here, "\"$shard\" status --why job");
  EXPECT_EQ(why.status, 1);
  EXPECT_THAT(why.out, HasSubstr("map 1: input 1 has changed since: "));
}

// A job whose map stands still at index 10, in a process of its own, which is killed at the end.
class waiting_job {
 public:
  explicit waiting_job(const fs::path& folder) : child_(fork()) {
    if (child_ != 0) {
      while (!fs::exists(folder / "begun")) usleep(1000);
      return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    shard::job job(folder,
                   {.checkpoint = shard::seconds{}, .maps = {.run_on = shard::executor::serial}});
    auto to = job.create<double>("to.npy", 20);
    job.map(to, shard::value(folder_name(folder)), [](std::size_t i, const folder_name& in) {
      if (i == 10) {
        std::ofstream(fs::path(in.text.data()) / "begun");
        for (;;) pause();
      }
      return 1.0;
    });
    _exit(1);
  }
  waiting_job(const waiting_job&) = delete;
  waiting_job& operator=(const waiting_job&) = delete;
  ~waiting_job() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }

 private:
  struct folder_name {
    explicit folder_name(const fs::path& of) { of.string().copy(text.data(), text.size() - 1); }
    std::array<char, 256> text{};
  };
  pid_t child_;
};

TEST(Command, SaysSinceWhenAMapIsUnderWay) {
  const folder here;
  const std::time_t before = std::time(nullptr);
  const waiting_job job(here / "job");
  const std::string said = run(here, "\"$shard\" status job").out;
  EXPECT_THAT(said, testing::ContainsRegex("map 1: under way since [0-9-]+ [0-9:]+, "
                                           "10 of 20 chunks are done \\(50.0%\\)\n"));
  const json all = json::parse(run(here, "\"$shard\" status --json job").out);
  const std::time_t began = all["maps"][0].value("began", std::time_t{});
  EXPECT_GE(began, before);
  EXPECT_LE(began, std::time(nullptr));
}

// A finished job of one map.
void make_job(const fs::path& folder) {
  shard::job job(folder, {.checkpoint = shard::seconds{}, .maps = {.workers = 1}});
  auto to = job.create<double>("to.npy", 20);
  job.map(to, [](std::size_t) { return 1.0; });
}

TEST(Command, CountsOnlyNotesOfMapsAsMaps) {
  const folder here;
  make_job(here / "job");
  for (const char* const name :
       {"x.map.json", "0.map.json", "01.map.json", "1x.map.json", "+2.map.json", "2.map.json.new",
        "99999999999999999999.map.json"}) {
    fs::copy(here / "job/.shard/1.map.json", here / "job/.shard" / name);
  }
  const json all = json::parse(run(here, "\"$shard\" status --json job").out);
  ASSERT_EQ(all["maps"].size(), 1U) << all;
  EXPECT_EQ(all["maps"][0]["number"], 1);
  EXPECT_EQ(run(here, "\"$shard\" status --why job").status, 0);
}

TEST(Command, SendsNoCommandsOfAJobsFilesToATerminal) {
  const folder here;
  make_job(here / "job");
  const std::string command = "\x1b]0;owned\a\x1b[31m\xc2\x9bJ";
  std::ofstream(here / "job/.shard/lock") << command << "\nboot\n12\n" << command << "\n";
  std::ofstream(here / "report.json")
      << json{{"counts", {{"chunks", 3}, {"without", json::array({command})}}},
              {"trouble", command},
              {"failures",
               {{{"kind", "exception"},
                 {"what", command},
                 {"stack", {command, "main"}},
                 {"stderr_tail", command},
                 {"indices", {0, 1}}}}}};
  for (const char* const line : {"status job", "watch job", "report report.json"}) {
    const ended said = run(here, std::string("\"$shard\" ") + line);
    EXPECT_EQ(said.status, 0) << said.err;
    EXPECT_THAT(said.out, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\a")))) << line;
  }
  EXPECT_THAT(run(here, "\"$shard\" status job").out,
              AllOf(HasSubstr("\\x1b[31m"), Not(HasSubstr("\xc2\x9b"))));
}

TEST(Command, SaysWhatAReaderOfAJobNeeds) {
  const folder here;
  make_job(here / "without_a_lock");
  fs::remove(here / "without_a_lock/.shard/lock");
  make_job(here / "with_a_symlink");
  fs::remove(here / "with_a_symlink/.shard/lock");
  fs::create_symlink("job.json", here / "with_a_symlink/.shard/lock");
  fs::create_directory(here / "empty");
  for (const char* const job : {"missing", "empty", "without_a_lock", "with_a_symlink"}) {
    for (const char* const verb : {"status", "status --why", "watch"}) {
      const ended said = run(here, std::string("\"$shard\" ") + verb + " " + job);
      if (std::string(verb) == "status --why" && said.status == 0) continue;  // it needs no lock
      EXPECT_EQ(said.status, 1) << verb << ' ' << job;
      EXPECT_THAT(said.err, AllOf(HasSubstr(job), HasSubstr("expected the folder of a job"),
                                  Not(HasSubstr("written"))));
    }
  }
}

TEST(Completion, OffersWhatTheProgramHas) {
  const folder here;
  fs::create_directory(here / "deep");
  std::ofstream(here / "with space.npy");
  std::ofstream(here / "other.txt");
  std::ofstream(here / "report.json");
  const std::string name = "complete-" + std::to_string(getpid());
  std::ofstream("/dev/shm/shard." + name);
  EXPECT_THAT(offered(here, "''"),
              testing::UnorderedElementsAre("info", "head", "cat", "stats", "report", "gc",
                                            "doctor", "status", "watch"));
  EXPECT_THAT(offered(here, "do"), testing::ElementsAre("doctor"));
  EXPECT_THAT(offered(here, "cat --"),
              testing::UnorderedElementsAre("--help", "--format", "--rows"));
  EXPECT_THAT(offered(here, "stats --"), testing::UnorderedElementsAre("--help", "--json"));
  EXPECT_THAT(offered(here, "gc --"),
              testing::UnorderedElementsAre("--help", "--dry-run", "--json"));
  EXPECT_THAT(offered(here, "gc ''"), testing::ElementsAre(""));
  EXPECT_THAT(offered(here, "report --"),
              testing::UnorderedElementsAre("--help", "--html", "--output"));
  EXPECT_THAT(offered(here, "report ''"), testing::UnorderedElementsAre("deep", "report.json"));
  EXPECT_THAT(offered(here, "report x.json -o oth"), testing::ElementsAre("other.txt"));
  EXPECT_THAT(offered(here, "cat --format j"), testing::ElementsAre("json"));
  // As bash cuts --format=j and --format= into words.
  EXPECT_THAT(offered(here, "cat --format = j"), testing::ElementsAre("json"));
  EXPECT_THAT(offered(here, "cat --format ="), testing::ElementsAre("csv", "json", "text"));
  EXPECT_THAT(offered(here, "head -n ''"), testing::ElementsAre(""));
  EXPECT_THAT(offered(here, "stats " + name.substr(0, 9)), Contains(name));
  EXPECT_THAT(offered(here, "--"), testing::UnorderedElementsAre("--help", "--version"));
  EXPECT_THAT(offered(here, "info with"), testing::ElementsAre("with space.npy"));
  EXPECT_THAT(offered(here, "head ''"), AllOf(Contains("deep"), Contains("with space.npy"),
                                              Contains(name), Not(Contains("other.txt"))));
  EXPECT_THAT(offered(here, "doctor ''"), testing::ElementsAre("deep"));
  fs::remove("/dev/shm/shard." + name);
}

}  // namespace
