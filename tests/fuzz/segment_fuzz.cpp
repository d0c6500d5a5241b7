// Any file as a buffer, header and control area: refused with an error, or a buffer that does what
// a second reading of the same bytes says, by docs/memory_layout.md and not by shard's own structs.
// Whatever else happens is a finding: a fault, another exception, a wait, a byte read or changed
// that is none of the array's.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shard/buffer.hpp"
#include "shard/npy.hpp"
#include "shard/text.hpp"

namespace {

using shard::range;
using bytes = std::vector<unsigned char>;

void require(bool holds, int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "segment_fuzz.cpp:%d: this does not hold\n", line);
  std::abort();
}

// Whether `steps` return, and do not throw shard::error. Any other exception is a finding.
template <class Steps>
bool accepted(Steps steps) {
  try {
    steps();
  } catch (const shard::error& e) {
    require(std::string(e.what()).starts_with("cannot "));
    return false;
  }
  return true;
}

// What a fuzzer gives, taken piece by piece; zeros when there is no more.
class input {
 public:
  input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  template <class T>
  T take() {
    T value{};
    const std::size_t count = std::min(sizeof value, rest_.size());
    std::memcpy(&value, rest_.data(), count);
    rest_ = rest_.subspan(count);
    return value;
  }
  bool empty() const { return rest_.empty(); }
  std::span<const std::uint8_t> rest() const { return rest_; }

 private:
  std::span<const std::uint8_t> rest_;
};

// ---- The file, in memory, so that thousands of them are made in a second.

enum class kind { path, sealed, loose, read_only };

class file {
 public:
  explicit file(kind how)
      : descriptor_(how == kind::path ? ::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
                                      : memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    require(descriptor_ >= 0);
  }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() { close(descriptor_); }

  void resize(std::size_t size) { require(ftruncate(descriptor_, static_cast<off_t>(size)) == 0); }
  void write(std::size_t at, std::span<const unsigned char> what) {
    require(pwrite(descriptor_, what.data(), what.size(), static_cast<off_t>(at)) ==
            static_cast<ssize_t>(what.size()));
  }
  void seal() { require(fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0); }

