// SPDX-License-Identifier: MIT
#include <formwork/core/random.hpp>
#include <formwork/loss.hpp>
#include <formwork/tape.hpp>

#include <cmath>
#include <tuple>

#include "support/catch.hpp"

namespace fw = formwork;
using fw::Index;

namespace {
fw::parameter<double> normal(Index rows, Index cols, std::uint64_t seed, fw::role kind) {
  fw::rng random{seed};
  fw::matrix<double> m(rows, cols);
  random.fill_normal(m.all(), 1.0);
  return {std::move(m), kind};
}
fw::logits<double> logits_of(const fw::var<double>& x, const fw::parameter<double>& head, bool tied) {
  return tied ? fw::logits<double>::by_table(x, head) : fw::logits<double>::by_weight(x, head);
}
}  // namespace

TEST_CASE("the fused loss is the mean of -log softmax over counted rows, and its gradients are right") {
  for (const bool tied : {false, true}) {
    auto both = std::tuple(normal(6, 5, 1, fw::role::matrix),
                           tied ? normal(11, 5, 2, fw::role::embedding) : normal(5, 11, 2, fw::role::head));
    const std::vector<Index> targets{3, -1, 0, 10, 7, -5};
    const auto loss = [&](fw::tape<double>& t) {
      return fw::cross_entropy(logits_of(fw::use(t, std::get<0>(both)), std::get<1>(both), tied), targets);
    };
    fw::tape<double> quiet{fw::recording::off};
    const auto scores = logits_of(fw::use(quiet, std::get<0>(both)), std::get<1>(both), tied).value();
    double expected = 0;
    for (Index i = 0; i < 6; ++i) {
      if (targets[std::size_t(i)] < 0) continue;
      double total = 0;
      for (Index j = 0; j < 11; ++j) total += std::exp(scores.value()(i, j));
      expected += (std::log(total) - scores.value()(i, targets[std::size_t(i)])) / 4;
    }
    CHECK(loss(quiet).item() == Approx(expected).epsilon(1e-13));
    const auto report = fw::gradcheck(both, loss);
    INFO(report);
    CHECK(report);
    const auto scaled = fw::gradcheck(both, [&](fw::tape<double>& t) { return fw::scale(loss(t), -2.5); });
    CHECK(scaled);
  }
}

TEST_CASE("a frozen head and frozen hidden rows each leave the other's gradient as it was") {
  const auto gradients = [](bool freeze_head) {
    auto x = normal(6, 5, 1, fw::role::matrix), head = normal(5, 11, 2, fw::role::head);
    if (freeze_head) head.freeze();
    fw::tape<double> t;
    t.backward(fw::cross_entropy(fw::logits<double>::by_weight(fw::use(t, x), head), {1, 2, 3, 4, 5, 6}));
    CHECK(head.has_gradient() == !freeze_head);
    return fw::matrix<double>(std::as_const(x).gradient());
  };
  CHECK(fw::eigen(gradients(false)) == fw::eigen(gradients(true)));
}

TEST_CASE("multiplied logits have the head's gradients") {
  for (const bool tied : {false, true}) {
    auto both = std::tuple(normal(3, 5, 1, fw::role::matrix),
                           tied ? normal(7, 5, 2, fw::role::embedding) : normal(5, 7, 2, fw::role::head));
    const auto report = fw::gradcheck(both, [&](fw::tape<double>& t) {
      const auto y = logits_of(fw::use(t, std::get<0>(both)), std::get<1>(both), tied).value();
      return fw::sum(fw::multiply(y, y));
    });
    INFO(report);
    CHECK(report);
  }
}

TEST_CASE("a target outside the vocabulary and a wrong number of targets are named") {
  auto x = normal(2, 5, 1, fw::role::matrix), head = normal(5, 11, 2, fw::role::head);
  fw::tape<double> t;
  const auto scores = fw::logits<double>::by_weight(fw::use(t, x), head);
  CHECK_THROWS_WITH(fw::cross_entropy(scores, {1, 11}), ContainsSubstring("target 11"));
  CHECK_THROWS_AS(fw::cross_entropy(scores, {1}), fw::argument_error);
  CHECK_THROWS_WITH(fw::logits<double>::by_weight(fw::use(t, head), head), ContainsSubstring("head: x is (5 × 11)"));
}
