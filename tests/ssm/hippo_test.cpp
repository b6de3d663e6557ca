// SPDX-License-Identifier: MIT
#include <formwork/ssm/hippo.hpp>

#include <utility>

#include "laws/mixer_laws.hpp"
#include "oracle/linear_memory.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// The mixer with values for its policies, as the laws make it from sizes alone.
template <class S, class Basis, class Discretisation>
struct with_values : fw::hippo<S, Basis, Discretisation> {
  using inner = fw::hippo<S, Basis, Discretisation>;
  static with_values make(const fw::builder& b) {
    if constexpr (std::same_as<Basis, fw::lagt>)
      return {inner::make(b, fw::lagt{.scale = 6}, fw::hippo_sizes{.order = 7})};
    else if constexpr (Basis::scales_with_history)
      return {inner::make(b, fw::hippo_sizes{.order = 7})};
    else
      return {inner::make(b, Basis{.window = 40}, fw::hippo_sizes{.order = 7})};
  }
};

template <class S>
using legs = with_values<S, fw::legs, fw::bilinear>;
template <class S>
using exact_legs = with_values<S, fw::legs, fw::zero_order_hold>;
template <class S>
using legt = with_values<S, fw::legt, fw::zero_order_hold>;
template <class S>
using lagt = with_values<S, fw::lagt, fw::backward_euler>;
template <class S>
using fourier = with_values<S, fw::fourier, fw::bilinear>;

static_assert(fw::mixer<fw::hippo<float, fw::legs>> && fw::mixer<fw::hippo<double, fw::zero_order_hold, fw::legt>>);

const fw::sizes plain{.width = 26};
const fw::sizes biased{.width = 5, .bias = fw::biases::all};

}  // namespace

TEST_CASE("hippo: a sequence has the same bits alone and in a ragged batch") {
  laws::alone_as_in_a_batch<legs<float>>(plain);
  laws::alone_as_in_a_batch<exact_legs<float>>(biased);
  laws::alone_as_in_a_batch<legt<float>>(plain);
  laws::alone_as_in_a_batch<fourier<double>>(biased);
}

TEST_CASE("hippo: prefill in any split, then steps, equals the parallel form") {
  laws::any_split_equals_the_parallel_form<legs<float>>(plain);
  laws::any_split_equals_the_parallel_form<legs<double>>(biased);
  laws::any_split_equals_the_parallel_form<exact_legs<float>>(biased);
  laws::any_split_equals_the_parallel_form<legt<float>>(plain);
  laws::any_split_equals_the_parallel_form<lagt<float>>(biased);
}

TEST_CASE("hippo: nothing sees the future") {
  laws::nothing_sees_the_future<legs<float>>(plain);
  laws::nothing_sees_the_future<exact_legs<double>>(plain);
  laws::nothing_sees_the_future<fourier<float>>(plain);
}

TEST_CASE("hippo: gradients match central differences") {
  laws::gradients_are_right<legs<double>>(biased);
  laws::gradients_are_right<exact_legs<double>>(biased);
  laws::gradients_are_right<legt<double>>(biased);
  laws::gradients_are_right<lagt<double>>(biased);
  laws::gradients_are_right<fourier<double>>(biased);
}

TEST_CASE("hippo: y = (c · x + d u) O with the textbook's x") {
  fw::rng random{3};
  const fw::builder b{.sizes = {.width = 6}, .random = random};
  const auto m = fw::hippo<double, fw::legs>::make(b, fw::hippo_sizes{.order = 9});
  const fw::sequences batch{20, 4};
  const auto u = laws::normal_matrix<double>(24, 6, 1);
  const fw::matrix<double> c(m.readout.value()), d(m.skip.value());
  const auto expected = oracle::linear_memory(u, c, d, u, batch, oracle::steps_of(20, 9, 1.0, fw::legs{}, fw::bilinear{}));
  fw::tape<double> quiet{fw::recording::off};
  const auto y = m(quiet.constant(fw::matrix<double>(u), batch));
  const auto mixed = fw::dense_product(expected.y, m.output.weight.value());
  for (Index i = 0; i < mixed.size(); ++i) CHECK(std::abs(y.value().data()[i] - mixed.data()[i]) < 1e-12);
}

TEST_CASE("hippo: a layer that moves before the backward pass still gets its gradients") {
  laws::a_moved_layer_gets_its_gradients<legs<double>>(plain);
}

TEST_CASE("hippo: the order is sizes.state_width unless given; a frozen parameter gets no gradient") {
  fw::rng random{1};
  auto m = fw::hippo<double, fw::legs>::make(fw::builder{.sizes = {.width = 26, .state_width = 12}, .random = random});
  CHECK(m.readout.rows() == 12);
  CHECK(m.readout.kind() == fw::role::dynamics);
  m.skip.freeze();
  fw::tape<double> t;
  const auto y = m(t.input(laws::normal_matrix<double>(5, 26, 1)));
  t.backward(fw::sum(fw::multiply(y, y)));
  CHECK(m.readout.has_gradient());
  CHECK(!m.skip.has_gradient());
}

TEST_CASE("hippo: what does not fit is refused with a remedy") {
  fw::rng random{1};
  const fw::builder b{.sizes = plain, .random = random};
  CHECK_THROWS_WITH((fw::hippo<float, fw::legt, fw::forward_euler>::make(b, fw::legt{.window = 20})),
                    ContainsSubstring("grows at step 1; needs bilinear"));
  CHECK_NOTHROW(fw::hippo<float, fw::legt, fw::forward_euler>::make(b, fw::legt{.window = 4000}, fw::hippo_sizes{.order = 8}));
  CHECK_THROWS_WITH((fw::hippo<float, fw::fourier>::make(b)), ContainsSubstring("order is 64; needs an odd one"));
  laws::wrong_calls_are_refused<legs<float>>("hippo", plain);
}
