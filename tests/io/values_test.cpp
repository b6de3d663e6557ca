// SPDX-License-Identifier: MIT
#include <formwork/io/values.hpp>

#include "io/scratch_folder.hpp"
#include "support/catch.hpp"

#include <bit>
#include <cmath>

namespace fw = formwork;
using fw::Index;

namespace {

enum class colour { red, green = 7 };

struct inner {
  std::string text = {};
  bool flag = false;
  colour shade = colour::red;
  template <class M>
  static auto fields(M& m) {
    return fw::fields("text", m.text, "flag", m.flag, "shade", m.shade);
  }
};

struct run {
  Index step = 0;
  std::uint64_t seed = 0;
  int small = 0;
  double rate = 0;
  float factor = 0;
  fw::rng data = fw::rng();
  std::vector<double> losses = {};
  std::vector<int> pattern = {};
  std::vector<std::string> files = {};
  std::vector<inner> several = {};
  inner one = {};
  template <class M>
  static auto fields(M& m) {
    return fw::fields("step", m.step, "seed", m.seed, "small", m.small, "rate", m.rate, "factor", m.factor, "data",
                      m.data, "losses", m.losses, "pattern", m.pattern, "files", m.files, "several", m.several, "one",
                      m.one);
  }
};

template <class T>
void save(const std::string& path, const T& value) {
  fw::safetensors_writer out;
  fw::add_value(out, "state", value);
  out.save(path);
}
template <class T>
void load(const std::string& path, T& value) {
  const auto file = fw::safetensors_file::read(path);
  std::vector<std::function<void()>> then;
  fw::read_value(file, "state", value, then);
  for (const auto& assign : then) assign();
}

}  // namespace

TEST_CASE("Every kind of value comes back with the same bits") {
  const scratch_folder folder;
  run before{.step = -5,
             .seed = ~std::uint64_t(0),
             .small = -1,
             .rate = 0.1,
             .factor = 0.1f,
             .data = fw::rng(7),
             .losses = {1.0 / 3, NAN, -0.0},
             .pattern = {0, 0, 1},
             .files = {"a", "", "latin \xE9", "nul \0 inside"},
             .several = {{"x", true, colour::green}, {}},
             .one = {"é\n", true, colour::green}};
  for (int i = 0; i < 5; ++i) (void)before.data.normal();
  save(folder.path("run"), before);
  run after{.losses = {9, 9, 9, 9}, .files = {"gone"}};
  load(folder.path("run"), after);
  CHECK(after.step == before.step);
  CHECK(after.seed == before.seed);
  CHECK(after.small == before.small);
  CHECK(after.rate == before.rate);
  CHECK(after.factor == before.factor);
  CHECK(after.data.save() == before.data.save());
  CHECK(after.data.normal() == before.data.normal());
  REQUIRE(after.losses.size() == 3);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(std::bit_cast<std::uint64_t>(after.losses[i]) == std::bit_cast<std::uint64_t>(before.losses[i]));
  CHECK(after.pattern == before.pattern);
  CHECK(after.files == before.files);
  REQUIRE(after.several.size() == 2);
  CHECK((after.several[0].text == "x" && after.several[0].flag && after.several[0].shade == colour::green));
  CHECK((after.several[1].text.empty() && !after.several[1].flag && after.several[1].shade == colour::red));
  CHECK((after.one.text == "é\n" && after.one.flag && after.one.shade == colour::green));
}

TEST_CASE("A value that is missing or does not fit is refused and nothing changes") {
  const scratch_folder folder;
  inner kept{"kept", true, colour::green};
  save(folder.path("value"), run{});
  CHECK_THROWS_WITH(load(folder.path("value"), kept), ContainsSubstring("has no tensor \"state.text\""));
  std::int8_t narrow = 3;
  save(folder.path("value"), Index(300));
  CHECK_THROWS_WITH(load(folder.path("value"), narrow), ContainsSubstring("holds 300; needs whole numbers of 8 bits"));
  save(folder.path("value"), std::vector<double>{1, 2});
  double one = 3;
  CHECK_THROWS_WITH(load(folder.path("value"), one), ContainsSubstring("has 2 numbers; needs 1"));
  Index whole = 3;
  save(folder.path("value"), 1.5);
  CHECK_THROWS_WITH(load(folder.path("value"), whole), ContainsSubstring("is F64; needs whole numbers"));
  fw::rng random(1);
  save(folder.path("value"), std::vector<std::uint64_t>{1, 2, 3});
  CHECK_THROWS_WITH(load(folder.path("value"), random), ContainsSubstring("has 3 numbers; needs 2"));
  CHECK((kept.text == "kept" && narrow == 3 && one == 3 && whole == 3 && random.save() == fw::rng(1).save()));
  std::vector<std::string> texts{"kept"};
  for (const Index count : {Index(-1), Index(1) << 60}) {
    fw::safetensors_writer out;
    out.add("state.count", std::vector<std::int64_t>{count}, {});
    out.save(folder.path("value"));
    CHECK_THROWS_WITH(load(folder.path("value"), texts), ContainsSubstring("needs 0 .. 1"));
  }
  CHECK(texts == std::vector<std::string>{"kept"});
}
