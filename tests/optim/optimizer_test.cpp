// SPDX-License-Identifier: MIT
#include <formwork/optim.hpp>
#include <formwork/tape.hpp>

#include <cmath>
#include <tuple>

#include "laws/update_rule_laws.hpp"
#include "support/catch.hpp"

namespace fw = formwork;

namespace {
fw::parameter<double> number(double value, fw::role kind = fw::role::matrix) { return {fw::matrix<double>(1, 1, value), kind}; }
/// Gives the parameter the gradient g.
void push(fw::parameter<double>& p, double g) {
  fw::tape<double> t;
  t.backward(fw::scale(fw::sum(fw::use(t, p)), g));
}
}  // namespace

TEMPLATE_TEST_CASE("update rule laws: adamw, sgd", "", float, double) {
  laws::update_rule_laws<TestType>(fw::adamw{.rate = 0.1, .weight_decay = 0.2});
  laws::update_rule_laws<TestType>(fw::sgd{.rate = 0.1, .weight_decay = 0.2});
  laws::update_rule_laws<TestType>(fw::sgd{.rate = 0.1, .form = fw::momentum_form::nesterov});
}

TEST_CASE("AdamW takes the two steps worked out by hand") {
  auto p = number(1);
  fw::optimizer optimizer(fw::otherwise(fw::adamw{.rate = 0.01, .beta1 = 0.9, .beta2 = 0.95, .weight_decay = 0.1}));
  push(p, 0.1);
  optimizer.step(p);
  CHECK(p.value()(0, 0) == Approx(0.9890000).epsilon(1e-8));
  push(p, -0.2);
  optimizer.step(p);
  CHECK(p.value()(0, 0) == Approx(0.9916447403).epsilon(1e-9));
}

TEST_CASE("gains, biases and dynamics are not decayed unless asked, everything else is") {
  for (const fw::role kind : {fw::role::matrix, fw::role::embedding, fw::role::head, fw::role::gain, fw::role::bias,
                              fw::role::mixing, fw::role::dynamics, fw::role::table}) {
    CAPTURE(fw::name_of(kind));
    auto p = number(1, kind), q = number(1, kind);
    push(p, 1e-30);
    push(q, 1e-30);
    fw::optimizer(fw::otherwise(fw::adamw{.rate = 1, .epsilon = 1, .weight_decay = 0.5})).step(p);
    fw::optimizer(fw::otherwise(fw::adamw{.rate = 1, .epsilon = 1, .weight_decay = 0.5, .decays = fw::adamw::decayed::all})).step(q);
    const bool spared = kind == fw::role::gain || kind == fw::role::bias || kind == fw::role::dynamics;
    CHECK(p.value()(0, 0) == (spared ? 1 : 0.5));
    CHECK(q.value()(0, 0) == 0.5);
  }
}

TEST_CASE("each parameter goes to the first rule that takes its role") {
  auto both = std::tuple(number(1, fw::role::matrix), number(1, fw::role::bias));
  fw::optimizer optimizer(fw::when(fw::role::bias, fw::sgd{.rate = 1, .momentum = 0}),
                          fw::otherwise(fw::adamw{.rate = 0.5, .weight_decay = 0}));
  push(std::get<0>(both), 3);
  push(std::get<1>(both), 0.25);
  optimizer.step(both);
  CHECK(std::get<0>(both).value()(0, 0) == Approx(0.5));  // Adam's first step is the sign
  CHECK(std::get<1>(both).value()(0, 0) == 0.75);
}

TEST_CASE("a step marks gradients stale; frozen and unreached parameters stay") {
  auto three = std::tuple(number(1), number(1), number(1));
  fw::optimizer optimizer(fw::otherwise(fw::sgd{.rate = 1}));
  push(std::get<0>(three), 1);
  push(std::get<1>(three), 1);
  std::get<1>(three).freeze();
  optimizer.step(three);
  CHECK(std::get<0>(three).value()(0, 0) == 0);
  CHECK(std::get<1>(three).value()(0, 0) == 1);
  CHECK(std::get<2>(three).value()(0, 0) == 1);
  CHECK_FALSE(std::get<0>(three).has_gradient());
  CHECK(optimizer.steps() == 1);
}

TEST_CASE("a role without a rule and another module than before are refused") {
  auto p = number(1, fw::role::head);
  push(p, 1);
  fw::optimizer only_gains(fw::when(fw::role::gain, fw::sgd{}));
  CHECK_THROWS_WITH(only_gains.step(p), ContainsSubstring("no route takes"));
  fw::optimizer optimizer(fw::otherwise(fw::sgd{}));
  optimizer.step(p);
  auto two = std::tuple(number(1), number(2));
  CHECK_THROWS_WITH(optimizer.step(two), ContainsSubstring("make a new optimizer"));
}

TEST_CASE("clipping bounds the global norm in both forms, within a factor two of each other") {
  for (const double size : {0.1, 1.0, 3.0, 10.0}) {
    const auto clipped = [&](fw::clipping form) {
      auto two = std::tuple(number(0), number(0));
      push(std::get<0>(two), 0.6 * size);
      push(std::get<1>(two), -0.8 * size);
      CHECK(fw::clip_by_global_norm(two, 1.0, form) == Approx(size));
      return fw::gradient_norm(two);
    };
    const double hard = clipped(fw::clipping::hard), soft = clipped(fw::clipping::soft);
    CHECK(hard == Approx(std::min(size, 1.0)));
    CHECK(soft == Approx(size / (size + 1)));
    CHECK(0.5 * hard <= soft * (1 + 1e-12));
    CHECK(soft <= hard);
  }
  auto p = number(0);
  push(p, 1e200);
  push(p, 1e308);
  CHECK_THROWS_AS(fw::clip_by_global_norm(p, 1.0), fw::numeric_error);
}

TEST_CASE("a schedule warms up linearly, decays as named and ends at its last value") {
  const fw::schedule cosine{.warm_up = 10, .total = 110, .last = 0.1};
  CHECK(cosine(0) == Approx(0.1));
  CHECK(cosine(9) == Approx(1));
  CHECK(cosine(10) == Approx(1));
  CHECK(cosine(60) == Approx(0.55));
  CHECK(cosine(110) == Approx(0.1));
  CHECK(cosine(500) == Approx(0.1));
  const fw::schedule linear{.warm_up = 0, .total = 100, .last = 0, .shape = fw::decay::linear};
  CHECK(linear(25) == Approx(0.75));
  const fw::schedule constant{.warm_up = 4, .total = 100, .shape = fw::decay::constant};
  CHECK(constant(1) == Approx(0.5));
  CHECK(constant(90) == 1);
}
