// Copies of whole lines of memory by a processor's widest registers, in functions that are inlined.
// x86 only: `word_copy.hpp` is for every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "memory/cache_line.hpp"
#include "memory/word_copy.hpp"
#include "os/sanitizers.hpp"

namespace shard::memory {

#if defined(__x86_64__)

// From here on the processor's own loop is the fastest; below, its start costs more than the copy.
inline constexpr std::size_t long_bytes = 8192;

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

inline std::size_t to_next_line(const std::byte* from_here) noexcept {
  return line_bytes - reinterpret_cast<std::uintptr_t>(from_here) % line_bytes;
}

// Where the target is our own it may be written twice: so all of it but the two ends is written by
// whole lines, which takes half as long as across them.
template <class Registers>
[[gnu::always_inline]] inline void copy_out(std::byte* to, const std::byte* from,
                                            std::size_t bytes) noexcept {
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

// Copies what is short, but has a line. False: it is something else, and nothing was copied.
template <class Registers>
[[gnu::always_inline]] inline bool copied_by_lines(std::byte* to, const std::byte* from,
                                                   std::size_t bytes) noexcept {
  if (bytes < line_bytes || bytes >= long_bytes) return false;
  copy_out<Registers>(to, from, bytes);
  return true;
}

#endif

}  // namespace shard::memory
