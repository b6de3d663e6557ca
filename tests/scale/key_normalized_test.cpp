// SPDX-License-Identifier: MIT
#include <formwork/attention.hpp>
#include <formwork/heads.hpp>
#include <formwork/position.hpp>
#include <formwork/scale.hpp>

#include "laws/mixer_laws.hpp"
#include "laws/scale_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S>
using by_key = fw::attention<S, fw::causal, fw::rope<>, fw::grouped, fw::key_normalized>;
const fw::sizes shared{.width = 24, .heads = 4, .key_heads = 2};

}  // namespace

TEST_CASE("key_normalized keeps the laws of scales") { laws::scale_laws(fw::key_normalized{}); }

TEST_CASE("key_normalized: scores are those of 1/√d with keys of length √d") {
  const cases::attention_case<double> one({4, 2, 6, 5}, {40, 3});
  auto lengthened = one;
  for (Index i = 0; i < one.k.rows(); ++i)
    for (Index h = 0; h < 2; ++h) {
      double squares = 0;
      for (Index j = 6 * h; j < 6 * h + 6; ++j) squares += one.k(i, j) * one.k(i, j);
      for (Index j = 6 * h; j < 6 * h + 6; ++j) lengthened.k(i, j) = one.k(i, j) * std::sqrt(6 / squares);
    }
  const auto expected = lengthened.expect(cases::policies(fw::causal{}));
  fw::matrix<double> unit = one.k, inverse(43, 2), out(43, 20);
  fw::scale_heads<double>(unit, 2, nullptr, fw::lengths::unit, inverse);
  fw::attend_forward<double>(out, {}, one.q, unit, one.v, one.batch, one.batch, one.shape,
                             cases::policies(fw::causal{}, fw::key_normalized{}));
  CHECK(checks::largest_error(out, expected.out) <= 1e-14);
}

TEST_CASE("key_normalized: equal tokens of any length share their weight") {
  const auto m = laws::make_mixer<fw::attention<double, fw::causal, fw::key_normalized>>({.width = 24, .heads = 4});
  const auto x = laws::normal_matrix<double>(1, 24, 1);
  fw::matrix<double> two(2, 24);
  for (Index j = 0; j < 24; ++j) two(0, j) = x(0, j), two(1, j) = 5 * x(0, j);
  fw::tape<double> quiet{fw::recording::off};
  const auto y = m(quiet.constant(std::move(two)));
  for (Index j = 0; j < 24; ++j) CHECK(y.value()(1, j) == Approx(3 * y.value()(0, j)).epsilon(1e-12));
}

TEST_CASE("attention with normalised keys keeps the laws of mixers and gets its gradients") {
  laws::alone_as_in_a_batch<by_key<float>>(shared);
  laws::any_split_equals_the_parallel_form<by_key<float>>(shared);
  laws::gradients_are_right<by_key<double>>(shared);
}
