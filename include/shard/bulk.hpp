// What becomes of a bulk transfer: the read and write operations of a buffer that move many
// elements at once. buffer.hpp has the operations, docs/buffers.md how they work.
#pragma once

#include <cstddef>
#include <string>

#include "shard/error.hpp"
#include "shard/range.hpp"

namespace shard {

// done   all of it, as one: no other bulk transfer was seen, or has been seen, half-way.
// busy   nothing: others were writing there all the time that this one tried.
// torn   nothing: a writer died half-way in these elements. buffer::clear_torn() ends that.
enum class transfer_state { done, busy, torn };

struct [[nodiscard]] transfer {
  transfer_state state = transfer_state::done;
  range torn = {};  // the elements that may be half written, in row-major order; empty if none

  constexpr explicit operator bool() const noexcept { return state == transfer_state::done; }
};

// Thrown by the operations that don't return a transfer, and by save() and load().
class torn_error : public error {
 public:
  torn_error(const std::string& verb, range elements, const std::string& of);

  range elements() const noexcept { return elements_; }

 private:
  range elements_;
};

}  // namespace shard
