// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>

#include "laws/learned_laws.hpp"
#include "laws/scale_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using warm = fw::attention<S, fw::causal, fw::temperature<S, fw::log_n>>;
template <class S>
using warm_cosine = fw::attention<S, fw::causal, fw::rope<>, fw::grouped, fw::temperature<S, fw::cosine>>;
template <class S>
using talking = fw::attention<S, fw::causal, fw::rope<>, fw::talking_heads<S>, fw::temperature<S>>;
const fw::sizes sizes{.width = 24, .heads = 4}, shared{.width = 24, .heads = 4, .key_heads = 2};

/// With temperatures that differ from 1 and from one another.
template <class M>
M warmed(M m) {
  for (Index h = 0; h < m.scale.logarithms.cols(); ++h)
    m.scale.logarithms.value()(0, h) = static_cast<typename M::scalar>(0.3 * static_cast<double>(h) - 0.4);
  return m;
}
template <class M>
auto output_of(const M& m, Index rows = 40) {
  fw::tape<double> quiet{fw::recording::off};
  return fw::matrix<double>(m(quiet.constant(laws::normal_matrix<double>(rows, 24, 1))).value());
}

}  // namespace

TEST_CASE("temperature keeps the laws of scales") {
  laws::finite_and_not_negative(fw::temperature<double>{});
  laws::finite_and_not_negative(fw::temperature<float, fw::log_n>{});
}

TEST_CASE("temperature starts as its base, and exp(θ) then multiplies the scores of its head") {
  const auto plain = laws::make_mixer<fw::attention<double, fw::causal, fw::log_n>>(sizes);
  auto m = laws::make_mixer<warm<double>>(sizes);
  CHECK(laws::same_bits(output_of(m), output_of(plain)));
  CHECK(m.scale.logarithms.kind() == fw::role::gain);

  m = warmed(std::move(m));
  auto wider = laws::make_mixer<fw::attention<double, fw::causal, fw::log_n>>(sizes);
  for (Index i = 0; i < 24; ++i)
    for (Index j = 0; j < 24; ++j) wider.query.weight.value()(i, j) *= std::exp(m.scale.logarithms.value()(0, j / 6));
  CHECK(checks::largest_error(output_of(m), output_of(wider)) <= 1e-14);
}

TEST_CASE("attention with a temperature keeps the laws of mixers") {
  laws::alone_as_in_a_batch<warm_cosine<float>>(shared);
  laws::any_split_equals_the_parallel_form<warm_cosine<float>>(shared);
  laws::a_moved_layer_gets_its_gradients<warm<float>>(sizes);
}

TEST_CASE("a temperature gets its gradients, on every kind of heads") {
  laws::gradients_are_right<warm<double>>(sizes);
  laws::gradients_are_right<warm_cosine<double>>(shared);
  laws::gradients_are_right<talking<double>>(sizes);
  laws::learned_gradients_are_ordered<warm_cosine<float>>(shared);
  // Talking heads of other counts have a temperature for every query head.
  fw::rng random{1};
  const auto m = talking<double>::make(
      fw::builder{.sizes = {.width = 24, .heads = 4, .key_width = 6, .head_width = 6}, .random = random},
      fw::talking_heads<double>{.score_heads = 3});
  CHECK(m.scale.logarithms.cols() == 3);
}
