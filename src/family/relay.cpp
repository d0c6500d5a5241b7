#include "family/relay.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

#include "os/event.hpp"

namespace shard::family {
namespace {

// A longer line comes out in parts, and others wait for its end.
constexpr std::size_t longest_held = 64 * 1024;
constexpr std::size_t most_waiting = 1024 * 1024;  // for one stream
constexpr std::string_view line_ends = "\n\r";

// Where the last line that has ended does so; 0: none has.
std::size_t end_of_lines(std::string_view text) { return text.find_last_of(line_ends) + 1; }

// A pipe that we can't read, or not without waiting, is none to put in the place of a stream: its
// writer would wait for ever, or die of SIGPIPE.
bool readable_at_once(const os::pipe_ends& pipe) {
  std::array<char, 1> room{};
  return os::never_wait(pipe.read) && !os::read_now(pipe.read, room);
}
struct cannot_relay : std::exception {};

bool ends_a_line(char last) { return line_ends.find(last) != std::string_view::npos; }

}  // namespace

relay::relay(const roster& of, bool prefix, const patience& with)
    : roster_(of), prefix_(prefix), patience_(with), buffer_(read_at_once, '\0') {
  if (sinks_[0].to.same_as(sinks_[1].to)) errors_sink_ = 0;
  for (unsigned slot = 0; slot < of.size(); ++slot) {
    sources_.push_back({.slot = slot, .errors = false});
    sources_.push_back({.slot = slot, .errors = true});
  }
}

worker_streams relay::open(unsigned slot) noexcept {
  member& its = roster_.at(slot);
  its.errors.clear();
  its.output_read.begin_anew();
  its.errors_read.begin_anew();
  try {
    const os::descriptor spare = os::event_counter();  // for who is to watch the worker itself
    os::pipe_ends output = os::make_pipe();
    os::pipe_ends errors = os::make_pipe();
    if (!readable_at_once(output) || !readable_at_once(errors)) throw cannot_relay();
    begin(sources_[2 * slot], std::move(output.read));
    begin(sources_[2 * slot + 1], std::move(errors.read));
    return {std::move(output.write), std::move(errors.write)};
  } catch (const std::exception&) {
    roster_.go_without(output_passed_on);
    return {};
  }
}

void relay::close(unsigned slot) {
  for (source* const from : {&sources_[2 * slot], &sources_[2 * slot + 1]}) {
    // Only what is there now: children that the worker has left may go on printing.
    constexpr std::size_t all_of_a_pipe = std::size_t{1} << 20;  // or more than there is
    std::size_t left = from->pipe ? os::unread_bytes(from->pipe).value_or(all_of_a_pipe) : 0;
    while (left != 0 && from->pipe) {
      const std::size_t found = read(*from);
      if (found == 0) break;
      left -= std::min(left, found);
    }
    from->pipe = {};
    pass_on(*from);
  }
}

void relay::forget() noexcept {
  for (source& from : sources_) from.pipe = {};
}

void relay::watch(os::poll_set& all) {
  for (source& from : sources_) from.readable = all.add(may_read(from) ? from.pipe.get() : -1);
  for (sink& to : sinks_) {
    count_stall(to);
    to.writable = all.add_for_writing(to.waiting() != 0 ? to.to.polled() : -1);
  }
  if (const auto limit = due()) all.wake_after(*limit);
}

void relay::serve(const os::poll_set& found) {
  for (sink& to : sinks_) {
    if (to.waiting() == 0) continue;
    if (full(to)) stop_the_clocks(to);
    if (found.ready(to.writable)) push(to);
    const bool hopeless =
        !to.to.terminal() && clock::now() - to.took_last >= patience_.with_readers;
    if (to.waiting() != 0 && hopeless) lose(to);
  }
  for (source& from : sources_) {
    if (!found.ready(from.readable) || !may_read(from)) continue;
    member& its = roster_.at(from.slot);
    reading& how_far = from.errors ? its.errors_read : its.output_read;
    how_far.begin();
    const std::size_t bytes = read(from);
    pass_on(from);
    how_far.end(bytes);
  }
  for (sink& to : sinks_) {
    if (full(to)) continue;
    pass_on_all(to);
    if (holds_up(to) && clock::now() - to.held_since >= patience_.with_an_open_line) release(to);
  }
}

std::optional<std::chrono::milliseconds> relay::due() const {
  std::optional<std::chrono::milliseconds> soonest;
  const auto at = [&soonest](clock::time_point when) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::max<clock::duration>(when - clock::now(), {}));
    soonest = std::min(soonest.value_or(left), left);
  };
  for (const sink& to : sinks_) {
    if (to.waiting() != 0 && !to.to.terminal()) at(to.took_last + patience_.with_readers);
    if (!full(to) && holds_up(to)) at(to.held_since + patience_.with_an_open_line);
  }
  for (const source& from : sources_) {
    const sink& to = sink_of(from);
    const bool must_wait = full(to) || (to.holder != nullptr && to.holder != &from);
    if (!from.held.empty() && !must_wait) at(from.since + patience_.with_a_line);
  }
  return soonest;
}

bool relay::holds_any() const {
  return std::ranges::any_of(sinks_, [](const sink& to) { return to.waiting() != 0; }) ||
         std::ranges::any_of(sources_, [](const source& from) { return !from.held.empty(); });
}

bool relay::full(const sink& to) { return to.waiting() >= most_waiting; }

bool relay::may_read(const source& from) const {
  return from.pipe && from.held.size() < longest_held && !full(sink_of(from));
}

