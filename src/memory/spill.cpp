#include "shard/detail/spill.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <utility>

#include "memory/attempt.hpp"
#include "memory/segment.hpp"
#include "memory/spill_file.hpp"
#include "os/anonymous.hpp"
#include "os/file.hpp"
#include "os/headroom.hpp"
#include "os/mapping.hpp"
#include "shard/error.hpp"

namespace shard::detail {
namespace {

// What exists grows by a quarter at a time, within these: a look at the limits costs as much as
// some pages, and what is reserved in vain is at most that.
constexpr std::uint64_t least_step = std::uint64_t{1} << 16;
constexpr std::uint64_t largest_step = std::uint64_t{1} << 26;

[[noreturn]] void refuse_items(std::uint64_t wanted, std::uint64_t found,
                               const std::string& where) {
  throw error(std::errc::not_enough_memory,
              "cannot collect items: found " + std::to_string(found) + " bytes available (" +
                  where + "), expected " + std::to_string(wanted) +
                  " for what is pushed back; collect fewer, or smaller ones");
}

// Twice the memory that there is now: some may become free. Address space is cheap, and yet limited
// (ulimit -v): each process maps the spill twice.
std::uint64_t size_of_a_spill() {
  constexpr std::size_t most = std::size_t{1} << 42;
  os::headroom found = os::memory_headroom(most);
  found.available_bytes = 2 * std::min(found.available_bytes, most / 2);
  os::headroom address_space = os::address_space_limit();
  address_space.available_bytes /= 8;
  for (const os::headroom& other : {os::file_size_headroom(), address_space}) {
    if (other.available_bytes < found.available_bytes) found = other;
  }
  if (found.available_bytes < least_step) {
    refuse_items(least_step, found.available_bytes, found.limit);
  }
  return found.available_bytes / least_step * least_step;
}

}  // namespace

namespace {

array mapped(os::descriptor file, backing kind, std::uint64_t size) {
  segment::parts parts{.name = "collected items", .element_bytes = 1};
  parts.kind = kind;
  parts.data_bytes = size;
  parts.writable = true;
  parts.created = true;
  parts.file = std::move(file);
  parts.mapped = os::mapping(parts.file.get(), size, os::protection::write);
  array made = segment::make_array(std::move(parts), {size});
  // A core dump would take pages for all that is sparse here.
  static_cast<void>(os::keep_from_dumps(made.data, size));
  return made;
}

void begin(const array& made, std::uint64_t size) {
  auto* const head = ::new (made.data) spill::head{};
  head->size = size;
  head->taken.store(sizeof(spill::head), std::memory_order_relaxed);
  // So that a map which collects little asks for no more.
  if (!os::reserve_pages(made.data, least_step)) {
    refuse_items(least_step, 0, "pages that the system gives");
  }
  head->reserved.store(least_step, std::memory_order_relaxed);
}

}  // namespace

// No part of what buffers are promised: they may take the memory that this one doesn't.
array make_spill() {
  const std::uint64_t size = size_of_a_spill();
  array made = memory::attempt(
      "make memory for items to collect",
      "memory, descriptors and address space (ulimit -v) for it",
      [&] { return mapped(os::memory_file("shard", size), backing::memory, size); });
  begin(made, size);
  return made;
}

array make_spill_in(os::descriptor file, bool go_on) {
  if (!go_on) {
    const std::uint64_t size = size_of_a_spill();
    os::cut(file, size);
    array made = mapped(std::move(file), backing::file, size);
    begin(made, size);
    return made;
  }
  const std::uint64_t size = os::status(file.get()).size_bytes;
  if (size < least_step) throw os::call_failed(EINVAL, "fstat");
  array made = mapped(std::move(file), backing::file, size);
  auto& head = *std::launder(reinterpret_cast<spill::head*>(made.data));
  if (head.size < size || head.taken.load() > size) throw os::call_failed(EINVAL, "mmap");
  head.size = size;  // whoever trimmed it may have died before it said so
  // After a power cut, what was reserved and not taken need not exist.
  head.reserved.store(head.taken.load());
  return made;
}

void trim_spill(const segment& of) {
  auto& head = *std::launder(reinterpret_cast<spill::head*>(of.data()));
  const std::uint64_t page = os::normal_page_bytes();
  const std::uint64_t size = std::max((head.taken.load() + page - 1) / page * page, least_step);
  if (size >= head.size) return;
  os::cut(of.file(), size);
  head.size = size;
}

// Nothing is taken before it exists, so that who fails here leaves no hole. The orders don't
// matter: each word is all that there is to know, and what is in the bytes is published by commits.
std::uint64_t spill::take(std::size_t bytes, std::size_t alignment) const {
  head& all = head_of();
  std::uint64_t taken = all.taken.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t begin = (taken + alignment - 1) & ~std::uint64_t{alignment - 1};
    if (begin > all.size || bytes > all.size - begin) {
      refuse_items(bytes, all.size - std::min(begin, all.size),
                   "room that was set aside for items when the map began: twice the free memory, "
                   "or what ulimit -f and ulimit -v leave");
    }
    if (begin + bytes > all.reserved.load(std::memory_order_relaxed)) reserve(begin + bytes);
    if (all.taken.compare_exchange_weak(taken, begin + bytes, std::memory_order_relaxed)) {
      return begin;
    }
  }
}

// Several may do this at a time, for the same pages too.
void spill::reserve(std::uint64_t end) const {
  head& all = head_of();
  std::uint64_t reserved = all.reserved.load(std::memory_order_relaxed);
  if (end <= reserved) return;
  const std::uint64_t step = std::clamp(reserved / 4, least_step, largest_step);
  std::uint64_t until = std::min(std::max(end, reserved + step), all.size);
  const os::headroom found = os::memory_headroom(static_cast<std::size_t>(until - reserved));
  if (found.available_bytes < until - reserved) until = end;  // what is needed, then
  if (found.available_bytes < until - reserved) {
    refuse_items(until - reserved, found.available_bytes, found.limit);
  }
  if (!os::reserve_pages(memory_ + reserved, static_cast<std::size_t>(until - reserved))) {
    refuse_items(until - reserved, 0, "pages that the system gives");
  }
  while (reserved < until &&
         !all.reserved.compare_exchange_weak(reserved, until, std::memory_order_relaxed)) {
  }
}

}  // namespace shard::detail
