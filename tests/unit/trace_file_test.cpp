// The trace of a report, as protoc decodes it by the numbers of Perfetto's published files
// (trace.proto, SHARD_TRACE_PROTO): never by code of shard's own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "refusal.hpp"
#include "shard/report.hpp"

namespace {

namespace fs = std::filesystem;
using shard::chunk_record;
using shard::range;
using shard::report;
using shard::seconds;

class TraceFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "shard-trace-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path file() const { return folder_ / "trace.pftrace"; }

 private:
  fs::path folder_;
};

// One message of protoc's text: fields, and messages in them.
struct message {
  std::multimap<std::string, std::string> fields;
  std::multimap<std::string, message> parts;

  const message* part(const std::string& name) const {
    const auto found = parts.find(name);
    return found == parts.end() ? nullptr : &found->second;
  }
  std::optional<std::string> field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? std::nullopt : std::optional(found->second);
  }
  std::uint64_t number(const std::string& name) const { return std::stoull(field(name).value()); }
};

message read(std::istream& from) {
  message made;
  for (std::string line; std::getline(from, line);) {
    line.erase(0, line.find_first_not_of(' '));
    if (line == "}") return made;
    if (line.ends_with(" {")) {
      made.parts.emplace(line.substr(0, line.size() - 2), read(from));
    } else {
      const std::size_t colon = line.find(": ");
      made.fields.emplace(line.substr(0, colon), line.substr(colon + 2));
    }
  }
  return made;
}

std::optional<message> decoded(const fs::path& file) {
  const fs::path proto(SHARD_TRACE_PROTO);
  const std::string text = file.string() + ".txt";
  const std::string line = "protoc --proto_path=" + proto.parent_path().string() +
                           " --decode=Trace " + proto.filename().string() + " < " + file.string() +
                           " > " + text;
  if (std::system(line.c_str()) != 0) return std::nullopt;
  std::ifstream from(text);
  return read(from);
}

bool has_protoc() { return std::system("protoc --version > /dev/null 2>&1") == 0; }

// What a viewer shows, by Perfetto's rules.
struct shown_slice {
  std::string track;
  std::string name;
  double begin_ns = 0;
  double end_ns = 0;
  std::optional<std::uint64_t> chunk;
};
struct shown_instant {
  std::string track;
  std::string name;
  double at_ns = 0;
  std::string what;
};
struct shown {
  std::vector<shown_slice> slices;
  std::vector<shown_instant> instants;
  std::map<std::string, std::string> parents;  // of tracks, by name
};

