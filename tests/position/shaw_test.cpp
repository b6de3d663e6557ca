// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/mask.hpp>
#include <formwork/observer.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>
#include <formwork/score.hpp>
#include <formwork/weights.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include "laws/learned_laws.hpp"
#include "oracle/attention_layer.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

/// Clipped so early that the laws' sequences go beyond.
template <class Layer>
struct early : Layer {
  template <class... Value>
  static early make(const fw::builder& b, const Value&... value) {
    return {Layer::make(b, fw::shaw<typename Layer::scalar>{.longest = 3}, value...)};
  }
};
template <class S, class... Policy>
using relative = early<fw::attention<S, fw::shaw<S>, Policy...>>;
const fw::sizes small{.width = 24, .heads = 3}, uneven{.width = 24, .heads = 4, .key_heads = 2, .key_width = 10, .head_width = 7};

Index clipped(Index distance, Index longest) { return longest + std::clamp(distance, -longest, longest); }

/// The formula pair by pair: formula(score) stands between.
template <class M>
Eigen::MatrixXd by_pairs(const M& m, const fw::matrix<double>& x, Index ahead, auto formula) {
  const Index far = m.position.longest, wide = m.shape.key_width, high = m.shape.head_width, each = m.shape.heads / m.shape.key_heads;
  const auto a = fw::eigen(m.position.key_table.value()), b = fw::eigen(m.position.value_table.value());
  const auto in = fw::eigen(x);
  const Eigen::MatrixXd q = in * fw::eigen(m.query.weight.value()), k = in * fw::eigen(m.key.weight.value()),
                        v = in * fw::eigen(m.value.weight.value());
  Eigen::MatrixXd mixed = Eigen::MatrixXd::Zero(x.rows(), m.shape.heads * high);
  for (Index h = 0; h < m.shape.heads; ++h)
    for (Index i = 0; i < x.rows(); ++i) {
      Eigen::VectorXd s(std::min(x.rows(), i + 1 + ahead));
      for (Index j = 0; j < s.size(); ++j)
        s(j) = formula(q.row(i).segment(h * wide, wide).dot(k.row(j).segment(h / each * wide, wide) + a.row(clipped(j - i, far))) /
                       std::sqrt(static_cast<double>(wide)));
      const Eigen::VectorXd w = oracle::softmax(s);
      for (Index j = 0; j < s.size(); ++j)
        mixed.row(i).segment(h * high, high) += w(j) * (v.row(j).segment(h / each * high, high) + b.row(clipped(j - i, far)));
    }
  return mixed * fw::eigen(m.output.weight.value());
}

template <class M>
fw::matrix<double> run(const M& m, const fw::matrix<double>& x) {
  fw::tape<double> quiet{fw::recording::off};
  return fw::matrix<double>(m(quiet.constant(fw::matrix<double>(x))).value());
}

}  // namespace

TEST_CASE("shaw: the tables hold a vector for each distance up to the longest, on both sides") {
  fw::rng random{1};
  const auto p = fw::shaw<float>::make(fw::builder{.sizes = {.width = 60, .heads = 3, .key_width = 5}, .random = random}, {.longest = 9});
  CHECK((p.key_table.rows() == 19 && p.key_table.cols() == 5 && p.value_table.rows() == 19 && p.value_table.cols() == 20));
  CHECK((p.key_table.kind() == fw::role::table && p.value_table.kind() == fw::role::table));
  fw::tape<float> quiet{fw::recording::off};
  const auto y = p.key_vectors(quiet, {-30, 31});
  for (Index d = -30; d <= 30; ++d)
    for (Index j = 0; j < 5; ++j) CHECK(y.value()(d + 30, j) == p.key_table.value()(clipped(d, 9), j));
  CHECK_THROWS_WITH((fw::shaw<float>::make(fw::builder{.sizes = {}, .random = random}, {.longest = 0})), ContainsSubstring("needs > 0"));
}

