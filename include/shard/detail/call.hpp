// The typed half of a map: which kernels fit which space, and the loop over a chunk's indices that
// a worker runs. Not for users.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "shard/detail/arguments.hpp"
#include "shard/detail/job.hpp"
#include "shard/detail/kernel_check.hpp"
#include "shard/detail/packing.hpp"
#include "shard/detail/spaces.hpp"
#include "shard/options.hpp"
#include "shard/report.hpp"

namespace shard::detail {

// ---- A call: what a worker runs. It owns no memory of buffers: the job that has it does. ----

template <class Space, class Kernel, class... Arguments>
class call {
 public:
  using runner = decltype(std::declval<const Space&>().describe(std::declval<job&>()));

 private:
  using bindings = std::tuple<typename Arguments::binding...>;
  template <std::size_t K>
  using argument = std::tuple_element_t<K, std::tuple<Arguments...>>;

 public:
  // Whether it can be sent to a process that has no copy of the caller's memory.
  static constexpr bool crosses = packable<runner> && packable_function<Kernel> &&
                                  (packable<typename Arguments::binding> && ...);

  // The kernel must outlive the job.
  static job describe(const Space& over, const Kernel& kernel, kernel_form form,
                      const Arguments&... arguments) {
    job result;
    result.by_index = form != kernel_form::chunk && form != kernel_form::tile;
    result.whole_chunks = !result.by_index && (wants_whole_chunks<Arguments> || ...);
    const runner space = over.describe(result);
    bindings described{arguments.describe(result)...};  // braces: in their order
    finish(result, std::make_shared<const call>(space, kernel, std::move(described)));
    return result;
  }

  // What unpack() makes the same call of, in another process of this program.
  static void pack(const job& what, packer& to)
    requires crosses
  {
    const call& self = of(what.call.get());
    to.put(what.by_index);
    to.put(self.space_);
    pack_function(self.kernel_, to);
    to.end_part();
    std::apply([&](const auto&... one) { ((to.put(one), to.end_part()), ...); }, self.bindings_);
  }

  // A job without a space and grants, which the call doesn't know, and without reducers.
  static job unpack(unpacker& from)
    requires crosses
  {
    struct with_kernel {
      with_kernel(const runner& space, Kernel own, bindings all)
          : kernel(own), what(space, kernel, std::move(all)) {}
      Kernel kernel;
      call what;
    };
    job result;
    result.by_index = from.get<bool>();
    const auto space = from.get<runner>();
    const auto kernel = unpack_function<Kernel>(from);
    bindings all{from.get<typename Arguments::binding>()...};  // braces: in their order
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      (describe_again<K>(std::get<K>(all), result), ...);
    }(std::index_sequence_for<Arguments...>());
    const auto made = std::make_shared<const with_kernel>(space, kernel, std::move(all));
    finish(result, {made, &made->what});
    return result;
  }

  call(runner space, const Kernel& kernel, bindings all)
      : space_(std::move(space)), kernel_(kernel), bindings_(std::move(all)) {}

 private:
  static const call& of(const void* self) { return *static_cast<const call*>(self); }

  template <std::size_t K>
  static void describe_again([[maybe_unused]] const typename argument<K>::binding& one,
                             [[maybe_unused]] job& to) {
    if constexpr (is_reduction<argument<K>>) to.reductions.push_back(one.described());
    if constexpr (is_state<argument<K>>) to.belongings.push_back(one.described());
  }

