// Texts of any width: the type comes from the file, and is checked once more as it is opened.

#include "shard/texts.hpp"

#include <string>
#include <system_error>

#include "shard/detail/index.hpp"
#include "shard/error.hpp"
#include "shard/inspect.hpp"
#include "shard/u32text.hpp"
#include "shard/visit.hpp"

namespace shard {
namespace {

// Without what numpy fills them up with.
template <class Character>
std::basic_string_view<Character> trimmed(const std::byte* at, std::size_t width) {
  const std::basic_string_view<Character> whole(reinterpret_cast<const Character*>(at), width);
  return whole.substr(0, whole.find_last_not_of(Character{}) + 1);
}

[[noreturn]] void refuse_kind(const char* found, const char* expected) {
  throw error(std::errc::invalid_argument,
              std::string("cannot read a text: found ") + found + ", expected " + expected);
}

}  // namespace

const std::byte* texts::place(std::size_t i) const {
  if (i >= size()) detail::refuse_index(0, i, size());
  return array_.data + i * width_ * (characters_ ? sizeof(char32_t) : 1);
}

std::string texts::operator[](std::size_t i) const {
  return characters_ ? detail::utf8_of(characters(i)) : std::string(bytes(i));
}

std::string_view texts::bytes(std::size_t i) const {
  if (characters_) refuse_kind("characters (U)", "bytes (S); characters() reads these");
  return trimmed<char>(place(i), width_);
}

std::u32string_view texts::characters(std::size_t i) const {
  if (!characters_) refuse_kind("bytes (S)", "characters (U); bytes() reads these");
  return trimmed<char32_t>(place(i), width_);
}

texts open_texts(const std::filesystem::path& path) {
  const array_info info = inspect(path);
  texts opened;
  opened.characters_ = info.type.kind == element_kind::u32text;
  if (!opened.characters_ && info.type.kind != element_kind::text) {
    throw error(std::errc::invalid_argument, "cannot open " + path.string() + ": found " +
                                                 info.type.name + ", expected texts (S or U)");
  }
  const std::size_t unit = opened.characters_ ? sizeof(char32_t) : 1;
  opened.width_ = info.type.size_bytes / unit;
  const std::string code = (opened.characters_ ? "<U" : "|S") + std::to_string(opened.width_);
  opened.array_ = detail::open_or_load(path, {{code, {}}, info.type.size_bytes, unit}, info);
  opened.size_ = 1;
  for (const std::size_t extent : opened.array_.shape) opened.size_ *= extent;
  return opened;
}

}  // namespace shard