  std::size_t size() const {
    struct stat found {};
    require(fstat(descriptor_, &found) == 0);
    return static_cast<std::size_t>(found.st_size);
  }
  bytes read(std::size_t at, std::size_t count) const {
    bytes found(count);
    const ssize_t got = pread(descriptor_, found.data(), count, static_cast<off_t>(at));
    require(got >= 0);
    found.resize(static_cast<std::size_t>(got));
    return found;
  }
  int descriptor() const { return descriptor_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

template <class T>
T word(const bytes& from, std::size_t at) {
  T value{};
  if (at + sizeof value <= from.size()) std::memcpy(&value, from.data() + at, sizeof value);
  return value;
}

// ---- The second reading of a header: shorter than shard's, since it may take more than is
// allowed; where shard opens something, both must agree.

struct header {
  std::size_t data_offset = 0;
  std::string descr;
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

std::vector<std::uint64_t> numbers_in(const std::string& tuple) {
  std::vector<std::uint64_t> found;
  for (std::size_t at = 0; at < tuple.size();) {
    if (tuple[at] < '0' || tuple[at] > '9') {
      ++at;
      continue;
    }
    std::uint64_t value = 0;
    for (; at < tuple.size() && tuple[at] >= '0' && tuple[at] <= '9'; ++at) {
      value = value * 10 + static_cast<std::uint64_t>(tuple[at] - '0');
    }
    found.push_back(value);
  }
  return found;
}

header second_reading(const file& of) {
  const bytes begin = of.read(0, 12);
  require(begin.size() >= 10 && std::memcmp(begin.data(), "\x93NUMPY", 6) == 0);
  const bool longer = begin[6] != 1;
  const std::size_t length = longer ? word<std::uint32_t>(begin, 8) : word<std::uint16_t>(begin, 8);
  header found;
  found.data_offset = (longer ? 12 : 10) + length;
  bytes text = of.read(longer ? 12 : 10, length);
  require(text.size() == length);
  text.resize(
      std::string_view(reinterpret_cast<const char*>(text.data()), length).find_last_of('}') + 1);
  std::string key;
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = static_cast<char>(text[at]);
    if (c == '\'' || c == '"') {
      const auto start = text.begin() + static_cast<std::ptrdiff_t>(at) + 1;
      const auto end = std::find(start, text.end(), text[at]);
      const std::string quoted(start, end);
      at = static_cast<std::size_t>(end - text.begin());
      if (depth != 1) continue;
      if (quoted == "descr" || quoted == "shape" || quoted == "fortran_order") {
        key = quoted;
      } else if (key == "descr") {
        found.descr = quoted;
      }
    } else if (c == '(' && depth == 1 && key == "shape") {
      const auto start = text.begin() + static_cast<std::ptrdiff_t>(at);
      const auto end = std::find(start, text.end(), ')');
      found.shape = numbers_in({start, end});
      at = static_cast<std::size_t>(end - text.begin());
    } else if (c == 'T' && depth == 1 && key == "fortran_order") {
      found.fortran_order = true;
    } else {
      depth += c == '{' || c == '[' || c == '(' ? 1 : 0;
      depth -= c == '}' || c == ']' || c == ')' ? 1 : 0;
    }
  }
  return found;
}

// ---- The second reading of a control area.

constexpr std::size_t stripes_at = 4288;
constexpr std::size_t line_bytes = 64;
constexpr std::uint64_t area_magic = 0x3254434452414853;        // "SHARDCT2"
constexpr std::uint64_t unfinished_magic = 0x3054434452414853;  // "SHARDCT0"
constexpr std::size_t permanent_at = 32;

struct area {
  std::size_t data_end = 0, data_bytes = 0;
  std::size_t stripes = 1, shift = 12;
  std::size_t begin = 0, end = 0;

  area(std::size_t data_offset, std::size_t bytes_of_data)
      : data_end(data_offset + bytes_of_data), data_bytes(bytes_of_data) {
    const auto needed = [&] { return (data_bytes + (std::size_t{1} << shift) - 1) >> shift; };
    while (needed() > 128) ++shift;
    stripes = std::max<std::size_t>(needed(), 1);
    begin = (data_end + line_bytes - 1) / line_bytes * line_bytes;
    end = begin + stripes_at + stripes * line_bytes;
  }

  bool is_laid_out(const bytes& words) const {
    return words.size() == end - begin && word<std::uint64_t>(words, 0) == area_magic &&
           word<std::uint64_t>(words, 8) == data_bytes &&
           word<std::uint32_t>(words, 16) == stripes && word<std::uint32_t>(words, 20) == shift;
  }

  // Nobody has laid it out yet, or not to the end.
  static bool is_begun(const bytes& words) {
    if (word<std::uint64_t>(words, 0) == unfinished_magic) return true;
    for (std::size_t at = 0; at < words.size(); ++at) {
      if (words[at] != 0 && at / 4 != permanent_at / 4) return false;
    }
    return true;
  }

  // The bytes of the data that are torn, given that nobody is writing.
  std::vector<range> torn(const bytes& words) const {
    std::vector<range> found;
    if (!is_laid_out(words)) return found;
    for (std::size_t s = 0; s < stripes; ++s) {
      const std::size_t line = stripes_at + s * line_bytes;
      const std::size_t start = s << shift;
      const std::size_t length = std::min(data_bytes - start, std::size_t{1} << shift);
      const auto within = [&](std::size_t at) {
        const std::size_t unit = std::size_t{1} << (shift > 31 ? shift - 31 : 0);
        const std::size_t last = std::min(word<std::uint32_t>(words, at + 4) * unit, length);
        const std::size_t first = std::min(word<std::uint32_t>(words, at) * unit, last);
        return range{first, last};
      };
      range all = within(line + 16);
      if (word<std::uint64_t>(words, line) % 2 != 0) {
        range noted = within(line + 8);
        if (noted.empty()) noted = {0, length};
        all = all.empty() ? noted
                          : range{std::min(all.first, noted.first), std::max(all.last, noted.last)};
      }
      if (!all.empty()) found.push_back({start + all.first, start + all.last});
    }
    return found;
  }

  // Given that nobody is writing: so nobody holds it.
  bool is_abandoned(const bytes& words) const {
    return is_laid_out(words) &&
           (word<std::uint32_t>(words, 108) != 0 || word<std::uint32_t>(words, 104) != 0);
  }
};

bool overlaps(const std::vector<range>& some, range one) {
  return std::ranges::any_of(
      some, [&](range each) { return each.first < one.last && one.first < each.last; });
}

// Of bytes, the elements that have any of them.
std::vector<range> elements_of(const std::vector<range>& of_bytes, std::size_t size) {
  std::vector<range> found;
  for (const range& each : of_bytes) {
    const range elements{each.first / size, (each.last + size - 1) / size};
    if (!found.empty() && found.back().last >= elements.first) {
      found.back().last = elements.last;
    } else {
      found.push_back(elements);
    }
  }
  return found;
}

// ---- What is done with a file.

struct opaque {
  std::int32_t a, b, c;
};

template <class T>
constexpr const char* code = nullptr;
template <>
constexpr const char* code<std::uint8_t> = "u1";
template <>
constexpr const char* code<double> = "f8";
template <>
constexpr const char* code<shard::text<3>> = "S3";
template <>
constexpr const char* code<opaque> = "V12";

// How else numpy spells the same type: by a letter without digits, and by names, which no order of
// bytes may precede.
template <class T>
constexpr std::string_view letter = "";
template <>
constexpr std::string_view letter<std::uint8_t> = "B";
template <>
constexpr std::string_view letter<double> = "d";
template <class T>
const std::vector<std::string_view> names;
template <>
const std::vector<std::string_view> names<std::uint8_t>{"uint8", "ubyte"};
template <>
const std::vector<std::string_view> names<double>{"float64", "double", "float", "float_"};

template <class T>
bool is_type(std::string_view descr) {
  if (std::ranges::count(names<T>, descr) != 0) return true;
  const bool ordered = !descr.empty() && std::string_view("<>=|").find(descr[0]) < 4;
  if (ordered && descr[0] == '>' && std::is_same_v<T, double>) return false;
  const std::string_view rest = descr.substr(ordered ? 1 : 0);
  if (!rest.empty() && rest == letter<T>) return true;
  const std::string_view wanted = code<T>;
  const std::string_view digits = rest.substr(std::min<std::size_t>(1, rest.size()));
  const bool same_letter =
      !rest.empty() && (rest[0] == wanted[0] || (rest[0] == 'a' && wanted[0] == 'S'));
  // As a number: zeros may lead it.
  const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size());
  return same_letter && digits.substr(first) == wanted.substr(1);
}

struct plan {
  kind how = kind::path;
  std::uint16_t options = 0;
  std::uint32_t from = 0, count = 0;  // which elements are transferred
  bool sound = false;                 // must open: nothing of its header was spoilt
};

// What the fuzzer decides by single bits.
constexpr unsigned closes_reader_first = 2, opens_twice = 4, keeps_torn = 8, asks_too_much = 16,
                   only_reads = 32;
// All of these: it takes as long as everything else.
constexpr unsigned asks_stats = 64 | 128 | 256 | 512;

constexpr std::size_t compared_bytes = 1 << 16;  // files up to here are compared whole
constexpr std::size_t most_transferred = 4096;   // elements

// What is written: no two neighbours alike. Made once: it takes a while.
const bytes& pattern() {
  static const bytes made = [] {
    bytes all(most_transferred * sizeof(opaque));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<unsigned char>(i * 7 + 1);
    return all;
  }();
  return made;
}

template <class T, std::size_t Rank>
class trial {
  using reader = shard::buffer<const T, Rank>;
  using writer = shard::buffer<T, Rank>;
  static constexpr std::size_t size = sizeof(T);