  // What the job calls.
  static void finish(job& to, std::shared_ptr<const call> made) {
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      (made->template set_entry<K>(to), ...);
    }(std::index_sequence_for<Arguments...>());
    to.call = std::move(made);
    to.run = run;
    if constexpr (merges) {
      if (to.by_index) to.run_chunks = run_chunks;
    }
  }

  // Whether nothing that the kernel is given shows where a chunk ends, if it is called by index.
  static constexpr bool merges =
      requires { requires !Space::shows_chunks; } && (!Arguments::shows_chunks && ...);

  // What the job calls of the binding of argument K.
  template <std::size_t K>
  void set_entry([[maybe_unused]] job& to) const {
    if constexpr (is_reduction<argument<K>>) {
      to.reductions[std::get<K>(bindings_).place()].start = [](const void* self, std::byte* state) {
        std::get<K>(of(self).bindings_).start(state);
      };
    }
    if constexpr (is_state<argument<K>>) {
      to.belongings[std::get<K>(bindings_).place()].make = [](const void* self, unsigned worker) {
        return std::get<K>(of(self).bindings_).make(worker);
      };
    }
  }

  static void run(const void* self, const worker_memory& memory, range chunk) {
    const call& what = of(self);
    if constexpr (std::is_trivially_copyable_v<Kernel>) {
      const Kernel local = what.kernel_;  // so that no store of the kernel's can seem to change it
      what.bind_from<0>(local, memory, chunk, what.space_.cells(chunk));
    } else {
      what.bind_from<0>(what.kernel_, memory, chunk, what.space_.cells(chunk));
    }
  }

  static void run_chunks(const void* self, const worker_memory& memory, const chunk_row& chunks)
    requires merges
  {
    const call& what = of(self);
    if constexpr (std::is_trivially_copyable_v<Kernel>) {
      const Kernel local = what.kernel_;  // as above
      what.bind_from<0>(local, memory, chunks.all, chunks);
    } else {
      what.bind_from<0>(what.kernel_, memory, chunks.all, chunks);
    }
  }

  // Of each chunk.
  template <class... P>
  void run_each(const Kernel& kernel, const worker_memory& memory, const chunk_row& chunks,
                P&... bound) const {
    std::uint64_t done = chunks.progress->load(std::memory_order_relaxed);
    std::size_t first = chunks.all.first;
    while (chunks.all.last - first > chunks.grain) {
      space_.run(kernel, memory, range{first, first + chunks.grain}, bound...);
      chunks.progress->store(++done, std::memory_order_relaxed);
      first += chunks.grain;
    }
    space_.run(kernel, memory, range{first, chunks.all.last}, bound...);
  }

  // Makes the parameters one after the other, each a local of its frame: handles that the compiler
  // can keep in registers, and accumulators, which can't be moved.
  template <std::size_t K, class Cells, class... P>
  void bind_from(const Kernel& kernel, const worker_memory& memory, range chunk, const Cells& cells,
                 P&... bound) const {
    if constexpr (K != sizeof...(Arguments)) {
      const auto& one = std::get<K>(bindings_);
      decltype(auto) parameter = one.bind(memory, cells);
      bind_from<K + 1>(kernel, memory, chunk, cells, bound..., parameter);
      one.done(parameter, memory);
    } else if constexpr (std::is_same_v<Cells, chunk_row>) {
      run_each(kernel, memory, cells, bound...);
    } else {
      space_.run(kernel, memory, cells, bound...);
    }
  }

  runner space_;
  const Kernel& kernel_;
  bindings bindings_;
};

// The kernel's parameters against the arguments that each worker makes a state for.
template <class Kernel, kernel_form Form, class... Arguments>
constexpr bool check_states() {
  constexpr std::size_t leading = Form == kernel_form::cell || Form == kernel_form::row ? 2 : 1;
  return []<std::size_t... K>(std::index_sequence<K...>) {
    return ([] {
      if constexpr (is_state<Arguments>) {
        return check_state_parameter<Kernel, leading + K, typename Arguments::binding::parameter>();
      } else {
        return true;
      }
    }() && ...);
  }(std::index_sequence_for<Arguments...>());
}

// What a call is made of against the way to a process that was started before.
template <class Runner, class Kernel, class... Bindings>
constexpr bool check_crossing() {
  static_assert(
      packable_function<Kernel>,
      "shard: a kernel of a pool captures nothing, since the pool's workers were started "
      "before: give it what it needs as parameters, in value(x), in(buffer), out(buffer)");
  constexpr bool sendable = packable<Runner> && (packable<Bindings> && ...);
  static_assert(
      !packable_function<Kernel> || sendable,
      "shard: a pool sends value(x), and the arguments of worker_state(), to its workers: "
      "each must be trivially copyable and refer to nothing, or be a std::vector of such, "
      "a std::string, or have pack() and unpack(); what makes a state captures nothing");
  return packable_function<Kernel> && sendable;
}

