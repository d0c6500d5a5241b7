// shard head: the first rows of an array, for people.

#include <algorithm>
#include <memory>
#include <string>

#include "command/command.hpp"
#include "command/print.hpp"

namespace shard::command {

void add_head(CLI::App& program, status& result) {
  struct request {
    std::string file;
    std::size_t rows = 10;
  };
  CLI::App* const head = program.add_subcommand("head", "Print the first rows of an array as text");
  const auto asked = std::make_shared<request>();
  head->add_option("FILE", asked->file, "A .npy file, or the name of a buffer")->required();
  head->add_option("-n,--rows", asked->rows, "How many rows; 10 if not given")
      ->check([](const std::string& text) {
        const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
        return digits && !text.empty() ? "" : "found '" + text + "', expected a number from 0 on";
      })
      ->type_name("ROWS");
  head->footer(
      std::string("A row is one index of the first dimension. `shard cat --help` says how values "
                  "are printed.\n") +
      torn_help +
      "\n\nExamples:\n"
      "  shard head delay.npy\n"
      "  shard head prices.npy -n 3");
  head->callback([asked, &result] {
    const array_file array = open_array(asked->file, "print");
    result = print(array, {0, std::min(asked->rows, array.rows())}, format::text);
  });
}

}  // namespace shard::command
