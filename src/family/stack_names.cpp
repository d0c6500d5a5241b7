#include "family/stack_names.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "os/stack_text.hpp"
#include "os/symbols.hpp"

namespace shard::family {
namespace {

constexpr std::size_t most_named = 100;  // stacks of one run
constexpr std::size_t longest_name = 200;
constexpr std::string_view below_kernels = "shard::mapping::chunk_runner::";

// Between the kernel and the chunk runner.
bool calls_kernels(const os::code_line& one) {
  return one.file.find("/shard/detail/") != std::string::npos ||
         (one.file.empty() && one.function.find("shard::detail::") != std::string::npos);
}

class namer {
 public:
  // From the innermost frame to the kernel: what is below that is the same in every stack.
  std::string text_of(const board::failure_record& record) {
    constexpr std::size_t innermost = os::stack_record::innermost;
    std::vector<os::code_line> lines;
    std::size_t before = 0;  // lines of the innermost frames, where some behind them are left out
    for (std::uint32_t k = 0; k < record.frames; ++k) {
      if (k == innermost) before = lines.size();
      const known& here = at(record.stack[k]);
      if (here.below_kernels) break;
      lines.insert(lines.end(), here.lines.begin(), here.lines.end());
    }
    // A kernel that was compiled into its caller has no other name than that one's.
    while (lines.size() > 1 && calls_kernels(lines.back())) lines.pop_back();
    if (record.left_out == 0) before = 0;
    std::vector<std::string> frames;
    for (os::code_line& one : lines) {
      one.function = os::brief_function(one.function);
      frames.push_back(os::text_of(one, longest_name));
    }
    const auto middle =
        frames.begin() + static_cast<std::ptrdiff_t>(std::min(before, frames.size()));
    std::vector<std::string> told = os::folded({frames.begin(), middle});
    before = told.size();
    for (std::string& one : os::folded({middle, frames.end()})) told.push_back(std::move(one));
    return os::joined_ends(told, before, record.left_out, sizeof record.names - 1);
  }

 private:
  struct known {
    bool below_kernels = false;
    std::vector<os::code_line> lines;
  };

  const known& at(std::uint64_t address) {
    const auto [place, fresh] = known_.try_emplace(address);
    if (fresh) {
      place->second.below_kernels =
          os::function_at(address).find(below_kernels) != std::string::npos;
      if (!place->second.below_kernels) place->second.lines = os::lines_at(address);
    }
    return place->second;
  }

  std::map<std::uint64_t, known> known_;
};

}  // namespace

void name_stacks(const board::board& on) {
  namer names;
  std::size_t named = 0;
  for (board::failure_record& record : on.failures()) {
    if (record.ready.load(std::memory_order_acquire) == 0 || record.frames == 0) continue;
    if (++named > most_named) return;
    const std::string text = names.text_of(record);
    std::memcpy(record.names, text.c_str(), text.size() + 1);
    // Release: pairs with the acquire of whoever makes the report.
    record.named.store(1, std::memory_order_release);
  }
}

}  // namespace shard::family
