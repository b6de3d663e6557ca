// SPDX-License-Identifier: MIT
#include <formwork/optim.hpp>
#include <formwork/tape.hpp>

#include <tuple>
#include <vector>

#include "laws/update_rule_laws.hpp"
#include "oracle/orthogonalize.hpp"

using namespace checks;

namespace {

const std::vector<fw::odd_quintic> exact(16, fw::convergent_quintic);

/// The value after some steps, and how far the last one went.
struct outcome {
  fw::matrix<double> value, change;
};
outcome after(const fw::muon& rule, Index rows, Index cols, Index steps) {
  laws::trained<fw::muon, double> t(rule, rows, cols);
  t.train(steps - 1);
  const auto before = t.value;
  t.train(steps);
  fw::matrix<double> change(rows, cols);
  for (Index i = 0; i < change.size(); ++i) change.data()[i] = before.data()[i] - t.value.data()[i];
  return {t.value, change};
}
double largest_singular_value(const fw::matrix<double>& m) { return oracle::singular_values(m).maxCoeff(); }
double root_mean_square(const fw::matrix<double>& m) { return std::sqrt(fw::squared_norm(m) / double(m.size())); }

}  // namespace

TEST_CASE("update rule laws: muon") {
  laws::update_rule_laws<float>(fw::muon{.rate = 0.1, .weight_decay = 0.1});
  laws::update_rule_laws<double>(fw::muon{.rate = 0.1,
                                          .weight_decay = 0.1,
                                          .form = fw::momentum_form::heavy_ball,
                                          .keeps = fw::muon::kept::mean,
                                          .scale = fw::muon::scaling::match_rms_adamw,
                                          .iterations = {fw::convergent_quintic, fw::convergent_cubic}});
}

TEST_CASE("the first step of muon is the gradient's msign, by the factor of the shape; later ones are of the momentum") {
  for (const auto& [in, out] : std::vector<std::pair<Index, Index>>{{12, 12}, {12, 30}, {30, 12}}) {
    CAPTURE(in, out);
    const fw::muon rule{.rate = 0.5, .iterations = exact};
    CHECK(rule.factor(in, out) == std::sqrt(std::max(1.0, double(out) / double(in))));
    laws::trained<fw::muon, double> t(rule, in, out);
    fw::matrix<double> momentum(in, out, 0.0);
    for (Index step = 0; step < 3; ++step) {
      const auto g = t.gradient();
      auto ahead = g, before = t.value;
      for (Index i = 0; i < g.size(); ++i) {
        momentum.data()[i] = 0.95 * momentum.data()[i] + g.data()[i];
        ahead.data()[i] += 0.95 * momentum.data()[i];
      }
      const auto sign = oracle::msign(ahead);
      t.update(t.value, g);
      for (Index i = 0; i < g.size(); ++i) before.data()[i] -= 0.5 * rule.factor(in, out) * sign.data()[i];
      CHECK(largest_error(t.value, before) <= 1e-6);  // ε of the norm
    }
  }
}

TEST_CASE("a momentum that averages gives the steps of one that sums") {
  for (const auto form : {fw::momentum_form::heavy_ball, fw::momentum_form::nesterov}) {
    fw::muon rule{.form = form, .epsilon = 0};
    const auto sums = after(rule, 17, 29, 6).value;
    rule.keeps = fw::muon::kept::mean;
    CHECK(largest_error(after(rule, 17, 29, 6).value, sums) <= 1e-10);
  }
}

TEST_CASE("match_rms_adamw moves numbers as far as AdamW does: 0.14 to 0.24 of the rate, by root mean square") {
  for (const auto& [in, out] : std::vector<std::pair<Index, Index>>{{32, 32}, {16, 90}, {90, 16}}) {
    CAPTURE(in, out);
    const fw::muon rule{.rate = 1, .scale = fw::muon::scaling::match_rms_adamw};
    CHECK(rule.factor(in, out) == 0.2 * std::sqrt(double(std::max(in, out))));
    const double moved = root_mean_square(after(rule, in, out, 1).change);
    CHECK(moved >= .14);
    CHECK(moved <= .24);
  }
}

TEST_CASE("with weight decay λ and s = 1 the largest singular value stays below max(that of the start, 1 / λ)") {
  for (const auto& [in, out] : std::vector<std::pair<Index, Index>>{{15, 15}, {24, 10}}) {
    const fw::muon rule{.rate = 0.3, .weight_decay = 1, .iterations = exact};
    REQUIRE(rule.factor(in, out) == 1);
    laws::trained<fw::muon, double> t(rule, in, out);
    const double bound = std::max(largest_singular_value(t.value), 1.0);
    double last = 0;
    for (Index step = 0; step < 40; ++step) {
      t.update(t.value, t.gradient());
      last = largest_singular_value(t.value);
      CHECK(last <= bound * (1 + 1e-12));
    }
    CHECK(last >= 0.2);  // updates go on: the bound is not met by standing still
  }
}

TEST_CASE("weight decay is of the rate alone, not of the factor of the shape") {
  const fw::matrix<double> zero(4, 100, 0.0);
  for (const auto scale : {fw::muon::scaling::original, fw::muon::scaling::match_rms_adamw}) {
    laws::trained<fw::muon, double> t({.rate = 0.5, .weight_decay = 0.1, .scale = scale}, 4, 100);
    auto expected = t.value;
    t.update(t.value, zero, 0.5);
    for (Index i = 0; i < expected.size(); ++i) expected.data()[i] *= 1 - 0.5 * 0.5 * 0.1;
    CHECK(largest_error(t.value, expected) <= 1e-15);
  }
}

TEST_CASE("muon in float follows muon in double") {
  const fw::muon rule{.weight_decay = 0.1};
  laws::trained<fw::muon, float> single(rule, 40, 64);
  laws::trained<fw::muon, double> twice(rule, 40, 64);
  single.train(5);
  twice.train(5);
  CHECK(largest_error(single.value, twice.value) <= 1e-6 * largest_of(twice.value));
}

TEST_CASE("an optimizer sends matrices to muon, the rest to adamw, and leaves frozen ones alone") {
  numbers r(3);
  const auto make = [&](fw::role kind) { return fw::parameter<float>(r.matrix<float>(6, 6), kind); };
  auto model = std::tuple(make(fw::role::matrix), make(fw::role::embedding), make(fw::role::matrix));
  auto& [matrix, embedding, frozen] = model;
  frozen.freeze();
  const auto before = std::array{fw::matrix<float>(matrix.value()), fw::matrix<float>(embedding.value()),
                                 fw::matrix<float>(frozen.value())};
  fw::optimizer optimizer(fw::when(fw::role::matrix, fw::muon{.rate = 0.5}),
                          fw::otherwise(fw::adamw{.rate = 0.25, .weight_decay = 0}));
  fw::tape<float> tape;
  const auto both = fw::multiply(fw::use(tape, matrix), fw::use(tape, embedding));
  tape.backward(fw::sum(fw::multiply(both, fw::use(tape, frozen))));
  optimizer.step(model);
  fw::matrix<double> moved(6, 6);
  for (Index i = 0; i < 36; ++i) {
    moved.data()[i] = 2 * double(before[0].data()[i] - matrix.value().data()[i]);
    CHECK(std::abs(std::abs(before[1].data()[i] - embedding.value().data()[i]) - 0.25f) <= 1e-6f);  // Adam's first is the sign
  }
  CHECK(largest_singular_value(moved) <= 1.21);
  CHECK(oracle::singular_values(moved).minCoeff() >= 0.3);
  CHECK(same_bits(fw::matrix<float>(frozen.value()), before[2]));
}
