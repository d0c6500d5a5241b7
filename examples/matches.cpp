// Where does a regular expression match in 500 000 lines? A line may have any number of matches.
// The lines are made from seed 1: each has up to three numbers behind "id=", between other words.
//
// Expected: "749628 matches; the first in line 0: 71126; line 499999 has 2".
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <shard/shard.hpp>
#include <string>
#include <string_view>

struct match {
  std::uint64_t line;
  std::uint64_t id;
};

int main(int argc, char** argv) {
  const std::size_t n = argc > 1 ? std::stoul(argv[1]) : 500'000;
  shard::buffer<shard::text<64>> lines(n);
  shard::counter made;
  shard::map(lines, shard::reduce(made), [](std::size_t i, auto& numbers) {
    shard::random_stream random(1, i);
    std::string line;
    for (std::uint64_t k = random.below(4); k != 0; --k, ++numbers) {
      line += "get id=" + std::to_string(random.below(100'000)) + " ok; ";
    }
    return shard::text<64>(line);
  });

  const std::regex pattern("id=([0-9]+)");
  shard::collect<match> found(shard::with_offsets);
  shard::map(n, shard::in(lines), shard::reduce(found),
             [&](std::size_t i, auto text, auto& matches) {
               const std::string_view line = text[i];
               const char* const end = line.data() + line.size();
               for (std::cregex_iterator at(line.data(), end, pattern), none; at != none; ++at) {
                 matches.push_back({i, std::strtoull((*at)[1].first, nullptr, 10)});
               }
             });

  const match& first = found.items()[0];
  std::printf("%zu matches; the first in line %llu: %llu; line %zu has %zu\n", found.size(),
              static_cast<unsigned long long>(first.line),
              static_cast<unsigned long long>(first.id), n - 1, found.items_of(n - 1).size());
  return found.size() == static_cast<std::size_t>(made.value()) ? 0 : 1;
}
