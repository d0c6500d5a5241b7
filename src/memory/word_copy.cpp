#include "memory/word_copy.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>

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

// From here on the processor's own loop is the fastest; below, its start costs more than the copy.
constexpr std::size_t long_bytes = 8192;
constexpr std::size_t line_bytes = 64;

// Whether the processor's own loop is at its usual speed. Where the target is less than a line
// behind the source, up to multiples of a page, AMD's Zen 3 needs nine times as long (measured).
bool runs_well(const std::byte* to, const std::byte* from) noexcept {
  constexpr std::uintptr_t page_bytes = 4096;
  const std::uintptr_t distance =
      (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from)) % page_bytes;
  return distance == 0 || distance >= line_bytes;
}

// ---- Registers: how a processor copies a line, and a number of blocks, at least one, which moves
// the pointers on. A block's loads come before its stores: one that waits for a store to the same
// place of another page, as processors take it to at first, is one of a block. done() comes last.

// Compilers know the upper half of these registers only where they may use AVX-512 themselves. It
// needs no vzeroupper.
#if defined(__AVX512F__)
#define SHARD_CLOBBERS_ZMM "xmm16", "xmm17", "xmm18", "xmm19", "memory"
#else
#define SHARD_CLOBBERS_ZMM "memory"
#endif

struct zmm {
  static constexpr std::size_t block_bytes = 4 * line_bytes;

  static void line(std::byte* to, const std::byte* from) noexcept {
    asm volatile("vmovdqu64 (%[from]), %%zmm16\n\tvmovdqu64 %%zmm16, (%[to])"
                 :
                 : [to] "r"(to), [from] "r"(from)
                 : SHARD_CLOBBERS_ZMM);
  }
  static void blocks(std::byte*& to, const std::byte*& from, std::size_t count) noexcept {
    asm volatile(
        "1:\n\t"
        "vmovdqu64 (%[from]), %%zmm16\n\t"
        "vmovdqu64 64(%[from]), %%zmm17\n\t"
        "vmovdqu64 128(%[from]), %%zmm18\n\t"
        "vmovdqu64 192(%[from]), %%zmm19\n\t"
        "vmovdqu64 %%zmm16, (%[to])\n\t"
        "vmovdqu64 %%zmm17, 64(%[to])\n\t"
        "vmovdqu64 %%zmm18, 128(%[to])\n\t"
        "vmovdqu64 %%zmm19, 192(%[to])\n\t"
        "add $256, %[from]\n\t"
        "add $256, %[to]\n\t"
        "dec %[count]\n\t"
        "jnz 1b"
        : [to] "+r"(to), [from] "+r"(from), [count] "+r"(count)
        :
        : SHARD_CLOBBERS_ZMM, "cc");
  }
  // A number of lines, at least one, like that at `one`.
  static void lines(std::byte*& to, const std::byte* one, std::size_t count) noexcept {
    asm volatile(
        "vmovdqu64 (%[one]), %%zmm16\n\t"
        "1:\n\t"
        "vmovdqu64 %%zmm16, (%[to])\n\t"
        "add $64, %[to]\n\t"
        "dec %[count]\n\t"
        "jnz 1b"
        : [to] "+r"(to), [count] "+r"(count)
        : [one] "r"(one)
        : SHARD_CLOBBERS_ZMM, "cc");
  }
  static void done() noexcept {}
};

#undef SHARD_CLOBBERS_ZMM

struct ymm {
  static constexpr std::size_t block_bytes = 2 * line_bytes;

  static void line(std::byte* to, const std::byte* from) noexcept {
    asm volatile(
        "vmovups (%[from]), %%ymm0\n\t"
        "vmovups 32(%[from]), %%ymm1\n\t"
        "vmovups %%ymm0, (%[to])\n\t"
        "vmovups %%ymm1, 32(%[to])"
        :
        : [to] "r"(to), [from] "r"(from)
        : "xmm0", "xmm1", "memory");
  }
  static void blocks(std::byte*& to, const std::byte*& from, std::size_t count) noexcept {
    asm volatile(
        "1:\n\t"
        "vmovups (%[from]), %%ymm0\n\t"
        "vmovups 32(%[from]), %%ymm1\n\t"
        "vmovups 64(%[from]), %%ymm2\n\t"
        "vmovups 96(%[from]), %%ymm3\n\t"
        "vmovups %%ymm0, (%[to])\n\t"
        "vmovups %%ymm1, 32(%[to])\n\t"
        "vmovups %%ymm2, 64(%[to])\n\t"
        "vmovups %%ymm3, 96(%[to])\n\t"
        "add $128, %[from]\n\t"
        "add $128, %[to]\n\t"
        "dec %[count]\n\t"
        "jnz 1b"
        : [to] "+r"(to), [from] "+r"(from), [count] "+r"(count)
        :
        : "xmm0", "xmm1", "xmm2", "xmm3", "memory", "cc");
  }
  static void lines(std::byte*& to, const std::byte* one, std::size_t count) noexcept {
    asm volatile(
        "vmovups (%[one]), %%ymm0\n\t"
        "vmovups 32(%[one]), %%ymm1\n\t"
        "1:\n\t"
        "vmovups %%ymm0, (%[to])\n\t"
        "vmovups %%ymm1, 32(%[to])\n\t"
        "add $64, %[to]\n\t"
        "dec %[count]\n\t"
        "jnz 1b"
        : [to] "+r"(to), [count] "+r"(count)
        : [one] "r"(one)
        : "xmm0", "xmm1", "memory", "cc");
  }
  // It changes all of them.
  static void done() noexcept {
    asm volatile("vzeroupper"
                 :
                 :
                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
  }
};

struct xmm {
  static constexpr std::size_t block_bytes = 2 * line_bytes;

