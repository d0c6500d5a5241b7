// Tables of bins as .npy files.

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "mapping/inner_bins.hpp"
#include "memory/output_set.hpp"
#include "shard/element.hpp"
#include "shard/error.hpp"
#include "shard/histogram_files.hpp"

namespace shard::detail {
namespace {

namespace fs = std::filesystem;

// "hours.npy" and "edges0": "hours.edges0.npy". A name that doesn't end so stays as it is in front.
fs::path beside(const fs::path& path, const std::string& what) {
  const fs::path stem = path.extension() == ".npy" ? path.stem() : path.filename();
  return path.parent_path() / (stem.string() + "." + what + ".npy");
}

template <class T>
void add(memory::output_set& to, const fs::path& path, std::span<const std::size_t> shape,
         const std::vector<T>& elements) {
  to.add(path, type_of<T>(), shape, std::as_bytes(std::span(elements)));
}

void add_texts(memory::output_set& to, const fs::path& path,
               const std::vector<std::string>& texts) {
  std::size_t width = 1;
  for (std::size_t k = 0; k < texts.size(); ++k) {
    width = std::max(width, texts[k].size());
    if (!texts[k].ends_with('\0')) continue;
    throw error(std::errc::invalid_argument,
                "cannot save " + path.string() + ": found category " + std::to_string(k) +
                    " that ends with a NUL byte, expected none: numpy would not see it");
  }
  std::vector<std::byte> bytes(texts.size() * width);
  for (std::size_t k = 0; k < texts.size(); ++k)
    std::memcpy(&bytes[k * width], texts[k].data(), texts[k].size());
  const std::size_t shape[] = {texts.size()};
  to.add(path, {{"|S" + std::to_string(width), {}}, width}, shape, bytes);
}

void add_axis(memory::output_set& to, const fs::path& path, const bin_axis& along,
              const std::string& number) {
  if (along.type == bin_axis::kind::category) {
    std::visit(
        [&]<class T>(const std::vector<T>& names) {
          const fs::path file = beside(path, "categories" + number);
          if constexpr (std::is_same_v<T, std::string>) {
            add_texts(to, file, names);
          } else {
            const std::size_t shape[] = {names.size()};
            add(to, file, shape, names);
          }
        },
        along.categories);
    return;
  }
  const std::size_t shape[] = {along.edges.size()};
  const fs::path file = beside(path, "edges" + number);
  if (along.type == bin_axis::kind::integer) {
    add(to, file, shape, std::vector<std::int64_t>(along.edges.begin(), along.edges.end()));
  } else {
    add(to, file, shape, along.edges);
  }
}

}  // namespace

void save_table(const fs::path& path, const bin_table& table, durability needed,
                asked_permissions asked) {
  check_table(table);
  memory::output_set files(asked);
  std::vector<std::size_t> inner_shape;
  std::vector<std::size_t> whole_shape;
  bool has_flow = false;
  for (std::size_t i = 0; i < table.axes.size(); ++i) {
    const bin_axis& along = table.axes[i];
    inner_shape.push_back(along.size());
    whole_shape.push_back(along.extent());
    has_flow = has_flow || along.underflow || along.overflow;
    add_axis(files, path, along, std::to_string(i));
  }

  const std::vector<std::size_t> inner = mapping::inner_bins(table);
  const auto add_bins = [&]<class T>(const fs::path& file, const std::vector<T>& all) {
    if (all.empty()) return;
    if (has_flow) add(files, beside(file, "flow"), whole_shape, all);
    std::vector<T> chosen;
    chosen.reserve(inner.size());
    for (const std::size_t place : inner) chosen.push_back(all[place]);
    add(files, file, inner_shape, chosen);
  };
  add_bins(beside(path, "squares"), table.squares);
  add_bins(beside(path, "weights"), table.weights);
  add_bins(beside(path, "variances"), table.variances);
  add_bins(path, table.values);
  add_bins(path, table.counts);
  files.finish(needed);
}

void save_text(const fs::path& path, const std::string& text, durability needed,
               asked_permissions asked) {
  memory::output_set files(asked);
  files.add(path, text);
  files.finish(needed);
}

}  // namespace shard::detail
