// What a map has achieved, apart from any board: which chunks are committed, and their reductions.
// As bytes, it is what a checkpoint holds, and what is kept of a complete map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "board/board.hpp"

namespace shard::journal {

// What must agree, or a record means nothing to a map.
struct shape {
  std::uint64_t map = 0;  // a number that no other beginning of a map has
  std::uint64_t chunks = 0;
  std::uint64_t partial_bytes = 0;  // of one chunk
  std::uint64_t state_words = 0;    // of one state: what one slot has published
  bool operator==(const shape&) const = default;
};

class record {
 public:
  explicit record(const shape& of) : shape_(of), committed_((of.chunks + 63) / 64) {}

  const shape& of() const noexcept { return shape_; }

  bool has(std::uint64_t chunk) const noexcept {
    return (committed_[chunk / 64] >> chunk % 64 & 1) != 0;
  }
  void add(std::uint64_t chunk) noexcept {
    committed_[chunk / 64] |= std::uint64_t{1} << chunk % 64;
  }
  void remove(std::uint64_t chunk) noexcept {
    committed_[chunk / 64] &= ~(std::uint64_t{1} << chunk % 64);
  }
  // Ascending.
  std::vector<std::uint64_t> committed() const;
  std::vector<std::uint64_t> missing() const;
  std::uint64_t count() const noexcept;

  // The committed ones as a set: a bit for each chunk.
  std::span<const std::uint64_t> set() const noexcept { return committed_; }
  // Adds those of another set. Requires: it is as long.
  void add(std::span<const std::uint64_t> set) noexcept;

  std::span<const std::vector<std::uint64_t>> states() const noexcept { return states_; }
  void add_state(std::vector<std::uint64_t> words) { states_.push_back(std::move(words)); }

  // The partials of the committed chunks, in their order.
  std::span<const std::byte> partials() const noexcept { return partials_; }
  // Of these, from a board that has them. Requires: all are added.
  void take_partials(const board::board& from);

  // ---- As bytes: a header and what it counts. `sequence` grows from one to the next in a file.

  // At most, with so many states.
  static std::size_t most_bytes(const shape& of, std::size_t states) noexcept;
  std::vector<std::byte> written(std::uint64_t sequence, const std::string& boot,
                                 bool synced) const;

  struct found;
  // Nothing: it is no whole record, or of another map.
  // expected: null: of whatever map.
  static std::optional<found> read(std::span<const std::byte> bytes, const shape* expected);

 private:
  // Those of a word of the set that stand for chunks.
  std::uint64_t chunks_in(std::size_t word) const noexcept;

  shape shape_;
  std::vector<std::uint64_t> committed_;  // a bit for each chunk
  std::vector<std::vector<std::uint64_t>> states_;
  std::vector<std::byte> partials_;
};

struct record::found {
  record what;
  std::uint64_t sequence = 0;
  std::string boot;
  bool synced = false;
};

}  // namespace shard::journal
