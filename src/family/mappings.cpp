#include "family/mappings.hpp"

#include <algorithm>

#include "memory/granted.hpp"
#include "os/anonymous.hpp"

namespace shard::family {

void keep_from_dumps(const roster& family, std::byte* base, std::size_t bytes) {
  if (!os::keep_from_dumps(base, bytes)) family.go_without(dump_protection);
}

void keep_from_children(const roster& family, std::byte* base, std::size_t bytes) {
  if (!os::keep_from_children(base, bytes)) family.go_without(child_protection);
}

void restrict_inherited_mappings(const crew& all,
                                 const std::vector<memory::live_segment>& inherited,
                                 std::vector<mapped>& to) {
  using standing = detail::segment::standing;
  for (const memory::live_segment& one : inherited) {
    const bool output = std::ranges::any_of(all.grants, [&](const granted& grant) {
      return grant.output && grant.owner->same_memory(*one.self);
    });
    if (output) {
      os::make_unreadable(one.base, one.length_bytes);
    } else if (one.may_be_written) {
      os::make_read_only(one.base, one.length_bytes);
    }
    // Of which they would be nearly all.
    keep_from_dumps(all.roster, one.base, one.length_bytes);
    one.self->demote(output ? standing::output : standing::captured);
    to.push_back({one.base, one.length_bytes, one.data_offset, one.element_bytes, one.name.c_str(),
                  output ? held::inherited_output : held::inherited});
  }
}

std::vector<std::byte*> map_grants(const crew& all, std::vector<os::mapping>& kept,
                                   std::vector<mapped>& to) {
  std::vector<std::byte*> data;
  for (const granted& grant : all.grants) {
    const detail::segment& what = *grant.owner;
    const os::mapping& here = kept.emplace_back(memory::map_again(what, grant.rights));
    const bool writable = grant.rights == detail::access::write;
    if (writable) keep_from_children(all.roster, here.base(), here.length_bytes());
    keep_from_dumps(all.roster, here.base(), here.length_bytes());
    to.push_back({here.base(), here.length_bytes(), what.data_offset(), what.element_bytes(),
                  what.name().c_str(),
                  writable ? held::granted_for_writing : held::granted_for_reading});
    data.push_back(here.base() + what.data_offset());
  }
  return data;
}

}  // namespace shard::family
