// SPDX-License-Identifier: MIT
#include <formwork/attention/biased_scores.hpp>
#include <formwork/position/alibi.hpp>
#include <formwork/score/learned_formula.hpp>

#include "kernel/attend_tangent_cases.hpp"

// Values have the plain kernels' bits; tangents agree with an oracle, with differences of the plain kernels, and with one another
// as the rules of calculus ask. Bits: attend_tangent_bits_test.cpp.

namespace fw = formwork;
using cases::attention_case;
using cases::inner;
using cases::moving_case;
using cases::policies;
using fw::Index;

namespace {

/// Tangents are at most 5 times as far off as a naive loop's, values are those of the plain kernels bit for bit.
void check_oracle(const moving_case<float>& small, const auto& chosen, const auto& bent) {
  CAPTURE(small.at.batch.rows(), small.at.shape.heads, small.at.shape.key_heads, small.at.shape.key_width);
  const moving_case<double> wide(small);
  const auto exact = wide.expect(chosen, bent), ours_wide = wide.run(chosen);
  const auto naive = small.expect(chosen, bent), ours = small.run(chosen);
  CHECK(cases::same_bits(ours.value, small.at.run(chosen)));
  CHECK(cases::same_bits(ours_wide.value, wide.at.run(chosen)));
  for (std::size_t i = 0; i < cases::output_names.size(); ++i) {
    const auto &o = *cases::outputs(ours.slope)[i], &n = *cases::outputs(naive.slope)[i];
    const auto &w = *cases::outputs(ours_wide.slope)[i], &e = *cases::outputs(exact.slope)[i];
    checks::check_accuracy(cases::output_names[i], o, n, e, 5);
    checks::check_accuracy(cases::output_names[i], w, w, e, 5);
  }
}

/// In double, against differences of the plain kernels.
void check_differences(const moving_case<double>& one, const auto& chosen, double step = 2e-4, double bound = 1e-9) {
  const auto got = one.run(chosen);
  CHECK(cases::same_bits(got.value, one.at.run(chosen)));
  const auto expected = cases::differences(step, [&](double t) { return combined(1, one.at, t, one.along).run(chosen); });
  for (std::size_t i = 0; i < cases::output_names.size(); ++i) {
    const auto &g = *cases::outputs(got.slope)[i], &e = *cases::outputs(expected)[i];
    CAPTURE(cases::output_names[i], checks::largest_of(e));
    CHECK(checks::largest_error(g, e) <= bound * std::max(checks::largest_of(e), 1.0));
  }
}

/// <dout, J t> = <Jᵀ dout, t>, and u · H v = v · H u where dout is constant.
void check_duality(const moving_case<double>& one, const auto& chosen) {
  const auto constant = [](attention_case<double> direction) {
    direction.dout.fill(0);
    return direction;
  };
  const attention_case<double> u = constant(one.along),
                               v = constant({one.at.shape, one.at.batch, one.at.key_batch, 1, 178});
  const auto along_u = moving_case<double>(one.at, u).run(chosen), along_v = moving_case<double>(one.at, v).run(chosen);
  const auto with = [](const auto& gradients, const attention_case<double>& t) {
    return inner(gradients.dq, t.q) + inner(gradients.dk, t.k) + inner(gradients.dv, t.v);
  };
  const double size = 1e-12 * static_cast<double>(one.at.q.size());
  const double forward = inner(one.at.dout, along_u.slope.out), backward = with(along_u.value, u);
  CHECK(std::abs(forward - backward) <= size * std::max(1.0, std::abs(forward)));
  const double uv = with(along_v.slope, u), vu = with(along_u.slope, v);
  CHECK(std::abs(uv - vu) <= size * std::max(1.0, std::abs(uv)));
  CHECK(std::abs(uv) > 1e-3);  // there is something to compare
}

const fw::sequences ragged{70, 0, 1, 33};

}  // namespace

TEST_CASE("tangents are as accurate as the rule asks at every length around a tile's edge") {
  for (const Index n : {1, 2, 7, 8, 9, 16, 17, 48, 49, 64, 65, 191, 193, 385}) {
    check_oracle({{1, 1, 5, 3}, {n}}, policies(fw::causal{}), oracle::unbent{});
    check_oracle({{1, 1, 5, 3}, {n}}, policies(fw::full{}), oracle::unbent{});
  }
}

