// The results of bulk transfers: the operations of a buffer that read or write many elements at
// once. buffer.hpp has the operations. docs/buffers.md says how they work.
#pragma once

#include <cstddef>
#include <string>

#include "shard/error.hpp"
#include "shard/range.hpp"

namespace shard {

// done   all elements were transferred, as one: this transfer saw no other bulk transfer half-way,
//        and no other one saw this transfer half-way.
// busy   nothing was transferred: others were writing these elements at every try.
// torn   nothing was transferred: a writer died half-way in these elements. They stay torn until
//        somebody calls buffer::clear_torn().
enum class transfer_state { done, busy, torn };

struct [[nodiscard]] transfer {
  transfer_state state = transfer_state::done;
  range torn = {};  // the elements that may be half written, in row-major order; else empty

  constexpr explicit operator bool() const noexcept { return state == transfer_state::done; }
};

// Thrown by the operations that do not return a transfer, and by save() and load(), if a writer
// died half-way in the elements.
class torn_error : public error {
 public:
  torn_error(const std::string& verb, range elements, const std::string& of);

  range elements() const noexcept { return elements_; }

 private:
  range elements_;
};

}  // namespace shard
