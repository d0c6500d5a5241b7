// The chunks of a report as text, as the job log of a queue is.

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "mapping/failures.hpp"
#include "shard/histogram_files.hpp"
#include "shard/report.hpp"

namespace shard {
namespace {

struct line {
  std::size_t chunk;
  unsigned attempt;
  const chunk_record* record;  // null: it is a failure
  const failure* failed;
};

std::vector<line> lines_of(const report& of) {
  std::vector<line> all;
  all.reserve(of.chunks().size() + of.failures().size());
  std::set<std::pair<std::size_t, unsigned>> told;
  for (const failure& one : of.failures()) {
    if (!mapping::is_at(one)) continue;
    told.emplace(one.chunk, one.attempt);
    all.push_back({one.chunk, one.attempt, nullptr, &one});
  }
  for (const chunk_record& one : of.chunks()) {
    if (!one.cause.empty() && told.contains({one.chunk, one.attempt})) continue;
    all.push_back({one.chunk, one.attempt, &one, nullptr});
  }
  std::ranges::stable_sort(all, {},
                           [](const line& one) { return std::tuple(one.chunk, one.attempt); });
  return all;
}

class table {
 public:
  explicit table(std::size_t lines) { text_.reserve(80 * lines + 100); }

  void field(std::string_view text) {
    text_ += text;
    text_ += '\t';
  }
  void field(std::size_t number) { field_of(number); }
  void field(seconds time) { field_of(time.count(), std::chars_format::fixed, 9); }
  void end() { text_.back() = '\n'; }

  std::string take() { return std::move(text_); }

 private:
  template <class... T>
  void field_of(T... value) {
    std::array<char, 64> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value...).ptr;
    field(std::string_view(digits.data(), end));
  }

  std::string text_;
};

}  // namespace

void report::write_chunks(const std::filesystem::path& to) const {
  const std::vector<line> lines = lines_of(*this);
  table text(lines.size());
  for (const char* const name : {"chunk", "first", "last", "worker", "attempt", "start", "seconds",
                                 "cause", "peak_private_bytes"}) {
    text.field(name);
  }
  text.end();
  for (const line& one : lines) {
    const bool failed = one.failed != nullptr;
    const range indices = failed ? one.failed->indices : one.record->indices;
    text.field(one.chunk);
    text.field(indices.first);
    text.field(indices.last);
    text.field(failed ? one.failed->worker : one.record->worker);
    text.field(one.attempt);
    text.field(failed ? one.failed->at - one.failed->elapsed : one.record->start);
    text.field(failed ? one.failed->elapsed : one.record->duration);
    text.field(failed ? std::string_view(one.failed->kind) : one.record->cause);
    text.field(failed ? std::size_t{0} : one.record->peak_private_bytes);
    text.end();
  }
  detail::save_text(to, text.take(), durability::memory);
}

}  // namespace shard
