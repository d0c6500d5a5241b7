// A strict reader of the XML that pictures are made of: elements, attributes and text. It refuses
// whatever XML 1.0 does not allow there.
#pragma once

#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "memory/utf8.hpp"

namespace shard_test {

struct element {
  std::string name{};
  std::map<std::string, std::string> attributes{};
  std::string text{};
  std::vector<element> children{};

  double number(const std::string& attribute) const { return std::stod(attributes.at(attribute)); }
  std::string attribute(const std::string& key) const {
    const auto found = attributes.find(key);
    return found == attributes.end() ? "" : found->second;
  }

  // This one and all below, in their order, that have this name (and this class).
  std::vector<element> all(const std::string& wanted, const std::string& of_class = "") const {
    std::vector<element> found;
    if (name == wanted && (of_class.empty() || attribute("class") == of_class))
      found.push_back(*this);
    for (const element& child : children) {
      const std::vector<element> more = child.all(wanted, of_class);
      found.insert(found.end(), more.begin(), more.end());
    }
    return found;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> found;
    for (const element& each : all("text")) found.push_back(each.text);
    return found;
  }
};

class xml_reader {
 public:
  // Throws std::runtime_error unless the text is one element, and nothing but spaces around it.
  static element read(std::string_view text) {
    if (!shard::memory::is_utf8(text)) throw std::runtime_error("not UTF-8");
    for (const char c : text)
      if (c >= 0 && c < ' ' && c != '\n' && c != '\t')
        throw std::runtime_error("a control character");
    xml_reader reader{text};
    reader.skip_spaces();
    element root = reader.read_element();
    reader.skip_spaces();
    if (!reader.left_.empty()) reader.fail("the end");
    return root;
  }

 private:
  explicit xml_reader(std::string_view text) : left_(text) {}

  [[noreturn]] void fail(const std::string& expected) const {
    throw std::runtime_error("expected " + expected + " at '" + std::string(left_.substr(0, 40)) +
                             "'");
  }
  void skip_spaces() {
    while (!left_.empty() && (left_[0] == ' ' || left_[0] == '\n' || left_[0] == '\t'))
      left_.remove_prefix(1);
  }
  bool take(std::string_view expected) {
    if (!left_.starts_with(expected)) return false;
    left_.remove_prefix(expected.size());
    return true;
  }
  void require(std::string_view expected) {
    if (!take(expected)) fail(std::string(expected));
  }
  std::string read_name() {
    std::size_t length = 0;
    const std::string_view rest =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    while (length < left_.size() && rest.find(left_[length]) != rest.npos) ++length;
    if (length == 0) fail("a name");
    const std::string name(left_.substr(0, length));
    left_.remove_prefix(length);
    return name;
  }
  // Up to a character, which stays.
  std::string read_text(char end) {
    std::string text;
    while (!left_.empty() && left_[0] != end) {
      if (left_[0] == '<') fail("no <");
      if (take("&amp;")) {
        text += '&';
      } else if (take("&lt;")) {
        text += '<';
      } else if (take("&gt;")) {
        text += '>';
      } else if (take("&quot;")) {
        text += '"';
      } else if (left_[0] == '&') {
        fail("an entity");
      } else {
        text += left_[0];
        left_.remove_prefix(1);
      }
    }
    return text;
  }
  element read_element() {
    element made;
    require("<");
    made.name = read_name();
    for (;;) {
      const std::size_t before = left_.size();
      skip_spaces();
      if (take("/>")) return made;
      if (take(">")) break;
      if (left_.size() == before) fail("a space");
      const std::string key = read_name();
      require("=\"");
      if (!made.attributes.emplace(key, read_text('"')).second) fail("an attribute once");
      require("\"");
    }
    for (;;) {
      made.text += read_text('<');
      if (take("</")) break;
      made.children.push_back(read_element());
    }
    if (read_name() != made.name) fail("the end of " + made.name);
    require(">");
    return made;
  }

  std::string_view left_;
};

}  // namespace shard_test
