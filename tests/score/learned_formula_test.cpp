// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/position.hpp>
#include <formwork/score.hpp>

#include "laws/learned_laws.hpp"
#include "laws/mixer_laws.hpp"
#include "laws/score_laws.hpp"
#include "oracle/attend.hpp"

namespace fw = formwork;
using fw::Index;
using oracle::learned_tanh;

namespace {

/// Reads all that a site has, with a constant of its own.
struct fading {
  static constexpr std::array start = {0.5};
  double pace = 0.1;
  template <class T>
  T operator()(T score, fw::score_site<T> at) const {
    return score - at.learned[0] * T(pace * static_cast<double>(1 + at.head)) * log1p(abs(at.distance));
  }
};

template <class S>
using learning = fw::attention<S, fw::causal, fw::learned_formula<S, learned_tanh>>;
template <class S>
using grouped_learning = fw::attention<S, fw::sliding_window, fw::grouped, fw::rope<>, fw::learned_formula<S, fading>>;
template <class S>
using talking_learning = fw::attention<S, fw::causal, fw::talking_heads<S>, fw::learned_formula<S, learned_tanh>, fw::alibi>;
const fw::sizes sizes{.width = 24, .heads = 4}, shared{.width = 24, .heads = 4, .key_heads = 2};

}  // namespace

TEST_CASE("a learned formula keeps the laws of scores") {
  fw::matrix<float> f(4, 2, 3.0f);
  fw::matrix<double> d(4, 2, 3.0);
  laws::lanes_agree<float>(fw::formula_of_numbers<float, learned_tanh>{{}, f});
  laws::lanes_agree<double>(fw::formula_of_numbers<double, learned_tanh>{{}, d});
  laws::slope_is_right(fw::formula_of_numbers<double, learned_tanh>{{}, d});
  laws::slope_is_right(fw::formula_of_numbers<double, fading>{{}, d});
}

TEST_CASE("attention with a learned formula keeps the laws of mixers") {
  laws::alone_as_in_a_batch<learning<float>>(sizes);
  laws::any_split_equals_the_parallel_form<learning<float>>(sizes);
  laws::any_split_equals_the_parallel_form<talking_learning<float>>(sizes);
  laws::a_moved_layer_gets_its_gradients<learning<float>>(sizes);
}

TEST_CASE("a learned formula gets its gradients, on every kind of heads") {
  laws::gradients_are_right<learning<double>>(sizes);
  laws::gradients_are_right<grouped_learning<double>>(shared);
  laws::gradients_are_right<talking_learning<double>>(sizes);
}

TEST_CASE("a learned formula: bits of the gradients do not depend on the threads, sums of sequences are in order") {
  laws::learned_gradients_are_ordered<learning<float>>(sizes);
  laws::learned_gradients_are_ordered<grouped_learning<double>>(shared);
  laws::learned_gradients_are_ordered<talking_learning<float>>(sizes);
}

TEST_CASE("a learned formula: numbers of the layer are shared by its heads, and their gradients added") {
  fw::rng random{3};
  const auto make = [&](fw::numbers_of whose) {
    random = fw::rng{3};
    return learning<double>::make(fw::builder{.sizes = sizes, .random = random},
                                  fw::learned_formula<double, learned_tanh>{.whose = whose});
  };
  const auto each = make(fw::numbers_of::each_head), all = make(fw::numbers_of::all_heads);
  CHECK(each.score.values.cols() == 4);
  CHECK(all.score.values.cols() == 1);
  CHECK(all.score.values.kind() == fw::role::gain);
  for (const auto* m : {&each, &all}) {
    fw::tape<double> t;
    const auto y = (*m)(t.input(laws::normal_matrix<double>(9, 24, 1)));
    t.backward(fw::sum(fw::multiply(y, y)));
  }
  for (Index i = 0; i < 2; ++i) {
    double total = 0;
    for (Index h = 0; h < 4; ++h) total += each.score.values.gradient()(i, h);
    CHECK(all.score.values.gradient()(i, 0) == Approx(total).epsilon(1e-12));
  }
}

TEST_CASE("a learned formula: frozen numbers get no gradient, and a formula's own constants are values") {
  fw::rng random{3};
  auto m = grouped_learning<double>::make(fw::builder{.sizes = shared, .random = random},
                                          fw::learned_formula<double, fading>{.formula = {.pace = 0.7}});
  CHECK(m.score.formula.pace == 0.7);
  m.score.values.freeze();
  fw::tape<double> t;
  const auto y = m(t.input(laws::normal_matrix<double>(9, 24, 1)));
  t.backward(fw::sum(fw::multiply(y, y)));
  CHECK_FALSE(m.score.values.has_gradient());
  CHECK(m.query.weight.has_gradient());
}
