// What a map of a job is known by. Each part is changed alone: the next start names this part, and
// no other, and what was achieved stays for whoever changes it back.

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cfenv>
#include <clocale>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <locale>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "journal/folder.hpp"
#include "journal/map_note.hpp"
#include "process/starts.hpp"
#include "refusal.hpp"
#include "shard/shard.hpp"

namespace {

using shard_test::content_of;
using shard_test::mentions;
using shard_test::refusal;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

namespace fs = std::filesystem;

const shard::job_options quick{.checkpoint = shard::seconds{}, .maps = {.workers = 2}};

// One of the program's constants. A copy of the program that has another one is another program.
[[gnu::used]] const char build[] = "build 1 of the program in job_identity_test";

// A function of a library; null: the library is not loaded.
int (*of_library)(std::size_t) = nullptr;

// What a refusal says has changed, with "; " between two parts.
std::string changes(const std::string& message) {
  const std::string before = "that it is another one: ";
  const std::size_t first = message.find(before);
  const std::size_t last = message.find(", expected the map of the earlier start");
  if (first == std::string::npos || last == std::string::npos) {
    ADD_FAILURE() << '"' << message << "\" does not say what has changed";
    return {};
  }
  return message.substr(first + before.size(), last - first - before.size());
}

class JobIdentity : public shard_test::starts {
 protected:
  static constexpr std::size_t chunks = 20;

  // A map that depends on nothing but what each map depends on. Returns how many chunks an earlier
  // start has done.
  std::size_t run() const {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", chunks);
    return job
        .map({.grain = 1}, out,
             [](std::size_t i) {
               return of_library != nullptr ? of_library(i) : static_cast<double>(i) / 3;
             })
        .counts()
        .carried_over;
  }
  // How a start is refused that has changed something in its own process.
  template <class Change>
  std::string changes_after(Change change) const {
    return changes(refusal_of_a_start([&] {
      change();
      run();
    }));
  }
  template <class Change>
  void expect_no_difference_after(Change change) const {
    must_succeed([&] {
      change();
      return run() == chunks;
    });
  }
};

// ---- Arithmetic ----

TEST_F(JobIdentity, NamesTheModeOfRounding) {
  run();
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    EXPECT_THAT(
        changes_after([&] { std::fesetround(mode); }),
        AllOf(StartsWith("arithmetic has changed: "), Not(HasSubstr("; ")),
              HasSubstr("rounding mode " + std::to_string(FE_TONEAREST) + ", locale C then"),
              HasSubstr("rounding mode " + std::to_string(mode) + ", locale C now")));
  }
  expect_no_difference_after([] { std::fesetround(FE_TONEAREST); });
}

TEST_F(JobIdentity, NamesThatSubnormalNumbersAreTakenForZeros) {
#if defined(__x86_64__)
  run();
  for (const unsigned flag : {0x8000U, 0x40U}) {  // of results, and of operands
    EXPECT_THAT(changes_after([&] { _mm_setcsr(_mm_getcsr() | flag); }),
                AllOf(StartsWith("arithmetic has changed: "), Not(HasSubstr("; ")),
                      HasSubstr(", flushes denormals to zero, locale C now")));
  }
  expect_no_difference_after([] {});
#else
  GTEST_SKIP() << "the mode is set in this way on x86-64 only";
#endif
}

TEST_F(JobIdentity, NamesTheLocale) {
  const char* const other = "C.UTF-8";
  if (!shard_test::holds_in_a_child([&] { return std::setlocale(LC_ALL, other) != nullptr; })) {
    GTEST_SKIP() << "this machine has no locale " << other;
  }
  run();
  for (const int category : {LC_NUMERIC, LC_COLLATE, LC_CTYPE}) {
    EXPECT_THAT(changes_after([&] { std::setlocale(category, other); }),
                AllOf(StartsWith("arithmetic has changed: "), Not(HasSubstr("; ")),
                      HasSubstr("locale C then"), HasSubstr(std::string("=") + other)));
  }
  EXPECT_THAT(changes_after([&] { std::locale::global(std::locale(other)); }),
              AllOf(StartsWith("arithmetic has changed: "), Not(HasSubstr("; ")),
                    HasSubstr("locale C then"), HasSubstr(std::string("locale ") + other)));
  // The environment is no locale before the program asks for it.
  expect_no_difference_after([&] { setenv("LC_ALL", other, 1); });
}

