#include "mapping/sending.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "mapping/chunk_runner.hpp"
#include "mapping/nesting.hpp"
#include "memory/padding.hpp"
#include "memory/segment.hpp"

namespace shard::mapping {
namespace {

using detail::gap;
using detail::grant;
using detail::job;
using detail::packer;
using detail::space;
using detail::unpacker;

// Field by field: bytes between the fields would make equal jobs differ.
void pack_space(const space& what, packer& to) {
  to.put(what.all);
  to.put(what.by);
  for (const std::size_t each :
       {what.rows, what.columns, what.tile_rows, what.tile_columns, what.stride}) {
    to.put(each);
  }
}

space unpack_space(unpacker& from) {
  space what;
  what.all = from.get<range>();
  what.by = from.get<space::cut>();
  what.rows = from.get<std::size_t>();
  what.columns = from.get<std::size_t>();
  what.tile_rows = from.get<std::size_t>();
  what.tile_columns = from.get<std::size_t>();
  what.stride = from.get<std::size_t>();
  return what;
}

void pack_grant(const grant& one, packer& to) {
  to.put(one.rights);
  to.put(one.partitioned);
  to.put(one.by_chunk);
  to.put(one.keeps);
  to.put(one.rows);
  to.put(one.columns);
  to.put(one.row_bytes);
  to.put(one.owner->element_bytes());
  const std::span<const gap> stores = one.owner->padding().stores();
  to.put(stores.size());
  for (const gap& each : stores) {
    to.put(each.offset);
    to.put(each.bytes);
    to.put(each.kept);
  }
}

grant unpack_grant(unpacker& from, memory::padding& in) {
  grant one;
  one.rights = from.get<detail::access>();
  one.partitioned = from.get<bool>();
  one.by_chunk = from.get<bool>();
  one.keeps = from.get<bool>();
  one.rows = from.get<std::size_t>();
  one.columns = from.get<std::size_t>();
  one.row_bytes = from.get<std::size_t>();
  const auto element_bytes = from.get<std::size_t>();
  std::vector<gap> stores(from.get<std::size_t>());
  for (gap& each : stores) {
    each.offset = from.get<std::size_t>();
    each.bytes = from.get<std::size_t>();
    each.kept = from.get<std::byte>();
  }
  in = memory::padding(std::move(stores), element_bytes);
  return one;
}

plan::partition unpack_chunks(unpacker& from) {
  const auto all = from.get<range>();
  const auto grain = from.get<std::size_t>();
  const auto stride = from.get<std::size_t>();
  const auto whole = from.get<bool>();
  const auto parts = from.get_all<range>();
  plan::partition cut = stride != 0  ? plan::partition::interleaved({all, stride})
                        : grain != 0 ? plan::partition::uniform(all, grain)
                                     : plan::partition::listed({all, parts});
  if (whole) cut.keep_whole();
  return cut;
}

// What a worker has of a job.
struct received {
  received(unpacker& from, std::vector<std::byte*> data, unsigned worker)
      : what(job_in(from)),
        chunks(unpack_chunks(from)),
        states(what.reductions),
        here(inside_a_map::where::this_process),
        runner(what, chunks, states, pointers(), std::move(data), {.worker = worker}) {}

  job job_in(unpacker& from) {
    const auto unpack_call =
        reinterpret_cast<job (*)(unpacker&)>(const_cast<void*>(from.get_code()));
    job made = unpack_call(from);
    made.where = unpack_space(from);
    paddings.resize(from.get<std::size_t>());
    for (memory::padding& each : paddings) made.grants.push_back(unpack_grant(from, each));
    return made;
  }
  output_padding::paddings pointers() const {
    output_padding::paddings all;
    for (const memory::padding& each : paddings) all.push_back(&each);
    return all;
  }

  std::vector<memory::padding> paddings;  // of the grants
  job what;
  plan::partition chunks;
  state_layout states;
  inside_a_map here;
  chunk_runner runner;
};

}  // namespace

void pack(const job& what, const plan::partition& chunks, packer& to) {
  to.put_code(reinterpret_cast<const void*>(what.by.unpack));
  what.by.pack(what, to);
  pack_space(what.where, to);
  to.put(what.grants.size());
  for (const grant& one : what.grants) pack_grant(one, to);
  to.put(chunks.all());
  to.put(chunks.grain());
  to.put(chunks.stride());
  to.put(chunks.is_kept_whole());
  to.put_all(chunks.parts());
}

std::shared_ptr<const board::task> unpack(std::span<const std::byte> packed,
                                          std::vector<std::byte*> data, unsigned worker) {
  unpacker from(packed);
  const auto made = std::make_shared<received>(from, std::move(data), worker);
  return {made, &made->runner.task()};
}

void lend(const job& what, packer& to) {
  for (const grant& one : what.grants) {
    detail::segment& owner = *one.owner;
    owner.lend();
    family::lent_buffer lent;
    lent.number = owner.number();
    lent.identity = owner.identity();
    lent.length_bytes = owner.length_bytes();
    lent.data_offset = owner.data_offset();
    lent.element_bytes = owner.element_bytes();
    lent.descriptor = owner.descriptor();
    lent.writable = one.rights == detail::access::write ? 1 : 0;
    const std::string& name = owner.name();
    std::copy_n(name.begin(), std::min(name.size(), sizeof lent.name - 1), lent.name);
    to.put(lent);
  }
}

}  // namespace shard::mapping
