#include "journal/identity.hpp"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <locale>
#include <memory>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "mapping/sending.hpp"
#include "memory/attempt.hpp"
#include "memory/inspect.hpp"
#include "memory/padding.hpp"
#include "memory/segment.hpp"
#include "os/code.hpp"
#include "os/cpu.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "shard/detail/packing.hpp"
#include "shard/error.hpp"

namespace shard::journal {
namespace {

using nlohmann::ordered_json;

std::string hex(std::uint64_t number) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t k = text.size(); k-- > 0; number >>= 4) text[k] = digits[number & 15];
  return text;
}

std::string hash_of(std::span<const std::byte> bytes) {
  return hex(XXH3_64bits(bytes.data(), bytes.size()));
}

// A few bytes as they are: people may know them.
std::string shown(std::span<const std::byte> bytes) {
  constexpr std::size_t few = 16;
  if (bytes.size() > few) return std::to_string(bytes.size()) + " bytes";
  std::string text;
  for (const std::byte each : bytes) text += hex(static_cast<unsigned char>(each)).substr(14);
  return "bytes " + text;
}

// The call, in parts.
class packer_by_parts final : public detail::packer {
 public:
  using packer::functions;
  packer_by_parts() noexcept : packer(true) {}
  std::vector<std::span<const std::byte>> parts() const {
    std::vector<std::span<const std::byte>> all;
    std::size_t begin = 0;
    for (const std::size_t end : ends()) {
      all.push_back(bytes().subspan(begin, end - begin));
      begin = end;
    }
    all.push_back(bytes().subspan(begin));
    return all;
  }
};

// A change of these may change what libraries compute, or how.
std::string arithmetic_of_this_machine() {
  std::string text = os::vector_extensions();
  text += ", rounding mode " + std::to_string(std::fegetround());
  if (os::flushes_to_zero()) text += ", flushes denormals to zero";
  const char* const found = std::setlocale(LC_ALL, nullptr);
  const std::string locale = found == nullptr ? "?" : found;
  text += ", locale " + locale;
  // The C library doesn't know of one that has no name.
  const std::string of_streams = std::locale().name();
  if (of_streams != locale) text += ", of streams " + of_streams;
  return text;
}

std::string stamp_of(const os::file_status& now) {
  return std::to_string(now.identity.device) + ":" + std::to_string(now.identity.inode) + ":" +
         std::to_string(now.size_bytes) + ":" + std::to_string(now.modified_ns);
}

std::string content_of(std::span<const std::byte> elements) {
  return hash_of(elements) + " " + std::to_string(elements.size());
}

// Of elements in memory: without what is between their fields, which may be anything.
std::string content_of(const detail::segment& of) {
  const std::span<const std::byte> all{of.data(), of.data_bytes()};
  if (!of.padding() || all.empty()) return content_of(all);
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  if (!state) throw std::bad_alloc();
  XXH3_64bits_reset(state.get());
  memory::clean_copies copies(of.padding(), of.element_bytes(), all.size() / of.element_bytes(),
                              std::size_t{1} << 16);
  copies.each(all.data(), all.size() / of.element_bytes(),
              [&](std::span<const std::byte> block, std::size_t) {
                XXH3_64bits_update(state.get(), block.data(), block.size());
              });
  return hex(XXH3_64bits_digest(state.get())) + " " + std::to_string(all.size());
}

trait input(const detail::grant& one, std::size_t argument, const find_origin& from,
            const identity* then) {
  const detail::segment& of = *one.owner;
  const origin its = from(of);
  trait made;
  made.name = "input " + std::to_string(argument);
  made.value = its.by;
  made.shown = its.by.empty() ? its.name : its.name + ", " + its.by;
  const trait* const known = then == nullptr ? nullptr : then->find(made.name);
  if (!made.value.empty()) return made;
  // What it was when the map began, an earlier start has noted.
  if (its.is_rewritten && known != nullptr) return *known;
  const std::size_t rows = one.row_bytes == 0 ? 0 : of.data_bytes() / one.row_bytes;
  made.shown += ", " + std::to_string(rows) + " rows";
  if (of.stats().kind != backing::file) {
    made.value = content_of(of);
    return made;
  }
  made.stamp = memory::attempt("look at " + of.name(), "a file",
                               [&] { return stamp_of(os::status(of.descriptor())); });
  made.path = std::filesystem::absolute(of.name()).string();
  if (known != nullptr && known->stamp == made.stamp) {
    made.value = known->value;
  } else {
    made.value = content_of({of.data(), of.data_bytes()});
  }
  return made;
}

// Libraries of one name are told apart by the order in which they were loaded.
std::string name_of(const os::module_content& one, const std::vector<trait>& before) {
  const std::string name = one.name.empty() ? "program" : "library " + one.name;
  std::string numbered = name;
  for (int k = 2; std::ranges::count(before, numbered, &trait::name) != 0; ++k) {
    numbered = name + " (" + std::to_string(k) + ")";
  }
  return numbered;
}

trait trait_of(const os::module_content& one, const std::vector<trait>& before) {
  return {.name = name_of(one, before), .value = hex(one.hash), .shown = "code " + hex(one.hash)};
}

// Of a function that is called, if it was loaded later than the list was made.
void add_module_of(const void* code, std::vector<trait>& to) {
  const auto place = os::place_of_code(code);
  if (!place || place->file.empty()) return;
  const std::string file = std::filesystem::path(place->file).filename().string();
  if (std::ranges::count(to, "library " + file, &trait::name) != 0) return;
  for (const os::module_content& one : os::contents_of_modules()) {
    if (one.name == file) to.push_back(trait_of(one, to));
  }
}

}  // namespace

