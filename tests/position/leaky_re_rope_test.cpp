// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/observer.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include "laws/mixer_laws.hpp"
#include "laws/position_laws.hpp"
#include "oracle/attention_layer.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S, class... Policy>
using leaky = fw::attention<S, fw::leaky_re_rope<>, Policy...>;
const fw::sizes small{.width = 24, .heads = 3}, uneven{.width = 24, .heads = 4, .key_heads = 2, .key_width = 10, .head_width = 7};
constexpr double infinite = std::numeric_limits<double>::infinity();

/// A layer that leaks so early that every sequence of the laws crosses the window.
template <class Layer>
struct early : Layer {
  template <class... Value>
  static early make(const fw::builder& b, const Value&... value) {
    return {Layer::make(b, fw::leaky_re_rope<>{.window = 3, .step = 2.5}, value...)};
  }
};

/// What a distance counts as.
double leaked(double distance, double window, double step) {
  const double far = std::abs(distance);
  return far < window ? distance : std::copysign(window + (far - window) / step, distance);
}

/// Pairs (j, j + d/2) of x turned by that many places.
Eigen::RowVectorXd turned(const Eigen::RowVectorXd& x, double places) {
  const Index half = x.size() / 2;
  Eigen::RowVectorXd y(x.size());
  for (Index j = 0; j < half; ++j) {
    const double angle = places * std::pow(10000., -static_cast<double>(j) / static_cast<double>(half));
    y(j) = x(j) * std::cos(angle) - x(j + half) * std::sin(angle);
    y(j + half) = x(j) * std::sin(angle) + x(j + half) * std::cos(angle);
  }
  return y;
}

template <class Layer>
fw::matrix<typename Layer::scalar> run(const Layer& m, const fw::matrix<typename Layer::scalar>& x) {
  fw::tape<typename Layer::scalar> quiet{fw::recording::off};
  return fw::matrix<typename Layer::scalar>(m(quiet.constant(fw::matrix<typename Layer::scalar>(x))).value());
}

/// Of the sum of squares of what the layer gives.
template <class Layer, class S = typename Layer::scalar>
fw::matrix<S> gradient_of_input(const Layer& m, const fw::matrix<S>& x) {
  fw::tape<S> t;
  const auto in = t.input(fw::matrix<S>(x));
  const auto y = m(in);
  t.backward(fw::sum(fw::multiply(y, y)));
  return fw::matrix<S>(in.gradient());
}

}  // namespace

TEST_CASE("leaky_re_rope keeps the laws of rotations in every part") {
  laws::position_laws(fw::leaky_re_rope<>{.window = 2000}, 12);
  laws::position_laws(fw::leaky_re_rope<fw::pairing::interleaved>{.window = 2000, .step = 3, .turn = {.base = 500}}, 10);
}

TEST_CASE("leaky_re_rope: the published distances") {
  const auto distance = [](const fw::leaky_re_rope<>& p, Index query, Index key) {
    const auto table = p.table<double>(4, 20);  // the angle of the second pair is the place / 100
    const int part = p.columns<2>(4).keys(0, query).holds(key) ? 0 : 1;
    const auto angle = [](const auto& by, Index at) { return std::atan2(by.sin(at)[1], by.cos(at)[1]); };
    return 100 * (part == 0 ? angle(table.near, query) - angle(table.near, key)
                            : angle(table.behind, query) - angle(table.far_keys, key));
  };
  const double re_rope[] = {0, 1, 2, 3, 3, 3, 3}, leaky_by_two[] = {0, 1, 2, 3, 3.5, 4, 4.5};
  for (Index r = 0; r < 7; ++r)
    for (const Index key : {0, 4, 12}) {
      CHECK(std::abs(distance(fw::re_rope(3), key + r, key) - re_rope[r]) <= 1e-12);
      CHECK(std::abs(distance({.window = 3, .step = 2}, key + r, key) - leaky_by_two[r]) <= 1e-12);
    }
}

TEMPLATE_TEST_CASE("leaky_re_rope in one pass is the table of distances applied pair by pair", "", fw::causal, fw::full) {
  const Index rows = 450;  // more than a block of keys
  const auto x = laws::normal_matrix<double>(rows, 24, 1);
  for (const auto& [window, step] : {std::pair{Index(1), 3.}, {7, infinite}, {100, 4.}, {200, 1. / 16}, {449, infinite}}) {
    auto m = laws::make_mixer<leaky<double, TestType>>(small);
    m.position = {.window = window, .step = step};
    const auto expected = oracle::attention_layer(m, x, [&, w = window, k = step](Index, Index i, const auto& q, const auto& keys) {
      Eigen::VectorXd s(TestType::sees_ahead ? rows : i + 1);
      for (Index j = 0; j < s.size(); ++j)
        s(j) = turned(q, leaked(static_cast<double>(i - j), static_cast<double>(w), k)).dot(keys.row(j)) / std::sqrt(8.);
      return oracle::softmax(s);
    });
    CAPTURE(window, step);
    CHECK((fw::eigen(run(m, x)) - expected).cwiseAbs().maxCoeff() <= 1e-12);
  }
}