 public:
  trial(const file& of, const plan& todo)
      : of_(of), todo_(todo), size_(of.size()), before_(of.read(0, whole() ? size_ : 0)) {}

  void run() {
    std::optional<reader> reading;
    if (!accepted([&] { reading.emplace(open_reader()); })) {
      require(!todo_.sound || todo_.how == kind::loose);
      require(!accepted([&] { open_writer(); }));
      require(is_unchanged());
      return;
    }
    require(todo_.how != kind::loose);
    compare(*reading);
    read_only(*reading);
    require(is_unchanged());
    if ((todo_.options & only_reads) != 0) return;

    std::optional<writer> writing;
    const bool opened = accepted([&] { writing.emplace(open_writer()); });
    require(opened == (todo_.how != kind::read_only));
    if (!opened) return;
    compare(*writing);
    require(writing->torn() == torn_elements());
    // Only what writes needs an area.
    static_cast<void>(writing->abandoned());
    const bool attached = accepted([&] {
      require(writing->try_lock_shared());
      writing->unlock_shared();
    });
    require(attached == has_room());
    if (!attached) {
      require(!accepted([&] { writing->notify(); }));
      writing.reset();
      require(is_unchanged());
      return;
    }
    write(*writing, *reading);
    if ((todo_.options & opens_twice) != 0) again(*writing);
    if ((todo_.options & closes_reader_first) != 0) reading.reset();
    writing.reset();
    reading.reset();
    check_what_is_left();
  }

