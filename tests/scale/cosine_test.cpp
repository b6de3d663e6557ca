// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>

#include "laws/mixer_laws.hpp"
#include "laws/scale_laws.hpp"
#include "oracle/attention_layer.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using by_cosine = fw::attention<S, fw::causal, fw::rope<>, fw::cosine>;
template <class S>
using decaying = fw::attention<S, fw::causal, fw::xpos<>, fw::temperature<S, fw::cosine>>;
const fw::sizes sizes{.width = 24, .heads = 4};

template <class M>
auto output_of(const M& m, double grow) {
  fw::tape<double> quiet{fw::recording::off};
  auto x = laws::normal_matrix<double>(40, 24, 1);
  auto scaled = m;
  for (auto* w : {&scaled.query.weight, &scaled.key.weight})
    for (Index i = 0; i < w->size(); ++i) w->value().data()[i] *= grow;
  return fw::matrix<double>(scaled(quiet.constant(std::move(x))).value());
}

}  // namespace

TEST_CASE("cosine keeps the laws of scales") { laws::scale_laws(fw::cosine{}); }

TEST_CASE("cosine: scores are √d times the cosine, whatever the lengths") {
  const auto m = laws::make_mixer<fw::attention<double, fw::causal, fw::cosine>>(sizes);
  const auto x = laws::normal_matrix<double>(40, 24, 1);
  const Eigen::MatrixXd expected = oracle::attention_layer(m, x, [](Index, Index i, const auto& q, const auto& k) {
    Eigen::VectorXd s(i + 1);
    for (Index j = 0; j <= i; ++j) s(j) = std::sqrt(6.0) * q.dot(k.row(j)) / q.norm() / k.row(j).norm();
    return oracle::softmax(s);
  });
  const auto got = output_of(m, 1);
  CHECK((fw::eigen(got) - expected).cwiseAbs().maxCoeff() <= 1e-14);
  CHECK((fw::eigen(output_of(m, 7)) - expected).cwiseAbs().maxCoeff() <= 1e-14);
}

TEST_CASE("attention by cosine keeps the laws of mixers and gets its gradients") {
  laws::alone_as_in_a_batch<by_cosine<float>>(sizes);
  laws::any_split_equals_the_parallel_form<by_cosine<float>>(sizes);
  laws::gradients_are_right<by_cosine<double>>(sizes);
  laws::gradients_are_right<decaying<double>>(sizes);
}

TEST_CASE("cosine: queries and keys of length 0 give and get numbers") {
  const auto m = laws::make_mixer<by_cosine<float>>(sizes);
  fw::tape<float> t;
  auto rows = laws::normal_matrix<float>(5, 24, 1);
  fw::fill(rows.rows(2, 1), 0.0f);
  const auto x = t.input(std::move(rows));
  const auto y = m(x);
  t.backward(fw::sum(fw::multiply(y, y)));
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 24; ++j) {
      CHECK(std::isfinite(y.value()(i, j)));
      CHECK(std::isfinite(x.gradient()(i, j)));
    }
}