  static void line(std::byte* to, const std::byte* from) noexcept {
    asm volatile(
        "movups (%[from]), %%xmm0\n\t"
        "movups 16(%[from]), %%xmm1\n\t"
        "movups 32(%[from]), %%xmm2\n\t"
        "movups 48(%[from]), %%xmm3\n\t"
        "movups %%xmm0, (%[to])\n\t"
        "movups %%xmm1, 16(%[to])\n\t"
        "movups %%xmm2, 32(%[to])\n\t"
        "movups %%xmm3, 48(%[to])"
        :
        : [to] "r"(to), [from] "r"(from)
        : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
  }
  static void blocks(std::byte*& to, const std::byte*& from, std::size_t count) noexcept {
    asm volatile(
        "1:\n\t"
        "movups (%[from]), %%xmm0\n\t"
        "movups 16(%[from]), %%xmm1\n\t"
        "movups 32(%[from]), %%xmm2\n\t"
        "movups 48(%[from]), %%xmm3\n\t"
        "movups 64(%[from]), %%xmm4\n\t"
        "movups 80(%[from]), %%xmm5\n\t"
        "movups 96(%[from]), %%xmm6\n\t"
        "movups 112(%[from]), %%xmm7\n\t"
        "movups %%xmm0, (%[to])\n\t"
        "movups %%xmm1, 16(%[to])\n\t"
        "movups %%xmm2, 32(%[to])\n\t"
        "movups %%xmm3, 48(%[to])\n\t"
        "movups %%xmm4, 64(%[to])\n\t"
        "movups %%xmm5, 80(%[to])\n\t"
        "movups %%xmm6, 96(%[to])\n\t"
        "movups %%xmm7, 112(%[to])\n\t"
        "add $128, %[from]\n\t"
        "add $128, %[to]\n\t"
        "dec %[count]\n\t"
        "jnz 1b"
        : [to] "+r"(to), [from] "+r"(from), [count] "+r"(count)
        :
        : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "memory", "cc");
  }
  static void lines(std::byte*& to, const std::byte* one, std::size_t count) noexcept {
    asm volatile(
        "movups (%[one]), %%xmm0\n\t"
        "movups 16(%[one]), %%xmm1\n\t"
        "movups 32(%[one]), %%xmm2\n\t"
        "movups 48(%[one]), %%xmm3\n\t"
        "1:\n\t"
        "movups %%xmm0, (%[to])\n\t"
        "movups %%xmm1, 16(%[to])\n\t"
        "movups %%xmm2, 32(%[to])\n\t"
        "movups %%xmm3, 48(%[to])\n\t"
        "add $64, %[to]\n\t"
        "dec %[count]\n\t"
        "jnz 1b"
        : [to] "+r"(to), [count] "+r"(count)
        : [one] "r"(one)
        : "xmm0", "xmm1", "xmm2", "xmm3", "memory", "cc");
  }
  static void done() noexcept {}
};

// The first processors with AVX-512 lower their clock for it, those with bfloat16 do not. A static
// initialiser that copies before this one has run does so by the narrowest.
const registers widest = __builtin_cpu_supports("avx512bf16") != 0 ? registers::zmm
                         : __builtin_cpu_supports("avx") != 0      ? registers::ymm
                                                                   : registers::xmm;

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

std::size_t to_next_line(const std::byte* from_here) noexcept {
  return line_bytes - reinterpret_cast<std::uintptr_t>(from_here) % line_bytes;
}

// These copy a line or more.

// Where the target is our own it may be written twice: so all of it but the two ends is written by
// whole lines, which takes half as long as across them.
template <class Registers>
void copy_out(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  std::byte* const last_to = to + bytes - line_bytes;
  const std::byte* const last_from = from + bytes - line_bytes;
  Registers::line(to, from);
  const std::size_t before = to_next_line(to);
  to += before;
  from += before;
  bytes -= before;
  constexpr std::size_t block_bytes = Registers::block_bytes;
  if (bytes >= block_bytes) Registers::blocks(to, from, bytes / block_bytes);
  for (bytes %= block_bytes; bytes > line_bytes; bytes -= line_bytes) {
    Registers::line(to, from);
    to += line_bytes;
    from += line_bytes;
  }
  Registers::line(last_to, last_from);
  Registers::done();
}

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
constexpr registers widest = registers::xmm;
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

registers widest_registers() noexcept { return widest; }

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
