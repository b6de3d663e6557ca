// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/position/t5.hpp>
#include <formwork/score.hpp>

#include "laws/learned_laws.hpp"
#include "laws/position_laws.hpp"
#include "oracle/attention_layer.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using biased = fw::attention<S, fw::causal, fw::t5<S>>;
template <class S>
using both_ways = fw::attention<S, fw::full, fw::grouped, fw::softcap, fw::t5<S>>;
template <class S>
using talking = fw::attention<S, fw::causal, fw::talking_heads<S>, fw::t5<S>>;
const fw::sizes sizes{.width = 24, .heads = 4}, shared{.width = 24, .heads = 4, .key_heads = 2};

template <class S>
fw::t5<S> make(Index heads, const fw::t5<S>& wanted = {}) {
  fw::rng random{1};
  return fw::t5<S>::make(fw::builder{.sizes = {.heads = heads}, .random = random}, wanted);
}

}  // namespace

TEST_CASE("t5: the published buckets of both sides") {
  const fw::t5<float> by{.sides = fw::t5_sides::both};
  Index behind = 0;
  const auto next = [&](Index bucket, Index times) {
    for (Index i = 0; i < times; ++i, ++behind) {
      CAPTURE(behind);
      CHECK(by.bucket(behind) == bucket);
    }
  };
  for (Index b = 0; b < 8; ++b) next(b, 1);
  next(8, 4), next(9, 4), next(10, 7), next(11, 8);
  const auto check = [&](Index at, Index bucket) {
    CAPTURE(at);
    CHECK(by.bucket(at) == bucket);
  };
  check(32, 12), check(46, 13), check(64, 14), check(91, 15), check(5000, 15);
  check(-1, 17), check(-8, 24), check(-128, 31);
}

TEST_CASE("t5: the published buckets of the past") {
  const fw::t5<float> by{};
  for (Index n = 0; n < 16; ++n) CHECK(by.bucket(n) == n);
  const Index expected[][2] = {{16, 16},  {19, 17},  {21, 18},  {32, 21},   {64, 26},
                               {100, 30}, {112, 30}, {113, 31}, {9999, 31}, {-5, 0}};
  for (const auto [behind, bucket] : expected) {
    CAPTURE(behind);
    CHECK(by.bucket(behind) == bucket);
  }
}

TEST_CASE("t5: biases are the table's entries, whatever range is asked for") {
  laws::distances_do_not_depend_on_the_range<float>(make<float>(3), 3);
  const auto p = make<double>(3, {.buckets = 8, .longest = 20, .sides = fw::t5_sides::both});
  CHECK(p.table.rows() == 8);
  CHECK(p.table.kind() == fw::role::table);
  laws::distances_do_not_depend_on_the_range<double>(p, 3);
  fw::tape<double> quiet{fw::recording::off};
  const auto y = p.distance_biases(quiet, 3, {-30, 31});
  for (Index h = 0; h < 3; ++h)
    for (Index d = -30; d <= 30; ++d) CHECK(y.value()(h, d + 30) == p.table.value()(p.bucket(-d), h));
}

TEST_CASE("t5: buckets that cannot be are refused with a remedy") {
  CHECK_THROWS_WITH(make<float>(2, {.buckets = 1}), ContainsSubstring("needs at least 2 a side"));
  CHECK_THROWS_WITH(make<float>(2, {.buckets = 3, .sides = fw::t5_sides::both}), ContainsSubstring("needs at least 2 a side"));
  CHECK_THROWS_WITH(make<float>(2, {.buckets = 32, .longest = 16}), ContainsSubstring(".longest > half of a side's"));
}

TEST_CASE("attention with t5 adds the bucket's number of its head to every score") {
  const auto m = laws::make_mixer<biased<double>>(sizes);
  const auto x = laws::normal_matrix<double>(150, 24, 1);
  fw::tape<double> quiet{fw::recording::off};
  const auto y = m(quiet.constant(fw::matrix<double>(x)));
  const Eigen::MatrixXd expected = oracle::attention_layer(m, x, [&](Index h, Index i, const auto& q, const auto& k) {
    Eigen::VectorXd s = k.topRows(i + 1) * q.transpose() / std::sqrt(6.0);
    for (Index j = 0; j <= i; ++j) s(j) += m.position.table.value()(m.position.bucket(i - j), h);
    return oracle::softmax(s);
  });
  CHECK((fw::eigen(y.value()) - expected).cwiseAbs().maxCoeff() <= 1e-13);
}

TEST_CASE("attention with t5 keeps the laws of mixers") {
  laws::alone_as_in_a_batch<biased<float>>(sizes);
  laws::any_split_equals_the_parallel_form<biased<float>>(sizes);
  laws::any_split_equals_the_parallel_form<talking<float>>(sizes);
  laws::nothing_sees_the_future<biased<float>>(sizes);
  laws::a_moved_layer_gets_its_gradients<biased<float>>(sizes);
}

TEST_CASE("t5 gets its gradients, on every kind of heads") {
  laws::gradients_are_right<biased<double>>(sizes);
  laws::gradients_are_right<both_ways<double>>(shared);
  laws::gradients_are_right<talking<double>>(sizes);
  laws::learned_gradients_are_ordered<biased<float>>(sizes);
}