 private:
  reader open_reader() const {
    if constexpr (Rank == 1) {
      if (todo_.how == kind::path) return shard::open<T>(of_.path());
    } else {
      if (todo_.how == kind::path) return shard::open<T, Rank>(of_.path());
    }
    return reader::reopen(of_.descriptor());
  }
  writer open_writer() const {
    if (todo_.how == kind::path) return shard::open_writable<T, Rank>(of_.path());
    if (todo_.how != kind::read_only) return writer::reopen(of_.descriptor());
    const int only = ::open(of_.path().c_str(), O_RDONLY | O_CLOEXEC);
    require(only >= 0);
    try {
      writer made = writer::reopen(only);
      close(only);
      return made;
    } catch (...) {
      close(only);
      throw;
    }
  }

  bool whole() const { return size_ <= compared_bytes; }
  bool is_unchanged() const {
    return of_.size() == size_ && (!whole() || of_.read(0, size_) == before_);
  }

  // An opened one against the second reading.
  template <class Handle>
  void compare(const Handle& opened) {
    if (!second_) second_ = second_reading(of_);
    const header& second = *second_;
    require(is_type<T>(second.descr));
    std::vector<std::uint64_t> shape = second.shape;
    if (shape.empty() && Rank == 1) shape = {1};
    require(std::ranges::equal(shape, opened.shape()));
    __extension__ unsigned __int128 elements = 1;
    for (const std::uint64_t extent : shape) {
      if (std::ranges::count(shape, 0u) == 0) elements *= extent;
    }
    if (std::ranges::count(shape, 0u) > 0) elements = 0;
    require(elements * size + second.data_offset <= size_);
    count_ = static_cast<std::size_t>(elements);
    require(opened.size() == count_);
    require(!second.fortran_order || Rank == 1 || count_ == 0 ||
            std::ranges::count(shape, 1u) + 1 >= std::ssize(shape));
    require(reinterpret_cast<std::uintptr_t>(opened.span().data()) % alignof(T) == 0);
    data_offset_ = second.data_offset;
    area_.emplace(data_offset_, count_ * size);
    words_ = of_.read(area_->begin, area_->end - area_->begin);
    torn_ = area_->torn(words_);
    const std::size_t first = std::min<std::size_t>(todo_.from, count_);
    part_ = {first, first + std::min<std::size_t>({todo_.count, count_ - first, most_transferred})};
    require(same(opened.span().subspan(part_.first, part_.size()), part_));
  }

  // Whether elements are those of the file.
  bool same(std::span<const T> elements, range which) const {
    const bytes found = of_.read(data_offset_ + which.first * size, which.size() * size);
    return found.size() == elements.size_bytes() &&
           (found.empty() || std::memcmp(found.data(), elements.data(), found.size()) == 0);
  }

  std::vector<range> torn_elements() const { return elements_of(torn_, size); }
  bool is_torn(range elements) const {
    return !elements.empty() && overlaps(torn_, {elements.first * size, elements.last * size});
  }

