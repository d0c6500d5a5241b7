// A mapped .npy image: what every buffer is, in memory or in a file. docs/memory_layout.md shows
// its bytes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "memory/control.hpp"
#include "memory/live_segment.hpp"
#include "memory/name.hpp"
#include "memory/output_file.hpp"
#include "memory/padding.hpp"
#include "os/descriptor.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"
#include "os/own_pid.hpp"
#include "shard/backing.hpp"
#include "shard/detail/segment.hpp"

namespace shard::detail {

// Shared by buffers and by the arguments of running maps; the last of them unmaps and closes it,
// and so discards a file that was not finished, and a named buffer that no one else holds. A forked
// child's copy has a mapping and a descriptor of its own, and leaves the parent's file alone.
class segment {
 public:
  struct parts {
    std::string name;  // the path as the user gave it, or "memory"
    os::descriptor file{};
    os::mapping mapped{};
    std::size_t data_offset = 0;
    std::size_t data_bytes = 0;
    std::size_t element_bytes = 0;
    memory::padding padding{};  // of its elements
    bool writable = false;
    bool made_in_memory = false;
    std::optional<memory::output_file> unfinished{};
    backing kind = backing::file;
    std::filesystem::path path{};  // absolute, of its name; empty: none, or it was removed
    std::optional<memory::kept_name> kept_name{};  // of a named one
    bool created = false;                          // by this handle, and not found
  };

  explicit segment(parts made);
  static array make_array(parts made, std::vector<std::size_t> shape);
  segment(const segment&) = delete;
  segment& operator=(const segment&) = delete;
  ~segment();

  const std::string& name() const noexcept { return parts_.name; }
  const os::descriptor& file() const noexcept { return parts_.file; }
  int descriptor() const noexcept { return parts_.file.get(); }
  std::byte* base() const noexcept { return parts_.mapped.base(); }
  std::size_t length_bytes() const noexcept { return parts_.mapped.length_bytes(); }
  std::size_t data_offset() const noexcept { return parts_.data_offset; }
  std::size_t element_bytes() const noexcept { return parts_.element_bytes; }
  std::byte* data() const noexcept { return base() + data_offset(); }
  std::size_t data_bytes() const noexcept { return parts_.data_bytes; }
  bool writable() const noexcept { return parts_.writable; }
  bool created() const noexcept { return parts_.created; }

  // From now on this process only reads it, or not even that, also by the maps that it calls: what
  // a worker does with what its kernel captured. An output of an outer map stays one in inner ones.
  enum class standing { own, captured, output, forsaken };
  void demote(standing to) noexcept {
    if (standing_ != standing::output) standing_ = to;
  }
  // In a forked process that lives long: gives back its share in the memory. What is left is an
  // address, at which any access faults.
  void forsake() noexcept;

  // Which buffer it is in this process; never used twice.
  std::uint64_t number() const noexcept { return number_; }
  // Tells its file or memory apart from others. Throws shard::error.
  os::file_identity identity() const;
  // When it is closed, those that it was lent to are told.
  void lend() noexcept { lent_ = true; }
  // What a store to its elements may do in this process: where they stay is the same. For files of
  // this process that it may write to. Throws shard::error.
  void allow(access rights) const;
  // What this process stores from now on, nobody else sees. For files. Throws shard::error.
  void keep_to_itself();
  bool may_write() const noexcept { return writable() && standing_ == standing::own; }
  // Throws shard::error unless a map that this process calls may be granted it so.
  void require(access rights) const;
  // Whether both are handles of one file, or of one piece of memory. Throws shard::error.
  bool same_memory(const segment& as) const;

