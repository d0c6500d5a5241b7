// Bytes in which a job reaches a process that has no copy of its caller's memory. Not for users.
//
// A type is packable if it is trivially copyable and refers to nothing, or has
//
//   void pack(packer& to) const;
//   static T unpack(unpacker& from);   // of the same bytes, in the same order
//
// or if packing<T> is specialised. Who unpacks runs the same program, so bytes need no format. What
// no type tells: a struct that has pointers, and a kernel that reads variables of the program.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "shard/detail/padding.hpp"
#include "shard/element.hpp"

namespace shard::detail {

class packer {
 public:
  packer() noexcept = default;

  // Equal values give equal bytes: padding is cleared, if the compiler tells what is padding.
  template <class T>
  void put(const T& x);
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void put_all(std::span<const T> all);
  // A function of the program, or of a library that it has loaded. Throws shard::error if its
  // module has no build id, by which another process could find it.
  void put_code(const void* function);

  // Where one part of what is packed ends, for whoever compares parts.
  void end_part() {
    if (by_parts_) ends_.push_back(bytes_.size());
  }

  std::span<const std::byte> bytes() const noexcept { return bytes_; }
  void clear() noexcept { bytes_.clear(); }

 protected:
  // by_parts: the bytes are to be compared by parts, with those of another build of the program.
  // So of a function, its place in its module counts, and not which build that is.
  explicit packer(bool by_parts) noexcept : by_parts_(by_parts) {}
  std::span<const std::size_t> ends() const noexcept { return ends_; }
  // Whose places are packed.
  std::span<const void* const> functions() const noexcept { return functions_; }

 private:
  template <class T>
  void append_values(const T& x);
  void append(const void* from, std::size_t bytes);

  std::vector<std::byte> bytes_;
  std::vector<std::size_t> ends_;
  std::vector<const void*> functions_;  // if by parts
  bool by_parts_ = false;
};

// Throws shard::error where there are fewer bytes than are asked for.
class unpacker {
 public:
  explicit unpacker(std::span<const std::byte> bytes) noexcept : left_(bytes) {}

  template <class T>
  T get();
  template <class T>
    requires std::is_trivially_copyable_v<T>
  std::vector<T> get_all();
  // Throws shard::error if this process hasn't loaded the module.
  const void* get_code();

  bool at_end() const noexcept { return left_.empty(); }

 private:
  std::span<const std::byte> take(std::size_t count, std::size_t bytes_of_each);

  std::span<const std::byte> left_;
};

// As members say, or as bytes.
template <class T>
struct packing {
  static constexpr bool by_members = requires(const T& x, packer& to, unpacker& from) {
    x.pack(to);
    { T::unpack(from) } -> std::same_as<T>;
  };
  // Whose members depend on what it holds, and which has no bytes to send without them.
  static constexpr bool holds_others = requires { typename T::packs_what_it_holds; };
  static constexpr bool possible =
      by_members || (std::is_trivially_copyable_v<T> && !refers<T> && !holds_others);

  static void pack(const T& x, packer& to)
    requires by_members
  {
    x.pack(to);
  }
  static T unpack(unpacker& from)
    requires by_members
  {
    return T::unpack(from);
  }
};

// What other libraries define.
template <class T, class A>
  requires(std::is_trivially_copyable_v<T> && !refers<T> && !std::is_same_v<T, bool>)
struct packing<std::vector<T, A>> {
  static constexpr bool possible = true;
  static void pack(const std::vector<T, A>& x, packer& to) { to.put_all(std::span<const T>(x)); }
  static std::vector<T, A> unpack(unpacker& from) {
    const std::vector<T> all = from.get_all<T>();
    return {all.begin(), all.end()};
  }
};
template <>
struct packing<std::string> {
  static constexpr bool possible = true;
  static void pack(const std::string& x, packer& to) { to.put_all(std::span<const char>(x)); }
  static std::string unpack(unpacker& from) {
    const std::vector<char> all = from.get_all<char>();
    return {all.begin(), all.end()};
  }
};

template <class T>
concept packable = packing<T>::possible;

// Something to call that has nothing to pack: a function, or a lambda without captures. An object
// that merely has no members could have got what it does in its constructor.
template <class F>
concept stateless = std::is_empty_v<F> && std::is_default_constructible_v<F>;
template <class F>
concept function_pointer = std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>;
template <class F>
concept packable_function = stateless<F> || function_pointer<F>;

template <packable_function F>
void pack_function(const F& f, packer& to) {
  if constexpr (function_pointer<F>) to.put_code(reinterpret_cast<const void*>(f));
}
template <packable_function F>
F unpack_function(unpacker& from) {
  if constexpr (function_pointer<F>) {
    return reinterpret_cast<F>(const_cast<void*>(from.get_code()));
  } else {
    return F{};
  }
}

template <class T>
void packer::put(const T& x) {
  static_assert(packable<T>);
  if constexpr (requires { packing<T>::pack(x, *this); }) {
    packing<T>::pack(x, *this);
  } else {
    append_values(x);
  }
}

template <class T>
void packer::append_values(const T& x) {
#if defined(SHARD_CLEARS_PADDING)
  constexpr bool is_told = true;
#else
  constexpr bool is_told = tells_padding<T>;
#endif
  if constexpr (is_told && !has_only_values<T> && !keeps_padding<T>) {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &x, sizeof(T));
    for (const gap& one : gaps_of<T>()) {
      for (std::size_t k = 0; k < one.bytes; ++k) bytes[one.offset + k] &= one.kept;
    }
    append(bytes.data(), sizeof(T));
  } else {
    append(&x, sizeof x);
  }
}

template <class T>
  requires std::is_trivially_copyable_v<T>
void packer::put_all(std::span<const T> all) {
  put(all.size());
  append(all.data(), all.size_bytes());
}

template <class T>
T unpacker::get() {
  static_assert(packable<T>);
  if constexpr (requires { packing<T>::unpack(*this); }) {
    return packing<T>::unpack(*this);
  } else {
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), take(1, sizeof(T)).data(), sizeof(T));
    return std::bit_cast<T>(bytes);
  }
}

template <class T>
  requires std::is_trivially_copyable_v<T>
std::vector<T> unpacker::get_all() {
  const auto count = get<std::size_t>();
  const std::span<const std::byte> bytes = take(count, sizeof(T));
  std::vector<T> all(count);
  if (count != 0) std::memcpy(all.data(), bytes.data(), bytes.size());
  return all;
}

}  // namespace shard::detail
