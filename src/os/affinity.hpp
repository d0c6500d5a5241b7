// Which processors a thread may run on.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace shard::os {

// Processors, by the numbers that the system gives them: plain data, which processes can share. As
// many as Linux knows of on any machine.
class processors {
 public:
  static constexpr unsigned most = 8192;

  bool contains(unsigned number) const noexcept {
    return number < most && (words_[number / 64] >> (number % 64) & 1) != 0;
  }
  void insert(unsigned number) noexcept {
    words_.at(number / 64) |= std::uint64_t{1} << number % 64;
  }
  unsigned size() const noexcept;
  bool empty() const noexcept { return *this == processors{}; }

  friend bool operator==(const processors&, const processors&) = default;

 private:
  friend std::optional<processors> own_processors() noexcept;
  friend bool keep_to(const processors& these) noexcept;

  std::array<std::uint64_t, most / 64> words_{};
};

// "0-3,8", as the system's own lists of processors.
std::string to_string(const processors& these);

// Those that the calling thread may run on. Nothing: the system does not tell.
std::optional<processors> own_processors() noexcept;

// From now on the calling thread, and what it starts, run on these alone. False: the system denies
// it, or they are not there.
bool keep_to(const processors& these) noexcept;

}  // namespace shard::os