// Throws where a reader of Perfetto's would be at a loss.
shown shown_of(const message& trace) {
  struct sequence {
    bool cleared = false;
    std::uint64_t clock = 0;  // units
    double unit_ns = 0;
    double base_ns = 0;
    std::uint64_t track = 0;
    std::map<std::uint64_t, std::string> names, annotations;
    std::vector<shown_slice> open;
  };
  shown all;
  std::map<std::uint64_t, sequence> sequences;
  std::map<std::uint64_t, std::string> tracks;
  std::map<std::string, std::uint64_t> parents;
  const auto unquoted = [](const std::string& text) { return text.substr(1, text.size() - 2); };
  const auto [first, last] = trace.parts.equal_range("packet");
  for (auto at = first; at != last; ++at) {
    const message& packet = at->second;
    sequence& in = sequences[packet.number("trusted_packet_sequence_id")];
    if (packet.field("sequence_flags")) in.cleared = (packet.number("sequence_flags") & 1) != 0;
    if (const message* track = packet.part("track_descriptor")) {
      tracks[track->number("uuid")] = unquoted(track->field("name").value());
      if (track->field("parent_uuid")) {
        parents[tracks[track->number("uuid")]] = track->number("parent_uuid");
      }
    }
    if (const message* snapshot = packet.part("clock_snapshot")) {
      const auto clocks = snapshot->parts.equal_range("clocks");
      for (auto one = clocks.first; one != clocks.second; ++one) {
        const message& clock = one->second;
        if (clock.number("clock_id") == 6) in.base_ns = double(clock.number("timestamp"));
        if (clock.number("clock_id") != 64) continue;
        if (clock.field("is_incremental") != "true") throw std::runtime_error("absolute times");
        in.unit_ns = double(clock.number("unit_multiplier_ns"));
        in.clock = clock.number("timestamp");
      }
    }
    if (const message* defaults = packet.part("trace_packet_defaults")) {
      if (defaults->number("timestamp_clock_id") != 64) throw std::runtime_error("another clock");
      in.track = defaults->part("track_event_defaults")->number("track_uuid");
    }
    if (const message* interned = packet.part("interned_data")) {
      const auto add = [&](const char* kind, auto& to) {
        const auto names = interned->parts.equal_range(kind);
        for (auto one = names.first; one != names.second; ++one) {
          to[one->second.number("iid")] = unquoted(one->second.field("name").value());
        }
      };
      add("event_names", in.names);
      add("debug_annotation_names", in.annotations);
    }
    const message* event = packet.part("track_event");
    if (event == nullptr) continue;
    if (!in.cleared || in.unit_ns == 0) throw std::runtime_error("an event before its beginning");
    in.clock += packet.number("timestamp");
    const double now = double(in.clock) * in.unit_ns;
    const std::string track = tracks.at(in.track);
    const std::string type = event->field("type").value();
    const message* annotation = event->part("debug_annotations");
    if (type == "TYPE_SLICE_BEGIN") {
      shown_slice one{.track = track,
                      .name = in.names.at(event->number("name_iid")),
                      .begin_ns = now,
                      .end_ns = 0,
                      .chunk = {}};
      if (annotation != nullptr && annotation->field("name_iid")) {
        EXPECT_EQ(in.annotations.at(annotation->number("name_iid")), "chunk");
        one.chunk = annotation->number("uint_value");
      }
      in.open.push_back(one);
    } else if (type == "TYPE_SLICE_END") {
      if (in.open.empty()) throw std::runtime_error("an end without a beginning");
      in.open.back().end_ns = now;
      all.slices.push_back(in.open.back());
      in.open.pop_back();
    } else {
      all.instants.push_back(
          {track, unquoted(event->field("name").value()), now,
           annotation == nullptr ? "" : unquoted(annotation->field("string_value").value())});
    }
  }
  for (const auto& [number, each] : sequences) {
    if (!each.open.empty()) throw std::runtime_error("a slice without an end");
  }
  for (const auto& [name, parent] : parents) all.parents[name] = tracks.at(parent);
  return all;
}

report made(std::vector<chunk_record> chunks, unsigned workers,
            std::vector<shard::failure> failures = {},
            std::vector<shard::replacement> replacements = {}) {
  shard::run_resources used{.recorded = true};
  for (unsigned k = 0; k < workers; ++k) used.workers.push_back({.worker = k, .processes = 1});
  used.replacements = std::move(replacements);
  if (!chunks.empty()) used.median_chunk = chunks[chunks.size() / 2].duration;
  return report({.completed = {{0, chunks.size()}}}, std::move(failures),
                {.map = 3, .chunks = chunks.size(), .grain = 1, .workers = workers}, seconds(100),
                {}, used, std::move(chunks));
}

TEST_F(TraceFile, HasASliceForEachChunkOnTheTrackOfItsWorker) {
  if (!has_protoc()) GTEST_SKIP() << "needs protoc (protobuf-compiler)";
  std::vector<chunk_record> chunks;
  for (std::size_t k = 0; k < 3000; ++k) {
    chunks.push_back({.chunk = k,
                      .indices = {k, k + 1},
                      .worker = unsigned(k % 3),
                      .start = seconds(1e-3 * double(k / 3) + 1e-5 * double(k % 7)),
                      .duration = seconds(1e-4 + 1e-7 * double(k % 13))});
  }
  made(chunks, 4).write_trace(file());
  const auto trace = decoded(file());
  ASSERT_TRUE(trace);
  const shown found = shown_of(*trace);
  ASSERT_EQ(found.slices.size(), chunks.size());
  for (const shown_slice& one : found.slices) {
    ASSERT_TRUE(one.chunk);
    const chunk_record& of = chunks.at(*one.chunk);
    EXPECT_EQ(one.track, "worker " + std::to_string(of.worker));
    EXPECT_EQ(one.name, "chunk");
    EXPECT_NEAR(one.begin_ns, of.start.count() * 1e9, 100);
    EXPECT_NEAR(one.end_ns, (of.start + of.duration).count() * 1e9, 100);
  }
  for (unsigned k = 0; k < 4; ++k) {
    EXPECT_EQ(found.parents.at("worker " + std::to_string(k)), "map 3 of shard");
  }
}