// Streams use it, and the C library does not know of it.
TEST_F(JobIdentity, NamesALocaleThatOnlyStreamsHave) {
  struct comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
  };
  run();
  EXPECT_THAT(
      changes_after([] { std::locale::global(std::locale(std::locale::classic(), new comma)); }),
      AllOf(StartsWith("arithmetic has changed: "), Not(HasSubstr("; ")),
            HasSubstr("locale C then"), HasSubstr("locale C, of streams * now")));
}

// ---- Code ----

// This test in a copy of this program, which works in `place`. Returns what it prints.
std::string run_copy(const fs::path& program, const fs::path& place) {
  const fs::path output = program.string() + ".out";
  const std::string command = "JOB_IDENTITY_PLACE='" + place.string() + "' '" + program.string() +
                              "' --gtest_filter=JobIdentity.NamesTheProgram >'" + output.string() +
                              "' 2>&1";
  static_cast<void>(!std::system(command.c_str()));
  return content_of(output);
}

void replace_everywhere(std::string& in, const std::string& what, const std::string& by) {
  for (std::size_t at = 0; (at = in.find(what, at)) != std::string::npos; at += by.size()) {
    in.replace(at, what.size(), by);
  }
}

TEST_F(JobIdentity, NamesTheProgram) {
  if (const char* const place = std::getenv("JOB_IDENTITY_PLACE")) {
    shard::job job(place, quick);
    auto out = job.create<double>("out.npy", chunks);
    std::cout << refusal([&] {
      const auto told = job.map(out, [](std::size_t i) { return static_cast<double>(i); });
      std::cout << "carried over: " << told.counts().carried_over << '\n';
    }) << std::endl;
    return;
  }
  const fs::path program = here_ / "program";
  fs::copy_file("/proc/self/exe", program);
  EXPECT_THAT(run_copy(program, place_), HasSubstr("carried over: 0\n"));
  EXPECT_THAT(run_copy(program, place_), Not(HasSubstr("carried over: 0\n")));

  const std::string one = content_of(program);
  std::string two = one;
  std::string other_build = build;
  other_build.replace(other_build.find('1'), 1, "2");
  replace_everywhere(two, build, other_build);
  ASSERT_NE(two, one);
  std::ofstream(program, std::ios::binary) << two;
  EXPECT_THAT(changes(run_copy(program, place_)),
              AllOf(StartsWith("program has changed: code "), HasSubstr(" then, code "),
                    Not(HasSubstr("; "))));
  std::ofstream(program, std::ios::binary) << one;
  EXPECT_THAT(run_copy(program, place_),
              AllOf(HasSubstr("carried over: "), Not(HasSubstr("carried over: 0\n"))));
}

class JobLibraries : public JobIdentity {
 protected:
  void SetUp() override {
    JobIdentity::SetUp();
    for (const fs::path& each : {two_, three_, elsewhere_})
      fs::create_directories(each.parent_path());
    fs::copy_file(SPAWNED_KERNELS, two_);
    fs::copy_file(SPAWNED_KERNELS, elsewhere_);
    fs::copy_file(OTHER_SPAWNED_KERNELS, three_);
  }
  static void load(const fs::path& library) {
    void* const loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (loaded == nullptr) throw std::runtime_error(dlerror());
    of_library = reinterpret_cast<int (*)(std::size_t)>(dlsym(loaded, "kernel"));
  }

  const fs::path two_ = here_ / "two/libfactor.so";
  const fs::path three_ = here_ / "three/libfactor.so";
  const fs::path elsewhere_ = here_ / "elsewhere/libfactor.so";
};

