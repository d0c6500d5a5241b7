#include "journal/record.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace shard::journal {
namespace {

constexpr std::array<char, 8> magic{'S', 'H', 'A', 'R', 'D', 'R', 'C', '1'};

struct header {
  std::array<char, 8> begins = magic;
  std::uint64_t checksum = 0;  // of all that follows
  std::uint64_t bytes = 0;     // of all, this included
  std::uint64_t sequence = 0;
  std::uint64_t synced = 0;
  std::array<char, 40> boot{};
  std::uint64_t map = 0;
  std::uint64_t chunks = 0;
  std::uint64_t partial_bytes = 0;
  std::uint64_t state_words = 0;
  std::uint64_t states = 0;
  std::uint64_t partials = 0;  // bytes of all
};
constexpr std::uint64_t most_states = 1 << 20;
constexpr std::size_t unchecked = offsetof(header, checksum) + sizeof(std::uint64_t);

std::uint64_t checksum_of(std::span<const std::byte> record) {
  return XXH3_64bits(record.data() + unchecked, record.size() - unchecked);
}

// The numbers of a word's bits, counted from the first one.
void append_bits(std::vector<std::uint64_t>& to, std::uint64_t word, std::uint64_t first) {
  for (; word != 0; word &= word - 1) {
    to.push_back(first + static_cast<std::uint64_t>(std::countr_zero(word)));
  }
}

}  // namespace

std::vector<std::uint64_t> record::committed() const {
  std::vector<std::uint64_t> all;
  all.reserve(count());
  for (std::size_t k = 0; k < committed_.size(); ++k) append_bits(all, committed_[k], 64 * k);
  return all;
}

std::vector<std::uint64_t> record::missing() const {
  std::vector<std::uint64_t> all;
  all.reserve(shape_.chunks - count());
  for (std::size_t k = 0; k < committed_.size(); ++k) {
    append_bits(all, ~committed_[k] & chunks_in(k), 64 * k);
  }
  return all;
}

void record::add(std::span<const std::uint64_t> set) noexcept {
  for (std::size_t k = 0; k < committed_.size(); ++k) committed_[k] |= set[k] & chunks_in(k);
}

std::uint64_t record::chunks_in(std::size_t word) const noexcept {
  const std::uint64_t bits = std::min<std::uint64_t>(shape_.chunks - 64 * word, 64);
  return bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
}

std::uint64_t record::count() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t word : committed_) {
    sum += static_cast<std::uint64_t>(std::popcount(word));
  }
  return sum;
}

void record::take_partials(const board::board& from) {
  const std::size_t each = shape_.partial_bytes;
  partials_.clear();
  if (each == 0) return;
  for (const std::uint64_t chunk : committed()) {
    partials_.insert(partials_.end(), from.partial(chunk), from.partial(chunk) + each);
  }
}

std::size_t record::most_bytes(const shape& of, std::size_t states) noexcept {
  return sizeof(header) + (of.chunks + 63) / 64 * 8 + states * of.state_words * 8 +
         of.chunks * of.partial_bytes;
}

std::vector<std::byte> record::written(std::uint64_t sequence, const std::string& boot,
                                       bool synced) const {
  header head;
  head.sequence = sequence;
  head.synced = synced ? 1 : 0;
  std::copy_n(boot.begin(), std::min(boot.size(), head.boot.size() - 1), head.boot.begin());
  head.map = shape_.map;
  head.chunks = shape_.chunks;
  head.partial_bytes = shape_.partial_bytes;
  head.state_words = shape_.state_words;
  head.states = states_.size();
  head.partials = partials_.size();
  std::vector<std::byte> all(sizeof head);
  const auto append = [&all](const auto& what) {
    const auto bytes = std::as_bytes(std::span(what));
    const std::size_t end = all.size();
    all.resize(end + bytes.size());
    if (!bytes.empty()) std::memcpy(&all[end], bytes.data(), bytes.size());
  };
  append(committed_);
  for (const std::vector<std::uint64_t>& one : states_) append(one);
  append(partials_);
  head.bytes = all.size();
  std::memcpy(all.data(), &head, sizeof head);
  head.checksum = checksum_of(all);
  std::memcpy(all.data(), &head, sizeof head);
  return all;
}

std::optional<record::found> record::read(std::span<const std::byte> bytes, const shape* expected) {
  header head;
  if (bytes.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.begins != magic || head.bytes < sizeof head || head.bytes > bytes.size()) {
    return std::nullopt;
  }
  bytes = bytes.first(head.bytes);
  if (head.checksum != checksum_of(bytes)) return std::nullopt;
  const shape of{head.map, head.chunks, head.partial_bytes, head.state_words};
  if (expected != nullptr && of != *expected) return std::nullopt;
  bytes = bytes.subspan(sizeof head);
  if (of.chunks / 8 > bytes.size() || of.state_words > bytes.size() / 8) return std::nullopt;
  record what(of);
  const auto take = [&bytes](void* to, std::size_t count) {
    if (count > bytes.size()) return false;
    if (count != 0) std::memcpy(to, bytes.data(), count);
    bytes = bytes.subspan(count);
    return true;
  };
  if (!take(what.committed_.data(), what.committed_.size() * 8)) return std::nullopt;
  if (head.states > most_states) return std::nullopt;
  for (std::uint64_t k = 0; k < head.states; ++k) {
    std::vector<std::uint64_t> words(of.state_words);
    if (!take(words.data(), words.size() * 8)) return std::nullopt;
    what.states_.push_back(std::move(words));
  }
  if (head.partials != what.count() * of.partial_bytes || head.partials != bytes.size()) {
    return std::nullopt;
  }
  what.partials_.assign(bytes.begin(), bytes.end());
  head.boot.back() = '\0';
  return found{std::move(what), head.sequence, head.boot.data(), head.synced != 0};
}

}  // namespace shard::journal