std::string made_valid(const std::string& text) {
  const std::string quoted =
      ordered_json(text).dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return ordered_json::parse(quoted).get<std::string>();
}

// As long as no module is loaded or unloaded, it is what it was.
std::vector<trait> traits_of_code() {
  static std::mutex busy;
  static std::optional<os::module_changes> then;
  static std::vector<trait> all;
  const std::scoped_lock mine(busy);
  const os::module_changes now = os::changes_of_modules();
  if (then == now) return all;
  all.clear();
  for (const os::module_content& one : os::contents_of_modules()) {
    all.push_back(trait_of(one, all));
  }
  then = now;
  return all;
}

identity identity_of(const detail::job& what, const plan::partition& chunks,
                     const find_origin& from, const std::vector<trait>& code, const shape& states,
                     const identity* then) {
  identity made;
  std::vector<trait>& all = made.traits();
  packer_by_parts packed;
  mapping::pack(what, chunks, packed);
  // The kernel's place and the space come first, then the arguments one by one, then the plan.
  const auto parts = packed.parts();
  all.push_back({.name = "kernel", .value = hash_of(parts.front())});
  for (std::size_t k = 1; k + 1 < parts.size(); ++k) {
    if (parts[k].empty()) continue;
    all.push_back({.name = "argument " + std::to_string(k),
                   .value = hash_of(parts[k]),
                   .shown = shown(parts[k])});
  }
  const std::string cut = std::to_string(chunks.chunks()) + " chunks of the indices [" +
                          std::to_string(chunks.all().first) + ", " +
                          std::to_string(chunks.all().last) + ")";
  all.push_back({.name = "plan", .value = hash_of(parts.back()), .shown = cut, .is_shape = true});
  all.push_back({.name = "states of reducers",
                 .value = std::to_string(states.partial_bytes) + " bytes for each chunk, " +
                          std::to_string(8 * states.state_words) + " for each worker",
                 .is_shape = true});
  std::size_t number = 0;
  for (const detail::grant& one : what.grants) {
    if (one.rights != detail::access::read && !one.keeps) continue;
    ++number;
    if (!one.keeps) all.push_back(input(one, number, from, then));
    if (one.keeps) {
      const origin its = from(*one.owner);
      all.push_back(
          {.name = "input " + std::to_string(number), .value = its.by, .shown = its.name});
    }
  }
  all.insert(all.end(), code.begin(), code.end());
  add_module_of(reinterpret_cast<const void*>(what.by.unpack), all);
  for (const void* const each : packed.functions()) add_module_of(each, all);
  all.push_back({.name = "arithmetic", .value = arithmetic_of_this_machine()});
  return identity::from_json(made.json());  // as the next start will read it
}

const trait* identity::find(const std::string& name) const {
  const auto found = std::ranges::find(traits_, name, &trait::name);
  return found == traits_.end() ? nullptr : &*found;
}

std::vector<std::string> identity::changed_files() const {
  std::vector<std::string> all;
  for (const trait& one : traits_) {
    if (one.path.empty()) continue;
    try {
      const os::descriptor file = os::open(one.path, os::protection::read);
      if (stamp_of(os::status(file.get())) == one.stamp) continue;
      const array_info found = memory::described(file);
      const os::mapping mapped(file.get(), found.data_offset + found.data_bytes,
                               os::protection::read);
      if (content_of({mapped.base() + found.data_offset, found.data_bytes}) == one.value) continue;
      all.push_back(one.name + " has changed since: " + one.shown + " then");
    } catch (const std::exception& e) {
      all.push_back(one.name + " can't be read: " + e.what());
    }
  }
  return all;
}

std::vector<std::string> identity::differences_from(const identity& then) const {
  std::vector<std::string> all;
  const auto text = [](const trait& one) { return one.shown.empty() ? one.value : one.shown; };
  for (const trait& now : traits_) {
    const auto before = std::ranges::find(then.traits_, now.name, &trait::name);
    if (before == then.traits_.end()) {
      all.push_back(now.name + " is new");
    } else if (before->value != now.value) {
      all.push_back(text(*before) == text(now)
                        ? now.name + " has other contents (" + text(now) + ")"
                        : now.name + " has changed: " + text(*before) + " then, " + text(now) +
                              " now");
    }
  }
  for (const trait& before : then.traits_) {
    if (std::ranges::find(traits_, before.name, &trait::name) == traits_.end()) {
      all.push_back(before.name + " is missing");
    }
  }
  return all;
}

bool identity::is_other_shape_than(const identity& then) const {
  return std::ranges::any_of(traits_, [&](const trait& now) {
    const auto before = std::ranges::find(then.traits_, now.name, &trait::name);
    return now.is_shape && (before == then.traits_.end() || before->value != now.value);
  });
}

std::string identity::json() const {
  ordered_json all = ordered_json::array();
  for (const trait& one : traits_) {
    all.push_back({{"name", one.name},
                   {"value", one.value},
                   {"shown", one.shown},
                   {"stamp", one.stamp},
                   {"path", one.path},
                   {"is_shape", one.is_shape}});
  }
  return all.dump(1, ' ', false, ordered_json::error_handler_t::replace);
}

identity identity::from_json(const std::string& text) try {
  identity made;
  for (const auto& one : ordered_json::parse(text)) {
    made.traits_.push_back({one.at("name"), one.at("value"), one.at("shown"), one.at("stamp"),
                            one.at("path"), one.at("is_shape")});
  }
  return made;
} catch (const ordered_json::exception& e) {
  throw error(std::errc::bad_message, std::string("cannot read what a map was: found '") +
                                          e.what() +
                                          "', expected what an earlier start of the job has noted");
}

}  // namespace shard::journal
