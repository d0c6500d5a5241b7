// Copies between private memory and memory that other processes may write to or read from at the
// same time. There is no data race in them: shared memory is accessed by words, atomically and
// relaxed, or by instructions that the compiler doesn't look into. Whether what was copied belongs
// together is for the caller to find out.
#pragma once

#include <cstddef>

namespace shard::memory {

void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes) noexcept;
void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes) noexcept;

// The same through registers of a kind: an x86 processor has those up to the widest. Other machines
// have none of them, and the kind means nothing.
enum class registers { xmm, ymm, zmm };
registers widest_registers() noexcept;
void copy_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes,
                      registers by) noexcept;
void copy_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes,
                    registers by) noexcept;

// The same word by word, on every machine: for ThreadSanitizer, which can't see into instructions.
void copy_words_from_shared(std::byte* to, const std::byte* shared, std::size_t bytes) noexcept;
void copy_words_to_shared(std::byte* shared, const std::byte* from, std::size_t bytes) noexcept;

}  // namespace shard::memory
