#include "memory/word_copy.hpp"

#include <atomic>
#include <cstdint>
#include <cstring>

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

#if defined(__x86_64__)

constexpr bool by_instruction = !os::thread_sanitizer;

// From here on the processor's own loop is the fastest; below, its start costs more than the copy.
constexpr std::size_t long_bytes = 8192;
constexpr std::size_t block_bytes = 128;

// A static initialiser that copies before this one has run does so by the narrower registers.
const bool has_wide_registers = __builtin_cpu_supports("avx") != 0;

// Whether the processor's own loop is at its usual speed. Where the target is less than a line
// behind the source, up to multiples of a page, AMD's Zen 3 needs nine times as long (measured).
bool runs_well(const std::byte* to, const std::byte* from) noexcept {
  constexpr std::uintptr_t page_bytes = 4096;
  constexpr std::uintptr_t line_bytes = 64;
  const std::uintptr_t distance =
      (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(from)) % page_bytes;
  return distance == 0 || distance >= line_bytes;
}

// These move the pointers on. A block's loads come before its stores: one that waits for a store to
// the same place of another page, as processors take it to at first, is one of a block.
void copy_blocks(std::byte*& to, const std::byte*& from, std::size_t blocks) noexcept {
  if (has_wide_registers) {
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
        "dec %[blocks]\n\t"
        "jnz 1b\n\t"
        "vzeroupper"
        : [to] "+r"(to), [from] "+r"(from), [blocks] "+r"(blocks)
        :
        : "xmm0", "xmm1", "xmm2", "xmm3", "memory", "cc");
    return;
  }
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
      "dec %[blocks]\n\t"
      "jnz 1b"
      : [to] "+r"(to), [from] "+r"(from), [blocks] "+r"(blocks)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "memory", "cc");
}

void copy_two_words(std::byte*& to, const std::byte*& from) noexcept {
  asm volatile("movups (%[from]), %%xmm0\n\tmovups %%xmm0, (%[to])"
               :
               : [to] "r"(to), [from] "r"(from)
               : "xmm0", "memory");
  to += 2 * sizeof(word);
  from += 2 * sizeof(word);
}

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

// Compilers take the memory for changed, and order no access across it; the processor's own order
// (total store order) does the rest. Fast strings may store in any order among themselves, but not
// across the stores before and after (Intel SDM, volume 3, "Fast-String Operation and Out-of-Order
// Stores"), which is all that a sequence number needs. What is wider than a word and crosses a line
// may be seen in parts, which meet where the lines do: not inside an aligned word. Only fast
// strings may take an aligned word in parts, if it is not as far from the next multiple of its size
// on the other side.
void copy(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  if (bytes >= long_bytes && runs_well(to, from)) {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return;
  }
  if (bytes >= block_bytes) copy_blocks(to, from, bytes / block_bytes);
  for (bytes %= block_bytes; bytes >= 2 * sizeof(word); bytes -= 2 * sizeof(word)) {
    copy_two_words(to, from);
  }
  if ((bytes & 8) != 0) copy_one<std::uint64_t>(to, from);
  if ((bytes & 4) != 0) copy_one<std::uint32_t>(to, from);
  if ((bytes & 2) != 0) copy_one<std::uint16_t>(to, from);
  if ((bytes & 1) != 0) copy_one<std::uint8_t>(to, from);
}

#else

constexpr bool by_instruction = false;
void copy(std::byte*, const std::byte*, std::size_t) noexcept {}

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

void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes) noexcept {
  by_instruction ? copy(to, shared, bytes) : copy_words_from_shared(to, shared, bytes);
}

void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes) noexcept {
  by_instruction ? copy(shared, from, bytes) : copy_words_to_shared(shared, from, bytes);
}

}  // namespace shard::memory
