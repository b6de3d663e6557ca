// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/feature.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>

#include "laws/feature_laws.hpp"
#include "laws/mixer_laws.hpp"

namespace fw = formwork;

namespace {

/// A map over sequences that holds a number: keys are multiplied by it. Its features are exponentials.
struct multiplied_keys {
  using plugs_into = fw::slot::feature;
  static constexpr fw::turned turns = fw::turned::features;
  double by = 1;

  fw::Index width(fw::Index key_width) const { return key_width; }
  template <fw::real S>
  void forward(fw::view<S> y, fw::view<const S> x, fw::side) const {
    each(y, [&](fw::Index i, fw::Index j) { return std::exp(x(i, j)); });
  }
  template <fw::real S>
  void backward(fw::view<S> dx, fw::view<S> dy, fw::view<const S> y, fw::view<const S>, fw::side) const {
    each(dx, [&](fw::Index i, fw::Index j) { return dy(i, j) * y(i, j); });
  }
  template <fw::real S>
  void over_sequences(fw::view<S> k, fw::Index, const fw::sequences&) const {
    each(k, [&](fw::Index i, fw::Index j) { return k(i, j) * S(by); });
  }
  template <fw::real S>
  void over_sequences_backward(fw::view<S> dk, fw::view<const S>, fw::Index, const fw::sequences&) const {
    each(dk, [&](fw::Index i, fw::Index j) { return dk(i, j) * S(by); });
  }

 private:
  template <fw::real S>
  static void each(fw::view<S> m, auto value) {
    for (fw::Index i = 0; i < m.rows(); ++i)
      for (fw::Index j = 0; j < m.cols(); ++j) m(i, j) = value(i, j);
  }
};

template <class S>
using plain = fw::linear_attention<S, fw::causal>;
template <class S>
using rotary = fw::linear_attention<S, fw::rope<>, fw::causal, fw::exponential>;
template <class S>
using relu = fw::linear_attention<S, fw::causal, fw::relu_plus_epsilon, fw::rope<fw::pairing::interleaved>>;
template <class S>
using cosines = fw::linear_attention<S, fw::causal, fw::one_plus_cos, fw::rope<>>;
template <class S>
using random_features = fw::linear_attention<S, fw::causal, fw::favor<S>, fw::rope<>>;
template <class S>
using taylor = fw::linear_attention<S, fw::taylor_map, fw::causal>;
template <class S>
using over_sequences = fw::linear_attention<S, fw::full, fw::efficient, fw::rope<>>;
template <class S>
using own = fw::linear_attention<S, laws::softplus_feature, fw::causal>;

static_assert(fw::mixer<plain<float>> && fw::mixer<rotary<double>>);

const fw::sizes equal{.width = 24, .heads = 3};
const fw::sizes unequal{.width = 20, .heads = 4, .key_heads = 2, .key_width = 6, .head_width = 7, .bias = fw::biases::all};

}  // namespace

TEST_CASE("linear attention: a sequence has the same bits alone and in a ragged batch, as a layer") {
  laws::alone_as_in_a_batch<plain<float>>(equal);
  laws::alone_as_in_a_batch<rotary<float>>(unequal);
  laws::alone_as_in_a_batch<relu<double>>(unequal);
  laws::alone_as_in_a_batch<own<float>>(unequal);
  laws::alone_as_in_a_batch<fw::linear_attention<double, fw::full, fw::rope<>>>(equal);
  laws::alone_as_in_a_batch<cosines<float>>(unequal);
  laws::alone_as_in_a_batch<random_features<float>>(unequal);
  laws::alone_as_in_a_batch<taylor<float>>(unequal);
  laws::alone_as_in_a_batch<over_sequences<float>>(unequal);
}

TEST_CASE("linear attention: prefill in any split, then steps, equals the parallel form, as a layer") {
  laws::any_split_equals_the_parallel_form<plain<float>>(equal);
  laws::any_split_equals_the_parallel_form<rotary<float>>(unequal);
  laws::any_split_equals_the_parallel_form<relu<double>>(unequal);
  laws::any_split_equals_the_parallel_form<own<double>>(equal);
  laws::any_split_equals_the_parallel_form<cosines<float>>(unequal);
  laws::any_split_equals_the_parallel_form<random_features<float>>(unequal);
  laws::any_split_equals_the_parallel_form<taylor<float>>(unequal);
}