  // Of several elements in a stripe, a transfer touches all from the first to the last.
  bool is_torn_around(std::size_t first, std::size_t last) const {
    const std::array<range, 2> both{range{first * size, (first + 1) * size},
                                    range{last * size, (last + 1) * size}};
    for (const range& one : both) {
      for (std::size_t s = one.first >> area_->shift; s <= (one.last - 1) >> area_->shift; ++s) {
        range all{~std::size_t{0}, 0};
        for (const range& each : both) {
          const range within{std::max(each.first, s << area_->shift),
                             std::min(each.last, (s + 1) << area_->shift)};
          if (within.first >= within.last) continue;
          all = {std::min(all.first, within.first), std::max(all.last, within.last)};
        }
        if (overlaps(torn_, all)) return true;
      }
    }
    return false;
  }

  // Nobody writes: a transfer is torn, or done, and never waits.
  void read(const reader& from, range which) const {
    std::vector<T> seen(which.size());
    const shard::transfer tried = from.try_read(which, seen);
    require(tried.state ==
            (is_torn(which) ? shard::transfer_state::torn : shard::transfer_state::done));
    if (!tried) {
      require(tried.torn.first < tried.torn.last && tried.torn.last <= count_);
      require(tried.torn.first < which.last && which.first < tried.torn.last);
    } else {
      require(tried.torn.empty() && same(seen, which));
    }
    std::vector<T> again(which.size());
    require(accepted([&] { from.read(which, again); }) == static_cast<bool>(tried));
    require(!tried || same(again, which));
  }

  void read_only(const reader& from) const {
    require(from.torn() == torn_elements());
    require(from.abandoned() == area_->is_abandoned(words_));
    read(from, part_);
    if (part_.size() > 1) {
      const std::array<std::size_t, 2> ends{part_.last - 1, part_.first};
      std::array<T, 2> seen{};
      require(accepted([&] { from.gather(ends, seen); }) == !is_torn_around(ends[1], ends[0]));
    }
    if ((todo_.options & asks_stats) == asks_stats && whole()) {
      const shard::buffer_stats found = from.stats();
      require(found.data_bytes == count_ * size && found.resident_bytes <= size_);
    }
    if ((todo_.options & asks_too_much) != 0) {
      std::array<T, 1> none{};
      require(!accepted([&] { from.read({count_, count_ + 1}, none); }));
    }
  }

  // Whether the file's size, and what is behind the data, allow for an area.
  bool has_room() const {
    if (todo_.how == kind::path && size_ == area_->data_end) return true;
    if (todo_.how == kind::path ? size_ != area_->end : size_ < area_->end) return false;
    return area_->is_laid_out(words_) || area::is_begun(words_);
  }

  void write(writer& to, const reader& watching) {
    using namespace std::chrono_literals;
    const bool before = area_->is_laid_out(words_);
    require(to.abandoned() == (before && (word<std::uint32_t>(words_, 108) != 0 ||
                                          word<std::uint32_t>(words_, 104) != 0)));
    require(to.wait_for(0s) == (before ? word<std::uint32_t>(words_, 128) : 0));
    to.notify();
    require(to.wait_for(0s) == 1);

    to.lock();
    if ((todo_.options & asks_too_much) != 0) require(!accepted([&] { to.lock_shared(); }));
    to.unlock();
    require(to.try_lock_shared());
    to.unlock_shared();
    require(to.try_lock());
    if (to.abandoned()) to.clear_abandoned();
    to.unlock();
    require(!to.abandoned());

    for (const range& each : torn_elements()) {
      try {
        to.fill({each.first, each.first + 1}, T{});
        require(false);
      } catch (const shard::torn_error& e) {
        require(e.elements().first <= each.first && e.elements().last <= each.last);
      }
    }
    if ((todo_.options & keeps_torn) == 0) {
      to.clear_torn({0, count_});
      torn_.clear();
      require(to.torn().empty());
    }
    transfer(to, watching);
  }