// Who runs a job: called with it, if the call that was written is one.
enum class sent { if_possible, yes };

template <bool NeedsEffect, sent Sent, class Runner, class Space, class Kernel, class... Arguments>
report start_call(const Runner& run, Space&& over, const Kernel& kernel,
                  const Arguments&... arguments) {
  using typed = decltype(space_of(over));
  static_assert(
      !NeedsEffect || typed::has_effect || (Arguments::has_effect || ...),
      "shard: this map has no output, no reducer and no shared buffer, so that all its "
      "kernel does would be lost in a worker; for_each says that effects outside are wanted");
  constexpr kernel_form form = typed::template form<
      Kernel,
      std::remove_reference_t<decltype(std::declval<const typename Arguments::binding&>().bind(
          std::declval<const worker_memory&>(), range{}))>...>;
  constexpr bool fits_chunks = form == kernel_form::chunk || form == kernel_form::tile ||
                               form == kernel_form::none || (!is_out_per_chunk<Arguments> && ...);
  static_assert(fits_chunks,
                "shard: out_per_chunk() gives a chunk one row, but this kernel is called for each "
                "index; take a shard::range");
  if constexpr (form != kernel_form::none && fits_chunks) {
    if constexpr (check_states<Kernel, form, Arguments...>()) {
      using made = call<typed, Kernel, Arguments...>;
      if constexpr (Sent == sent::if_possible) {
        job what = made::describe(space_of(over), kernel, form, arguments...);
        if constexpr (made::crosses) what.by = {made::pack, made::unpack};
        return run(std::move(what));
      } else if constexpr (check_crossing<typename made::runner, Kernel,
                                          typename Arguments::binding...>()) {
        job what = made::describe(space_of(over), kernel, form, arguments...);
        what.by = {made::pack, made::unpack};
        return run(std::move(what));
      }
    }
  }
  return {};
}

// Takes the pack apart: arguments first, the kernel last. run(job): who runs it.
template <bool NeedsEffect, sent Sent, class Runner, class Space, class... Rest>
report start(const Runner& run, Space&& over, Rest&&... rest) {
  static_assert(sizeof...(Rest) > 0,
                "shard: the kernel is missing: map(space, arguments..., kernel)");
  if constexpr (sizeof...(Rest) > 0 && check_space<Space>()) {
    constexpr std::size_t arguments = sizeof...(Rest) - 1;
    const std::tuple<const std::remove_reference_t<Rest>&...> all(rest...);
    return [&]<std::size_t... K>(std::index_sequence<K...>) -> report {
      constexpr bool known =
          (is_argument<std::remove_cvref_t<std::tuple_element_t<K, decltype(all)>>> && ...);
      constexpr bool refused =
          (std::is_same_v<std::remove_cvref_t<std::tuple_element_t<K, decltype(all)>>,
                          refused_argument> ||
           ...);
      static_assert(
          known || refused,
          "shard: between the space and the kernel stand in(), out(), out_per_chunk(), inout(), "
          "shared(), reduce(), value(), worker_state(), chunk_number() and worker_number(); wrap a "
          "plain value in value(x)");
      if constexpr (known) {
        const auto& kernel = std::get<arguments>(all);
        if constexpr (std::is_function_v<std::remove_reference_t<decltype(kernel)>>) {
          return start_call<NeedsEffect, Sent>(run, over, &kernel, std::get<K>(all)...);
        } else {
          return start_call<NeedsEffect, Sent>(run, over, kernel, std::get<K>(all)...);
        }
      } else {
        return {};
      }
    }(std::make_index_sequence<arguments>());
  } else {
    return {};
  }
}

// In processes of its own, or as the options say.
template <bool NeedsEffect, class Space, class... Rest>
report start_alone(const options& how, Space&& over, Rest&&... rest) {
  return start<NeedsEffect, sent::if_possible>(
      [&how](const job& what) { return execute(what, how); }, std::forward<Space>(over),
      std::forward<Rest>(rest)...);
}

}  // namespace shard::detail