TEST_F(JobLibraries, OfAnotherBuildAreNamed) {
  must_succeed([&] { return load(two_), run() == 0; });
  EXPECT_THAT(changes_after([&] { load(three_); }),
              AllOf(StartsWith("library libfactor.so has changed: code "),
                    HasSubstr(" then, code "), Not(HasSubstr("; "))));
  expect_no_difference_after([&] { load(two_); });
  EXPECT_EQ(shard::open<double>(place_ / "out.npy")[7], 14.0);
}

TEST_F(JobLibraries, ThatAreNewOrMissingAreNamed) {
  must_succeed([&] { return run() == 0; });
  EXPECT_EQ(changes_after([&] { load(two_); }), "library libfactor.so is new");
  fs::remove_all(place_);
  must_succeed([&] { return load(two_), run() == 0; });
  EXPECT_EQ(changes_after([] {}), "library libfactor.so is missing");
}

// Debug information and the id of the build tell nothing about what a library computes.
TEST_F(JobLibraries, AreTheSameFromAnotherFolderAndWithAnotherBuildId) {
  must_succeed([&] { return load(two_), run() == 0; });
  std::string bytes = content_of(elsewhere_);
  const std::string note("\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0", 16);  // of an id of 20 bytes
  const std::size_t at = bytes.find(note);
  ASSERT_NE(at, std::string::npos);
  bytes[at + note.size()] = static_cast<char>(bytes[at + note.size()] ^ 1);
  std::ofstream(elsewhere_, std::ios::binary) << bytes;
  expect_no_difference_after([&] { load(elsewhere_); });
}

// The kernel is a function of a library which was not loaded when the job was opened.
TEST_F(JobLibraries, ThatHaveTheKernelAreNamedWheneverTheyWereLoaded) {
  const auto steps = [&](const fs::path& library) {
    shard::job job(place_, quick);
    auto out = job.create<int>("out.npy", chunks);
    load(library);
    return job.map({.grain = 1}, out, of_library).counts().carried_over;
  };
  must_succeed([&] { return steps(two_) == 0; });
  must_succeed([&] { return steps(elsewhere_) == chunks; });
  EXPECT_THAT(changes(refusal_of_a_start([&] { steps(three_); })),
              AllOf(StartsWith("library libfactor.so has changed: code "), Not(HasSubstr("; "))));
}

// ---- Inputs ----

TEST_F(JobIdentity, NamesAnInputInMemoryByItsContent) {
  const auto steps = [&](double seventh) {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", chunks);
    shard::buffer<double> x(chunks);
    x[7] = seventh;
    return job
        .map({.grain = 1}, out, shard::in(x),
             [](std::size_t i, shard::view<double> from) { return from[i] * 2; })
        .counts()
        .carried_over;
  };
  EXPECT_EQ(steps(1.5), 0U);
  EXPECT_THAT(changes(refusal([&] { steps(2.5); })),
              AllOf(StartsWith("input 1 has other contents ("), HasSubstr("20 rows"),
                    Not(HasSubstr("; "))));
  EXPECT_EQ(steps(1.5), chunks);
}

TEST_F(JobIdentity, NamesAnInputThatAnotherMapHasWritten) {
  const auto steps = [&](bool first) {
    shard::job job(place_, quick);
    auto a = job.create<double>("a.npy", chunks);
    auto b = job.create<double>("b.npy", chunks);
    auto out = job.create<double>("out.npy", chunks);
    for (auto* const to : {&a, &b}) job.map(*to, [](std::size_t i) { return std::sqrt(i); });
    return job
        .map({.grain = 1}, out, shard::in(first ? a : b),
             [](std::size_t i, shard::view<double> from) { return from[i] * 2; })
        .counts()
        .carried_over;
  };
  EXPECT_EQ(steps(true), 0U);
  EXPECT_EQ(changes(refusal([&] { steps(false); })),
            "input 1 has changed: a.npy, written by map 1 then, b.npy, written by map 2 now");
  EXPECT_EQ(steps(true), chunks);
}

// ---- All parts ----