TEST_CASE("linear attention: nothing sees the future") {
  laws::nothing_sees_the_future<plain<float>>(equal);
  laws::nothing_sees_the_future<rotary<double>>(unequal);
  laws::nothing_sees_the_future<relu<float>>(equal);
  laws::nothing_sees_the_future<own<float>>(unequal);
  laws::nothing_sees_the_future<cosines<float>>(unequal);
  laws::nothing_sees_the_future<random_features<float>>(unequal);
  laws::nothing_sees_the_future<taylor<float>>(unequal);
}

TEST_CASE("linear attention: gradients of the layer match central differences") {
  constexpr fw::gradcheck_options short_steps{.step = 2e-5};  // the slopes of elu + 1 have a corner
  laws::gradients_are_right<plain<double>>(equal, short_steps);
  laws::gradients_are_right<rotary<double>>(unequal);
  laws::gradients_are_right<own<double>>(unequal);
  laws::gradients_are_right<cosines<double>>(unequal);
  laws::gradients_are_right<random_features<double>>(unequal);
  laws::gradients_are_right<taylor<double>>(unequal);
  laws::gradients_are_right<over_sequences<double>>(unequal);
  laws::gradients_are_right<fw::linear_attention<double, fw::full, fw::rope<>>>(unequal, short_steps);
}

TEST_CASE("linear attention: the gradients of keys are by the layer's own map over sequences, not by a fresh one") {
  fw::rng random{1};
  auto m = fw::linear_attention<double, fw::full, multiplied_keys>::make(
      fw::builder{.sizes = {.width = 8, .heads = 2}, .random = random}, multiplied_keys{3});
  const auto x = laws::normal_matrix<double>(9, 8, 1), weight = laws::normal_matrix<double>(9, 8, 2);
  const auto report = fw::gradcheck(m, [&](fw::tape<double>& t) {
    return fw::sum(fw::multiply(m(t.constant(fw::matrix<double>(x))), t.constant(fw::matrix<double>(weight))));
  });
  INFO(report);
  CHECK(report);
}

TEST_CASE("linear attention: a layer that moves before the backward pass still gets its gradients") {
  laws::a_moved_layer_gets_its_gradients<rotary<double>>(unequal);
  laws::a_moved_layer_gets_its_gradients<over_sequences<double>>(unequal);
}

TEST_CASE("linear attention: a value given to make reaches its slot") {
  fw::rng random{1};
  const auto m = relu<float>::make(fw::builder{.sizes = equal, .random = random}, fw::relu_plus_epsilon{.epsilon = 0.5},
                                   fw::rope<fw::pairing::interleaved>{.base = 100});
  CHECK(m.feature.epsilon == 0.5);
  CHECK(m.position.base == 100);
}

TEST_CASE("linear attention: favor's directions are a frozen parameter, the layer's own, of the asked number") {
  fw::rng random{1};
  auto m = random_features<float>::make(fw::builder{.sizes = equal, .random = random}, fw::favor<float>{.features = 48});
  CHECK(m.feature.directions.cols() == 48);
  fw::Index frozen = 0;
  fw::for_each_named_parameter(m, [&](const std::string& path, const auto& p) {
    CHECK(p.frozen() == (path == "feature.directions"));
    frozen += p.frozen();
  });
  CHECK(frozen == 1);
}

TEST_CASE("linear attention: without a rotary position a state takes the same memory whatever its capacity") {
  fw::rng random{1};
  const auto m = plain<float>::make(fw::builder{.sizes = equal, .random = random});
  const auto memory_of = [&](fw::Index capacity) {
    const auto before = fw::pool::instance().statistics().in_use;
    const auto state = m.make_state({.sequences = 2, .capacity = capacity});
    return fw::pool::instance().statistics().in_use - before;
  };
  CHECK(memory_of(10) == memory_of(1'000'000'000));
}

TEST_CASE("linear attention: sizes and shapes that do not fit are refused with a remedy") {
  fw::rng random{1};
  CHECK_THROWS_WITH(plain<float>::make(fw::builder{.sizes = {.width = 24, .heads = 5}, .random = random}),
                    ContainsSubstring("attention: width 24 is not divisible by heads 5"));
  CHECK_THROWS_WITH(plain<float>::make(fw::builder{.sizes = {.width = 24, .heads = 4, .key_heads = 3}, .random = random}),
                    ContainsSubstring("heads 4 is not divisible by key_heads 3"));
  laws::wrong_calls_are_refused<plain<float>>("linear_attention", equal);
  const auto a = laws::make_mixer<plain<float>>(equal);
  auto state = a.make_state({.sequences = 1, .capacity = 2});
  fw::tape<float> quiet{fw::recording::off};
  CHECK_THROWS_WITH(a(quiet.constant(fw::matrix<float>(3, 24, 1.f)), state), ContainsSubstring("larger capacity"));
}
