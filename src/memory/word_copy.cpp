#include "memory/word_copy.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

#include "memory/line_copy.hpp"
#include "os/sanitizers.hpp"

namespace shard::memory {
namespace {

using word = std::uint64_t;

// Calls one(at, type) for the bytes up to the first whole word of `shared`, for its words, and for
// the bytes behind the last.
template <class One>
void each_word(const std::byte* shared, std::size_t bytes, One one) {
  std::size_t at = 0;
  while (at < bytes && reinterpret_cast<std::uintptr_t>(shared + at) % sizeof(word) != 0) {
    one(at++, std::byte{});
  }
  for (; at + sizeof(word) <= bytes; at += sizeof(word)) one(at, word{});
  while (at < bytes) one(at++, std::byte{});
}

// Copies of an element, as many as fit, and the first part of one more.
void repeat(std::span<const std::byte> element, std::span<std::byte> all) noexcept {
  std::size_t done = std::min(element.size(), all.size());
  std::memcpy(all.data(), element.data(), done);
  while (done < all.size()) {
    const std::size_t next = std::min(done, all.size() - done);
    std::memcpy(all.data() + done, all.data(), next);
    done += next;
  }
}

// By copies of a block.
template <class Copy>
void fill_by_blocks(std::byte* to, std::span<const std::byte> element, std::size_t count,
                    Copy copy) noexcept {
  std::array<std::byte, 4096> room;
  std::span<const std::byte> block = element;
  if (const std::size_t fit = std::min(count, room.size() / element.size()); fit > 1) {
    const std::span copies(room.data(), fit * element.size());
    repeat(element, copies);
    block = copies;
  }
  for (std::size_t left = count * element.size(); left > 0;) {
    const std::size_t bytes = std::min(left, block.size());
    copy(to, block.data(), bytes);
    to += bytes;
    left -= bytes;
  }
}

#if defined(__x86_64__)

constexpr bool by_instruction = !os::thread_sanitizer;

// Whether the processor's own loop is at its usual speed. Where the target is less than a line
// behind the source, up to multiples of a page, AMD's Zen 3 needs nine times as long (measured).
bool runs_well(const std::byte* to, const std::byte* from) noexcept {
  constexpr std::uintptr_t page_bytes = 4096;
  const std::uintptr_t distance =
      (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from)) % page_bytes;
  return distance == 0 || distance >= line_bytes;
}

// ---- Compilers take the memory for changed, and order no access across it; the processor's own
// order (total store order) does the rest. Fast strings may store in any order among themselves,
// but not across the stores before and after (Intel SDM, volume 3, "Fast-String Operation and
// Out-of-Order Stores"), which is all that a sequence number needs. What is wider than a word and
// crosses a line may be seen in parts, which meet where the lines do: not inside an aligned word.
// Only fast strings may take an aligned word in parts, if it is not as far from the next multiple
// of its size on the other side.

template <class Unit>
void copy_one(std::byte*& to, const std::byte*& from) noexcept {
  Unit held;
  asm volatile("mov (%[from]), %[held]\n\tmov %[held], (%[to])"
               : [held] "=&r"(held)
               : [to] "r"(to), [from] "r"(from)
               : "memory");
  to += sizeof(Unit);
  from += sizeof(Unit);
}

// Less than a line.
void copy_little(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  for (; bytes >= 2 * sizeof(word); bytes -= 2 * sizeof(word)) {
    asm volatile("movups (%[from]), %%xmm0\n\tmovups %%xmm0, (%[to])"
                 :
                 : [to] "r"(to), [from] "r"(from)
                 : "xmm0", "memory");
    to += 2 * sizeof(word);
    from += 2 * sizeof(word);
  }
  if ((bytes & 8) != 0) copy_one<std::uint64_t>(to, from);
  if ((bytes & 4) != 0) copy_one<std::uint32_t>(to, from);
  if ((bytes & 2) != 0) copy_one<std::uint16_t>(to, from);
  if ((bytes & 1) != 0) copy_one<std::uint8_t>(to, from);
}

// These copy a line or more.

// Where others use the target, each byte of it is written once: what somebody did to an element
// after it was written must not be undone.
template <class Registers>
void copy_in(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  // From about here on it pays to write by whole lines.
  constexpr std::size_t many_bytes = 1024;
  if (bytes >= many_bytes) {
    const std::size_t before = to_next_line(to) % line_bytes;
    copy_little(to, from, before);
    to += before;
    from += before;
    bytes -= before;
  }
  constexpr std::size_t block_bytes = Registers::block_bytes;
  if (bytes >= block_bytes) Registers::blocks(to, from, bytes / block_bytes);
  for (bytes %= block_bytes; bytes >= line_bytes; bytes -= line_bytes) {
    Registers::line(to, from);
    to += line_bytes;
    from += line_bytes;
  }
  Registers::done();
  copy_little(to, from, bytes);
}

bool copied_by_string(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  if (bytes < long_bytes || !runs_well(to, from)) return false;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  return true;
}

inline void copy_from(std::byte* to, const std::byte* shared, std::size_t bytes,
                      registers by) noexcept {
  if (bytes < line_bytes) return copy_little(to, shared, bytes);
  if (copied_by_string(to, shared, bytes)) return;
  if (by == registers::zmm) return copy_out<zmm>(to, shared, bytes);
  if (by == registers::ymm) return copy_out<ymm>(to, shared, bytes);
  copy_out<xmm>(to, shared, bytes);
}

inline void copy_to(std::byte* shared, const std::byte* from, std::size_t bytes,
                    registers by) noexcept {
  if (bytes < line_bytes) return copy_little(shared, from, bytes);
  if (copied_by_string(shared, from, bytes)) return;
  if (by == registers::zmm) return copy_in<zmm>(shared, from, bytes);
  if (by == registers::ymm) return copy_in<ymm>(shared, from, bytes);
  copy_in<xmm>(shared, from, bytes);
}

template <class Number>
void repeat(std::span<const std::byte> number, std::span<std::byte> all) noexcept {
  Number value;
  std::memcpy(&value, number.data(), sizeof value);
  for (std::size_t at = 0; at < all.size(); at += sizeof value) {
    std::memcpy(&all[at], &value, sizeof value);
  }
}

// By whole lines, and what is before the first and behind the last by words. Many equal words are
// for the processor itself.
template <class Registers>
void fill_lines(std::byte* to, std::span<const std::byte> element, std::size_t bytes) noexcept {
  alignas(line_bytes) std::array<std::byte, 2 * line_bytes> pattern;
  switch (element.size()) {
    case 1: repeat<std::uint8_t>(element, pattern); break;
    case 2: repeat<std::uint16_t>(element, pattern); break;
    case 4: repeat<std::uint32_t>(element, pattern); break;
    case 8: repeat<std::uint64_t>(element, pattern); break;
    default: repeat(element, pattern);
  }
  const std::size_t before = std::min(bytes, to_next_line(to) % line_bytes);
  copy_little(to, pattern.data(), before);
  to += before;
  bytes -= before;
  const std::byte* const one = &pattern[before];
  const std::size_t lines = bytes / line_bytes;
  if (bytes >= long_bytes && std::memcmp(one, one + sizeof(word), line_bytes - sizeof(word)) == 0) {
    word value;
    std::memcpy(&value, one, sizeof value);
    std::size_t count = lines * (line_bytes / sizeof(word));
    asm volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
  } else if (lines > 0) {
    Registers::lines(to, one, lines);
  }
  Registers::done();
  copy_little(to, one, bytes % line_bytes);
}

// False: the lines of what is written differ.
inline bool filled_by_lines(std::byte* shared, std::span<const std::byte> element,
                            std::size_t count, registers by) noexcept {
  if (line_bytes % element.size() != 0) return false;
  const std::size_t bytes = count * element.size();
  if (by == registers::zmm) {
    fill_lines<zmm>(shared, element, bytes);
  } else if (by == registers::ymm) {
    fill_lines<ymm>(shared, element, bytes);
  } else {
    fill_lines<xmm>(shared, element, bytes);
  }
  return true;
}

#else

constexpr bool by_instruction = false;
void copy_from(std::byte*, const std::byte*, std::size_t, registers) noexcept {}
void copy_to(std::byte*, const std::byte*, std::size_t, registers) noexcept {}
bool filled_by_lines(std::byte*, std::span<const std::byte>, std::size_t, registers) noexcept {
  return false;
}

#endif

}  // namespace

