// SPDX-License-Identifier: MIT
#include <formwork/tape.hpp>

#include <variant>
#include <vector>

#include "support/catch.hpp"

namespace fw = formwork;

namespace {

struct cap {
  using plugs_into = fw::slot::score;
  double height = 1;
};
struct window {
  using plugs_into = fw::slot::mask;
  int width = 1;
};

struct capped {
  fw::parameter<float> weight = {};
  cap score = {};
  window mask = {};
  template <class M>
  static auto slots(M& m) {
    return std::tie(m.score, m.mask);
  }
  template <class M>
  static auto fields(M& m) {
    return fw::fields("weight", m.weight);
  }
};
struct without_slots {
  fw::parameter<float> weight = {};
  template <class M>
  static auto fields(M& m) {
    return fw::fields("weight", m.weight);
  }
};
/// As a user composes a model of their own: a range, kinds in run-time order, and a layer.
struct own_model {
  std::vector<capped> several = std::vector<capped>(3);
  std::vector<std::variant<without_slots, capped>> kinds;
  capped last;
  template <class M>
  static auto fields(M& m) {
    return fw::fields("several", m.several, "kinds", m.kinds, "last", m.last);
  }
};

}  // namespace

TEST_CASE("assign reaches every slot of the value's type, wherever it is, and no other") {
  own_model m;
  m.kinds.emplace_back(without_slots{});
  m.kinds.emplace_back(capped{});
  fw::assign(m, cap{.height = 20});
  for (const capped& one : m.several) CHECK(one.score.height == 20);
  CHECK(std::get<capped>(m.kinds[1]).score.height == 20);
  CHECK(m.last.score.height == 20);
  CHECK(m.last.mask.width == 1);
  fw::assign(m.last, window{.width = 7});
  CHECK(m.last.mask.width == 7);
  CHECK(m.several[0].mask.width == 1);
}

TEST_CASE("has_slot tells what can be assigned") {
  STATIC_REQUIRE(fw::has_slot<cap, own_model>());
  STATIC_REQUIRE(fw::has_slot<window, capped>());
  STATIC_REQUIRE_FALSE(fw::has_slot<cap, without_slots>());
  STATIC_REQUIRE_FALSE(fw::has_slot<double, own_model>());
}
