// The output folder, filled all or nothing.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "statistics.hpp"

namespace flights {

// Files are made in a hidden folder inside the output folder and moved out together, once all of
// them are complete. If that doesn't happen, the destructor takes away everything that was made.
class outputs {
 public:
  static constexpr std::array names{"airports.csv", "zscore.npy", "delay_by_hour.npy",
                                    "flights.html"};

  // Makes the folder where it is missing. Throws if it can't, or if a folder is in an output's
  // place.
  explicit outputs(std::filesystem::path folder);
  outputs(const outputs&) = delete;
  outputs& operator=(const outputs&) = delete;
  ~outputs();

  // Where to make one of `names`.
  std::filesystem::path draft(const char* name) const { return drafts_ / name; }

  // Replaces what an earlier run left. Requires: every draft is there, complete and closed.
  void publish();

 private:
  std::filesystem::path folder_;
  std::filesystem::path drafts_;
  bool made_folder_ = false;
  bool published_ = false;
};

// One row for each origin. Numbers are the shortest text that reads back as the same double; codes
// are quoted where they have to be (RFC 4180).
void write_csv(const std::filesystem::path& file, const std::vector<airport>& airports);

void write_text(const std::filesystem::path& file, const std::string& text);

}  // namespace flights
