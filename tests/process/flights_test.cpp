// The main job as its users run it: a program, its files and its exit status. What it should
// compute is computed here once more, serially, with nothing of shard: FLIGHTS_PROGRAM is the
// program's path, and FLIGHTS_DATA the folder of the sample.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <boost/process.hpp>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;
namespace process = boost::process;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using code = std::array<char, 3>;
using strings = std::vector<std::string>;

constexpr std::array outputs{"airports.csv", "delay_by_hour.npy", "zscore.npy"};
constexpr std::array columns{"date.npy", "delay.npy", "distance.npy", "origin.npy",
                             "destination.npy"};

std::string bytes_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("no file " + file.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_bytes(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

// --- .npy files, as numpy's format description has them ---

template <class T>
constexpr const char* descr = nullptr;
template <>
constexpr const char* descr<std::int64_t> = "<i8";
template <>
constexpr const char* descr<std::int16_t> = "<i2";
template <>
constexpr const char* descr<float> = "<f4";
template <>
constexpr const char* descr<code> = "|S3";

std::string npy(const std::string& type, const std::string& shape, const std::string& data) {
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.append(63 - (10 + header.size()) % 64, ' ').push_back('\n');
  std::string length(2, '\0');
  length[0] = static_cast<char>(header.size() & 0xff);
  length[1] = static_cast<char>(header.size() >> 8);
  return "\x93NUMPY" + std::string("\x01\0", 2) + length + header + data;
}

template <class T>
std::string npy(const std::vector<T>& values) {
  std::string data(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(data.data(), values.data(), data.size());
  return npy(descr<T>, "(" + std::to_string(values.size()) + ",)", data);
}

template <class T>
struct array {
  std::vector<std::size_t> shape;
  std::vector<T> values;
};

template <class T>
array<T> read_npy(const fs::path& file) {
  const std::string bytes = bytes_of(file);
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes.at(i)); };
  const std::size_t length = byte(8) | std::size_t{byte(9)} << 8;
  const std::string header = bytes.substr(10, length);
  if (bytes.substr(0, 7) != "\x93NUMPY\x01" || header.find(descr<T>) == header.npos)
    throw std::runtime_error("not as expected: " + file.string() + " " + header);

  array<T> read;
  std::smatch match;
  std::regex_search(header, match, std::regex("'shape': \\(([^)]*)\\)"));
  std::size_t count = 1;
  std::istringstream shape(match[1].str());
  for (std::size_t n = 0; shape >> n; shape.ignore(2)) {
    read.shape.push_back(n);
    count *= n;
  }
  read.values.resize(count);
  const std::string data = bytes.substr(10 + length, count * sizeof(T));
  if (data.size() != count * sizeof(T)) throw std::runtime_error("cut: " + file.string());
  if (count > 0) std::memcpy(read.values.data(), data.data(), data.size());
  return read;
}

// --- the input ---

struct table {
  std::vector<std::int64_t> date;
  std::vector<std::int16_t> delay;
  std::vector<std::int16_t> distance;
  std::vector<code> origin;
  std::vector<code> destination;
};

void save(const table& rows, const fs::path& folder) {
  fs::create_directories(folder);
  write_bytes(folder / "date.npy", npy(rows.date));
  write_bytes(folder / "delay.npy", npy(rows.delay));
  write_bytes(folder / "distance.npy", npy(rows.distance));
  write_bytes(folder / "origin.npy", npy(rows.origin));
  write_bytes(folder / "destination.npy", npy(rows.destination));
}

table load(const fs::path& folder) {
  return {read_npy<std::int64_t>(folder / "date.npy").values,
          read_npy<std::int16_t>(folder / "delay.npy").values,
          read_npy<std::int16_t>(folder / "distance.npy").values,
          read_npy<code>(folder / "origin.npy").values,
          read_npy<code>(folder / "destination.npy").values};
}

// Everything that the types allow: any bytes as a code, dates before 1970, delays far outside of
// the histogram and at its borders, an airport whose delays don't vary.
table hostile_rows(std::size_t rows) {
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
  const std::vector<code> codes{
      {'A', 'B', 'E'},  {0, 0, 0},      {'A', 0, 0},           {0, 'A', 0},        {'A', 0, 'B'},
      {'"', ',', '\n'}, {' ', '\r', 0}, {'\xff', '\xfe', 'Z'}, {'\x7f', '\x80', 0}};
  const std::vector<std::int16_t> delays{-32768, -61, -60, -59, -1, 0, 1, 178, 179, 180, 32767};
  const std::vector<std::int64_t> dates{-far - 1, -86'401, -86'400, -3'601, -3'600, -1, 0,
                                        1,        3'599,   3'600,   86'399, 86'400, far};
  std::mt19937_64 random(1970);
  const auto any = [&](const auto& from) { return from[random() % from.size()]; };
  table made;
  for (std::size_t i = 0; i < rows; ++i) {
    made.origin.push_back(any(codes));
    made.date.push_back(any(dates));
    made.delay.push_back(made.origin.back() == codes[0] ? std::int16_t{7} : any(delays));
    made.distance.push_back(static_cast<std::int16_t>(random()));
    made.destination.push_back(any(codes));
  }
  return made;
}

// --- what the program should find ---

struct airport {
  std::int64_t flights = 0;
  std::int64_t sum = 0;
  std::int64_t squares = 0;
  double mean = 0;
  double sd = 0;
};

struct expectation {
  std::map<std::string, airport> airports;  // by code without padding; std::string sorts by byte
  std::vector<float> zscore;
  std::vector<std::int64_t> delay_by_hour = std::vector<std::int64_t>(24 * 120);
};

std::string name_of(const code& padded) {
  std::string name(padded.begin(), padded.end());
  while (!name.empty() && name.back() == '\0') name.pop_back();
  return name;
}

// Rounded towards minus infinity, unlike / and %.
std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

expectation compute(const table& rows) {
  expectation found;
  for (std::size_t i = 0; i < rows.date.size(); ++i) {
    const std::int64_t delay = rows.delay[i];
    airport& from = found.airports[name_of(rows.origin[i])];
    ++from.flights;
    from.sum += delay;
    from.squares += delay * delay;
    const std::int64_t hours = floor_divide(rows.date[i], 3'600);
    const std::int64_t hour = hours - 24 * floor_divide(hours, 24);
    if (delay >= -60 && delay < 180)
      ++found.delay_by_hour[static_cast<std::size_t>(hour * 120 + (delay + 60) / 2)];
  }
  for (auto& [name, from] : found.airports) {
    const auto n = static_cast<double>(from.flights);
    from.mean = static_cast<double>(from.sum) / n;
    // Whole numbers below 2^63 for the tables here.
    const std::int64_t spread = from.flights * from.squares - from.sum * from.sum;
    from.sd = std::sqrt(static_cast<double>(spread)) / n;
  }
  for (std::size_t i = 0; i < rows.date.size(); ++i) {
    const airport& from = found.airports[name_of(rows.origin[i])];
    const double score = from.sd == 0 ? 0.0 : (rows.delay[i] - from.mean) / from.sd;
    found.zscore.push_back(static_cast<float>(score));
  }
  return found;
}

// The fields of RFC 4180, quoted or not.
std::vector<strings> read_csv(const fs::path& file) {
  std::vector<strings> lines{{""}};
  bool quoted = false;
  const std::string text = bytes_of(file);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      lines.back().back() += text[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == ',') {
      lines.back().emplace_back();
    } else if (!quoted && c == '\n') {
      lines.push_back({""});
    } else {
      lines.back().back() += c;
    }
  }
  EXPECT_EQ(lines.back(), strings{""}) << "the last line doesn't end";
  lines.pop_back();
  return lines;
}

void expect_airports(const fs::path& csv, const std::map<std::string, airport>& expected) {
  const auto lines = read_csv(csv);
  ASSERT_EQ(lines.size(), expected.size() + 1);
  EXPECT_THAT(lines[0], ElementsAre("origin", "flights", "mean_delay", "sd_delay"));
  std::size_t line = 0;
  for (const auto& [name, from] : expected) {
    const strings& fields = lines[++line];
    ASSERT_EQ(fields.size(), 4u) << "line " << line;
    EXPECT_EQ(fields[0], name);
    EXPECT_EQ(fields[1], std::to_string(from.flights));
    EXPECT_EQ(std::stod(fields[2]), from.mean) << name;  // not a bit was lost in the text
    EXPECT_EQ(std::stod(fields[3]), from.sd) << name;
  }
}

void expect_results(const fs::path& out, const table& rows) {
  const expectation expected = compute(rows);
  expect_airports(out / "airports.csv", expected.airports);
  const auto zscore = read_npy<float>(out / "zscore.npy");
  EXPECT_THAT(zscore.shape, ElementsAre(rows.date.size()));
  EXPECT_TRUE(std::ranges::equal(zscore.values, expected.zscore, {},
                                 std::bit_cast<std::uint32_t, float>,
                                 std::bit_cast<std::uint32_t, float>));
  const auto delay_by_hour = read_npy<std::int64_t>(out / "delay_by_hour.npy");
  EXPECT_THAT(delay_by_hour.shape, ElementsAre(24u, 120u));
  EXPECT_EQ(delay_by_hour.values, expected.delay_by_hour);
}

// --- the program ---

struct outcome {
  int status = -1;
  std::string out;
  std::string err;
};

class Flights : public testing::Test {
 protected:
  Flights() {
    std::string name = testing::TempDir() + "flights-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = name;
  }
  ~Flights() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  fs::path folder(const std::string& name) const { return folder_ / name; }

  outcome run_program(const std::string& program, const strings& arguments) const {
    const fs::path out = folder("stdout");
    const fs::path err = folder("stderr");
    for (const fs::path& file : {out, err}) fs::remove(file);  // Boost.Process doesn't empty them
    outcome ended;
    ended.status =
        process::system(program, process::args = arguments, process::std_out > out.string(),
                        process::std_err > err.string(), process::std_in < process::null);
    ended.out = bytes_of(out);
    ended.err = bytes_of(err);
    return ended;
  }

  outcome run(const strings& arguments) const { return run_program(FLIGHTS_PROGRAM, arguments); }

  outcome run(const fs::path& data, const fs::path& out, const strings& more = {}) const {
    strings arguments{data.string(), out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }

  void expect_success(const outcome& ended) const {
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.err, "");
  }

  // One line that says what is wrong, and nothing written.
  void expect_refusal(const outcome& ended, int status, const fs::path& out,
                      const std::string& what) const {
    EXPECT_EQ(ended.status, status) << ended.out << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(what));
    EXPECT_EQ(std::ranges::count(ended.err, '\n'), 1) << ended.err;
    EXPECT_EQ(ended.err.find_last_of('\n') + 1, ended.err.size()) << ended.err;
    EXPECT_EQ(ended.out, "");
    EXPECT_FALSE(fs::exists(out));
  }

  static strings names_in(const fs::path& out) {
    strings names;
    for (const auto& entry : fs::directory_iterator(out)) names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }

 private:
  fs::path folder_;
};