  void transfer(writer& to, const reader& watching) {
    std::vector<T> values(part_.size());
    if (!values.empty()) std::memcpy(values.data(), pattern().data(), values.size() * size);
    require(accepted([&] { to.write(part_, values); }) == !is_torn(part_));
    require(is_torn(part_) || same(values, part_));
    read(watching, part_);
    if constexpr (std::same_as<T, std::uint8_t>) {
      if (!part_.empty() && !is_torn(part_)) {
        to.add(part_, values);
        for (T& each : values) each = static_cast<T>(each + each);
        require(same(values, part_));
      }
    }
    if (part_.size() > 1 && !is_torn(part_)) {
      const std::array<std::size_t, 3> indices{part_.last - 1, part_.first, part_.last - 1};
      const std::array<T, 3> from{values[0], values[1], values[1]};
      to.scatter(indices, from);
      std::array<T, 3> seen{};
      watching.gather(indices, seen);
      require(std::memcmp(&seen[0], &from[2], size) == 0);
      require(std::memcmp(&seen[1], &from[1], size) == 0);
    }
    if ((todo_.options & asks_too_much) != 0) {
      require(!accepted([&] { to.fill({count_, count_ + 1}, T{}); }));
    }
    require(watching.torn() == torn_elements());
  }

  // One more handle that writes, which comes and goes.
  void again(writer& first) const {
    {
      auto second = open_writer();
      require(second.torn() == torn_elements());
      require(second.try_lock());
      require(!accepted([&] { first.lock(); }));
    }
    require(first.try_lock());
    first.unlock();
  }

  // Nothing but the elements that were written to, and the area.
  void check_what_is_left() const {
    // The last writer cuts a file, unless a reader would miss it, something is torn, or it has had
    // the room from the start.
    const bool cut = todo_.how == kind::path && (todo_.options & closes_reader_first) != 0 &&
                     torn_.empty() && word<std::uint32_t>(words_, permanent_at) == 0;
    const std::size_t expected =
        todo_.how != kind::path ? size_ : (cut ? area_->data_end : area_->end);
    require(of_.size() == expected);
    if (whole()) {
      const bytes after = of_.read(0, expected);
      const auto same_within = [&](std::size_t first, std::size_t last) {
        last = std::min({last, after.size(), before_.size()});
        require(first >= last ||
                std::memcmp(after.data() + first, before_.data() + first, last - first) == 0);
      };
      same_within(0, data_offset_ + part_.first * size);
      same_within(data_offset_ + part_.last * size, area_->begin);
      same_within(area_->end, size_);
    }
    if (cut) return;
    const bytes words = of_.read(area_->begin, area_->end - area_->begin);
    require(area_->is_laid_out(words));
    require(area_->torn(words) == torn_);
    require(word<std::uint32_t>(words, 104) == 0 && word<std::uint32_t>(words, 108) == 0);
    for (std::size_t s = 0; s < area_->stripes; ++s) {
      require(word<std::uint64_t>(words, stripes_at + s * line_bytes) % 2 == 0);
    }
  }