TEST_CASE("leaky_re_rope is rope bit for bit with step 1, and for all that is not longer than the window") {
  const auto x = laws::normal_matrix<float>(400, 24, 1);
  const auto turned = laws::make_mixer<fw::attention<float, fw::causal, fw::rope<>>>(small);
  auto m = laws::make_mixer<leaky<float, fw::causal>>(small);
  for (const fw::leaky_re_rope<>& position : {fw::leaky_re_rope<>{.window = 7, .step = 1}, fw::re_rope(400), fw::re_rope(4000)}) {
    m.position = position;
    CHECK(laws::same_bits(run(m, x), run(turned, x)));
    CHECK(laws::same_bits(gradient_of_input(m, x), gradient_of_input(turned, x)));
  }
  m.position = fw::re_rope(398);  // one distance is beyond: the last row's first key
  const auto y = run(m, x), by_rope = run(turned, x);
  CHECK(laws::same_bits(y.rows(0, 399), by_rope.rows(0, 399)));
  CHECK_FALSE(laws::same_bits(y, by_rope));
}

TEST_CASE("attention with leaky_re_rope keeps the laws of mixers") {
  using causal = early<leaky<float, fw::causal, fw::log_n, fw::grouped>>;
  laws::alone_as_in_a_batch<causal>(small);
  laws::any_split_equals_the_parallel_form<causal>(uneven);
  laws::nothing_sees_the_future<causal>(small);
  laws::a_moved_layer_gets_its_gradients<causal>(small);
  laws::any_split_equals_the_parallel_form<early<leaky<float, fw::causal, fw::talking_heads<float>>>>(small);
  laws::alone_as_in_a_batch<early<leaky<float, fw::full, fw::grouped>>>(uneven);
}

TEST_CASE("leaky_re_rope has right gradients on every kind of heads, on both sides") {
  laws::gradients_are_right<early<leaky<double, fw::causal, fw::softcap>>>(small);
  laws::gradients_are_right<early<leaky<double, fw::full, fw::grouped>>>(uneven);
  laws::gradients_are_right<early<leaky<double, fw::sliding_window>>>(small);
  laws::gradients_are_right<early<leaky<double, fw::full, fw::talking_heads<double>>>>(small);
}

TEST_CASE("leaky_re_rope: gradients across blocks of keys and queries, threads and NaN") {
  auto m = laws::make_mixer<leaky<double, fw::causal, fw::grouped>>(uneven);
  m.position = {.window = 230, .step = 5};
  const auto x = laws::normal_matrix<double>(520, 24, 1), direction = laws::normal_matrix<double>(520, 24, 2);
  const auto loss = [&](double step) {
    auto moved = x;
    for (Index i = 0; i < x.size(); ++i) moved.data()[i] += step * direction.data()[i];
    return fw::eigen(run(m, moved)).squaredNorm();
  };
  const auto gradient = [&] { return gradient_of_input(m, x); };
  const double slope = (fw::eigen(gradient()).array() * fw::eigen(direction).array()).sum(), h = 1e-5;
  CHECK(std::abs((loss(h) - loss(-h)) / (2 * h) / slope - 1) <= 1e-7);
  checks::check_threads("leaky_re_rope", gradient);
  checks::check_threads("leaky_re_rope", [&] { return run(m, x); });

  auto broken = x;
  broken(300, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK(laws::same_bits(run(m, broken).rows(0, 300), run(m, x).rows(0, 300)));
}

TEST_CASE("leaky_re_rope: a state's keys are turned again for another window and step") {
  auto m = laws::make_mixer<leaky<float, fw::causal>>(small);
  m.position = {.window = 10, .step = 4};
  const auto x = laws::normal_matrix<float>(60, 24, 1);
  const auto feed = [&](auto& state, Index first, Index count) {
    fw::tape<float> quiet{fw::recording::off};
    return fw::matrix<float>(m(quiet.constant(fw::matrix<float>(x.rows(first, count))), state).value());
  };
  auto state = m.make_state({.sequences = 1, .capacity = 60});
  feed(state, 0, 50);
  m.position = fw::re_rope(20);
  m.turn_again(state, 0);
  CHECK(laws::same_bits(feed(state, 50, 10), fw::matrix<float>(run(m, x).rows(50, 10))));
}

TEST_CASE("leaky_re_rope: observers see the scores of both sides of the window") {
  auto m = laws::make_mixer<leaky<double, fw::causal, fw::largest_logit>>(small);
  m.position = {.window = 40, .step = 3};
  const auto x = laws::normal_matrix<double>(250, 24, 1);
  fw::observations<double> seen;
  fw::tape<double> quiet{fw::recording::off};
  quiet.watch(seen);
  m(quiet.constant(fw::matrix<double>(x)));
  oracle::attention_layer(m, x, [&](Index h, Index i, const auto& q, const auto& keys) {
    Eigen::VectorXd s(i + 1);
    for (Index j = 0; j <= i; ++j) s(j) = turned(q, leaked(static_cast<double>(i - j), 40, 3)).dot(keys.row(j)) / std::sqrt(8.);
    CHECK(std::abs(seen.at(0).numbers(i, h) - s.maxCoeff()) <= 1e-12);
    return oracle::softmax(s);
  });
}

TEST_CASE("leaky_re_rope: a window and a step that cannot be are refused") {
  CHECK_THROWS_WITH((fw::leaky_re_rope<>{.window = 0}.table<float>(8, 4)), ContainsSubstring("needs both > 0"));
  CHECK_THROWS_WITH((fw::leaky_re_rope<>{.step = -1}.table<float>(8, 4)), ContainsSubstring("needs both > 0"));
}
