// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/observer.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include "laws/cross_mixer_laws.hpp"
#include "oracle/talking_heads.hpp"

namespace fw = formwork;
using fw::Index;

template <class S>
using plain = fw::cross_attention<S>;
template <class S>
using shared = fw::cross_attention<S, fw::softcap, fw::log_n, fw::grouped>;
template <class S>
using learned = fw::cross_attention<S, fw::temperature<S, fw::cosine>, fw::sigmoid_weights>;

static_assert(fw::cross_mixer<plain<float>> && fw::cross_mixer<shared<double>>);
static_assert(!fw::mixer<plain<float>>);

namespace {

const fw::sizes equal{.width = 24, .heads = 3};
const fw::sizes unequal{.width = 20, .heads = 4, .key_heads = 2, .key_width = 6, .head_width = 7, .bias = fw::biases::all};
const fw::sizes talked{.width = 20, .heads = 4, .key_width = 6, .head_width = 7, .bias = fw::biases::all};

/// 2 heads of queries and keys, 4 of weights, 3 of values; the mixing matrices away from their start.
template <class S>
struct talking : fw::cross_attention<S, fw::talking_heads<S>> {
  using base = fw::cross_attention<S, fw::talking_heads<S>>;
  static talking make(const fw::builder& b) {
    talking m{base::make(b, fw::talking_heads<S>{.score_heads = 2, .value_heads = 3})};
    b.random.fill_normal(m.heads.score_mix.value(), 0.7);
    b.random.fill_normal(m.heads.weight_mix.value(), 0.7);
    return m;
  }
};

/// x W + b in loops.
template <class Layer>
fw::matrix<double> projected(fw::view<const double> x, const Layer& by) {
  fw::matrix<double> y(x.rows(), by.out());
  for (Index i = 0; i < x.rows(); ++i)
    for (Index j = 0; j < by.out(); ++j) {
      y(i, j) = by.bias ? static_cast<double>(by.bias.value()(0, j)) : 0.0;
      for (Index c = 0; c < by.in(); ++c) y(i, j) += x(i, c) * static_cast<double>(by.weight.value()(c, j));
    }
  return y;
}

/// The largest difference from the formula in loops, given the oracle of its heads.
template <class M, class Attended>
double error_beside(const fw::sizes& sizes, Attended attended) {
  const M m = laws::make_mixer<M>(sizes);
  const laws::two_texts<double> texts(sizes.width);
  fw::tape<double> quiet{fw::recording::off};
  const auto y = m(quiet.constant(fw::matrix<double>(texts.x), texts.rows),
                   quiet.constant(fw::matrix<double>(texts.memory), texts.memory_rows));
  const auto out = attended(m, projected(texts.x, m.query), projected(texts.memory, m.key), projected(texts.memory, m.value), texts);
  const fw::matrix<double> expected = projected(out, m.output);
  return (fw::eigen(y.value()) - fw::eigen(expected)).cwiseAbs().maxCoeff();
}

}  // namespace

TEST_CASE("cross attention is its formula in loops, on ragged texts of other lengths") {
  const auto one_by_one = [](const auto& m, const auto& q, const auto& k, const auto& v, const auto& texts) {
    const fw::matrix<double> no_gradient(q.rows(), m.shape.heads * m.shape.head_width);
    return oracle::attend<double>(q, k, v, no_gradient, texts.rows, texts.memory_rows, m.shape, m.mask, m.scale, m.score).out;
  };
  CHECK(error_beside<plain<double>>(equal, one_by_one) < 1e-14);
  CHECK(error_beside<shared<double>>(unequal, one_by_one) < 1e-14);
  CHECK(error_beside<fw::cross_attention<double, fw::sliding_window>>(equal, one_by_one) < 1e-14);  // of the same places
  const auto mixed = [](const auto& m, const auto& q, const auto& k, const auto& v, const auto& texts) {
    const fw::matrix<double> no_gradient(q.rows(), m.shape.output_heads * m.shape.head_width);
    return oracle::talking_heads<double>(q, k, v, no_gradient, texts.rows, texts.memory_rows, m.shape, m.mask, m.scale, m.score,
                                         fw::matrix<double>(m.heads.score_mix.value()),
                                         fw::matrix<double>(m.heads.weight_mix.value()))
        .plain.out;
  };
  CHECK(error_beside<talking<double>>(talked, mixed) < 1e-13);
}

TEST_CASE("cross attention to an empty memory gives the output's bias") {
  auto m = laws::make_mixer<shared<float>>(unequal);
  fw::rng random{5};
  random.fill_normal(m.output.bias.value(), 1.0);
  fw::tape<float> quiet{fw::recording::off};
  const auto y = m(quiet.constant(laws::normal_matrix<float>(3, 20, 1)), quiet.constant(fw::matrix<float>(0, 20)));
  for (Index i = 0; i < 3; ++i) CHECK(laws::same_bits(y.value().rows(i, 1), m.output.bias.value()));
}

