// A mapped .npy image: what every buffer is, in memory or in a file. docs/memory_layout.md shows
// its bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memory/output_file.hpp"
#include "os/descriptor.hpp"
#include "os/mapping.hpp"
#include "shard/detail/segment.hpp"

namespace shard::memory {

// One mapping of a segment in this process, as it was when it was asked for.
struct live_segment {
  std::byte* base = nullptr;
  std::size_t length_bytes = 0;
  std::string name;
  std::size_t data_offset = 0;
  std::size_t element_bytes = 0;
  bool writable = false;
};

}  // namespace shard::memory

namespace shard::detail {

// Shared by buffers and by the arguments of running maps; the last of them unmaps and closes it,
// and so discards a file that was not finished. A forked child's copy has a mapping and a
// descriptor of its own, and leaves the parent's file alone.
class segment {
 public:
  struct parts {
    std::string name;  // the path as the user gave it, or "memory"
    os::descriptor file{};
    os::mapping mapped{};
    std::size_t data_offset = 0;
    std::size_t element_bytes = 0;
    bool writable = false;
    bool made_in_memory = false;
    std::optional<memory::output_file> unfinished{};
  };

  explicit segment(parts made);
  segment(const segment&) = delete;
  segment& operator=(const segment&) = delete;
  ~segment();

  const std::string& name() const noexcept { return parts_.name; }
  int descriptor() const noexcept { return parts_.file.get(); }
  std::byte* base() const noexcept { return parts_.mapped.base(); }
  std::size_t length_bytes() const noexcept { return parts_.mapped.length_bytes(); }
  std::size_t data_offset() const noexcept { return parts_.data_offset; }
  std::size_t element_bytes() const noexcept { return parts_.element_bytes; }
  std::byte* data() const noexcept { return base() + data_offset(); }
  bool writable() const noexcept { return parts_.writable; }

  // See buffer::finish. Only the process that created the file may call it.
  void finish();

  // Every segment that this process has mapped, in the order of their creation; in a forked child,
  // the inherited ones. Any thread may call it. A child that was cloned while other threads ran
  // must use a list from before the clone: another thread may have held the lock then.
  static std::vector<memory::live_segment> live();

  // What the memory segments made in this process may still take, in pages never written to.
  // Throws os::call_failed.
  static std::size_t promised_bytes();

 private:
  parts parts_;
};

}  // namespace shard::detail

namespace shard::memory {

// Maps a segment once more, over an open file description of its own that has only the rights asked
// for: what a worker does with each buffer it was granted. Throws shard::error; needs /proc.
os::mapping map_again(const detail::segment& of, detail::access rights);

}  // namespace shard::memory