void copy_words_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes) noexcept {
  each_word(shared, bytes, [&]<class Unit>(std::size_t at, Unit) {
    auto& source = *reinterpret_cast<Unit*>(const_cast<std::byte*>(shared + at));
    const Unit value = std::atomic_ref(source).load(std::memory_order_relaxed);
    std::memcpy(to + at, &value, sizeof value);
  });
}

void copy_words_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes) noexcept {
  each_word(shared, bytes, [&]<class Unit>(std::size_t at, Unit value) {
    std::memcpy(&value, from + at, sizeof value);
    std::atomic_ref(*reinterpret_cast<Unit*>(shared + at)).store(value, std::memory_order_relaxed);
  });
}

void fill_words_of_shared(std::byte* shared, std::span<const std::byte> element,
                          std::size_t count) noexcept {
  fill_by_blocks(shared, element, count, copy_words_to_shared);
}

#if defined(__x86_64__)
// The first processors with AVX-512 lower their clock for it, those with bfloat16 do not. A static
// initialiser that copies before this one has run does so by the narrowest.
const registers widest = __builtin_cpu_supports("avx512bf16") != 0 ? registers::zmm
                         : __builtin_cpu_supports("avx") != 0      ? registers::ymm
                                                                   : registers::xmm;
#else
const registers widest = registers::xmm;
#endif

void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes) noexcept {
  by_instruction ? copy_from(to, shared, bytes, widest) : copy_words_from_shared(to, shared, bytes);
}
void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes,
                      registers by) noexcept {
  by_instruction ? copy_from(to, shared, bytes, by) : copy_words_from_shared(to, shared, bytes);
}

void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes) noexcept {
  by_instruction ? copy_to(shared, from, bytes, widest) : copy_words_to_shared(shared, from, bytes);
}
void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes,
                    registers by) noexcept {
  by_instruction ? copy_to(shared, from, bytes, by) : copy_words_to_shared(shared, from, bytes);
}

void fill_shared(std::byte* shared, std::span<const std::byte> element,
                 std::size_t count) noexcept {
  fill_shared(shared, element, count, widest);
}
void fill_shared(std::byte* shared, std::span<const std::byte> element, std::size_t count,
                 registers by) noexcept {
  if (!by_instruction) return fill_words_of_shared(shared, element, count);
  if (filled_by_lines(shared, element, count, by)) return;
  fill_by_blocks(shared, element, count,
                 [by](std::byte* to, const std::byte* from, std::size_t bytes) {
                   copy_to_shared(to, from, bytes, by);
                 });
}

}  // namespace shard::memory