std::map<std::string, std::string> bytes_of_outputs(const fs::path& out) {
  std::map<std::string, std::string> bytes;
  for (const char* name : outputs) bytes[name] = bytes_of(out / name);
  return bytes;
}

TEST_F(Flights, WriteWhatASerialComputationFinds) {
  expect_success(run(FLIGHTS_DATA, folder("out")));
  expect_results(folder("out"), load(FLIGHTS_DATA));
  EXPECT_THAT(names_in(folder("out")),
              ElementsAre(outputs[0], outputs[1], "flights.html", outputs[2]));
  EXPECT_THAT(bytes_of(folder("out") / "flights.html"),
              testing::AllOf(testing::StartsWith("<!DOCTYPE html>"), HasSubstr("Complete")));
}

TEST_F(Flights, WriteTheSameBytesForAnyWorkersAndGrain) {
  expect_success(run(FLIGHTS_DATA, folder("reference")));
  const auto reference = bytes_of_outputs(folder("reference"));
  for (const char* workers : {"1", "2", "3", "8"}) {
    for (const char* grain : {"1000", "4096", "65536"}) {
      SCOPED_TRACE(std::string(workers) + " workers, grain " + grain);
      const fs::path out = folder(std::string(workers) + "-" + grain);
      expect_success(run(FLIGHTS_DATA, out, {"--workers", workers, "--grain", grain}));
      EXPECT_TRUE(bytes_of_outputs(out) == reference);
    }
  }
}

