#include "mapping/old_values.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mapping/rows.hpp"

namespace shard::mapping {
namespace {

// As memcpy, for what is mostly not in a cache: asks for each line of memory some time before it is
// copied. The processor does so only within a page, and begins anew with each.
void copy_from_memory(std::byte* to, const std::byte* from, std::size_t bytes) {
  constexpr std::size_t line = 64;
  constexpr std::size_t ahead = 32 * line;
  std::size_t done = 0;
  for (; bytes - done >= ahead + line; done += line) {
    __builtin_prefetch(from + done + ahead, 0, 2);
    std::memcpy(to + done, from + done, line);
  }
  if (done != bytes) std::memcpy(to + done, from + done, bytes - done);
}

}  // namespace

old_values::old_values(const detail::job& of, const plan::partition& chunks,
                       std::vector<std::byte*> data)
    : job_(of),
      chunks_(chunks),
      units_(chunks),
      data_(std::move(data)),
      any_(std::ranges::any_of(of.grants, &detail::grant::keeps)) {}

board::undo old_values::undo() const noexcept {
  return {[](const void* self, std::size_t chunk) {
            return static_cast<const old_values*>(self)->bytes(chunk);
          },
          [](const void* self, std::size_t chunk, std::byte* to) {
            static_cast<const old_values*>(self)->save(chunk, to);
          },
          [](const void* self, std::size_t chunk, std::size_t first, std::size_t last,
             const std::byte* from) {
            static_cast<const old_values*>(self)->restore(chunk, {first, last}, from);
          },
          this};
}

std::size_t old_values::bytes(std::size_t chunk) const {
  std::size_t sum = 0;
  if (!any_) return sum;
  for (const detail::grant& one : job_.grants) {
    if (one.keeps) sum += bytes_in(job_.where, one, chunks_[chunk]);
  }
  return sum;
}

std::size_t old_values::bytes_of_largest() const {
  if (any_ && chunks_.grain() != 0) return chunks_.chunks() == 0 ? 0 : bytes(0);
  std::size_t most = 0;
  for (std::size_t chunk = 0; any_ && chunk < chunks_.chunks(); ++chunk) {
    most = std::max(most, bytes(chunk));
  }
  return most;
}

void old_values::save(std::size_t chunk, std::byte* to) const {
  for (std::size_t k = 0; k < job_.grants.size(); ++k) {
    if (!job_.grants[k].keeps) continue;
    each_block(job_.where, job_.grants[k], chunks_[chunk], [&](std::size_t at, std::size_t bytes) {
      copy_from_memory(to, data_[k] + at, bytes);
      to += bytes;
    });
  }
}

void old_values::restore(std::size_t chunk, range units, const std::byte* from) const {
  const range all = chunks_[chunk];
  const range part = units_.indices(chunk, units.first, units.last);
  for (std::size_t k = 0; k < job_.grants.size(); ++k) {
    const detail::grant& one = job_.grants[k];
    if (!one.keeps) continue;
    const std::byte* old = from + bytes_in(job_.where, one, {all.first, part.first});
    each_block(job_.where, one, part, [&](std::size_t at, std::size_t bytes) {
      std::memcpy(data_[k] + at, old, bytes);
      old += bytes;
    });
    from += bytes_in(job_.where, one, all);
  }
}

}  // namespace shard::mapping