  const file& of_;
  plan todo_;
  std::size_t size_;
  bytes before_;
  std::optional<header> second_;
  std::size_t count_ = 0, data_offset_ = 0;
  range part_;
  std::optional<area> area_;
  bytes words_;
  std::vector<range> torn_;
};

// ---- Making files.

std::string dictionary(const std::string& descr, const std::vector<std::uint64_t>& shape) {
  std::string text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (";
  for (const std::uint64_t extent : shape) text += std::to_string(extent) + ", ";
  return text + "), }";
}

bytes header_with(unsigned version, std::size_t data_offset, const std::string& text) {
  bytes made(data_offset, ' ');
  const std::size_t begin = version == 1 ? 10 : 12;
  const std::size_t length = data_offset - begin;
  std::memcpy(made.data(), "\x93NUMPY", 6);
  made[6] = static_cast<unsigned char>(version);
  made[7] = 0;
  for (std::size_t i = 8; i < begin; ++i) {
    made[i] = static_cast<unsigned char>(length >> (8 * (i - 8)) & 0xff);
  }
  std::ranges::copy(text, made.begin() + static_cast<std::ptrdiff_t>(begin));
  made.back() = '\n';
  return made;
}

// A file as shard makes it, with what the input says spoilt: its size, and words anywhere.
// Mutations so go where they matter, and an input is as short as its idea.
template <class T, std::size_t Rank>
bool compose(file& to, input& from) {
  const auto form = from.take<std::uint8_t>();
  const std::size_t data_offset = (form & 64) != 0 ? 4096 : 192;
  const auto count = from.take<std::uint16_t>();
  const auto scale = from.take<std::uint8_t>();
  // Small, or so large that there are stripes of all sizes; never more than 2^40 bytes.
  std::uint64_t extent = scale < 200 ? count % 4096 : std::uint64_t{count} << (scale % 22);
  std::vector<std::uint64_t> shape{extent};
  if constexpr (Rank == 2) shape = {extent % 5, extent / 5};
  std::uint64_t elements = 1;
  for (const std::uint64_t each : shape) elements *= each;
  const area behind(data_offset, elements * sizeof(T));

  const auto tail = from.take<std::uint8_t>();
  const auto by = from.take<std::uint8_t>();
  std::size_t size = behind.end;
  switch (tail % 5) {
    case 1: size = behind.data_end; break;
    case 2: size = behind.end + by; break;
    case 3: size = behind.end - by; break;
    case 4: size = behind.data_end - std::min<std::size_t>(by, behind.data_bytes); break;
  }
  to.resize(size);
  const std::string order = sizeof(T) == 8 ? "<" : "|";
  to.write(0, header_with(1 + form % 3, data_offset, dictionary(order + code<T>, shape)));
  if ((form & 8) != 0 && size >= behind.end) {
    bytes line(24);
    const std::uint64_t words[] = {area_magic, behind.data_bytes,
                                   behind.stripes | std::uint64_t{behind.shift} << 32};
    std::memcpy(line.data(), words, sizeof words);
    to.write(behind.begin, line);
  }
  bool sound = size >= behind.data_end;
  const std::array<std::size_t, 6> anchors{
      0, data_offset, behind.data_end, behind.begin, behind.begin + 64, behind.begin + stripes_at};
  while (!from.empty()) {
    const auto where = from.take<std::uint8_t>();
    const std::size_t at = anchors[where % 6] + from.take<std::uint16_t>();
    const std::size_t width = std::size_t{1} << (where / 6 % 4);
    const auto value = from.take<std::uint64_t>();
    if (at + width > size) continue;
    sound = sound && at >= data_offset;
    bytes changed(width);
    std::memcpy(changed.data(), &value, width);
    to.write(at, changed);
  }
  return sound;
}

template <class T, std::size_t Rank>
void try_out(plan todo, bool raw, input& from) {
  file made(todo.how);
  if (raw) {
    made.write(0, from.rest());
  } else {
    todo.sound = compose<T, Rank>(made, from);
  }
  if (todo.how == kind::sealed || todo.how == kind::read_only) made.seal();
  trial<T, Rank>(made, todo).run();
}

}  // namespace

// The first bytes say what is done with the file; the file itself, or what is to be made of it,
// follows.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input from(data, size);
  const auto type = from.take<std::uint8_t>();
  plan todo;
  todo.how = static_cast<kind>(from.take<std::uint8_t>() % 4);
  todo.options = from.take<std::uint16_t>();
  todo.from = from.take<std::uint16_t>();
  todo.count = from.take<std::uint16_t>();
  const bool raw = type >= 128;
  switch (type % 8) {
    case 0: try_out<std::uint8_t, 1>(todo, raw, from); break;
    case 1: try_out<std::uint8_t, 2>(todo, raw, from); break;
    case 2: try_out<double, 1>(todo, raw, from); break;
    case 3: try_out<double, 2>(todo, raw, from); break;
    case 4: try_out<shard::text<3>, 1>(todo, raw, from); break;
    case 5: try_out<shard::text<3>, 2>(todo, raw, from); break;
    case 6: try_out<opaque, 1>(todo, raw, from); break;
    case 7: try_out<opaque, 2>(todo, raw, from); break;
  }
  return 0;
}
