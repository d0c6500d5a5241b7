// Copies between private memory and memory that other processes may write to or read from at the
// same time. There is no data race in them: shared memory is accessed by words, atomically and
// relaxed, or by instructions that the compiler doesn't look into. Whether what was copied belongs
// together is for the caller to find out.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace shard::memory {

void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes) noexcept;
void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes) noexcept;

// The same of one or two whole words, without a call. False: these bytes are something else, and
// nothing was copied.
inline constexpr std::size_t longest_of_words = 16;
inline bool copied_as_words_from_shared(std::byte* to, const std::byte* shared,
                                        std::size_t bytes) noexcept {
  using word = std::uint64_t;
  const auto is_aligned = reinterpret_cast<std::uintptr_t>(shared) % sizeof(word) == 0;
  if ((bytes != sizeof(word) && bytes != 2 * sizeof(word)) || !is_aligned) return false;
  auto* const words = reinterpret_cast<word*>(const_cast<std::byte*>(shared));
  const word first = std::atomic_ref(words[0]).load(std::memory_order_relaxed);
  std::memcpy(to, &first, sizeof first);
  if (bytes == sizeof first) return true;
  const word second = std::atomic_ref(words[1]).load(std::memory_order_relaxed);
  std::memcpy(to + sizeof first, &second, sizeof second);
  return true;
}

// Writes copies of an element, one behind the other.
void fill_shared(std::byte* shared, std::span<const std::byte> element, std::size_t count) noexcept;

// The same through registers of a kind: an x86 processor has those up to the widest. Other machines
// have none of them, and the kind means nothing.
enum class registers { xmm, ymm, zmm };
extern const registers widest;  // of those that don't slow the processor down
void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes,
                      registers by) noexcept;
void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes,
                    registers by) noexcept;
void fill_shared(std::byte* shared, std::span<const std::byte> element, std::size_t count,
                 registers by) noexcept;

// The same word by word, on every machine: for ThreadSanitizer, which can't see into instructions.
void copy_words_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes) noexcept;
void copy_words_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes) noexcept;
void fill_words_of_shared(std::byte* shared, std::span<const std::byte> element,
                          std::size_t count) noexcept;

}  // namespace shard::memory