// The note of an earlier start is changed, as if this start were the one that differs: on another
// machine, say.
class JobNote : public JobIdentity {
 protected:
  void SetUp() override {
    JobIdentity::SetUp();
    auto x = shard::create<double>(here_ / "x.npy", chunks);
    x.finish();
    EXPECT_EQ(run_all(), 0U);
  }
  // A map that has a part of each kind.
  std::size_t run_all() const {
    shard::job job(place_, quick);
    auto out = job.create<double>("out.npy", chunks);
    const auto x = shard::open<double>(here_ / "x.npy");
    shard::sum<double> total;
    return job
        .map({.grain = 1}, out, shard::in(x), shard::value(3.0), shard::reduce(total),
             [](std::size_t i, shard::view<double> from, double by, auto& all) {
               all += from[i];
               return from[i] * by;
             })
        .counts()
        .carried_over;
  }
  template <class Change>
  void change(Change change) const {
    const shard::journal::folder in(place_, shard::journal::survives::processes, false);
    auto note = shard::journal::map_note::from(in.read_text(name).value(), name);
    change(note.what.traits());
    in.replace_text(name, note.json());
  }
  std::vector<shard::journal::trait> traits() const {
    std::vector<shard::journal::trait> all;
    change([&](auto& found) { all = found; });
    return all;
  }

  static constexpr const char* name = "1.map.json";
};

TEST_F(JobNote, HasAllThatAMapDependsOn) {
  std::vector<std::string> names;
  for (const auto& each : traits()) {
    if (!each.name.starts_with("library ")) names.push_back(each.name);
  }
  EXPECT_THAT(names,
              testing::ElementsAre("kernel", "argument 1", "argument 2", "argument 3", "plan",
                                   "states of reducers", "input 1", "program", "arithmetic"));
}

// As the kernel lists them, of those that change how libraries compute.
[[maybe_unused]] std::string vector_extensions() {
  std::ifstream file("/proc/cpuinfo");
  std::string flags;
  while (std::getline(file, flags) && !flags.starts_with("flags")) {
  }
  std::string all;
  for (const char* const each : {"fma", "avx", "avx2", "avx512f"}) {
    if ((flags + " ").find(std::string(" ") + each + " ") == std::string::npos) continue;
    all += (all.empty() ? "" : " ") + std::string(each);
  }
  return all.empty() ? "no vector extensions" : all;
}

TEST_F(JobNote, OfAnotherMachineIsNamedByItsVectorExtensions) {
  change([](auto& all) {
    std::string& value = all.back().value;
    EXPECT_EQ(all.back().name, "arithmetic");
#if defined(__x86_64__)
    EXPECT_THAT(value, StartsWith(vector_extensions() + ", rounding"));
#endif
    value = "avx1024" + value.substr(value.find(", rounding"));
  });
  EXPECT_THAT(changes(refusal([&] { run_all(); })),
              AllOf(StartsWith("arithmetic has changed: avx1024, rounding mode 0, locale C then, "),
                    Not(HasSubstr("; "))));
}

TEST_F(JobNote, OfAnotherMapIsNamedByThePartThatDiffers) {
  const auto before = traits();
  for (std::size_t k = 0; k < before.size(); ++k) {
    SCOPED_TRACE(before[k].name);
    change([&](auto& all) {
      all[k].value += "?";
      all[k].stamp += "?";  // so that the file is looked into
    });
    EXPECT_THAT(changes(refusal([&] { run_all(); })),
                AllOf(StartsWith(before[k].name + " has "), Not(HasSubstr("; "))));
    change([&](auto& all) { all.erase(all.begin() + static_cast<std::ptrdiff_t>(k)); });
    EXPECT_EQ(changes(refusal([&] { run_all(); })), before[k].name + " is new");
    change([&](auto& all) {
      all = before;
      all.push_back({.name = "part 99", .value = "x"});
    });
    EXPECT_EQ(changes(refusal([&] { run_all(); })), "part 99 is missing");
    change([&](auto& all) { all = before; });
  }
  EXPECT_EQ(run_all(), chunks);
}

}  // namespace
