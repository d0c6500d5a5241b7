// A report as a page for a browser. What the page says comes first in this file, how it looks last.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mapping/failure_text.hpp"
#include "mapping/failures.hpp"
#include "mapping/page_style.hpp"
#include "mapping/ranges.hpp"
#include "mapping/shown_text.hpp"
#include "mapping/svg_writer.hpp"
#include "shard/report.hpp"

namespace shard {
namespace {

using mapping::indices_in;
using mapping::pixels;
using mapping::plural;
using mapping::xml;

// What a page has room for.
constexpr std::size_t most_groups = 40;  // of failures
constexpr std::size_t most_in_full = 5;  // failures of a group
constexpr std::size_t most_lines = 200;  // further failures of a group, a line each
constexpr std::size_t most_lines_in_all = 1000;
constexpr std::size_t most_ranges = 200;
constexpr std::size_t most_slow_chunks = 10;
constexpr std::size_t most_rows = 64;       // of the timeline
constexpr std::size_t most_marks = 400;     // failures and replacements in it
constexpr std::size_t most_open_rows = 16;  // of a table that is not folded
constexpr std::size_t longest_text = 1000;

// ---- Numbers for people.

std::string number(double value, int digits) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string percent(double part) { return number(100 * part, part < 0.0995 ? 1 : 0) + " %"; }

// 12 345 678
std::string count(std::size_t value) {
  std::string digits = std::to_string(value);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, "\u202f");
  return digits;
}

std::string span(seconds time) {
  const double s = time.count();
  if (s >= 3600) return number(s / 3600, 1) + " h";
  if (s >= 120) return number(s / 60, 1) + " min";
  if (s >= 1) return number(s, s < 10 ? 2 : 1) + " s";
  if (s >= 1e-3) return number(s * 1e3, s < 0.01 ? 2 : 1) + " ms";
  return number(s * 1e6, s < 1e-5 && s > 0 ? 2 : 0) + " µs";
}

std::string memory(std::size_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (bytes >= std::size_t{1} << 30) return number(b / (1 << 30), 2) + " GiB";
  if (bytes >= std::size_t{1} << 20) return number(b / (1 << 20), 1) + " MiB";
  return number(b / (1 << 10), 0) + " KiB";
}

std::string text_of(range indices, std::size_t stride) {
  if (indices.size() == 1) return std::to_string(indices.first);
  std::string text =
      "[" + std::to_string(indices.first) + ", " + std::to_string(indices.last) + ")";
  if (stride != 1) text += " in steps of " + std::to_string(stride);
  return text;
}

std::string cut(std::string_view text) {
  return text.size() <= longest_text ? std::string(text)
                                     : std::string(text.substr(0, longest_text)) + "...";
}

// ---- The page, part by part.

class page {
 public:
  page(const report& of, std::string_view title) : of_(of), used_(of.resources()) {
    text_ = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n";
    text_ +=
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\"/>\n";
    text_ += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n";
    text_ += "<meta name=\"color-scheme\" content=\"light dark\"/>\n";
    text_ += "<title>" + xml(title) + "</title>\n<style>" + mapping::page_style +
             "</style>\n</head>\n<body>\n<main>\n";
    add_head(title);
    add_counts();
    add_words();
    add_failures();
    add_missing();
    add_time();
    add_slow_chunks();
    add_workers();
    text_ += "</main>\n</body>\n</html>\n";
  }

  std::string take() { return std::move(text_); }

 private:
  void add_head(std::string_view title);
  void add_counts();
  void add_words();
  void add_failures();
  void add_missing();
  void add_time();
  void add_timeline();
  void add_slow_chunks();
  void add_workers();

  void section(std::string_view name) {
    text_ += "<section>\n<h2>" + std::string(name) + "</h2>\n";
  }
  void end_section() { text_ += "</section>\n"; }

  struct group {
    std::string name;
    std::vector<const failure*> all;
  };
  std::vector<group> groups() const;
  void add_group(const group& one, bool open);
  void add_in_full(const failure& one);
  void add_ranges(std::string_view what, std::span<const range> all);
  void add_share(const char* name, const char* style, double part);
  void add_worker_row(const worker_resources& one, std::size_t most_memory);