TEST_CASE("attention with shaw adds the distance's vectors to every key and value") {
  const auto x = laws::normal_matrix<double>(450, 24, 1);  // more than a block of keys
  const auto same = [](double score) { return score; };
  for (const Index longest : {1, 16, 70, 449, 600}) {
    CAPTURE(longest);
    fw::rng random{2};
    const auto make = [&]<class M>(M*, const fw::sizes& sizes) {
      return M::make(fw::builder{.sizes = sizes, .random = random}, fw::shaw<double>{.longest = longest});
    };
    const auto back = make(static_cast<fw::attention<double, fw::causal, fw::shaw<double>>*>(nullptr), small);
    CHECK((fw::eigen(run(back, x)) - by_pairs(back, x, 0, same)).cwiseAbs().maxCoeff() <= 1e-12);
    const auto both = make(static_cast<fw::attention<double, fw::full, fw::grouped, fw::softcap, fw::shaw<double>>*>(nullptr), uneven);
    const double cap = both.score.cap;
    const auto capped = [=](double score) { return cap * std::tanh(score / cap); };
    CHECK((fw::eigen(run(both, x)) - by_pairs(both, x, 450, capped)).cwiseAbs().maxCoeff() <= 1e-12);
  }
}

TEST_CASE("attention with shaw keeps the laws of mixers") {
  using causal = relative<float, fw::causal, fw::log_n, fw::grouped>;
  laws::alone_as_in_a_batch<causal>(uneven);
  laws::any_split_equals_the_parallel_form<causal>(uneven);
  laws::nothing_sees_the_future<causal>(small);
  laws::a_moved_layer_gets_its_gradients<causal>(small);
  laws::any_split_equals_the_parallel_form<relative<float, fw::sliding_window, fw::talking_heads<float>>>(small);
  laws::alone_as_in_a_batch<relative<float, fw::full, fw::talking_heads<float>, fw::urpe<float>>>(small);
}

TEST_CASE("shaw gets its gradients, on every kind of heads, in the order of rows") {
  laws::gradients_are_right<relative<double, fw::causal>>(small);
  laws::gradients_are_right<relative<double, fw::full, fw::grouped, fw::softcap, fw::cosine>>(uneven);
  laws::gradients_are_right<relative<double, fw::sliding_window, fw::urpe<double, fw::sigmoid_weights>>>(small);
  laws::gradients_are_right<relative<double, fw::full, fw::talking_heads<double>, fw::urpe<double>>>(small);
  laws::learned_gradients_are_ordered<relative<float, fw::causal>>(small);
}

TEST_CASE("shaw: equal tokens can tell where they stand") {
  const auto m = laws::make_mixer<relative<double, fw::causal>>(small);
  fw::matrix<double> x(6, 24);
  const auto token = laws::normal_matrix<double>(1, 24, 3);
  for (Index i = 0; i < 6; ++i) std::copy_n(token.row(0), 24, x.row(i));
  const auto y = fw::eigen(run(m, x));
  for (Index i = 1; i < 6; ++i) CHECK((y.row(i) - y.row(i - 1)).norm() > 1e-3);
}

TEST_CASE("shaw: observers see the vectors' part of scores, NaN reaches nobody who does not see it") {
  const auto m = laws::make_mixer<relative<double, fw::causal, fw::largest_logit>>(small);
  const auto x = laws::normal_matrix<double>(60, 24, 1);
  fw::observations<double> seen;
  fw::tape<double> quiet{fw::recording::off};
  quiet.watch(seen);
  m(quiet.constant(fw::matrix<double>(x)));
  const auto in = fw::eigen(x);
  const Eigen::MatrixXd q = in * fw::eigen(m.query.weight.value()), k = in * fw::eigen(m.key.weight.value());
  for (Index h = 0; h < 3; ++h)
    for (Index i = 0; i < 60; ++i) {
      double largest = -std::numeric_limits<double>::infinity();
      for (Index j = 0; j <= i; ++j)
        largest = std::max(largest, q.row(i).segment(8 * h, 8).dot(k.row(j).segment(8 * h, 8) +
                                                                   fw::eigen(m.position.key_table.value()).row(clipped(j - i, 3))) /
                                        std::sqrt(8.));
      CHECK(std::abs(seen.at(0).numbers(i, h) - largest) <= 1e-12);
    }
  auto broken = x;
  broken(30, 5) = std::numeric_limits<double>::quiet_NaN();
  CHECK(laws::same_bits(run(m, broken).rows(0, 30), run(m, x).rows(0, 30)));
}