TEST_F(Flights, TakeAnyBytesDatesAndDelaysInChunksOfOne) {
  const table rows = hostile_rows(700);
  save(rows, folder("data"));
  std::map<std::string, std::string> first;
  for (const char* workers : {"1", "2", "3", "8"}) {
    SCOPED_TRACE(workers);
    const fs::path out = folder(workers);
    expect_success(run(folder("data"), out, {"--workers", workers, "--grain", "1"}));
    expect_results(out, rows);
    if (first.empty()) first = bytes_of_outputs(out);
    EXPECT_TRUE(bytes_of_outputs(out) == first);
  }
}

TEST_F(Flights, ScoreZeroWhereDelaysDoNotVary) {
  table rows = hostile_rows(300);
  std::ranges::fill(rows.delay, std::int16_t{-32768});
  save(rows, folder("data"));
  expect_success(run(folder("data"), folder("out")));
  const auto zscore = read_npy<float>(folder("out") / "zscore.npy");
  EXPECT_EQ(zscore.values, std::vector<float>(300, 0.0f));
}

TEST_F(Flights, WorkOnNoRowsAtAll) {
  save({}, folder("data"));
  expect_success(run(folder("data"), folder("out")));
  EXPECT_EQ(bytes_of(folder("out") / "airports.csv"), "origin,flights,mean_delay,sd_delay\n");
  expect_results(folder("out"), {});
}