  const report& of_;
  const run_resources& used_;
  std::string text_;
  std::size_t lines_left_ = most_lines_in_all;
};

void page::add_head(std::string_view title) {
  const bool complete = of_.complete();
  text_ += "<header>\n<h1>" + xml(title) + "</h1>\n<p class=\"verdict " +
           std::string(complete ? "good" : "bad") + "\">" +
           (complete ? "Complete" : "Not complete") + "</p>\n<p class=\"about\">";
  const run_counts& counts = of_.counts();
  if (counts.map != 0) text_ += "Map " + count(counts.map) + " of its program. ";
  text_ += count(of_.indices()) + (of_.indices() == 1 ? " index" : " indices") + " in " +
           count(counts.chunks) + (counts.chunks == 1 ? " chunk" : " chunks");
  if (counts.grain != 0) text_ += " of " + count(counts.grain);
  text_ += ", on " + plural(counts.workers, "worker") + ", in " + span(of_.elapsed()) +
           ".</p>\n</header>\n";
}

void page::add_counts() {
  const run_counts& counts = of_.counts();
  const auto tile = [&](std::string_view name, const std::string& value, const char* style = "") {
    text_ += "<div class=\"tile " + std::string(style) + "\"><b>" + value + "</b><span>" +
             std::string(name) + "</span></div>\n";
  };
  text_ += "<div class=\"tiles\">\n";
  tile("completed", count(indices_in(of_.completed())));
  const std::size_t failed = indices_in(of_.failed());
  const std::size_t untried = indices_in(of_.not_tried());
  tile("failed", count(failed), failed != 0 ? "bad" : "");
  if (untried != 0) tile("not tried", count(untried), "warn");
  if (of_.indices() == 0 && !of_.complete()) {
    tile("empty parts missing", count(indices_in(of_.missing_chunks())), "bad");
  }
  tile("elapsed", span(of_.elapsed()));
  if (counts.retries != 0) tile("retries", count(counts.retries), "warn");
  if (counts.deaths != 0) tile("workers died", count(counts.deaths), "warn");
  if (counts.replacements != 0) tile("replaced for memory", count(counts.replacements), "warn");
  if (counts.takeovers != 0) tile("supervisors replaced", count(counts.takeovers), "warn");
  if (counts.output_lost != 0) tile("bytes of output lost", count(counts.output_lost), "warn");
  text_ += "</div>\n";
}

void page::add_words() {
  if (!of_.trouble().empty()) {
    text_ += "<p class=\"note bad\">" + xml(cut(of_.trouble())) + "</p>\n";
  }
  for (const std::string& each : of_.counts().without) {
    text_ += "<p class=\"note\">Went without " + xml(each) + ".</p>\n";
  }
  const std::vector<std::string> advice = of_.advice();
  if (advice.empty()) return;
  section("Advice");
  text_ += "<ul>\n";
  for (const std::string& each : advice) text_ += "<li>" + xml(each) + "</li>\n";
  text_ += "</ul>\n";
  end_section();
}

// ---- Failures

// What failures of one reason have in common: numbers in their text differ.
std::string reason_of(const failure& one) {
  std::string reason = one.kind + ": ";
  for (std::string_view left = std::string_view(one.what).substr(0, 200); !left.empty();) {
    constexpr std::string_view digits = "0123456789";
    const bool is_number = digits.find(left.front()) != digits.npos;
    const std::string_view these = left.starts_with("0x") ? "0123456789abcdefx" : digits;
    reason += is_number ? '#' : left.front();
    left.remove_prefix(is_number ? std::min(left.find_first_not_of(these), left.size()) : 1);
  }
  if (!one.stack.empty()) reason += "\n" + mapping::printed_frames(one.stack).front();
  return reason;
}

std::vector<page::group> page::groups() const {
  std::map<std::string, std::size_t> numbers;
  std::vector<group> all;
  for (const failure* const one : mapping::telling(of_.failures())) {
    const auto [at, is_new] = numbers.emplace(reason_of(*one), all.size());
    if (is_new) all.push_back({cut(one->what), {}});
    all[at->second].all.push_back(one);
  }
  std::ranges::stable_sort(all, std::greater(), [](const group& one) { return one.all.size(); });
  return all;
}

void page::add_failures() {
  if (of_.failures().empty()) return;
  const std::vector<group> all = groups();
  section("Failures");
  const std::size_t lost = of_.counts().failures_lost;
  text_ += "<p>" + plural(of_.failures().size() + lost, "failed attempt") +
           (lost == 0 ? "" : ", of which " + count(lost) + " are only counted") + ", of " +
           plural(all.size(), "kind") + ".</p>\n";
  for (std::size_t k = 0; k < std::min(all.size(), most_groups); ++k) {
    add_group(all[k], k == 0 || all.size() <= 3);
  }
  if (all.size() > most_groups) {
    text_ += "<p>And " + count(all.size() - most_groups) + " kinds more.</p>\n";
  }
  end_section();
}

void page::add_group(const group& one, bool open) {
  text_ += "<details class=\"group\"" + std::string(open ? " open=\"\"" : "") +
           "><summary><span class=\"times\">" + count(one.all.size()) +
           "×</span> <span class=\"kind\">" + xml(one.all.front()->kind) + "</span> " +
           xml(one.name) + "</summary>\n";
  const std::size_t full = std::min(one.all.size(), most_in_full);
  for (std::size_t k = 0; k < full; ++k) add_in_full(*one.all[k]);
  const std::size_t rest = one.all.size() - full;
  if (rest != 0) {
    const std::size_t lines = std::min({rest, most_lines, lines_left_});
    lines_left_ -= lines;
    text_ += "<details><summary>" + count(rest) + " more</summary>\n<ol class=\"lines\">\n";
    for (std::size_t k = full; k < full + lines; ++k) {
      text_ += "<li>" + xml(cut(mapping::line_of(*one.all[k]))) + "</li>\n";
    }
    text_ += "</ol>\n";
    if (lines != rest) {
      text_ += "<p>" + count(rest - lines) + " are left out here; the report has them.</p>\n";
    }
    text_ += "</details>\n";
  }
  text_ += "</details>\n";
}

std::string lines_of(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::string lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines += xml(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

void page::add_in_full(const failure& one) {
  text_ += "<article>\n<p>" + xml(cut(mapping::line_of(one))) + "</p>\n";
  if (one.from_outside) text_ += "<p class=\"about\">The kernel is not to blame.</p>\n";
  if (!one.stack.empty()) {
    text_ += "<pre>";
    for (const std::string& frame : mapping::printed_frames(one.stack)) {
      text_ += xml(std::string_view(frame).substr(4)) + "\n";
    }
    text_ += "</pre>\n";
  }
  if (const std::string lines = lines_of(one.stderr_tail); !lines.empty()) {
    text_ += "<p class=\"label\">stderr</p>\n<pre>" + lines + "</pre>\n";
  }
  if (const std::string how = of_.replay(one); !how.empty()) {
    text_ += "<p class=\"label\">to debug it</p>\n<pre>" + xml(how) + "</pre>\n";
  }
  text_ += "</article>\n";
}

void page::add_ranges(std::string_view what, std::span<const range> all) {
  if (all.empty()) return;
  text_ += "<details><summary>" + std::string(what) + ": " + count(indices_in(all)) + ", in " +
           plural(all.size(), "range") + "</summary>\n<p class=\"ranges\">";
  for (const range one : all.first(std::min(all.size(), most_ranges))) {
    text_ += text_of(one, 1) + " ";
  }
  if (all.size() > most_ranges) text_ += "and " + count(all.size() - most_ranges) + " more";
  text_ += "</p></details>\n";
}

void page::add_missing() {
  if (of_.complete()) return;
  section("What is missing");
  add_ranges("Indices that failed", of_.failed());
  add_ranges("Indices that were not tried", of_.not_tried());
  add_ranges("Chunks that are not complete", of_.missing_chunks());
  end_section();
}

// ---- Time

void page::add_share(const char* name, const char* style, double part) {
  text_ +=
      "<li><i class=\"" + std::string(style) + "\"></i>" + name + " " + percent(part) + "</li>\n";
}

void page::add_time() {
  if (used_.workers.empty()) return;
  section("Where the time went");
  const auto workers = static_cast<double>(used_.workers.size());
  text_ += "<p>On average " + number(used_.working * workers, 1) + " of " +
           plural(used_.workers.size(), "worker") + " worked; " +
           number((1 - used_.working) * workers, 1) + " did not.</p>\n";
  const std::array<std::pair<const char*, double>, 4> parts{{{"start", used_.starting},
                                                             {"work", used_.working},
                                                             {"publish", used_.publishing},
                                                             {"wait", used_.waiting}}};
  text_ +=
      "<svg class=\"shares\" viewBox=\"0 0 1000 20\" preserveAspectRatio=\"none\" "
      "role=\"img\" aria-label=\"Parts of the workers' time\">";
  double at = 0;
  for (const auto& [style, part] : parts) {
    const double width = 1000 * std::clamp(part, 0.0, 1.0);
    text_ += "<rect class=\"" + std::string(style) + "\" x=\"" + pixels(at) + "\" width=\"" +
             pixels(width) + "\" height=\"20\"/>";
    at += width;
  }
  text_ += "</svg>\n<ul class=\"legend\">\n";
  add_share("starting", "start", used_.starting);
  add_share("working", "work", used_.working);
  add_share("publishing", "publish", used_.publishing);
  add_share("waiting", "wait", used_.waiting);
  text_ += "</ul>\n";
  add_timeline();
  end_section();
}

// How busy the workers of one row of the timeline were: all of them, if there are more than rows.
std::vector<double> busy_of(std::span<const worker_resources> some) {
  std::vector<double> sum;
  for (const worker_resources& one : some) {
    sum.resize(std::max(sum.size(), one.busy.size()));
    for (std::size_t k = 0; k < one.busy.size(); ++k) sum[k] += double{one.busy[k]};
  }
  for (double& each : sum) each /= static_cast<double>(some.size());
  return sum;
}

void page::add_timeline() {
  const double total = of_.elapsed().count();
  if (total <= 0) return;
  const std::size_t workers = used_.workers.size();
  const std::size_t in_a_row = (workers + most_rows - 1) / most_rows;
  const std::size_t rows = (workers + in_a_row - 1) / in_a_row;
  constexpr double row_height = 16;
  constexpr double bar_height = 12;
  constexpr double width = 960;
  const double height = static_cast<double>(rows) * row_height;
  const auto x_of = [&](seconds at) { return width * std::clamp(at.count() / total, 0.0, 1.0); };

  text_ += "<div class=\"timeline\">\n<ol class=\"names\">\n";
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t first = row * in_a_row;
    const std::size_t last = std::min(first + in_a_row, workers) - 1;
    text_ += "<li>" + std::to_string(used_.workers[first].worker);
    if (last != first) text_ += "–" + std::to_string(used_.workers[last].worker);
    text_ += "</li>";
  }
  text_ += "\n</ol>\n<svg viewBox=\"0 0 " + pixels(width) + " " + pixels(height) +
           "\" preserveAspectRatio=\"none\" style=\"height:" + pixels(height) +
           "px\" role=\"img\" aria-label=\"When each worker worked\">\n";
  for (std::size_t row = 0; row < rows; ++row) {
    const auto some = std::span(used_.workers)
                          .subspan(row * in_a_row, std::min(in_a_row, workers - row * in_a_row));
    const double top = static_cast<double>(row) * row_height + 2;
    const auto rect = [&](const char* style, double x, double w) {
      if (w <= 0) return;
      text_ += "<rect class=\"" + std::string(style) + "\" x=\"" + pixels(x) + "\" y=\"" +
               pixels(top) + "\" width=\"" + pixels(w) + "\" height=\"" + pixels(bar_height) +
               "\"/>";
    };
    rect("wait", 0, width);
    const bool alone = some.size() == 1;
    if (alone && some.front().processes != 0) rect("start", 0, x_of(some.front().began));
    const std::vector<double> busy = busy_of(some);
    if (busy.empty()) {
      if (alone && some.front().processes != 0) {
        rect("work", x_of(some.front().began), x_of(some.front().ended) - x_of(some.front().began));
      }
      continue;
    }
    // Steps, as high as it was busy.
    const double step = width / static_cast<double>(busy.size());
    std::string path = "M0 " + pixels(top + bar_height);
    double level = 0;
    for (std::size_t k = 0; k < busy.size(); ++k) {
      if (busy[k] != level) {
        path += "H" + pixels(static_cast<double>(k) * step) + "V" +
                pixels(std::round(10 * (top + bar_height * (1 - std::min(busy[k], 1.0)))) / 10);
        level = busy[k];
      }
    }
    text_ += "<path class=\"work\" d=\"" + path + "H" + pixels(width) + "V" +
             pixels(top + bar_height) + "Z\"/>\n";
  }
  std::size_t marks = 0;
  const auto mark = [&](const char* style, unsigned worker, seconds at) {
    const auto found = std::ranges::find(used_.workers, worker, &worker_resources::worker);
    if (found == used_.workers.end() || ++marks > most_marks) return;
    const auto row = static_cast<std::size_t>(found - used_.workers.begin()) / in_a_row;
    text_ += "<rect class=\"" + std::string(style) + "\" x=\"" + pixels(x_of(at) - 1.5) +
             "\" y=\"" + pixels(static_cast<double>(row) * row_height) +
             "\" width=\"3\" height=\"" + pixels(row_height) + "\"/>";
  };
  for (const replacement& one : used_.replacements) mark("replaced", one.worker, one.at);
  for (const failure& one : of_.failures()) mark("failed", one.worker, one.at);
  text_ += "</svg>\n</div>\n<p class=\"axis\"><span>0</span><span>" + span(of_.elapsed()) +
           "</span></p>\n<ul class=\"legend\">\n";
  if (!of_.failures().empty()) text_ += "<li><i class=\"failed\"></i>failure</li>\n";
  if (!used_.replacements.empty()) text_ += "<li><i class=\"replaced\"></i>replacement</li>\n";
  if (marks > most_marks) text_ += "<li>the first " + count(most_marks) + " of them</li>\n";
  text_ += "</ul>\n";
  if (!used_.recorded) {
    text_ +=
        "<p class=\"about\">With the option record_chunks, this shows when each worker was "
        "busy.</p>\n";
  }
}

void page::add_slow_chunks() {
  std::vector<chunk_record> slow;
  if (!of_.chunks().empty()) {
    slow.resize(std::min(of_.chunks().size(), most_slow_chunks));
    std::ranges::partial_sort_copy(of_.chunks(), slow, std::greater(), &chunk_record::duration,
                                   &chunk_record::duration);
  } else if (used_.slowest) {
    slow.push_back(*used_.slowest);
  }
  if (slow.empty()) return;
  section("Slowest chunks");
  text_ += "<p>The median chunk took " + span(used_.median_chunk) +
           ".</p>\n<div class=\"wide\"><table>\n<thead><tr><th>chunk</th><th>indices</th>"
           "<th>took</th><th>of the map</th><th>began at</th><th>worker</th><th>attempt</th>"
           "<th></th></tr></thead>\n<tbody>\n";
  for (const chunk_record& one : slow) {
    const double share = of_.elapsed() > seconds(0) ? one.duration / of_.elapsed() : 0;
    text_ += "<tr><td>" + count(one.chunk) + "</td><td>" + text_of(one.indices, one.stride) +
             "</td><td>" + span(one.duration) + "</td><td>" + percent(share) + "</td><td>" +
             span(one.start) + "</td><td>" + std::to_string(one.worker) + "</td><td>" +
             std::to_string(one.attempt) + "</td><td>" + xml(one.cause) + "</td></tr>\n";
  }
  text_ += "</tbody></table></div>\n";
  end_section();
}

// ---- Workers

void page::add_worker_row(const worker_resources& one, std::size_t most_memory) {
  const auto cell = [&](const std::string& text) { text_ += "<td>" + text + "</td>"; };
  text_ += "<tr>";
  cell(std::to_string(one.worker));
  cell(count(one.chunks));
  cell(span(one.working));
  cell(span(one.waiting));
  if (one.peak_private_bytes == 0) {
    cell("");
  } else {
    const double part =
        static_cast<double>(one.peak_private_bytes) / static_cast<double>(most_memory);
    text_ += "<td class=\"bar\"><span style=\"width:" + pixels(100 * part) + "%\"></span>" +
             memory(one.peak_private_bytes) + "</td>";
  }
  cell(one.processes == 0 ? "unused" : span(one.began));
  cell(span(one.publishing));
  cell(span(one.user_time));
  cell(span(one.system_time));
  cell(count(one.page_faults));
  cell(std::to_string(one.processes));
  text_ += "</tr>\n";
}

void page::add_workers() {
  if (used_.workers.empty()) return;
  section("Workers");
  std::size_t most_memory = std::max<std::size_t>(used_.memory_limit_bytes, 1);
  for (const worker_resources& one : used_.workers) {
    most_memory = std::max(most_memory, one.peak_private_bytes);
  }
  if (used_.memory_limit_bytes != 0) {
    text_ += "<p>Each may have " + memory(used_.memory_limit_bytes) + " of its own.</p>\n";
  }
  const bool folded = used_.workers.size() > most_open_rows;
  if (folded) {
    text_ += "<details><summary>All " + plural(used_.workers.size(), "worker") + "</summary>\n";
  }
  text_ +=
      "<div class=\"wide\"><table>\n<thead><tr><th>worker</th><th>chunks</th><th>working</th>"
      "<th>waiting</th><th>peak memory</th><th>began at</th><th>publishing</th>"
      "<th>user</th><th>system</th><th>page faults</th><th>processes</th></tr></thead>\n<tbody>\n";
  for (const worker_resources& one : used_.workers) add_worker_row(one, most_memory);
  text_ += "</tbody></table></div>\n";
  if (folded) text_ += "</details>\n";
  end_section();
}

}  // namespace

std::string report::html(std::string_view title) const { return page(*this, title).take(); }

}  // namespace shard
