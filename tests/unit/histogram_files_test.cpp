#include "shard/histogram_files.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "mounts.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "shard/drawing.hpp"
#include "shard/error.hpp"
#include "shard/npy.hpp"
#include "uhi.hpp"
#include "unit/states.hpp"

namespace {

namespace axis = shard::axis;
namespace fs = std::filesystem;
using nlohmann::json;
using shard::testing::add_once;
using shard_test::folder;
using shard_test::holds_in_a_child;
using shard_test::mentions;
using shard_test::refusal;
using names = std::set<std::string>;

// Every kind of axis that shard has, filled with numbers, outside of the axes, too.
auto some_hours() {
  shard::histogram bins(axis::integer(0, 3));
  add_once(bins, [](auto& add) {
    for (const int hour : {-1, 0, 0, 1, 1, 1, 2, 9, 9}) add(hour);
  });
  return bins;
}

auto two_axes() {
  shard::histogram bins(axis::regular(4, 0, 1), axis::category({"JFK", "SFO"}));
  add_once(bins, [](auto& add) {
    for (int i = 0; i < 60; ++i) add(i / 50.0 - 0.1, i % 3 == 0 ? "JFK" : i % 3 == 1 ? "SFO" : "?");
  });
  return bins;
}

std::string read(const fs::path& path) {
  std::ostringstream all;
  all << std::ifstream(path).rdbuf();
  return all.str();
}

// ---- .npy

TEST(HistogramFiles, AreCountsWithEdgesBesideThem) {
  const folder in;
  shard::save(in / "hours.npy", some_hours());
  EXPECT_EQ(in.names(), (names{"hours.npy", "hours.edges0.npy", "hours.flow.npy"}));
  const auto counts = shard::open<std::int64_t>(in / "hours.npy");
  EXPECT_EQ(std::vector(counts.begin(), counts.end()), (std::vector<std::int64_t>{2, 3, 1}));
  const auto edges = shard::open<std::int64_t>(in / "hours.edges0.npy");
  EXPECT_EQ(std::vector(edges.begin(), edges.end()), (std::vector<std::int64_t>{0, 1, 2, 3}));
  const auto flow = shard::open<std::int64_t>(in / "hours.flow.npy");
  EXPECT_EQ(std::vector(flow.begin(), flow.end()), (std::vector<std::int64_t>{1, 2, 3, 1, 2}));
}

TEST(HistogramFiles, OfEveryAxisAreReadByNumpy) {
  SHARD_NEEDS_NUMPY();
  const folder in;
  enum class port : std::uint16_t { http = 80, https = 443 };
  shard::histogram bins(axis::regular(10, 0, 1), axis::category({"naïve", "b"}),
                        axis::variable({0, 0.5, 10}), axis::circular(4, 0, 360),
                        axis::category({port::http, port::https}));
  add_once(bins, [](auto& add) { add(0.35, "naïve", 7.0, 361.0, port::https); });
  shard::save(in / "many.npy", bins);
  EXPECT_TRUE(shard_test::numpy_agrees(in, R"(
counts, flow = np.load('many.npy'), np.load('many.flow.npy')
assert counts.shape == (10, 2, 2, 4, 2) and flow.shape == (12, 3, 4, 5, 3)
assert counts.sum() == 1 and counts[3, 0, 1, 0, 1] == 1
assert (flow[1:-1, :-1, 1:-1, :-1, :-1] == counts).all()
assert (np.load('many.edges0.npy') == np.linspace(0, 1, 11)).all()
assert [x.decode() for x in np.load('many.categories1.npy')] == ['naïve', 'b']
assert (np.load('many.edges2.npy') == [0, 0.5, 10]).all()
assert (np.load('many.edges3.npy') == [0, 90, 180, 270, 360]).all()
assert (np.load('many.categories4.npy') == [80, 443]).all()
)"));
}

TEST(HistogramFiles, OfWeightsAndMeansHaveVariancesBesideThem) {
  const folder in;
  shard::bin_table table = shard::tabulate(some_hours());
  table.type = shard::bin_table::kind::mean;
  table.counts.clear();
  table.values = {1, 2, 3, 4, 5};
  table.variances = {.1, .2, .3, .4, .5};
  table.weights = {10, 20, 30, 40, 50};
  shard::save(in / "profile", table);
  EXPECT_EQ(in.names(), (names{"profile", "profile.flow.npy", "profile.edges0.npy",
                               "profile.variances.npy", "profile.variances.flow.npy",
                               "profile.weights.npy", "profile.weights.flow.npy"}));
  const auto variances = shard::open<double>(in / "profile.variances.npy");
  EXPECT_EQ(std::vector(variances.begin(), variances.end()), (std::vector<double>{.2, .3, .4}));
}

TEST(HistogramFiles, ReplaceWhatIsThereAndNothingElse) {
  const folder in;
  std::ofstream(in / "hours.npy") << "old";
  std::ofstream(in / "others") << "stays";
  shard::save(in / "hours.npy", some_hours(), shard::durability::disk);
  EXPECT_EQ(shard::open<std::int64_t>(in / "hours.npy").size(), 3u);
  EXPECT_EQ(read(in / "others"), "stays");
}

TEST(HistogramFiles, RefuseACategoryThatNumpyWouldSeeShorter) {
  const folder in;
  shard::histogram bins(axis::category({std::string("a"), std::string("a\0", 2)}));
  EXPECT_TRUE(mentions(refusal([&] { shard::save(in / "x.npy", bins); }),
                       {"cannot save", "x.categories0.npy", "category 1", "NUL"}));
  EXPECT_TRUE(in.names().empty());
}

TEST(HistogramFiles, SayWhichFileCannotBeMadeAndLeaveNothing) {
  const folder in;
  EXPECT_TRUE(mentions(refusal([&] { shard::save(in / "none/x.npy", some_hours()); }),
                       {"cannot create", "none/x.edges0.npy", "No such file"}));
  EXPECT_TRUE(mentions(refusal([&] { shard::save_json(in / "none/x.json", some_hours()); }),
                       {"cannot create", "none/x.json", "No such file"}));
  EXPECT_TRUE(mentions(refusal([&] { shard::save_svg(in / "none/x.svg", some_hours()); }),
                       {"cannot create", "none/x.svg", "No such file"}));
  fs::create_directory(in / "x.flow.npy");
  EXPECT_TRUE(mentions(refusal([&] { shard::save(in / "x.npy", some_hours()); }),
                       {"cannot create", "x.flow.npy", "a directory"}));
  EXPECT_EQ(in.names(), names{"x.flow.npy"});
}

TEST(HistogramFiles, KeepToTheFileSizeLimit) {
  const folder in;
  EXPECT_TRUE(holds_in_a_child([&] {
    const rlimit limit{4096, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
    const shard::histogram bins(axis::integer(0, 10000));
    return mentions(refusal([&] { shard::save(in / "x.npy", bins); }), {"(RLIMIT_FSIZE)"}) &&
           mentions(refusal([&] { shard::save_json(in / "x.json", bins); }), {"(RLIMIT_FSIZE)"}) &&
           mentions(refusal([&] { shard::save_svg(in / "x.svg", bins); }), {"(RLIMIT_FSIZE)"});
  }));
  EXPECT_TRUE(in.names().empty());
}

// The counts are the last file: by then the disk is full.
TEST(HistogramFiles, LeaveAnOldHistogramWholeOnAFullDisk) {
  const folder in;
  const fs::path at = in / "disk";
  fs::create_directory(at);
  const bool done = shard_test::with_own_mounts([&] {
    if (!shard_test::mount_tmpfs(at, "size=128k")) return false;
    const auto said = [](auto steps) {
      return mentions(refusal(steps), {"cannot save", "No space left on device", "room for it"});
    };
    shard::save(at / "x.npy", some_hours());
    shard::save_json(at / "x.json", some_hours());
    const std::string old = read(at / "x.json");
    const shard::histogram large(axis::integer(0, 6000));
    EXPECT_TRUE(said([&] { shard::save(at / "x.npy", large); }));
    EXPECT_TRUE(said([&] {
      shard::save_svg(at / "x.svg", shard::histogram(axis::regular(60000, 0, 1)), {.width = 40000});
    }));
    std::ofstream filler(at / "filler");
    while (filler << std::string(4096, 'x') << std::flush) {
    }
    EXPECT_TRUE(said([&] { shard::save_json(at / "x.json", large); }));
    EXPECT_EQ(read(at / "x.json"), old);
    const auto counts = shard::open<std::int64_t>(at / "x.npy");
    EXPECT_EQ(std::vector(counts.begin(), counts.end()), (std::vector<std::int64_t>{2, 3, 1}));
    names left;
    for (const auto& entry : fs::directory_iterator(at)) left.insert(entry.path().filename());
    EXPECT_EQ(left, (names{"x.npy", "x.edges0.npy", "x.flow.npy", "x.json", "filler"}));
    return true;
  });
  if (!done) GTEST_SKIP() << "no mounting here";
}

// ---- JSON

template <class H>
json checked(const H& histogram) {
  json parsed = json::parse(shard::to_json(histogram));
  for (const std::string& problem : shard_test::uhi_check::problems(parsed))
    ADD_FAILURE() << problem;
  return parsed;
}

TEST(HistogramJson, HasTheAxisAndAllBins) {
  const json all = checked(some_hours());
  EXPECT_EQ(all["storage"], json::parse(R"({"type": "int", "values": [1, 2, 3, 1, 2]})"));
  EXPECT_EQ(all["axes"], json::parse(R"([{
    "type": "regular", "lower": 0, "upper": 3, "bins": 3,
    "underflow": true, "overflow": true, "circular": false,
    "writer_info": {"shard": {"axis": "integer"}}}])"));
  EXPECT_TRUE(all["writer_info"].contains("shard"));
}

TEST(HistogramJson, OfEveryAxisFitsTheSchema) {
  checked(two_axes());
  const json one = checked(shard::histogram(axis::circular(4, 0, 360)))["axes"][0];
  EXPECT_EQ(one, json::parse(R"({"type": "regular", "lower": 0, "upper": 360, "bins": 4,
                                 "underflow": false, "overflow": true, "circular": true})"));
  const json two = checked(shard::histogram(axis::variable({0, 0.1, 3})))["axes"][0];
  EXPECT_EQ(two, json::parse(R"({"type": "variable", "edges": [0, 0.1, 3],
                                 "underflow": true, "overflow": true, "circular": false})"));
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const json three = checked(shard::histogram(axis::category({most, std::uint64_t{0}})))["axes"][0];
  EXPECT_EQ(three, json::parse(R"({"type": "category_int", "flow": true,
                                   "categories": [18446744073709551615, 0]})"));
  const json four = checked(shard::histogram(axis::category({true, false})))["axes"][0];
  EXPECT_EQ(four["categories"], json::parse("[1, 0]"));
}

TEST(HistogramJson, OfTwoAxesHasRowsOfTheFirst) {
  const auto bins = two_axes();
  const json values = checked(bins)["storage"]["values"];
  for (int i = -1; i <= 4; ++i)
    for (int j = 0; j <= 2; ++j)
      EXPECT_EQ(values[static_cast<std::size_t>(i + 1)][static_cast<std::size_t>(j)],
                bins.at(i, j));
}

RC_GTEST_PROP(HistogramJson, KeepsEveryEdgeAndCount, (std::vector<std::int64_t> counts)) {
  RC_PRE(!counts.empty());
  std::vector<double> edges{*rc::gen::arbitrary<double>()};
  RC_PRE(std::isfinite(edges[0]) && std::abs(edges[0]) < 1e300);
  while (edges.size() <= counts.size())
    edges.push_back(std::nextafter(edges.back(), std::numeric_limits<double>::infinity()));
  shard::bin_table table =
      shard::tabulate(std::span<const std::int64_t>(counts), axis::variable(edges));
  const json parsed = json::parse(shard::to_json(table));
  RC_ASSERT(shard_test::uhi_check::problems(parsed).empty());
  RC_ASSERT(parsed["axes"][0]["edges"].get<std::vector<double>>() == edges);
  RC_ASSERT(parsed["storage"]["values"].get<std::vector<std::int64_t>>() == counts);
}

TEST(HistogramJson, HasEveryStorageOfTheSchema) {
  using kind = shard::bin_table::kind;
  shard::bin_table table = shard::tabulate(some_hours());
  const std::vector<double> some{0, 1.5, -2, 3, 4};
  table.counts.clear();
  table.values = some;
  table.type = kind::sum;
  EXPECT_EQ(checked(table)["storage"]["type"], "double");
  table.type = kind::weighted;
  table.variances = some;
  EXPECT_EQ(checked(table)["storage"]["variances"], json(some));
  table.type = kind::mean;
  table.weights = {0, 1, 2, 3, 4};
  EXPECT_EQ(checked(table)["storage"]["counts"], json(table.weights));
  table.type = kind::weighted_mean;
  table.squares = {0, 1, 2, 3, 4};
  EXPECT_EQ(checked(table)["storage"]["sum_of_weights_squared"], json(table.squares));
}

TEST(HistogramJson, OfWeightsHasSumsAndVariances) {
  shard::weighted_histogram bins(axis::logarithmic(2, 1, 100));
  add_once(bins, [](auto& add) {
    add.add(0.5, shard::weight(7.0));
    add.add(5.0, shard::weight(1.5));
    add.add(5.0, shard::weight(-0.5));
    add(50.0);
  });
  const json all = checked(bins);
  EXPECT_EQ(all["axes"][0]["type"], "variable");
  EXPECT_EQ(all["storage"], json::parse(R"({"type": "weighted", "values": [7, 1, 1, 0],
                                            "variances": [49, 2.5, 1, 0]})"));
}

TEST(HistogramJson, OfAProfileHasCountsMeansAndVariances) {
  shard::profile bins(axis::integer(0, 2));
  add_once(bins, [](auto& add) {
    for (const double y : {1.0, 2.0, 6.0}) add(0, shard::sample(y));
    add(1, shard::sample(4.0));
  });
  const json all = checked(bins);
  EXPECT_EQ(all["storage"], json::parse(R"({"type": "mean", "counts": [0, 3, 1, 0],
                                            "values": [0, 3, 4, 0], "variances": [0, 7, 0, 0]})"));
}

TEST(HistogramJson, WritesZeroForWhatTooFewNumbersDoNotTell) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  shard::bin_table table = shard::tabulate(some_hours());
  table.type = shard::bin_table::kind::mean;
  table.counts.clear();
  table.weights = {0, 1, 2, 3, 4};
  table.values = {nan, 1, 2, 3, 4};
  table.variances = {nan, nan, 2, 3, 4};
  const json storage = checked(table)["storage"];
  EXPECT_EQ(storage["values"], json({0, 1, 2, 3, 4}));
  EXPECT_EQ(storage["variances"], json({0, 0, 2, 3, 4}));
  table.values[4] = nan;  // of four numbers
  EXPECT_TRUE(mentions(refusal([&] { shard::to_json(table); }), {"a NaN as value of bin 4"}));
}

TEST(HistogramJson, RefusesWhatJsonCannotHold) {
  const folder in;
  shard::bin_table table = shard::tabulate(some_hours());
  table.type = shard::bin_table::kind::sum;
  table.counts.clear();
  table.values = {0, 1, std::numeric_limits<double>::infinity(), 3, 4};
  EXPECT_TRUE(mentions(refusal([&] { shard::save_json(in / "x.json", table); }),
                       {"cannot write the histogram as JSON", "an infinity as value of bin 2"}));
  const shard::histogram latin(axis::category({"caf\xE9"}));
  EXPECT_TRUE(mentions(refusal([&] { shard::save_json(in / "x.json", latin); }),
                       {"category 0 of axis 0", "not UTF-8"}));
  EXPECT_TRUE(in.names().empty());
}

TEST(HistogramJson, KeepsHostileNames) {
  const std::vector<std::string> hostile{
      "\"", "\\", "<&>", "\n\t\x01", std::string("a\0b", 3), "日本", "\u2028", "</script>"};
  const folder in;
  shard::save_json(in / "x.json", shard::histogram(axis::category(hostile)));
  const json parsed = json::parse(read(in / "x.json"));
  EXPECT_TRUE(shard_test::uhi_check::problems(parsed).empty());
  EXPECT_EQ(parsed["axes"][0]["categories"].get<std::vector<std::string>>(), hostile);
}

// The check itself sees what is wrong.
TEST(UhiCheck, FindsMistakes) {
  const json right = json::parse(shard::to_json(two_axes()));
  const auto wrong = [&](auto change) {
    json changed = right;
    change(changed);
    return !shard_test::uhi_check::problems(changed).empty();
  };
  EXPECT_FALSE(wrong([](json&) {}));
  EXPECT_TRUE(wrong([](json& of) { of.erase("uhi_schema"); }));
  EXPECT_TRUE(wrong([](json& of) { of["title"] = "unknown"; }));
  EXPECT_TRUE(wrong([](json& of) { of["axes"][0].erase("circular"); }));
  EXPECT_TRUE(wrong([](json& of) { of["axes"][0]["bins"] = 5; }));
  EXPECT_TRUE(wrong([](json& of) { of["axes"][1]["categories"][1] = "JFK"; }));
  EXPECT_TRUE(wrong([](json& of) { of["axes"][1]["flow"] = 1; }));
  EXPECT_TRUE(wrong([](json& of) { of["storage"]["type"] = "count"; }));
  EXPECT_TRUE(wrong([](json& of) { of["storage"]["type"] = "weighted"; }));
  EXPECT_TRUE(wrong([](json& of) { of["storage"]["values"][0][0] = 0.5; }));
  EXPECT_TRUE(wrong([](json& of) { of["storage"]["values"][0].erase(0); }));
  EXPECT_TRUE(wrong([](json& of) { of["writer_info"]["shard"]["nested"] = json::object(); }));
}

}  // namespace
