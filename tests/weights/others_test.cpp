// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>
#include <formwork/weights.hpp>

#include <vector>

#include "laws/mixer_laws.hpp"
#include "laws/weights_laws.hpp"

// The weights policies beside softmax.

namespace fw = formwork;
using fw::Index;

namespace {

/// A row's weights of these scores; what is behind them is masked.
template <class Weights>
std::vector<double> weights_of(const Weights& policy, std::vector<double> scores) {
  const auto n = static_cast<Index>(scores.size());
  scores.resize(static_cast<std::size_t>(fw::padded<double>(n)), -std::numeric_limits<double>::infinity());
  for (double& s : scores) s *= Weights::score_unit;
  auto row = policy.template begin<double>(n);
  policy.step(row, scores.data(), static_cast<Index>(scores.size()) / fw::lanes<double>);
  const double factor = policy.finish(row).factor;
  for (double& w : scores) w *= factor;
  scores.resize(static_cast<std::size_t>(n));
  return scores;
}
template <class Weights>
void are(std::vector<double> scores, const std::vector<double>& published) {
  const auto got = weights_of(Weights{}, std::move(scores));
  for (std::size_t j = 0; j < got.size(); ++j) CHECK(std::abs(got[j] - published[j]) <= 5e-8);
}

template <class S, class Weights, class... Policy>
using weighed = fw::attention<S, fw::causal, Weights, Policy...>;

/// The largest difference between the outputs of attention over equal tokens.
template <class Weights, class... Policy>
double spread() {
  using mixer = fw::attention<double, fw::causal, Weights, Policy...>;
  const auto m = laws::make_mixer<mixer>({.width = 12, .heads = 3});
  fw::matrix<double> x(9, 12, 0.7);
  fw::tape<double> quiet{fw::recording::off};
  const fw::matrix<double> y(m(quiet.constant(std::move(x))).value());
  double most = 0;
  for (Index i = 1; i < y.rows(); ++i)
    for (Index j = 0; j < y.cols(); ++j) most = std::max(most, std::abs(y(i, j) - y(0, j)));
  return most;
}

}  // namespace

TEMPLATE_TEST_CASE("weights beside softmax keep the laws of weights", "", fw::l2_normalized, fw::relu_squared,
                   fw::sigmoid_weights) {
  laws::weights_laws<float>(TestType{});
  laws::weights_laws<double>(TestType{});
}

TEST_CASE("l2_normalized and relu_squared give the worked rows") {
  are<fw::l2_normalized>({1, -1, 2}, {.3448815, .0466746, .9374851});
  are<fw::l2_normalized>({0, .5, 1}, {.300051, .4947004, .815623});
  are<fw::l2_normalized>({1, 1, 1}, {.5773503, .5773503, .5773503});
  are<fw::relu_squared>({1, -1, 2}, {1. / 3, 0, 4. / 3});
  are<fw::relu_squared>({0, .5, 1}, {0, .25 / 3, 1. / 3});
  are<fw::relu_squared>({1, 1, 1}, {1. / 3, 1. / 3, 1. / 3});
}

TEST_CASE("sigmoid_weights: scores of 0 weigh 1 / (n + 1), each score by itself") {
  are<fw::sigmoid_weights>({0, 0, 0}, {.25, .25, .25});
  are<fw::sigmoid_weights>({0, 50, -50}, {.25, 1, 0});
}

TEMPLATE_TEST_CASE("a row that sees nothing weighs nothing, forward and backward", "", fw::l2_normalized, fw::relu_squared,
                   fw::sigmoid_weights) {
  constexpr float masked = -std::numeric_limits<float>::infinity();
  std::vector<float> scores(fw::lanes<float>, masked);
  auto row = TestType{}.template begin<float>(0);
  TestType{}.step(row, scores.data(), 1);
  const auto done = TestType{}.finish(row);
  CHECK(done.factor * scores[0] == 0);
  CHECK(largest(TestType{}.weight(fw::pack<float>(1), fw::saved_row<float>{done.kept, 0})) == 0);
}

TEMPLATE_TEST_CASE("attention with weights beside softmax keeps the laws of mixers", "", fw::l2_normalized, fw::relu_squared,
                   fw::sigmoid_weights) {
  const fw::sizes small{.width = 24, .heads = 3};
  laws::alone_as_in_a_batch<weighed<float, TestType>>(small);
  laws::any_split_equals_the_parallel_form<weighed<float, TestType>>(small);
  laws::gradients_are_right<weighed<double, TestType>>(small);
  laws::gradients_are_right<weighed<double, TestType, fw::talking_heads<double>>>({.width = 16, .heads = 4});
}

TEST_CASE("equal tokens stay equal under softmax; weights that do not sum to 1 tell where they are") {
  CHECK(spread<fw::softmax>() <= 1e-14);
  CHECK(spread<fw::softmax, fw::rope<>>() <= 1e-14);
  CHECK(spread<fw::l2_normalized>() > 1e-3);
  CHECK(spread<fw::relu_squared, fw::rope<>>() > 1e-3);
  CHECK(spread<fw::sigmoid_weights>() > 1e-3);
}
