#include "shard/progress_line.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <deque>
#include <string_view>
#include <utility>

#include "mapping/shown_text.hpp"
#include "os/output.hpp"

namespace shard {
namespace {

constexpr seconds late{10};             // what is of late
constexpr seconds between_samples{.5};  // of that
constexpr seconds between_lines{10};    // in a log

std::string rounded(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value < 9.95 ? "%.1f" : "%.0f", value);
  return text.data();
}

// "812/s", "12 k/s", "4.2/min"
std::string pace(double in_a_second) {
  if (in_a_second >= 1e6) return rounded(in_a_second / 1e6) + " M/s";
  if (in_a_second >= 1e4) return rounded(in_a_second / 1e3) + " k/s";
  if (in_a_second >= 0.5) return rounded(in_a_second) + "/s";
  if (in_a_second * 60 >= 0.5) return rounded(in_a_second * 60) + "/min";
  return rounded(in_a_second * 3600) + "/h";
}

// The two largest units: "4 s", "2 h 5 min".
std::string span(seconds time) {
  constexpr double century = 3.2e9;
  auto left = static_cast<long long>(std::ceil(std::min(time.count(), century)));
  const auto two = [&](long long unit, const char* name, long long next, const char* its_name) {
    std::string text = std::to_string(left / unit) + name;
    if (const long long rest = left % unit / next; rest != 0)
      text += " " + std::to_string(rest) + its_name;
    return text;
  };
  if (left >= 86400) return two(86400, " d", 3600, " h");
  if (left >= 3600) return two(3600, " h", 60, " min");
  if (left >= 60) return two(60, " min", 1, " s");
  return std::to_string(left) + " s";
}

}  // namespace

class progress_line::line {
 public:
  line(std::string name, log_lines in_a_log)
      : name_(mapping::shown(name)), logs_(in_a_log != log_lines::none) {}
  line(const line&) = delete;
  line& operator=(const line&) = delete;
  ~line() { end(); }

  void show(const progress& now);

 private:
  struct sample {
    seconds elapsed;
    std::size_t done;
  };

  void begin_another();
  void note(const progress& now);
  std::string text(const progress& now) const;
  void draw(const progress& now, std::size_t columns);
  void log(const progress& now);
  void end();

  std::string name_;
  bool logs_;
  bool is_open_ = false;  // a line on the terminal has not ended
  bool is_over_ = false;  // all is done, and that was told
  bool has_logged_ = false;
  seconds last_{};    // when it was called last, since the map began
  seconds logged_{};  // likewise
  std::deque<sample> of_late_;
};

void progress_line::line::show(const progress& now) {
  if (now.elapsed < last_) begin_another();
  last_ = now.elapsed;
  if (now.total == 0 || is_over_) return;
  note(now);
  const auto columns = os::columns_of_terminal(os::standard_stream::errors);
  if (columns) {
    draw(now, *columns);
  } else if (logs_) {
    log(now);
  }
  is_over_ = now.done == now.total;
  if (is_over_) end();
}

void progress_line::line::begin_another() {
  end();
  is_over_ = has_logged_ = false;
  logged_ = {};
  of_late_.clear();
}

void progress_line::line::note(const progress& now) {
  if (of_late_.empty() || now.elapsed >= of_late_.back().elapsed + between_samples) {
    of_late_.push_back({now.elapsed, now.done});
  }
  while (of_late_.size() > 2 && of_late_[1].elapsed <= now.elapsed - late) of_late_.pop_front();
}

std::string progress_line::line::text(const progress& now) const {
  std::array<char, 32> share{};
  std::snprintf(share.data(), share.size(), "%.1f %%",
                100 * static_cast<double>(now.done) / static_cast<double>(now.total));
  std::string text = name_.empty() ? "" : name_ + ": ";
  text += std::string(share.data()) + " of " + std::to_string(now.total);
  const bool over = now.done == now.total;
  // At the end that of the whole map.
  const sample since = over || of_late_.empty() ? sample{} : of_late_.front();
  const seconds took = now.elapsed - since.elapsed;
  const double rate = took > seconds(0) && now.done > since.done
                          ? static_cast<double>(now.done - since.done) / took.count()
                          : 0;
  if (rate > 0) text += ", " + pace(rate);
  if (over) {
    text += ", " + span(now.elapsed);
  } else if (rate > 0) {
    text += ", " + span(seconds(static_cast<double>(now.total - now.done) / rate)) + " left";
  }
  if (now.failures != 0) {
    text += ", " + std::to_string(now.failures) + (now.failures == 1 ? " failure" : " failures");
  }
  return text;
}

void progress_line::line::draw(const progress& now, std::size_t columns) {
  // Behind the last column, a terminal would begin another line.
  os::print_error("\r" + mapping::cut(text(now), columns - 1, "...") + "\033[K");
  is_open_ = true;
}

void progress_line::line::log(const progress& now) {
  const bool is_last = has_logged_ && now.done == now.total;
  if (!is_last && now.elapsed - logged_ < between_lines) return;
  os::print_error(text(now) + "\n");
  has_logged_ = true;
  logged_ = now.elapsed;
}

void progress_line::line::end() {
  if (std::exchange(is_open_, false)) os::print_error("\n");
}

progress_line::progress_line(std::string name, log_lines in_a_log)
    : line_(std::make_shared<line>(std::move(name), in_a_log)) {}

void progress_line::operator()(const progress& now) const { line_->show(now); }

}  // namespace shard
