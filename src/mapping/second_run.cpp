#include "mapping/second_run.hpp"

#include <cstring>
#include <string_view>
#include <utility>

#include "mapping/checks.hpp"
#include "memory/attempt.hpp"
#include "memory/segment.hpp"
#include "shard/error.hpp"

namespace shard::mapping {
namespace {

bool changes(const detail::grant& one) {
  return one.rights == detail::access::write && !one.is_spill;
}

// What was in the buffers that a run may write to, put back in the end.
class kept_buffers {
 public:
  explicit kept_buffers(const std::vector<detail::grant>& all) : all_(all) {
    for (const detail::grant& one : all_) kept_.push_back(copy_of(one));
  }
  kept_buffers(const kept_buffers&) = delete;
  kept_buffers& operator=(const kept_buffers&) = delete;
  ~kept_buffers() {
    for (std::size_t k = 0; k < all_.size(); ++k) {
      if (kept_[k].base() != nullptr) {
        std::memcpy(all_[k].owner->data(), kept_[k].base(), kept_[k].size_bytes());
      }
    }
  }

  static os::anonymous_memory copy_of(const detail::grant& one) {
    if (!changes(one) || one.owner->data_bytes() == 0) return {};
    os::anonymous_memory copy(one.owner->data_bytes(), os::sharing::none);
    std::memcpy(copy.base(), one.owner->data(), copy.size_bytes());
    return copy;
  }

 private:
  const std::vector<detail::grant>& all_;
  std::vector<os::anonymous_memory> kept_;
};

// Nobody hears of the second run.
options without_listeners(options given) {
  given.on_progress = {};
  given.on_failure = {};
  return given;
}

[[noreturn]] void refuse(const order& settled, const std::string& found) {
  throw error(std::errc::invalid_argument,
              "cannot vouch for map " + std::to_string(settled.number) + " of this pool: found " +
                  found +
                  ", expected the same; a kernel in a pool must not depend on what the program "
                  "changes after the pool was made (see pool::refresh), on what earlier maps left "
                  "in a worker, or on which worker runs it");
}

std::string differing(const std::string& what) {
  return "that " + what + " is another in workers that were started for it";
}

void merge_nothing(const detail::reduction&, void*, std::byte*, std::size_t, std::size_t) {}

}  // namespace

second_run::second_run(const detail::job& what, options given, const order& settled,
                       const family::warm_family::order& fresh)
    : job_(what), order_(settled) {
  const std::string purpose =
      "check map " + std::to_string(settled.number) + " of this pool, as SHARD_CHECK_POOL wants";
  try {
    memory::attempt(purpose, "room for two copies of what the map writes to",
                    [&] { do_it(without_listeners(std::move(given)), fresh); });
  } catch (const error& e) {
    const std::string_view why = e.what();
    if (why.starts_with("cannot " + purpose)) throw;
    throw error(e.code(), "cannot " + purpose + ": found that workers can't be started for it (" +
                              std::string(why) + "), expected them to start");
  }
}

void second_run::do_it(const options& given, const family::warm_family::order& fresh) {
  detail::job with = job_;
  for (detail::reduction& one : with.reductions) {
    reducers_.push_back(one.copy != nullptr ? one.copy(one.reducer) : nullptr);
    one.reducer = reducers_.back().get();
    if (one.reducer != nullptr) continue;
    one.merge = merge_nothing;
    one.settle = nullptr;
  }
  const kept_buffers before(job_.grants);
  family::warm_family workers(fresh);
  flight run(with, given, order_, &workers);
  run.begin(false, true);
  const report told = run.join();
  workers.wait_for_output();
  complete_ = told.complete();
  if (!complete_) trouble_ = map_error(told).what();
  for (const detail::grant& one : job_.grants) {
    outputs_.push_back(one.partitioned ? kept_buffers::copy_of(one) : os::anonymous_memory());
  }
}

std::string second_run::unequal_output() const {
  for (std::size_t k = 0; k < outputs_.size(); ++k) {
    const detail::grant& one = job_.grants[k];
    const std::byte* const ours = outputs_[k].base();
    if (ours == nullptr) continue;
    const std::byte* const theirs = one.owner->data();
    if (std::memcmp(ours, theirs, outputs_[k].size_bytes()) == 0) continue;
    for (std::size_t row = 0; row < one.rows; ++row) {
      const std::size_t at = row * one.row_bytes;
      if (std::memcmp(ours + at, theirs + at, one.row_bytes) == 0) continue;
      return differing("row " + std::to_string(row) + " of buffer " +
                       std::to_string(number_among_buffers(job_, one)) + " (" + one.owner->name() +
                       ")");
    }
  }
  return {};
}

std::string second_run::unequal_reducer() const {
  for (std::size_t k = 0; k < reducers_.size(); ++k) {
    const detail::reduction& one = job_.reductions[k];
    if (reducers_[k] == nullptr || one.equal(one.reducer, reducers_[k].get())) continue;
    return differing("the result of reducer " + std::to_string(k + 1));
  }
  return {};
}

void second_run::compare(const report& of_pool) const {
  if (!of_pool.complete()) return;
  if (!complete_) {
    refuse(order_, "all of it done, and in workers that were started for it: " + trouble_);
  }
  if (const std::string found = unequal_output(); !found.empty()) refuse(order_, found);
  if (const std::string found = unequal_reducer(); !found.empty()) refuse(order_, found);
}

}  // namespace shard::mapping
