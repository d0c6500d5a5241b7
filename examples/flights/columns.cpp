#include "columns.hpp"

#include <system_error>

#include <fmt/format.h>

namespace flights {

namespace {

void require_rows(const std::filesystem::path& file, std::size_t found, std::size_t expected) {
  if (found == expected) return;
  throw shard::error(
      std::errc::invalid_argument,
      fmt::format("cannot use {}: found {} rows, expected {}, as many as in date.npy",
                  file.string(), found, expected));
}

}  // namespace

columns open_columns(const std::filesystem::path& folder) {
  columns opened{
      .date = shard::open<std::int64_t>(folder / "date.npy"),
      .delay = shard::open<std::int16_t>(folder / "delay.npy"),
      .distance = shard::open<std::int16_t>(folder / "distance.npy"),
      .origin = shard::open<airport_code>(folder / "origin.npy"),
      .destination = shard::open<airport_code>(folder / "destination.npy"),
  };
  require_rows(folder / "delay.npy", opened.delay.size(), opened.rows());
  require_rows(folder / "distance.npy", opened.distance.size(), opened.rows());
  require_rows(folder / "origin.npy", opened.origin.size(), opened.rows());
  require_rows(folder / "destination.npy", opened.destination.size(), opened.rows());
  return opened;
}

}  // namespace flights