  // The control area, attached by the first call. Any thread may call them. Throw shard::error.
  // To write, to lock or to notify; also thrown if this may not be written to.
  memory::control& own_words() const {
    if (!may_write()) refuse_writing();
    // Acquire: pairs with the release in attach(); who sees the area attached sees it mapped.
    memory::control* const found = attached_.load(std::memory_order_acquire);
    return found != nullptr ? *found : *attach(purpose::writing);
  }
  // To read. Null: there is none yet, and this may not make one, or has no room for one.
  memory::control* words() const {
    memory::control* const found = attached_.load(std::memory_order_acquire);  // as above
    return found != nullptr ? found : attach(purpose::reading);
  }
  // The area that this handle is attached to, or null.
  const memory::control* attached() const noexcept {
    return attached_.load(std::memory_order_acquire);
  }
  // All that a usual read has to know, in one line of memory.
  struct alignas(memory::line_bytes) shortcut {
    std::byte* data = nullptr;
    std::size_t data_bytes = 0;
    unsigned stripe_shift = 0;
    // Null until an area is seen laid out to which this handle is attached.
    std::atomic<memory::stripe*> stripes = nullptr;
  };
  const shortcut& way() const noexcept { return way_; }
  // This area of words() is laid out.
  void note_layout(const memory::control& area) const noexcept {
    if (&area != attached()) return;
    way_.stripes.store(area.stripes().data(), std::memory_order_release);
  }
  // Whether anyone is attached who could be writing. Throws shard::error. Requires: `area` is from
  // words(), and only reads.
  bool has_writers(const memory::control& area) const;
  // How many notifications this handle has seen.
  std::atomic<std::uint32_t>& noticed() noexcept { return noticed_; }
  // Eventfds: one to wait for, which the first call makes, and those of others. Any thread may call
  // them. Throw shard::error.
  int event_descriptor();
  void attach(os::descriptor given);
  void detach_events() noexcept;
  // False: one of them can't be written to.
  bool count_events();
  // All of them, which stay open as long as somebody has them.
  using event = std::shared_ptr<const os::descriptor>;
  std::vector<event> events() const;

  const memory::padding& padding() const noexcept { return parts_.padding; }
  // Of all elements. Throws shard::error unless this may be written to.
  void clear_padding();

  // Refuses what finish() would refuse later: `doing` is what this process is about to do.
  void require_own(const std::string& doing) const;
  // See buffer::finish. Only the process that created the file may call it.
  void finish(durability needed);
  // The same for a file whose padding is known to be zeros.
  void finish_cleared(durability needed);

  // Gives a file that was just created its name, unless that is taken; says whether it did. Throws
  // os::call_failed.
  bool publish();
  // The same, in the place of whatever has the name, in one step.
  void replace(durability needed = durability::memory);

  // The same file by an open file description of its own, for reading alone, which holds the name
  // of a named one. Throws os::call_failed.
  os::descriptor readable() const;

  // See buffer.
  std::shared_ptr<segment> read_only() const;
  void freeze();
  void sync() const;
  void unlink();
  buffer_stats stats() const;
  // As stats() says, which attaches to nothing. Throws os::call_failed.
  std::vector<range> torn() const;

  // Every segment that this process has mapped, in the order of their creation; in a forked child,
  // the inherited ones. While `held` holds, no other thread makes or drops one. Any thread may call
  // them, but a child that was cloned while other threads ran must use a list from before the
  // clone: another thread may have held the lock then.
  static std::unique_lock<std::mutex> hold_live();
  static std::vector<memory::live_segment> live(const std::unique_lock<std::mutex>& held);

  // What the memory segments made in this process may still take, in pages never written to.
  // Throws os::call_failed.
  static std::size_t promised_bytes();
  // The same as if none of their pages had been written to: never less, and quickly known.
  static std::size_t most_promised_bytes();

 private:
  [[noreturn]] void refuse_writing() const;
  enum class purpose { reading, writing };
  memory::control* attach(purpose why) const;
  bool attach_to_write(const memory::control::place& where, purpose why) const;
  // Requires: no other thread uses the area by this handle.
  void forget_area() noexcept {
    way_.stripes.store(nullptr);
    attached_.store(nullptr);
  }
  void seal() const;
  void flush_to_disk() const;
  void share_folder(const segment& of) noexcept;
  void let_go_of_name() noexcept;
  // Releases what the calling thread holds by this handle. What another one holds stays locked.
  void release_locks() noexcept;
  // Whether it was still this file's. Throw shard::error, which says what could not be done.
  bool remove_kept_name(const std::string& what) const;
  bool remove_path(const std::string& what) const;

  parts parts_;
  std::uint64_t number_;
  std::atomic<bool> lent_ = false;
  pid_t owner_ = os::own_pid();  // of this object, not of the file
  std::atomic<standing> standing_ = standing::own;
  mutable std::mutex attaching_;
  mutable std::optional<os::file_identity> identity_{};  // once it was asked for
  mutable std::unique_ptr<memory::control> kept_;
  mutable std::atomic<memory::control*> attached_ = nullptr;
  mutable shortcut way_;
  // Of a handle that can write where a control area can't be made: enough to read. After kept_, so
  // that it goes first, and doesn't keep the area from being cut off.
  mutable std::unique_ptr<memory::control> reading_;
  std::atomic<std::uint32_t> noticed_ = 0;
  event own_event_;
  std::vector<event> attached_events_;
};

}  // namespace shard::detail
