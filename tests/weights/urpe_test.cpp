// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/position.hpp>
#include <formwork/weights.hpp>

#include "kernel/checks.hpp"
#include "laws/learned_laws.hpp"
#include "oracle/attention_layer.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using weighed = fw::attention<S, fw::causal, fw::rope<>, fw::urpe<S>>;
template <class S>
using both_ways = fw::attention<S, fw::full, fw::grouped, fw::t5<S>, fw::urpe<S>>;
template <class S>
using talking = fw::attention<S, fw::causal, fw::talking_heads<S>, fw::urpe<S>>;
const fw::sizes sizes{.width = 24, .heads = 4}, shared{.width = 24, .heads = 4, .key_heads = 2};

/// With factors away from 1.
template <class M>
M stirred(M m) {
  checks::numbers random(3);
  for (Index i = 0; i < m.weights.table.size(); ++i)
    m.weights.table.value().data()[i] += static_cast<typename M::scalar>(0.3 * random.normal());
  return m;
}
template <class M>
auto output_of(const M& m, fw::matrix<double> x) {
  fw::tape<double> quiet{fw::recording::off};
  return fw::matrix<double>(m(quiet.constant(std::move(x))).value());
}

/// A mixer whose table is stirred from the start, for the laws.
template <class M>
struct stirred_mixer : M {
  static stirred_mixer make(const fw::builder& b) { return {stirred(M::make(b))}; }
};

}  // namespace

TEST_CASE("urpe starts as its base, bit for bit, on every kind of heads") {
  const auto x = laws::normal_matrix<double>(90, 24, 1);
  const auto same = [&]<class A, class B>(std::type_identity<A>, std::type_identity<B>, const fw::sizes& z) {
    CHECK(laws::same_bits(output_of(laws::make_mixer<A>(z), x), output_of(laws::make_mixer<B>(z), x)));
  };
  using std::type_identity;
  same(type_identity<weighed<double>>(), type_identity<fw::attention<double, fw::causal, fw::rope<>>>(), sizes);
  same(type_identity<talking<double>>(), type_identity<fw::attention<double, fw::causal, fw::talking_heads<double>>>(), sizes);
}

TEST_CASE("urpe multiplies the weights by its table, clipped at longest") {
  fw::rng random{2};
  const auto m = stirred(fw::attention<double, fw::full, fw::urpe<double>>::make(
      fw::builder{.sizes = sizes, .random = random}, fw::urpe<double>{.longest = 20}));
  CHECK(m.weights.table.rows() == 39);
  CHECK(m.weights.table.kind() == fw::role::table);
  const auto x = laws::normal_matrix<double>(60, 24, 1);
  const Eigen::MatrixXd expected = oracle::attention_layer(m, x, [&](Index h, Index i, const auto& q, const auto& k) {
    Eigen::VectorXd w = oracle::softmax(k * q.transpose() / std::sqrt(6.0));
    for (Index j = 0; j < 60; ++j) w(j) *= m.weights.table.value()(19 + std::clamp<Index>(j - i, -19, 19), h);
    return w;
  });
  CHECK((fw::eigen(output_of(m, x)) - expected).cwiseAbs().maxCoeff() <= 1e-13);
}

TEST_CASE("urpe tells equal tokens apart, which softmax with any bias of the scores cannot: the all-zeros probe") {
  const auto row = laws::normal_matrix<double>(1, 24, 1);
  fw::matrix<double> x(50, 24);
  for (Index i = 0; i < 50; ++i) std::copy_n(row.data(), 24, x.row(i));
  const auto spread = [](const fw::matrix<double>& y) {
    double least = 1e300;
    for (Index i = 1; i < y.rows(); ++i) {
      double most = 0;
      for (Index j = 0; j < y.cols(); ++j) most = std::max(most, std::abs(y(i, j) - y(i - 1, j)));
      least = std::min(least, most);
    }
    return least;
  };
  CHECK(spread(output_of(laws::make_mixer<fw::attention<double, fw::causal, fw::rope<>>>(sizes), x)) <= 1e-14);
  CHECK(spread(output_of(laws::make_mixer<fw::attention<double, fw::causal, fw::t5<double>>>(sizes), x)) <= 1e-14);
  CHECK(spread(output_of(laws::make_mixer<weighed<double>>(sizes), x)) <= 1e-14);
  CHECK(spread(output_of(stirred(laws::make_mixer<weighed<double>>(sizes)), x)) >= 1e-4);
}

TEST_CASE("attention with urpe keeps the laws of mixers") {
  laws::alone_as_in_a_batch<stirred_mixer<weighed<float>>>(sizes);
  laws::any_split_equals_the_parallel_form<stirred_mixer<weighed<float>>>(sizes);
  laws::any_split_equals_the_parallel_form<stirred_mixer<talking<float>>>(sizes);
  laws::nothing_sees_the_future<stirred_mixer<weighed<float>>>(sizes);
  laws::a_moved_layer_gets_its_gradients<weighed<float>>(sizes);
}

TEST_CASE("urpe gets its gradients, on every kind of heads") {
  laws::gradients_are_right<stirred_mixer<weighed<double>>>(sizes);
  laws::gradients_are_right<stirred_mixer<both_ways<double>>>(shared);
  laws::gradients_are_right<stirred_mixer<talking<double>>>(sizes);
  laws::learned_gradients_are_ordered<stirred_mixer<weighed<float>>>(sizes);
  laws::learned_gradients_are_ordered<stirred_mixer<talking<float>>>(sizes);
}
