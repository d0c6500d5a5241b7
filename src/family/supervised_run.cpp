#include "family/supervised_run.hpp"

#include <algorithm>

#include "board/recovery.hpp"

namespace shard::family {

namespace {

std::optional<os::usage> used_by(const departure& dead) {
  return dead.how.known ? std::optional(dead.how.used) : std::nullopt;
}

}  // namespace

supervised_run::supervised_run(const crew& all, staff& who, memory_kills& kills, workers_work work)
    : all_(all), board_(all.board), staff_(who), kills_(kills), overtime_(all), work_(work) {}

bool supervised_run::wants_worker(unsigned slot) const {
  if (given_up_) return false;
  if ((board_.controls() & (board::done | board::exhausted)) != 0) return false;
  if ((board_.controls() & board::stopping) != 0) return board::has_quarantine(board_, slot);
  return board::has_tail(board_, slot) ||
         board_.cursor().load(std::memory_order_relaxed) < board_.places();
}

void supervised_run::prepare(unsigned slot) {
  overtime_.forget(slot);
  board_.at(slot).left.store(board::leaving::not_yet, std::memory_order_relaxed);
}

void supervised_run::worker_ended(unsigned slot, const departure& dead) {
  board::slot& at = board_.at(slot);
  board_.close_account(slot, work_ == workers_work::this_run ? used_by(dead) : std::nullopt);
  const member& who = all_.roster.at(slot);
  const board::leaving left = at.left.load(std::memory_order_acquire);
  if (left == board::leaving::for_another) at.replacements.fetch_add(1, std::memory_order_relaxed);
  if (left != board::leaving::not_yet) return;  // its work was done, however it ended
  const unsigned others = staff_.in_state(staff::seat_state::working);
  cause why = cause_of(who, dead.how, overtime_.of(slot), kills_, others);
  if (why.kind == board::failure_kind::out_of_memory ||
      why.kind == board::failure_kind::out_of_memory_alone) {
    staff_.keep_to(std::max(1u, others));
  }
  if (who.preparing.load(std::memory_order_relaxed) != 0)
    why.what += ", in making its worker_state";
  if (!why.blames) {
    at.deaths.fetch_add(1, std::memory_order_relaxed);
    board::acquit(board_, slot);
  }
  const bool blamed = why.blames && judge(all_, slot, dead, why);
  if (!blamed && ++unblamed_ > deaths_borne) {
    give_up("more than " + std::to_string(deaths_borne) +
            " workers died outside of any chunk; the last one: " + why.what);
  }
}

void supervised_run::acquit(unsigned slot) {
  board_.close_account(slot, std::nullopt);
  board::acquit(board_, slot);
}

bool supervised_run::mend(unsigned slot) {
  const auto alive = [this](unsigned other) { return staff_.may_run(other); };
  if (!board::reclaim(board_, slot, alive)) return false;
  // Whoever set these may have died before it woke the others.
  for (const board::control bit : {board::done, board::stopping}) {
    if ((board_.controls() & bit) != 0) board_.raise(bit);
  }
  if (board_.settled() == board_.size().chunks) board_.raise(board::done);
  return true;
}

void supervised_run::give_up(const std::string& trouble) {
  board_.tell_trouble(trouble);
  given_up_ = true;
  board_.raise(board::stopping);
}

}  // namespace shard::family
