// The page of a report: well-formed whatever the report holds, small however much that is, and
// without anything from elsewhere.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "shard/report.hpp"
#include "xml.hpp"

namespace {

using shard::failure;
using shard::range;
using shard::report;
using shard::seconds;
using shard_test::element;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view doctype = "<!DOCTYPE html>\n";

element page_of(const report& of, std::string_view title = "A map of shard") {
  const std::string text = of.html(title);
  EXPECT_TRUE(text.starts_with(doctype));
  return shard_test::xml_reader::read(std::string_view(text).substr(doctype.size()));
}

// All texts below an element, one after the other.
std::string text_in(const element& of) {
  std::string all = of.text;
  for (const element& child : of.children) all += " " + text_in(child);
  return all;
}

std::vector<failure> failures(std::size_t count) {
  std::vector<failure> all;
  for (std::size_t k = 0; k < count; ++k) {
    all.push_back({.chunk = k,
                   .indices = {10 * k, 10 * k + 1},
                   .kind = k % 3 == 0 ? "signal" : "exception",
                   .what = k % 3 == 0 ? "signal 11 (SIGSEGV) at address 0x" + std::to_string(k)
                                      : "std::runtime_error: row " + std::to_string(k),
                   .attempt = 1,
                   .worker = unsigned(k % 4),
                   .stack = {"score(double) at score.cpp:12", "main at main.cpp:3"},
                   .stderr_tail = "first line\nlast <line> & more\n",
                   .at = seconds(0.001 * double(k)),
                   .elapsed = seconds(0.1)});
  }
  return all;
}

report with(std::vector<failure> all, unsigned workers = 4) {
  shard::run_resources used{.recorded = true, .processes = true};
  for (unsigned k = 0; k < workers; ++k) {
    shard::worker_resources one{.worker = k, .processes = 1, .chunks = 25};
    one.peak_private_bytes = std::size_t{1} << 20;
    for (int part = 0; part < 240; ++part) one.busy.push_back(float(part % 10) / 10);
    used.workers.push_back(one);
  }
  used.working = 0.5;
  used.waiting = 0.5;
  used.slowest = shard::chunk_record{.chunk = 5, .indices = {50, 60}, .duration = seconds(1)};
  std::vector<range> failed;
  for (const failure& one : all) failed.push_back(one.indices);
  return report({.completed = {{100'000, 200'000}}, .failed = failed}, std::move(all),
                {.map = 2, .chunks = 100, .grain = 10, .workers = workers}, seconds(12), {}, used);
}

TEST(ReportHtml, IsWellFormedForAnyNumberOfFailures) {
  for (const std::size_t count : {0u, 1u, 64u, 10'000u}) {
    const element page = page_of(with(failures(count)));
    EXPECT_EQ(page.name, "html");
    EXPECT_EQ(page.all("h1").size(), 1u);
  }
  EXPECT_EQ(page_of(report()).name, "html");
}

TEST(ReportHtml, SaysWhatFailedAndHowToDebugIt) {
  const std::string text = text_in(page_of(with(failures(64))));
  EXPECT_THAT(text, AllOf(HasSubstr("SIGSEGV"), HasSubstr("score(double) at score.cpp:12"),
                          HasSubstr("last <line> & more"), HasSubstr("SHARD_REPLAY=2:0-1"),
                          HasSubstr("Not complete")));
  EXPECT_THAT(text_in(page_of(with({}))), HasSubstr("Complete"));
}

// A group for each reason, in which numbers differ.
TEST(ReportHtml, GroupsFailuresByTheirReason) {
  const element page = page_of(with(failures(64)));
  EXPECT_EQ(page.all("details", "group").size(), 2u);
}

TEST(ReportHtml, StaysReadableWithTenThousandFailures) {
  const report of = with(failures(10'000));
  const element page = page_of(of);
  EXPECT_LE(page.all("article").size(), 20u) << "in full";
  EXPECT_LE(of.html().size(), 500'000u);
}

TEST(ReportHtml, StaysSmallWithAMillionChunksAndFourThousandWorkers) {
  const report few = with({}, 4096);
  EXPECT_LE(few.html().size(), 3'000'000u);
  EXPECT_LE(page_of(few).all("path").size(), 64u);
  std::vector<shard::chunk_record> chunks(1'000'000);
  for (std::size_t k = 0; k < chunks.size(); ++k) {
    chunks[k].chunk = k;
    chunks[k].duration = seconds(double(k));
  }
  const report many({.completed = {{0, chunks.size()}}}, {}, {.chunks = chunks.size()}, seconds(1),
                    {}, {}, std::move(chunks));
  EXPECT_LE(many.html().size(), 20'000u);
  EXPECT_THAT(text_in(page_of(many)), HasSubstr("999\u202f999")) << "the slowest one";
}

// Whoever writes a failure's text can't write the page.
TEST(ReportHtml, EscapesHostileBytes) {
  std::string all_bytes;
  for (int c = 0; c < 256; ++c) all_bytes += static_cast<char>(c);
  const std::string hostile =
      "</pre></summary><script>alert(1)</script>\" onload='x' &amp; <!-- ]]>" + all_bytes;
  std::vector<failure> one = failures(1);
  one[0].what = one[0].kind = one[0].exception = one[0].stderr_tail = hostile;
  one[0].stack = {hostile, hostile};
  shard::run_counts counts{.map = 1};
  counts.without = {hostile};
  const report of({.failed = {{0, 1}}}, one, counts, seconds(1), hostile);
  const element page = page_of(of, hostile);
  EXPECT_TRUE(page.all("script").empty());
  EXPECT_THAT(of.html(hostile), Not(HasSubstr("<script")));
  EXPECT_THAT(text_in(page), HasSubstr("<script>alert(1)</script>"));
}

TEST(ReportHtml, NeedsNothingFromElsewhere) {
  const std::string text = with(failures(64)).html();
  for (const char* const what :
       {"http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link", "<iframe"}) {
    EXPECT_THAT(text, Not(HasSubstr(what)));
  }
  EXPECT_THAT(text,
              AllOf(HasSubstr("prefers-color-scheme: dark"), HasSubstr("width=device-width")));
}

}  // namespace