TEST_CASE("cross attention of a text to itself is attention") {
  const auto across = laws::make_mixer<shared<float>>(unequal);
  const auto within = laws::make_mixer<fw::attention<float, fw::full, fw::softcap, fw::log_n, fw::grouped>>(unequal);
  fw::tape<float> quiet{fw::recording::off};
  const auto x = quiet.constant(laws::normal_matrix<float>(50, 20, 1), fw::sequences{30, 20});
  CHECK(laws::same_bits(across(x, x).value(), within(x).value()));
}

TEST_CASE("cross attention: two texts have the same bits alone and in a ragged batch", "[D3]") {
  laws::two_texts_alone_as_in_a_batch<plain<float>>(equal);
  laws::two_texts_alone_as_in_a_batch<shared<double>>(unequal);
  laws::two_texts_alone_as_in_a_batch<learned<float>>(equal);
  laws::two_texts_alone_as_in_a_batch<talking<float>>(talked);
}

TEST_CASE("cross attention has the same bits on any number of threads", "[D2]") {
  laws::two_texts_on_any_number_of_threads<shared<float>>(unequal);
  laws::two_texts_on_any_number_of_threads<learned<float>>(equal);
  laws::two_texts_on_any_number_of_threads<talking<float>>(talked);
}

TEST_CASE("cross attention: a state of the memory, fed in any split, equals the parallel form", "[D4]") {
  laws::any_split_beside_a_memory_equals_the_parallel_form<plain<float>>(equal);
  laws::any_split_beside_a_memory_equals_the_parallel_form<shared<float>>(unequal);
  laws::any_split_beside_a_memory_equals_the_parallel_form<learned<double>>(equal);
  laws::any_split_beside_a_memory_equals_the_parallel_form<fw::cross_attention<float, fw::key_normalized>>(equal);
  laws::any_split_beside_a_memory_equals_the_parallel_form<fw::cross_attention<float, fw::sliding_window>>(equal);
  laws::any_split_beside_a_memory_equals_the_parallel_form<talking<float>>(talked);
}

TEST_CASE("cross attention: observers see the same in both forms") {
  using watched = fw::cross_attention<float, fw::row_entropy, fw::first_key_weight>;
  const auto m = laws::make_mixer<watched>(equal);
  const laws::two_texts<float> texts(equal.width);
  fw::observations<float> parallel, steps;
  fw::tape<float> quiet{fw::recording::off};
  const auto x = quiet.constant(fw::matrix<float>(texts.x), texts.rows);
  const auto memory = quiet.constant(fw::matrix<float>(texts.memory), texts.memory_rows);
  quiet.watch(parallel);
  const auto y = m(x, memory);
  quiet.watch(steps);
  auto state = m.make_state(memory);
  CHECK(laws::same_bits(m(x, state).value(), y.value()));
  REQUIRE(parallel.size() == 2);
  REQUIRE(steps.size() == 2);
  for (std::size_t n = 0; n < 2; ++n) CHECK(laws::same_bits(parallel[n].numbers, steps[n].numbers));
  for (Index s = 0; s < texts.rows.count(); ++s)  // of one key nothing is to be told, of n at most log n
    for (Index i = texts.rows.first(s); i < texts.rows.first(s + 1); ++i)
      for (Index h = 0; h < 3; ++h)
        CHECK(parallel[0].numbers(i, h) <= std::log(std::max<double>(1, static_cast<double>(texts.memory_rows.length(s)))) + 1e-5);
}

TEST_CASE("cross attention: rows do not meet") {
  laws::rows_beside_a_memory_do_not_meet<shared<float>>(unequal);
  laws::rows_beside_a_memory_do_not_meet<talking<double>>(talked);
}

TEST_CASE("cross attention: gradients of both texts and all parameters match central differences", "[gradcheck]") {
  laws::gradients_of_two_texts_are_right<plain<double>>(equal);
  laws::gradients_of_two_texts_are_right<shared<double>>(unequal);
  laws::gradients_of_two_texts_are_right<learned<double>>(equal);
  laws::gradients_of_two_texts_are_right<fw::cross_attention<double, fw::l2_normalized, fw::key_normalized>>(equal);
  laws::gradients_of_two_texts_are_right<talking<double>>(talked);
}

TEST_CASE("cross attention: a layer that moves before the backward pass still gets its gradients") {
  laws::a_moved_cross_layer_gets_its_gradients<shared<float>>(unequal);
  laws::a_moved_cross_layer_gets_its_gradients<talking<double>>(talked);
}

TEST_CASE("cross attention: wrong calls are refused with a remedy") {
  laws::wrong_calls_with_a_memory_are_refused<plain<float>>("cross_attention", equal);
  laws::wrong_calls_with_a_memory_are_refused<talking<float>>("cross_attention", talked);
}
