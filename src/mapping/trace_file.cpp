// A report as a trace that Perfetto's viewer opens: TrackEvents in protobuf, of which this writes
// the few fields that it needs. The numbers of fields are those of Perfetto's published .proto
// files (protos/perfetto/trace); tests/process/trace.proto repeats them.

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mapping/failures.hpp"
#include "mapping/shown_text.hpp"
#include "shard/histogram_files.hpp"
#include "shard/report.hpp"

namespace shard {
namespace {

// ---- Protobuf: a message is fields, a field is a key and a varint or bytes.

class message {
 public:
  message& number(unsigned field, std::uint64_t value) {
    varint(std::uint64_t{field} << 3);
    varint(value);
    return *this;
  }
  message& bytes(unsigned field, std::string_view value) {
    varint(std::uint64_t{field} << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  message& part(unsigned field, const message& value) { return bytes(field, value.bytes_); }
  // Of proto2, a string is UTF-8.
  message& text(unsigned field, std::string_view value) {
    return bytes(field, mapping::shown(value));
  }

  const std::string& encoded() const noexcept { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

namespace trace {
constexpr unsigned packet = 1;
}
namespace packet {
constexpr unsigned clock_snapshot = 6, timestamp = 8, sequence_id = 10, track_event = 11,
                   interned_data = 12, sequence_flags = 13, defaults = 59, track_descriptor = 60;
constexpr unsigned state_cleared = 1;
}  // namespace packet
namespace snapshot {
constexpr unsigned clocks = 1;
}
namespace clock {
constexpr unsigned id = 1, timestamp = 2, is_incremental = 3, unit_multiplier_ns = 4;
constexpr unsigned boot_time = 6, of_a_sequence = 64;
}  // namespace clock
namespace defaults {
constexpr unsigned track_event = 11, timestamp_clock_id = 58;
}
namespace descriptor {
constexpr unsigned uuid = 1, name = 2, parent_uuid = 5;
}
namespace interned {
constexpr unsigned event_names = 2, annotation_names = 3;
constexpr unsigned iid = 1, name = 2;
}  // namespace interned
namespace event {
constexpr unsigned annotations = 4, type = 9, name_iid = 10, track_uuid = 11, name = 23;
constexpr unsigned slice_begin = 1, slice_end = 2, instant = 3;
}  // namespace event
namespace annotation {
constexpr unsigned name_iid = 1, number = 3, text = 6, name = 10;
}

// ---- What is told.

constexpr std::uint64_t beginning_ns = 1'000'000'000;  // of the map, in the trace's time
constexpr unsigned map_track = 1;

enum name_iid : unsigned { chunk_name = 1, failed_name = 2 };
enum annotation_iid : unsigned { chunk_number = 1 };

// From the beginning to the end of one attempt.
struct slice {
  seconds begin{};
  seconds end{};
  std::size_t chunk = 0;
  const failure* failed = nullptr;
  bool is_numbered = true;
};

// At one moment.
struct instant {
  seconds at{};
  const failure* failed = nullptr;  // null: the worker was replaced
};

struct track {
  std::vector<slice> slices;
  std::vector<instant> instants;
};

// A viewer shows a name and the time by themselves. With a number for each, 10^6 chunks would take
// more than 25 MB: of so many, those have one that stand out, and some between.
constexpr std::size_t all_numbered = 500'000;

class picture {
 public:
  explicit picture(const report& of) : of_(of) {
    add_chunks();
    add_failures();
    for (const replacement& one : of.resources().replacements) {
      tracks_[one.worker].instants.push_back({one.at, nullptr});
    }
    for (const worker_resources& one : of.resources().workers) tracks_[one.worker];
    choose_unit();
  }

  std::string encoded() {
    begin();
    for (auto& [worker, what] : tracks_) add_track(worker, what);
    return std::move(text_);
  }

 private:
  void add_chunks() {
    std::set<std::pair<std::size_t, unsigned>> told;  // by their failures
    for (const failure& one : of_.failures()) {
      if (mapping::is_at(one)) told.emplace(one.chunk, one.attempt);
    }
    const seconds median = of_.resources().median_chunk;
    std::size_t k = 0;
    for (const chunk_record& one : of_.chunks()) {
      if (!one.cause.empty() && told.contains({one.chunk, one.attempt})) continue;
      const bool stands_out = one.duration > 2 * median || !one.cause.empty() || k++ % 8 == 0;
      tracks_[one.worker].slices.push_back(
          {.begin = one.start,
           .end = one.start + one.duration,
           .chunk = one.chunk,
           .is_numbered = stands_out || of_.chunks().size() <= all_numbered});
    }
  }

  void add_failures() {
    for (const failure& one : of_.failures()) {
      track& at = tracks_[one.worker];
      at.instants.push_back({one.at, &one});
      if (!mapping::is_at(one)) continue;
      at.slices.push_back(
          {.begin = one.at - one.elapsed, .end = one.at, .chunk = one.chunk, .failed = &one});
    }
  }

  // Two bytes for most times.
  void choose_unit() {
    constexpr double most = 8000;
    const double median_ns = of_.resources().median_chunk.count() * 1e9;
    for (unit_ns_ = 1; median_ns / static_cast<double>(unit_ns_) > most;) unit_ns_ *= 10;
  }

  std::uint64_t units(seconds time) const {
    const double ns = std::clamp(time.count() * 1e9, 0.0, 9e18);
    return static_cast<std::uint64_t>(ns) / unit_ns_;
  }

  void put(const message& one) {
    message whole;
    whole.part(trace::packet, one);
    text_ += whole.encoded();
  }

  void begin() {
    const std::size_t map = of_.counts().map;
    const std::string name =
        map == 0 ? "map inside a kernel" : "map " + std::to_string(map) + " of shard";
    put(message()
            .number(packet::sequence_id, 1)
            .part(packet::track_descriptor,
                  message().number(descriptor::uuid, map_track).text(descriptor::name, name)));
  }

  // A track is a sequence of packets of its own, so that its events need not name it. Its times are
  // differences. Only what a reader who has lost packets must skip needs a flag that says so: no
  // packet of a file gets lost.
  void add_track(unsigned worker, track& what) {
    sequence_ = worker + 2;  // 1 has been used
    const unsigned uuid = map_track + 1 + worker;
    put(message()
            .number(packet::sequence_id, sequence_)
            .number(packet::sequence_flags, packet::state_cleared)
            .part(packet::track_descriptor,
                  message()
                      .number(descriptor::uuid, uuid)
                      .number(descriptor::parent_uuid, map_track)
                      .text(descriptor::name, "worker " + std::to_string(worker))));
    put(message()
            .number(packet::sequence_id, sequence_)
            .part(packet::clock_snapshot,
                  message()
                      .part(snapshot::clocks, message()
                                                  .number(clock::id, clock::boot_time)
                                                  .number(clock::timestamp, beginning_ns))
                      .part(snapshot::clocks, message()
                                                  .number(clock::id, clock::of_a_sequence)
                                                  .number(clock::timestamp, 0)
                                                  .number(clock::is_incremental, 1)
                                                  .number(clock::unit_multiplier_ns, unit_ns_))));
    const auto named = [](unsigned iid, std::string_view name) {
      return message().number(interned::iid, iid).text(interned::name, name);
    };
    put(message()
            .number(packet::sequence_id, sequence_)
            .part(packet::defaults,
                  message()
                      .number(defaults::timestamp_clock_id, clock::of_a_sequence)
                      .part(defaults::track_event, message().number(event::track_uuid, uuid)))
            .part(packet::interned_data,
                  message()
                      .part(interned::event_names, named(chunk_name, "chunk"))
                      .part(interned::event_names, named(failed_name, "failed attempt"))
                      .part(interned::annotation_names, named(chunk_number, "chunk"))));
    now_ = 0;
    std::ranges::stable_sort(what.slices, {}, &slice::begin);
    std::ranges::stable_sort(what.instants, {}, &instant::at);
    auto next = what.instants.cbegin();
    const auto add_instants = [&](std::uint64_t until) {
      for (; next != what.instants.cend() && units(next->at) <= until; ++next) add(*next);
    };
    for (const slice& one : what.slices) {
      // Where times are those of a short batch, slices would overlap.
      const std::uint64_t begin = std::max(units(one.begin), now_);
      add_instants(begin);
      add_event(begin, beginning_of(one));
      const std::uint64_t end = std::max(units(one.end), begin);
      add_instants(end);
      add_event(end, message().number(event::type, event::slice_end));
    }
    add_instants(~std::uint64_t{0});
  }

  static message beginning_of(const slice& one) {
    message begins;
    begins.number(event::type, event::slice_begin)
        .number(event::name_iid, one.failed == nullptr ? chunk_name : failed_name);
    if (one.is_numbered) {
      begins.part(event::annotations, message()
                                          .number(annotation::name_iid, chunk_number)
                                          .number(annotation::number, one.chunk));
    }
    if (one.failed != nullptr) add_text(begins, "attempt", std::to_string(one.failed->attempt));
    return begins;
  }

  static void add_text(message& to, std::string_view name, std::string_view text) {
    to.part(event::annotations,
            message().text(annotation::name, name).text(annotation::text, text));
  }

  void add(const instant& one) {
    message told;
    told.number(event::type, event::instant)
        .text(event::name, one.failed == nullptr ? "replaced" : one.failed->kind);
    if (one.failed != nullptr) add_text(told, "what", one.failed->what);
    add_event(std::max(units(one.at), now_), told);
  }

  void add_event(std::uint64_t at, const message& what) {
    put(message()
            .number(packet::timestamp, at - now_)
            .number(packet::sequence_id, sequence_)
            .part(packet::track_event, what));
    now_ = at;
  }

  const report& of_;
  std::map<unsigned, track> tracks_;
  std::uint64_t unit_ns_ = 1;
  unsigned sequence_ = 0;
  std::uint64_t now_ = 0;  // of the track, in units
  std::string text_;
};

}  // namespace

void report::write_trace(const std::filesystem::path& to) const {
  detail::save_text(to, picture(*this).encoded(), durability::memory);
}

}  // namespace shard
