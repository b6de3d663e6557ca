// SPDX-License-Identifier: MIT
#include "tape/hessian_cases.hpp"

using namespace hessian_cases;
using D = fw::dual_number<double>;

TEST_CASE("heads that mix, of three counts, which hessian() is given again") {
  const auto model = make_talking<double>();
  check(model, small_loss(), fw::talking_heads<D>{.score_heads = 2, .value_heads = 4});
  CHECK_THROWS_WITH(fw::hessian(model, small_loss()), ContainsSubstring("give hessian() the values that make() was given"));
}

TEST_CASE("everything inside the scores that learns, at once") {
  check(make_learned_scores<double>(), small_loss(), fw::urpe<D>{.longest = 64});
}

TEST_CASE("softcap, a position that is learned, dropout") {
  using capped = fw::language_model<double, fw::learned<double>,
                                    fw::block<double, fw::pre_norm<fw::rms_norm>, fw::attention<double, fw::causal, fw::softcap>,
                                              fw::mlp<double, fw::silu>>>;
  fw::rng random{3};
  const auto model = capped::make({.vocab = 31, .width = 24, .depth = 2, .heads = 3, .dropout = 0.2}, random, fw::softcap{2},
                                  fw::learned<double>{.longest = 9});
  check(model, small_loss(), fw::learned<D>{.longest = 9});
}

TEST_CASE("positions that lie beside the scores: vectors by distance, distances that leak") {
  using layer = fw::block<double, fw::attention<double, fw::causal, fw::shaw<double>>, fw::mlp<double, fw::silu>>;
  using other = fw::block<double, fw::attention<double, fw::causal, fw::leaky_re_rope<>>, fw::mlp<double, fw::silu>>;
  fw::rng random{5};
  const auto model = fw::language_model<double, layer, other>::make(
      {.vocab = 31, .width = 24, .depth = 2, .heads = 3, .pattern = {0, 1}}, random, fw::shaw<double>{.longest = 2},
      fw::leaky_re_rope<>{.window = 2, .step = 3});
  check(model, small_loss(), fw::shaw<D>{.longest = 2});
}