TEST_F(TraceFile, HasInstantsForFailuresAndReplacements) {
  if (!has_protoc()) GTEST_SKIP() << "needs protoc (protobuf-compiler)";
  const shard::failure one{.chunk = 1,
                           .indices = {1, 2},
                           .kind = "signal",
                           .what = "bytes \xff that are no UTF-8",
                           .attempt = 1,
                           .worker = 1,
                           .at = seconds(2),
                           .elapsed = seconds(0.5)};
  const shard::failure outside{
      .kind = "exit", .what = "early", .worker = 0, .at = seconds(0.25), .elapsed = {}};
  made({{.chunk = 0, .indices = {0, 1}, .worker = 0, .start = seconds(1), .duration = seconds(1)},
        {.chunk = 1,
         .indices = {1, 2},
         .worker = 1,
         .attempt = 2,
         .start = seconds(2.5),
         .duration = seconds(1)}},
       2, {one, outside}, {{.worker = 1, .at = seconds(2.25)}})
      .write_trace(file());
  const auto trace = decoded(file());
  ASSERT_TRUE(trace);
  const shown found = shown_of(*trace);
  ASSERT_EQ(found.slices.size(), 3u);
  const auto failed = std::ranges::find(found.slices, "failed attempt", &shown_slice::name);
  ASSERT_NE(failed, found.slices.end());
  EXPECT_EQ(failed->track, "worker 1");
  EXPECT_EQ(failed->chunk, 1u);
  EXPECT_NEAR(failed->begin_ns, 1.5e9, 1e6);
  EXPECT_NEAR(failed->end_ns, 2e9, 1e6);
  ASSERT_EQ(found.instants.size(), 3u);
  for (const shown_instant& each : found.instants) {
    if (each.name == "signal") {
      EXPECT_EQ(each.track, "worker 1");
      EXPECT_NEAR(each.at_ns, 2e9, 1e6);
      EXPECT_EQ(each.what, "bytes ? that are no UTF-8");
    } else if (each.name == "replaced") {
      EXPECT_EQ(each.track, "worker 1");
      EXPECT_NEAR(each.at_ns, 2.25e9, 1e6);
    } else {
      EXPECT_EQ(each.name, "exit");
      EXPECT_EQ(each.track, "worker 0");
    }
  }
}

// A chunk whose last attempt failed is in the records and in the failures.
TEST_F(TraceFile, TellsAFailedAttemptOnce) {
  if (!has_protoc()) GTEST_SKIP() << "needs protoc (protobuf-compiler)";
  const shard::failure one{.chunk = 0,
                           .indices = {0, 1},
                           .kind = "exception",
                           .what = "no",
                           .attempt = 1,
                           .at = seconds(1),
                           .elapsed = seconds(1)};
  made(
      {{.chunk = 0, .indices = {0, 1}, .attempt = 1, .duration = seconds(1), .cause = "exception"}},
      1, {one})
      .write_trace(file());
  const auto trace = decoded(file());
  ASSERT_TRUE(trace);
  EXPECT_EQ(shown_of(*trace).slices.size(), 1u);
}

TEST_F(TraceFile, TakesAtMost25MegabytesForAMillionChunks) {
  std::vector<chunk_record> chunks(1'000'000);
  for (std::size_t k = 0; k < chunks.size(); ++k) {
    const std::size_t step = k / 64;
    chunks[k] = {.chunk = k,
                 .indices = {k, k + 1},
                 .worker = unsigned(k % 64),
                 .start = seconds(101e-6 * double(step)),
                 .duration = seconds(1e-6 * double(90 + (k * 7919) % 20))};
  }
  made(std::move(chunks), 64).write_trace(file());
  EXPECT_LE(fs::file_size(file()), 25'000'000u);
  EXPECT_GE(fs::file_size(file()), 10'000'000u) << "it has them all";
}

TEST_F(TraceFile, IsRefusedWhereItCantBeWritten) {
  const report of = made({}, 1);
  const std::string why = shard_test::refusal([&] { of.write_trace(file() / "no" / "folder"); });
  EXPECT_THAT(why, testing::HasSubstr("cannot create"));
}

}  // namespace