TEST_F(Flights, WorkOnOneRow) {
  const table row{{-1}, {179}, {1}, {{'J', 'F', 'K'}}, {{'L', 'A', 'X'}}};
  save(row, folder("data"));
  expect_success(run(folder("data"), folder("out"), {"--workers", "8"}));
  EXPECT_EQ(bytes_of(folder("out") / "airports.csv"),
            "origin,flights,mean_delay,sd_delay\nJFK,1,179,0\n");
  expect_results(folder("out"), row);
}

TEST_F(Flights, WriteArraysThatNumpyLoads) {
  const std::string python = "/usr/bin/python3";
  if (!fs::exists(python) || run_program(python, {"-c", "import numpy"}).status != 0)
    GTEST_SKIP() << python << " has no numpy";
  expect_success(run(FLIGHTS_DATA, folder("out")));
  const std::string check = R"(
import sys, numpy as np
data, out = sys.argv[1:]
load = lambda folder, name: np.load(f'{folder}/{name}.npy', mmap_mode='r')
date, delay, origin = (load(data, name) for name in ('date', 'delay', 'origin'))
z, table = load(out, 'zscore'), load(out, 'delay_by_hour')
assert z.dtype == np.float32 and z.shape == delay.shape, (z.dtype, z.shape)
assert table.dtype == np.int64 and table.shape == (24, 120), (table.dtype, table.shape)
codes, number = np.unique(origin, return_inverse=True)
mean = np.array([delay[origin == code].mean() for code in codes])
sd = np.array([delay[origin == code].std() for code in codes])
assert np.allclose(z, (delay - mean[number]) / sd[number], rtol=1e-6, atol=1e-6)
by_hour = np.histogram2d(date // 3600 % 24, delay, (24, 120), ((0, 24), (-60, 180)))[0]
inside = delay < 180  # numpy counts the upper edge, too
by_hour[:, -1] -= np.bincount(date[delay == 180] // 3600 % 24, minlength=24)
assert (by_hour == table).all() and table.sum() == (inside & (delay >= -60)).sum()
)";
  const outcome ended = run_program(python, {"-c", check, FLIGHTS_DATA, folder("out").string()});
  EXPECT_EQ(ended.status, 0) << ended.err;
}

TEST_F(Flights, SayWhatTheyDidInLinesThatATerminalCanShow) {
  const outcome ended = run(FLIGHTS_DATA, folder("out"), {"--workers", "2", "--grain", "1000"});
  expect_success(ended);
  EXPECT_THAT(ended.out, HasSubstr("200000 flights from 223 airports"));
  EXPECT_THAT(ended.out, HasSubstr("600 chunks of up to 1000 flights, 2 workers"));
  EXPECT_THAT(ended.out, HasSubstr("█"));
  EXPECT_EQ(ended.out.find_first_of("\r\033"), std::string::npos);
  std::istringstream lines(ended.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(folder("out")) == 0) continue;  // as long as the path is
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
    EXPECT_LE(line.size() - static_cast<std::size_t>(std::ranges::count_if(line, continues)), 80u)
        << line;
  }
}