TEST_CASE("tangents are as accurate as the rule asks at any width, over ragged batches and grouped heads") {
  for (const Index width : {1, 3, 8, 16, 17, 33, 64, 80})
    check_oracle({{1, 1, width, 81 - width}, {37}}, policies(fw::causal{}), oracle::unbent{});
  for (const Index key_heads : {6, 3, 2, 1}) check_oracle({{6, key_heads, 8, 12}, ragged}, policies(fw::causal{}), oracle::unbent{});
  check_oracle({{2, 1, 8, 6}, {5, 40, 1, 3}, {61, 2, 0, 400}}, policies(fw::full{}), oracle::unbent{});
}

TEST_CASE("tangents are as accurate as the rule asks through formulas of the score, scales by visible keys and blind rows") {
  for (const Index n : {8, 75, 430}) {
    const moving_case<float> one({2, 2, 7, 9}, {n, 3});
    check_oracle(one, policies(fw::causal{}, fw::log_n{}, fw::softcap{3}), oracle::squashed{3});
    check_oracle(one, policies(fw::full{}, fw::inv_sqrt{}, oracle::squashed_recency{}), oracle::squashed{4, 0.02});
    check_oracle(one, policies(oracle::sinks_and_window{}, oracle::by_visible_keys{}), oracle::unbent{});
    check_oracle(one, policies(oracle::ahead_with_blind_rows{}), oracle::unbent{});
  }
}

TEST_CASE("tangents of a row that sees nothing are zero") {
  const moving_case<double> one({2, 1, 8, 6}, {40});
  const auto got = one.run(policies(oracle::ahead_with_blind_rows{}));
  for (Index i = 1; i < 40; i += 3) {
    for (Index x = 0; x < 12; ++x) CHECK((got.slope.out(i, x) == 0 && got.value.out(i, x) == 0));
    for (Index x = 0; x < 16; ++x) CHECK(got.slope.dq(i, x) == 0);
    for (Index h = 0; h < 2; ++h) CHECK((got.slope.lse(i, h) == 0 && std::isinf(got.value.lse(i, h))));
  }
}

TEST_CASE("tangents agree with differences of the plain kernels for every mask") {
  const moving_case<double> one({4, 2, 7, 9}, ragged);
  std::vector<Index> ids(static_cast<std::size_t>(ragged.rows()));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<Index>(i / 11);
  check_differences(one, policies(fw::causal{}));
  check_differences(one, policies(fw::sliding_window{13}));
  check_differences(one, policies(fw::prefix{9}));
  check_differences(one, policies(fw::both{fw::causal{}, fw::documents(ragged, ids)}));
  check_differences({{2, 1, 8, 6}, {5, 40, 1, 3}, {61, 2, 0, 400}}, policies(fw::full{}));
}

TEST_CASE("tangents agree with differences of the plain kernels for every weights policy") {
  const moving_case<double> one({4, 2, 7, 9}, ragged);
  const auto weighed = [](auto weights) {
    return fw::attend_policies{fw::causal{}, fw::log_n{}, fw::softcap{3}, weights, fw::grouped{}};
  };
  check_differences(one, weighed(fw::softmax{}));
  check_differences(one, weighed(fw::l2_normalized{}));
  check_differences(one, weighed(fw::sigmoid_weights{}));
  check_differences(one, weighed(fw::relu_squared{}), 1e-6, 1e-7);  // the second derivative jumps at 0: no score may cross it
}

TEST_CASE("products with the Hessian are symmetric, forward and backward derivatives are adjoint") {
  const moving_case<double> one({4, 2, 7, 9}, ragged);
  check_duality(one, policies(fw::causal{}));
  check_duality(one, policies(oracle::ahead_with_blind_rows{}, fw::log_n{}, oracle::squashed_recency{}));
  check_duality(one, fw::attend_policies{fw::sliding_window{20}, fw::inv_sqrt{}, fw::softcap{3}, fw::l2_normalized{}, fw::grouped{}});
  check_duality(one, fw::attend_policies{fw::causal{}, fw::inv_sqrt{}, fw::plain{}, fw::relu_squared{}, fw::grouped{}});
  check_duality(one, fw::attend_policies{fw::causal{}, fw::inv_sqrt{}, fw::plain{}, fw::sigmoid_weights{}, fw::grouped{}});
}