// The next worker writes to it.
void relay::begin(source& from, os::descriptor pipe) {
  from.pipe = std::move(pipe);
  from.writes_records = from.inside_line = from.overdue = false;
}

// Returns how much there was. At the end, when nobody can print any more, the pipe is closed.
std::size_t relay::read(source& from) {
  const std::optional<std::size_t> found = os::read_now(from.pipe, buffer_);
  const std::string_view text(buffer_.data(), found.value_or(0));
  if (from.errors) roster_.at(from.slot).errors.append(text);
  from.read_at = clock::now();
  if (from.held.empty()) from.since = from.read_at;
  from.held += text;
  from.writes_records = from.writes_records || text.find('\0') != std::string_view::npos;
  if (found == 0) from.pipe = {};
  return text.size();
}

// A reader that is slow, or has stopped, must not be a reason to tear lines.
void relay::stop_the_clocks(sink& to) {
  to.held_since = clock::now();
  for (source& from : sources_) {
    if (&sink_of(from) == &to) from.since = from.read_at = to.held_since;
  }
}

// How long it was full, as far as it is known now.
void relay::count_stall(sink& to) const {
  const clock::time_point now = clock::now();
  if (to.full_since) {
    const std::chrono::nanoseconds lasted = now - *to.full_since;
    roster_.output_stalled().fetch_add(lasted.count(), std::memory_order_relaxed);
  }
  to.full_since = full(to) ? std::optional(now) : std::nullopt;
}

// How much of what is held comes out now, if nobody else's line is open.
std::size_t relay::due_bytes(const source& from) const {
  const bool waited = clock::now() - from.since >= patience_.with_a_line;
  if (!from.pipe || waited) return from.held.size();
  const std::size_t lines = from.writes_records ? 0 : end_of_lines(from.held);
  const bool goes_on = lines == 0 && sink_of(from).holder == &from;
  const bool long_line = from.held.size() - lines >= longest_held;
  return goes_on || long_line ? from.held.size() : lines;
}

void relay::pass_on(source& from) {
  sink& to = sink_of(from);
  if (to.holder != nullptr && to.holder != &from) return;
  const clock::time_point now = clock::now();
  const std::size_t length = due_bytes(from);
  if (length != 0) {
    const std::string_view text = std::string_view(from.held).substr(0, length);
    const bool new_line = end_of_lines(text) != 0;
    emit(from, text);
    // Who has waited so long for others makes nobody wait: each of many such would do so in turn.
    const bool late = now - from.since >= patience_.with_an_open_line;
    from.overdue = from.inside_line && (late || (from.overdue && !new_line));
    if (new_line || to.holder == nullptr) to.held_since = now;
    from.held.erase(0, length);
    from.since = from.read_at;
  }
  const bool others_waited = to.holder != nullptr;
  const bool holds = from.inside_line && from.pipe && !from.writes_records && !from.overdue;
  to.holder = holds ? &from : nullptr;
  if (others_waited && !holds) pass_on_all(to);
}

void relay::pass_on_all(const sink& to) {
  for (source& from : sources_) {
    if (&sink_of(from) == &to && !from.held.empty()) pass_on(from);
  }
}

// Somebody waits for the end of a line.
bool relay::holds_up(const sink& to) const {
  return to.holder != nullptr && std::ranges::any_of(sources_, [&](const source& from) {
           return &sink_of(from) == &to && &from != to.holder && !from.held.empty();
         });
}

// Nobody waits for it any longer.
void relay::release(sink& to) {
  std::exchange(to.holder, nullptr)->overdue = true;
  pass_on_all(to);
}

// A prefix where one of its lines begins; and where its line goes on at the beginning of a line,
// since somebody else's has come between.
void relay::emit(source& from, std::string_view text) {
  sink& to = sink_of(from);
  std::string prefixed;
  const std::string prefix = prefix_ ? "[worker " + std::to_string(from.slot) + "] " : "";
  const std::string_view all = text;
  while (prefix_ && !text.empty()) {
    const std::size_t length = std::min(text.find_first_of(line_ends), text.size() - 1) + 1;
    // What ends before it begins is no line: "\r" before a text that overwrites another, or "\r\n".
    const bool no_line =
        text.front() == '\r' || (text.front() == '\n' && from.after_return && !from.inside_line);
    if (!no_line && (!from.inside_line || to.at_line_start)) prefixed += prefix;
    prefixed += text.substr(0, length);
    from.after_return = text[length - 1] == '\r';
    from.inside_line = !ends_a_line(text[length - 1]);
    to.at_line_start = !from.inside_line;
    text.remove_prefix(length);
  }
  from.inside_line = !ends_a_line(all.back());
  put(to, prefix_ ? prefixed : all);
}

void relay::put(sink& to, std::string_view text) {
  if (to.waiting() == 0) to.took_last = clock::now();
  to.backlog.append(text);
  push(to);
  if (to.waiting() != 0 && to.given_up) lose(to);
}

void relay::push(sink& to) {
  while (to.waiting() != 0) {
    const auto taken = to.to.write_now(std::string_view(to.backlog).substr(to.written));
    if (!taken) return lose(to);
    if (*taken == 0) break;
    to.written += *taken;
    to.took_last = clock::now();
    to.given_up = false;
  }
  if (to.waiting() == 0 || to.written >= most_waiting) {
    to.backlog.erase(0, to.written);
    to.written = 0;
  }
}

void relay::lose(sink& to) {
  roster_.output_lost().fetch_add(to.waiting(), std::memory_order_relaxed);
  to.backlog.clear();
  to.written = 0;
  to.given_up = true;
}

}  // namespace shard::family