TEST_F(Flights, ShowProgressOnATerminalAndWipeIt) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  ASSERT_GE(terminal, 0);
  ASSERT_EQ(::grantpt(terminal), 0);
  ASSERT_EQ(::unlockpt(terminal), 0);
  process::child program(FLIGHTS_PROGRAM, FLIGHTS_DATA, folder("out").string(),
                         process::std_err > ::ptsname(terminal), process::std_out > process::null);
  std::string shown;
  std::array<char, 4096> part{};
  // Ends with EIO, once nobody has the other end any more.
  for (ssize_t n = 0; (n = ::read(terminal, part.data(), part.size())) > 0;)
    shown.append(part.data(), static_cast<std::size_t>(n));
  program.wait();
  ::close(terminal);
  EXPECT_EQ(program.exit_code(), 0) << shown;
  EXPECT_THAT(shown, HasSubstr("finding airports"));
  EXPECT_THAT(shown, HasSubstr("scoring flights"));
  EXPECT_THAT(shown, HasSubstr("100%"));
  EXPECT_EQ(shown.find('\n'), std::string::npos);
  EXPECT_TRUE(shown.ends_with("\r\033[K"));
}

TEST_F(Flights, ReplaceWhatAnEarlierRunLeft) {
  fs::create_directories(folder("out"));
  for (const char* name : outputs) write_bytes(folder("out") / name, "old");
  expect_success(run(FLIGHTS_DATA, folder("out")));
  expect_results(folder("out"), load(FLIGHTS_DATA));
}

TEST_F(Flights, MakeTheFolderTheyWriteTo) {
  save(hostile_rows(10), folder("data"));
  expect_success(run(folder("data"), folder("out") / "of" / "today"));
  expect_results(folder("out") / "of" / "today", load(folder("data")));
}

TEST_F(Flights, RefuseAMissingColumn) {
  for (const char* column : columns) {
    SCOPED_TRACE(column);
    save(hostile_rows(10), folder("data"));
    fs::remove(folder("data") / column);
    expect_refusal(run(folder("data"), folder("out")), 2, folder("out"), column);
  }
}

TEST_F(Flights, RefuseAMissingFolder) {
  expect_refusal(run(folder("nowhere"), folder("out")), 2, folder("out"), "nowhere");
}

TEST_F(Flights, RefuseAColumnOfTheWrongType) {
  const std::string zeros(8 * 10, '\0');
  const std::map<std::string, strings> wrong{{"date.npy", {"<i4", "<M8[s]", "<f8"}},
                                             {"delay.npy", {"<i4", "<u2", ">i2"}},
                                             {"distance.npy", {"<f2", "|S2"}},
                                             {"origin.npy", {"|S4", "<U3", "|V3"}},
                                             {"destination.npy", {"|S2", "|i1"}}};
  for (const auto& [column, types] : wrong) {
    for (const std::string& type : types) {
      SCOPED_TRACE(column + " of " + type);
      save(hostile_rows(10), folder("data"));
      const std::size_t size = type == "<U3" ? 12 : std::stoul(type.substr(2));
      write_bytes(folder("data") / column,
                  npy(type, "(10,)", zeros.substr(0, 10).append(10 * size - 10, '\0')));
      expect_refusal(run(folder("data"), folder("out")), 2, folder("out"), column);
    }
  }
}

TEST_F(Flights, RefuseColumnsOfDifferentLength) {
  for (const char* column : columns) {
    SCOPED_TRACE(column);
    save(hostile_rows(10), folder("other"));
    save(hostile_rows(11), folder("data"));
    fs::copy_file(folder("other") / column, folder("data") / column,
                  fs::copy_options::overwrite_existing);
    expect_refusal(run(folder("data"), folder("out")), 2, folder("out"), "rows");
  }
}

