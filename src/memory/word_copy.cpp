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
constexpr std::size_t long_bytes = 2048;
constexpr std::size_t block_bytes = 64;

// Compilers take the memory for changed, and order no access across it; the processor's own order
// (total store order) does the rest. Fast strings may store in any order among themselves, but not
// across the stores before and after (Intel SDM, volume 3, "Fast-String Operation and Out-of-Order
// Stores"), which is all that a sequence number needs.
void copy(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  if (bytes >= long_bytes) {
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return;
  }
  if (std::size_t blocks = bytes / block_bytes; blocks > 0) {
    asm volatile(
        "1:\n\t"
        "movups (%[from]), %%xmm0\n\t"
        "movups 16(%[from]), %%xmm1\n\t"
        "movups 32(%[from]), %%xmm2\n\t"
        "movups 48(%[from]), %%xmm3\n\t"
        "movups %%xmm0, (%[to])\n\t"
        "movups %%xmm1, 16(%[to])\n\t"
        "movups %%xmm2, 32(%[to])\n\t"
        "movups %%xmm3, 48(%[to])\n\t"
        "add $64, %[from]\n\t"
        "add $64, %[to]\n\t"
        "dec %[blocks]\n\t"
        "jnz 1b"
        : [to] "+r"(to), [from] "+r"(from), [blocks] "+r"(blocks)
        :
        : "xmm0", "xmm1", "xmm2", "xmm3", "memory", "cc");
    bytes %= block_bytes;
  }
  for (; bytes >= sizeof(word); bytes -= sizeof(word)) {
    word held;
    asm volatile("mov (%[from]), %[held]\n\tmov %[held], (%[to])"
                 : [held] "=&r"(held)
                 : [to] "r"(to), [from] "r"(from)
                 : "memory");
    to += sizeof(word);
    from += sizeof(word);
  }
  for (; bytes > 0; --bytes) {
    std::atomic_ref(*to++).store(
        std::atomic_ref(const_cast<std::byte&>(*from++)).load(std::memory_order_relaxed),
        std::memory_order_relaxed);
  }
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
