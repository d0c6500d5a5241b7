// shard stats: what arrays take, who shares them, and what deaths have left in them.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command/array_file.hpp"
#include "command/command.hpp"
#include "command/listing.hpp"
#include "command/output.hpp"
#include "command/values.hpp"
#include "memory/dtype.hpp"
#include "memory/observed.hpp"
#include "os/file.hpp"
#include "os/mapping.hpp"

namespace shard::command {
namespace {

using json = nlohmann::ordered_json;

struct measured {
  buffer_stats all;
  bool knows_resident = false;
  bool huge = false;  // huge pages reserved for it: of those formed as needed only users know

  bool left() const noexcept { return all.kind == backing::named && all.handles == 0; }
};

// Maps it for reading, and touches none of it.
measured measure(const array_file& of) {
  return attempt("measure " + of.argument, [&] {
    const int file = of.file.get();
    measured found;
    found.all = memory::sharing_of(
        of.kind, {file, of.npy.data_offset + of.data_bytes, of.data_bytes}, of.type.size_bytes);
    found.all.name = of.argument;
    found.all.shape = of.shape();
    found.all.data_bytes = of.data_bytes;
    const os::file_status status = os::status(file);
    found.all.allocated_bytes = status.allocated_bytes;
    const os::memory_use used =
        os::use_of(os::mapping(file, of.npy.file_bytes, os::protection::read), file);
    found.all.page_bytes = used.page_bytes;
    found.all.resident_bytes = used.resident_bytes;
    // Others are not told which parts of a file are in memory: to them the kernel says all
    // (mincore(2)).
    found.knows_resident = status.ours || os::may_write(file);
    found.huge = used.page_bytes > os::normal_page_bytes();
    return found;
  });
}

json as_json(const array_file& of, const measured& found) {
  const buffer_stats& all = found.all;
  json one{{"name", all.name}, {"backing", word(all.kind)}, {"path", of.path}};
  if (all.kind == backing::named) one["held"] = !found.left();
  one["shape"] = all.shape;
  one["data_bytes"] = all.data_bytes;
  one["file_bytes"] = of.npy.file_bytes;
  one["allocated_bytes"] = all.allocated_bytes;
  one["resident_bytes"] = found.knows_resident ? json(all.resident_bytes) : json();
  one["page_bytes"] = all.page_bytes;
  one["huge_pages"] = found.huge;
  one["control_words"] = all.control_words;
  one["handles"] = all.handles;
  one["writers"] = all.writers;
  one["recoveries"] = all.recoveries;
  one["notifications"] = all.notifications;
  one["exclusive_holder"] = all.exclusive_holder == 0 ? json() : json(all.exclusive_holder);
  one["shared_holders"] = all.shared_holders;
  one["abandoned"] = all.abandoned;
  one["torn"] = ranges_as_json(all.torn);
  return one;
}

// ---- Text

std::string bytes(std::size_t count) {
  return count < 1024 ? size(count) : fmt::format("{} bytes ({})", count, size(count));
}

std::string counted(std::size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string backing_text(const array_file& of, const measured& found) {
  switch (found.all.kind) {
    case backing::memory: return "memory";
    case backing::file: return "file";
    case backing::named: break;
  }
  const std::string buffer = "named buffer " + printable(of.path);
  if (found.left()) return buffer + ", held by nobody: left by a kill (shard gc removes it)";
  return buffer + ", held by " + counted(found.all.handles, "handle");
}

std::string words_text(const buffer_stats& of) {
  if (!of.control_words) return "none: no transfer, lock or notification yet";
  if (of.writers == 0) return "yes, and nobody is attached to write";
  return "yes, " + counted(of.writers, "handle") + " attached to write";
}

std::string lock_text(const buffer_stats& of) {
  if (of.exclusive_holder != 0) {
    return fmt::format("held exclusively by thread {}", of.exclusive_holder);
  }
  if (of.shared_holders.empty()) return "free";
  return fmt::format("shared by thread{} {}", of.shared_holders.size() == 1 ? "" : "s",
                     fmt::join(of.shared_holders, ", "));
}

std::string torn_text(const std::vector<range>& all) {
  return all.empty() ? "nothing" : elements(all) + ": a writer died there";
}

void put_text(output& to, const array_file& of, const measured& found) {
  const buffer_stats& all = found.all;
  to.print("{}\n", printable(all.name));
  to.print("  backing        {}\n", backing_text(of, found));
  to.print("  shape          {}\n", memory::tuple(all.shape));
  to.print("  data           {}\n", bytes(all.data_bytes));
  to.print("  allocated      {}, header and all\n", bytes(all.allocated_bytes));
  to.print("  resident       {}\n",
           found.knows_resident ? bytes(all.resident_bytes) : "not told: another user's file");
  to.print("  pages          {}{}\n", size(all.page_bytes), found.huge ? ", huge" : "");
  to.print("  control words  {}\n", words_text(all));
  if (!all.control_words) return;
  to.print("  lock           {}{}\n", lock_text(all),
           all.abandoned ? "; abandoned: a holder died" : "");
  to.print("  torn           {}\n", torn_text(all.torn));
  to.print("  recoveries     {}\n", all.recoveries);
  to.print("  notifications  {}\n", all.notifications);
}

}  // namespace

status stats(const listing& asked) {
  return tell_of_each(asked, "measure", [](const array_file& of) {
    const measured found = measure(of);
    return said{as_json(of, found), [&of, found](output& to) { put_text(to, of, found); }};
  });
}

}  // namespace shard::command