TEST_F(Flights, RefuseWhatIsNoColumn) {
  const std::string whole = npy(std::vector<std::int16_t>(10));
  const std::map<std::string, std::string> wrong{
      {"empty", ""},
      {"text", "delay\n1\n2\n"},
      {"cut in the header", whole.substr(0, 40)},
      {"cut in the data", whole.substr(0, whole.size() - 1)},
      {"of two dimensions", npy("<i2", "(5, 2)", std::string(20, '\0'))},
      {"of no dimension", npy("<i2", "()", std::string(2, '\0'))},
      {"longer than its file", npy("<i2", "(4611686018427387904,)", std::string(20, '\0'))},
  };
  for (const auto& [what, bytes] : wrong) {
    SCOPED_TRACE(what);
    save(hostile_rows(10), folder("data"));
    write_bytes(folder("data") / "delay.npy", bytes);
    expect_refusal(run(folder("data"), folder("out")), 2, folder("out"), "delay.npy");
  }
}

TEST_F(Flights, RefuseACommandLineThatIsWrong) {
  const std::string data = FLIGHTS_DATA;
  const std::string out = folder("out").string();
  const std::map<std::string, strings> wrong{
      {"DATA", {}},
      {"OUT", {data}},
      {"--bogus", {data, out, "--bogus"}},
      {"more", {data, out, "more"}},
  };
  for (const auto& [what, arguments] : wrong)
    expect_refusal(run(arguments), 2, folder("out"), what);
  for (const char* option : {"--workers", "--grain"}) {
    expect_refusal(run({data, out, option}), 2, folder("out"), option);
    for (const char* number :
         {"0", "-1", "", "x", "1x", "1.5", "0x10", "1e3", " 1", "99999999999999999999"}) {
      SCOPED_TRACE(std::string(option) + " " + number);
      expect_refusal(run({data, out, option, number}), 2, folder("out"), option);
    }
  }
}

TEST_F(Flights, ReadNumbersAsDecimals) {
  save(hostile_rows(100), folder("data"));
  const outcome ended = run(folder("data"), folder("out"), {"--grain", "010", "--workers=1"});
  expect_success(ended);
  EXPECT_THAT(ended.out, HasSubstr("30 chunks of up to 10 flights, 1 worker\n"));
}

TEST_F(Flights, ExplainThemselves) {
  const outcome ended = run({"--help"});
  expect_success(ended);
  for (const char* word : {"DATA", "OUT", "--workers", "--grain"})
    EXPECT_THAT(ended.out, HasSubstr(word));
}

TEST_F(Flights, WriteNothingWhereNoFolderCanBeMade) {
  write_bytes(folder("file"), "kept");
  const outcome ended = run(FLIGHTS_DATA, folder("file") / "out");
  expect_refusal(ended, 1, folder("file") / "out", "file");
  EXPECT_EQ(bytes_of(folder("file")), "kept");
}

TEST_F(Flights, WriteNothingWhereOneOutputCanNotBeReplaced) {
  fs::create_directories(folder("out") / "delay_by_hour.npy");
  write_bytes(folder("out") / "airports.csv", "old");
  const outcome ended = run(FLIGHTS_DATA, folder("out"));
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("delay_by_hour.npy"));
  EXPECT_THAT(names_in(folder("out")), ElementsAre("airports.csv", "delay_by_hour.npy"));
  EXPECT_EQ(bytes_of(folder("out") / "airports.csv"), "old");
}

TEST_F(Flights, WriteNothingWhereThereIsNoRoom) {
  // In units of 512 bytes: too little for zscore.npy.
  const std::string limited = "ulimit -f 1000; exec \"$0\" \"$@\"";
  const outcome ended = run_program(
      "/bin/sh", {"-c", limited, FLIGHTS_PROGRAM, FLIGHTS_DATA, folder("out").string()});
  expect_refusal(ended, 1, folder("out"), "cannot");
}

TEST_F(Flights, LeaveAllOrNothingWhenInterrupted) {
  const fs::path out = folder("out");
  fs::create_directories(out);
  process::child program(FLIGHTS_PROGRAM, FLIGHTS_DATA, out.string(), "--grain", "1",
                         process::std_err > process::null, process::std_out > process::null);
  while (program.running() && fs::is_empty(out)) {
  }
  ::kill(program.id(), SIGINT);
  program.wait();
  // Too late to interrupt anything is fine as well: then it is all.
  const strings left = names_in(out);
  if (program.native_exit_code() == SIGINT) {
    EXPECT_THAT(left, IsEmpty());
  } else {
    EXPECT_EQ(program.exit_code(), 0);
    EXPECT_THAT(left, ElementsAre(outputs[0], outputs[1], "flights.html", outputs[2]));
  }
}

}  // namespace
