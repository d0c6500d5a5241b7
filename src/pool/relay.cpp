#include "pool/relay.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "os/event.hpp"

namespace shard::pool {
namespace {

constexpr std::size_t read_at_once = 64 * 1024;
// A longer line is passed on in parts, and others wait for its end.
constexpr std::size_t longest_held = 64 * 1024;
constexpr std::size_t most_waiting = 1024 * 1024;  // for one stream
// It may never come: it is ended for it when it has stood still for so long, and somebody who waits
// can't print any more.
constexpr std::chrono::milliseconds longest_pause{1000};

}  // namespace

relay::relay(const board::board& on, bool prefix, std::chrono::milliseconds patience)
    : board_(on), prefix_(prefix), patience_(patience), buffer_(read_at_once, '\0') {
  if (sinks_[0].to.same_as(sinks_[1].to)) errors_sink_ = 0;
  for (unsigned slot = 0; slot < on.size().slots; ++slot) {
    sources_.push_back({.slot = slot, .errors = false});
    sources_.push_back({.slot = slot, .errors = true});
  }
}

worker_streams relay::open(unsigned slot) noexcept {
  board_.at(slot).errors.clear();
  try {
    const os::descriptor spare = os::event_counter();  // for who is to watch the worker itself
    os::pipe_ends output = os::make_pipe();
    os::pipe_ends errors = os::make_pipe();
    os::never_wait(output.read);
    os::never_wait(errors.read);
    sources_[2 * slot].pipe = std::move(output.read);
    sources_[2 * slot + 1].pipe = std::move(errors.read);
    return {std::move(output.write), std::move(errors.write)};
  } catch (const std::exception&) {
    return {};
  }
}

void relay::close(unsigned slot) {
  for (source* const from : {&sources_[2 * slot], &sources_[2 * slot + 1]}) {
    // Only what is there now: children that the worker has left may go on printing.
    std::size_t left = from->pipe ? os::unread_bytes(from->pipe.get()) : 0;
    while (left != 0 && from->pipe) {
      const std::size_t found = read(*from);
      if (found == 0) break;
      left -= std::min(left, found);
    }
    end(*from);
    pass_on(*from);
  }
}

void relay::forget() noexcept {
  for (source& from : sources_) from.pipe = {};
}

void relay::watch(std::vector<os::watched>& all) const {
  for (const source& from : sources_) all.push_back({may_read(from) ? from.pipe.get() : -1});
  for (const sink& to : sinks_) {
    all.push_back({to.waiting() != 0 ? to.to.polled() : -1, false, true});
  }
}

void relay::serve(std::span<const os::watched> found) {
  for (std::size_t k = 0; k < sinks_.size(); ++k) {
    sink& to = sinks_[k];
    if (to.waiting() == 0) continue;
    if (found[sources_.size() + k].ready) push(to);
    const bool hopeless = !to.to.terminal() && clock::now() - to.took_last >= patience_;
    if (to.waiting() != 0 && hopeless) lose(to);
  }
  for (std::size_t k = 0; k < sources_.size(); ++k) {
    if (!found[k].ready || !may_read(sources_[k])) continue;
    read(sources_[k]);
    pass_on(sources_[k]);
  }
  for (sink& to : sinks_) {
    if (holds_up(to) && clock::now() - to.went_on >= longest_pause) end_line(to);
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
    if (to.waiting() != 0 && !to.to.terminal()) at(to.took_last + patience_);
    if (holds_up(to)) at(to.went_on + longest_pause);
  }
  return soonest;
}

bool relay::holds_any() const {
  return std::ranges::any_of(sinks_, [](const sink& to) { return to.waiting() != 0; }) ||
         std::ranges::any_of(sources_, [](const source& from) { return !from.held.empty(); });
}

bool relay::may_read(const source& from) const {
  return from.pipe && from.held.size() < longest_held && sink_of(from).waiting() < most_waiting;
}

// Returns how much there was. At the end, when nobody can print any more, the pipe is closed.
std::size_t relay::read(source& from) {
  board::tail& tail = board_.at(from.slot).errors;
  if (from.errors) tail.enter();
  const std::optional<std::size_t> found = os::read_now(from.pipe, buffer_);
  const std::string_view text(buffer_.data(), found.value_or(0));
  if (from.errors) {
    tail.append(text);
    tail.leave();
  }
  from.held += text;
  if (found == 0) end(from);
  return text.size();
}

// Nothing more will come: what is there ends with a whole line.
void relay::end(source& from) {
  from.pipe = {};
  const bool unfinished = from.held.empty() ? from.inside_line : from.held.back() != '\n';
  if (unfinished) from.held += '\n';
}

// As much as can be: whole lines, unless another worker's is not finished.
void relay::pass_on(source& from) {
  sink& to = sink_of(from);
  if (to.holder != nullptr && to.holder != &from) return;
  std::size_t end = from.held.rfind('\n') + 1;  // 0: none
  if (from.held.size() - end >= longest_held || (end == 0 && from.inside_line)) {
    end = from.held.size();
  }
  if (end == 0) return;
  emit(from, std::string_view(from.held).substr(0, end));
  from.inside_line = from.held[end - 1] != '\n';
  from.held.erase(0, end);
  const bool others_waited = to.holder != nullptr;
  to.holder = from.inside_line ? &from : nullptr;
  to.went_on = clock::now();
  if (others_waited) pass_on_others(to);
}

void relay::pass_on_others(const sink& to) {
  for (source& from : sources_) {
    if (to.holder != nullptr) return;
    if (&sink_of(from) == &to && !from.held.empty()) pass_on(from);
  }
}

bool relay::holds_up(const sink& to) const {
  return to.holder != nullptr && std::ranges::any_of(sources_, [&](const source& from) {
           return &sink_of(from) == &to && &from != to.holder && from.held.size() >= longest_held;
         });
}

void relay::end_line(sink& to) {
  put(to, "\n");
  std::exchange(to.holder, nullptr)->inside_line = false;
  pass_on_others(to);
}

void relay::emit(source& from, std::string_view text) {
  sink& to = sink_of(from);
  if (!prefix_) return put(to, text);
  const std::string prefix = "[worker " + std::to_string(from.slot) + "] ";
  std::string prefixed;
  bool inside = from.inside_line;
  while (!text.empty()) {
    const std::size_t length = std::min(text.find('\n'), text.size() - 1) + 1;
    if (!inside) prefixed += prefix;
    prefixed += text.substr(0, length);
    inside = text[length - 1] != '\n';
    text.remove_prefix(length);
  }
  put(to, prefixed);
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
  board_.output_lost().fetch_add(to.waiting(), std::memory_order_relaxed);
  to.backlog.clear();
  to.written = 0;
  to.given_up = true;
}

}  // namespace shard::pool
