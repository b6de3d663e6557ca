// SPDX-License-Identifier: MIT
#include <formwork/tape.hpp>

#include <string>
#include <variant>
#include <vector>

#include "support/catch.hpp"

namespace fw = formwork;

namespace {
struct leaf {
  fw::parameter<float> weight, bias;
  template <class M>
  static auto fields(M& m) {
    return fw::fields("weight", m.weight, "bias", m.bias);
  }
};
struct tree {
  leaf root;
  std::vector<leaf> branches;
  std::vector<std::variant<leaf, fw::parameter<float>>> mixed;
  template <class M>
  static auto fields(M& m) {
    return fw::fields("root", m.root, "branches", m.branches, "mixed", m.mixed);
  }
};
fw::parameter<float> of(fw::Index rows, fw::Index cols) { return {fw::matrix<float>(rows, cols, 0.f), fw::role::matrix}; }
}  // namespace

TEST_CASE("a walk visits every parameter once, in order, by its path, and skips absent ones") {
  tree t{{of(2, 3), of(1, 3)}, {{of(4, 1), {}}, {of(5, 1), of(1, 1)}}, {}};
  t.mixed.emplace_back(leaf{of(1, 2), {}});
  t.mixed.emplace_back(of(7, 1));
  std::vector<std::string> paths;
  fw::for_each_named_parameter(t, [&](const std::string& path, auto& p) {
    paths.push_back(path + fw::text(" ", p.rows()));
  });
  CHECK(paths == std::vector<std::string>{"root.weight 2", "root.bias 1", "branches.0.weight 4", "branches.1.weight 5",
                                          "branches.1.bias 1", "mixed.0.weight 1", "mixed.1 7"});
  CHECK(fw::parameter_count(t) == 6 + 3 + 4 + 5 + 1 + 2 + 7);
}

TEST_CASE("freezing a module freezes every parameter in it") {
  tree t{{of(2, 3), of(1, 3)}, {{of(4, 1), {}}}, {}};
  fw::freeze(t.branches);
  CHECK(t.branches[0].weight.frozen());
  CHECK_FALSE(t.root.weight.frozen());
  fw::unfreeze(t);
  CHECK_FALSE(t.branches[0].weight.frozen());
}
