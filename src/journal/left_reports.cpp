#include "journal/left_reports.hpp"

#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "os/output.hpp"

namespace shard::journal {
namespace {

template <class Steps>
void try_to(Steps steps) {
  try {
    steps();
  } catch (const std::exception& e) {
    os::print_error("shard: " + std::string(e.what()) + "\n");
  }
}

}  // namespace

void leave_reports(const folder& in, const report& of, std::size_t map, std::size_t start) {
  leave_failures(in, of, map, start);
  try_to([&] { in.write("report.json", of.json() + "\n"); });
  try_to([&] { in.write("report.html", of.html()); });
  try_to([&] { of.write_chunks(in.path_of("chunks.tsv")); });
  try_to([&] { of.write_trace(in.path_of("trace.pftrace")); });
}

void leave_failures(const folder& in, const report& of, std::size_t map, std::size_t start) {
  if (of.failures().empty()) return;
  try_to([&] {
    const auto all = nlohmann::ordered_json::parse(of.json());
    std::string lines;
    for (const auto& one : all.at("failures")) {
      nlohmann::ordered_json line{{"start", start}, {"map", map}};
      line.update(one);
      lines += line.dump() + "\n";
    }
    in.append("failures.jsonl", lines);
  });
}

}  // namespace shard::journal
