// SPDX-License-Identifier: MIT
#include <formwork/core/slot.hpp>

#include "support/catch.hpp"

namespace fw = formwork;

namespace {

struct one_mask {
  using plugs_into = fw::slot::mask;
  int width = 1;
};
struct other_mask {
  using plugs_into = fw::slot::mask;
};
struct one_scale {
  using plugs_into = fw::slot::scale;
  double factor = 1;
};
struct no_policy {};
struct immovable {
  using plugs_into = fw::slot::mask;
  immovable(const immovable&) = delete;
};

}  // namespace

TEST_CASE("a policy is copyable and names its slot") {
  STATIC_REQUIRE(fw::policy<one_mask>);
  STATIC_REQUIRE_FALSE(fw::policy<no_policy>);
  STATIC_REQUIRE_FALSE(fw::policy<immovable>);
}

TEST_CASE("pick finds a slot's policy anywhere in the list, or the default") {
  STATIC_REQUIRE(std::is_same_v<fw::pick_t<fw::slot::mask, void, one_scale, one_mask>, one_mask>);
  STATIC_REQUIRE(std::is_same_v<fw::pick_t<fw::slot::mask, void, one_mask, one_scale>, one_mask>);
  STATIC_REQUIRE(std::is_same_v<fw::pick_t<fw::slot::norm, int, one_mask, one_scale>, int>);
  STATIC_REQUIRE(std::is_same_v<fw::pick_t<fw::slot::norm, int>, int>);
}

TEST_CASE("policies_for counts the policies of a slot") {
  STATIC_REQUIRE(fw::policies_for<fw::slot::mask, one_mask, one_scale, other_mask> == 2);
  STATIC_REQUIRE(fw::policies_for<fw::slot::norm, one_mask> == 0);
  STATIC_REQUIRE(fw::policies_for<fw::slot::norm> == 0);
}

TEST_CASE("fits_one_of knows the slots that a list has") {
  STATIC_REQUIRE(fw::fits_one_of<one_mask, fw::slot::norm, fw::slot::mask>);
  STATIC_REQUIRE_FALSE(fw::fits_one_of<one_mask, fw::slot::norm, fw::slot::scale>);
}

TEST_CASE("all_for lists a slot's policies in their order") {
  STATIC_REQUIRE(std::is_same_v<fw::all_for<fw::slot::mask, other_mask, one_scale, one_mask>, std::tuple<other_mask, one_mask>>);
  STATIC_REQUIRE(std::is_same_v<fw::all_for<fw::slot::norm, one_mask>, std::tuple<>>);
  STATIC_REQUIRE(std::is_same_v<fw::all_for<fw::slot::norm>, std::tuple<>>);
}

TEST_CASE("assign_value fills every target of exactly its type") {
  one_mask a, b;
  one_scale s;
  fw::assign_value(one_mask{.width = 5}, a, s, b);
  CHECK(a.width == 5);
  CHECK(b.width == 5);
  CHECK(s.factor == 1);
}
