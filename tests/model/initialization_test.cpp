// SPDX-License-Identifier: MIT
// What fresh weights promise: their size follows from role, place, depth and residual policy alone.
#include <formwork/activation.hpp>
#include <formwork/attention.hpp>
#include <formwork/feedforward.hpp>
#include <formwork/mask.hpp>
#include <formwork/model.hpp>
#include <formwork/norm.hpp>
#include <formwork/optim.hpp>
#include <formwork/residual.hpp>

#include "kernel/checks.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

template <class S, class Residual, class FeedForward>
using layer = fw::block<S, Residual, fw::attention<S, fw::full>, FeedForward>;

/// The root mean square of every matrix, by place, against the expected standard deviation.
template <class Residual, class FeedForward>
void weights_spread_as(const Residual& residual, auto expected) {
  fw::rng random{1};
  const fw::sizes sizes{.width = 96, .depth = 5, .heads = 3, .head_width = 20, .hidden = 160};
  auto layers = fw::stack<float, layer<float, Residual, FeedForward>>::make(fw::builder{.sizes = sizes, .random = random}, residual);
  Index matrices = 0;
  fw::for_each_named_parameter(layers, [&](const std::string& path, const fw::parameter<float>& p) {
    if (p.kind() != fw::role::matrix) return;
    ++matrices;
    const double spread = std::sqrt(fw::squared_norm(p.value()) / static_cast<double>(p.size()));
    INFO(path);
    CHECK(spread == Approx(expected(p.where(), static_cast<double>(p.rows()), static_cast<double>(p.cols()))).epsilon(0.05));
  });
  CHECK(matrices == 5 * (std::is_same_v<FeedForward, fw::gated_mlp<float, fw::silu>> ? 7 : 6));
}

/// What one step on the matrices does to a fresh stack of that depth, means over a few draws: how much the loss changes, the
/// output (root mean square), and how large the gradient was. Gains and biases of norms stand still: the theory counts none,
/// and 2N gradients of theirs would grow as √N.
struct first_step {
  double loss = 0, output = 0, gradient = 0;
};
template <class Residual, class Rule>
first_step after_one_step(Index depth, const Residual& residual, const Rule& rule) {
  constexpr Index width = 32, tokens = 16;
  constexpr int draws = 4;
  first_step r;
  for (int draw = 0; draw < draws; ++draw) {
    fw::rng random{static_cast<std::uint64_t>(7 + draw)};
    auto layers = fw::stack<double, layer<double, Residual, fw::mlp<double>>>::make(
        fw::builder{.sizes = {.width = width, .depth = depth, .heads = 4}, .random = random}, residual);
    fw::for_each_parameter(layers, [](auto& p) {
      if (p.kind() != fw::role::matrix) p.freeze();
    });
    const auto x = checks::numbers(static_cast<std::uint64_t>(draw)).matrix<double>(tokens, width);
    const auto target = checks::numbers(static_cast<std::uint64_t>(50 + draw)).matrix<double>(tokens, width);
    const auto loss_of = [&](const fw::var<double>& y) {
      const auto off = fw::subtract(y, y.tape().constant(fw::matrix<double>(target)));
      return fw::scale(fw::mean(fw::multiply(off, off)), 0.5);
    };
    fw::tape<double> t;
    const auto y = layers(t.constant(fw::matrix<double>(x)));
    const auto loss = loss_of(y);
    t.backward(loss);
    r.gradient += fw::gradient_norm(layers) / draws;
    fw::optimizer(fw::otherwise(rule)).step(layers);
    fw::tape<double> quiet{fw::recording::off};
    const auto moved = layers(quiet.constant(fw::matrix<double>(x)));
    r.loss += (loss_of(moved).item() - loss.item()) / draws;
    const fw::matrix<double> difference(fw::subtract(moved, quiet.constant(fw::matrix<double>(y.value()))).value());
    r.output += std::sqrt(fw::squared_norm(difference) / static_cast<double>(difference.size())) / draws;
  }
  return r;
}

}  // namespace

TEST_CASE("weights start with the spread of their place, depth and residual policy") {
  const double ends = 1 / std::sqrt(10.0);  // 1/√(2 depth)
  const auto pre = [=](fw::place at, double in, double) {
    return (at == fw::place::output || at == fw::place::down ? ends : 1) / std::sqrt(in);
  };
  const auto post = [](fw::place, double in, double out) { return std::sqrt(2 / (in + out)); };
  const auto deep = [](fw::place at, double in, double out) {
    const bool carries = at == fw::place::value || at == fw::place::output || at == fw::place::up || at == fw::place::down;
    return (carries ? std::pow(40.0, -0.25) : 1) * std::sqrt(2 / (in + out));
  };
  const auto deep_sign = [&](fw::place at, double in, double out) {
    const double base = std::sqrt(2 / (in + out)), published = deep(at, in, out);
    return published == base ? base : base * std::pow(10.0, -0.5);
  };
  using plain = fw::mlp<float>;
  using gated = fw::gated_mlp<float, fw::silu>;
  weights_spread_as<fw::pre_norm<fw::rms_norm>, gated>({}, pre);
  weights_spread_as<fw::post_norm<fw::layer_norm>, plain>({}, post);
  weights_spread_as<fw::deep_norm<fw::layer_norm>, plain>({}, deep);
  weights_spread_as<fw::deep_norm<fw::layer_norm>, gated>({}, deep);
  weights_spread_as<fw::deep_norm<fw::layer_norm>, plain>({.against = fw::deepening::sign}, deep_sign);
}

// Wang et al., 2203.00555.
TEST_CASE("deep_norm: a gradient step does to a deep stack what it does to a shallow one, where post_norm's differs") {
  const fw::sgd step{.rate = 0.1, .momentum = 0};
  const auto shallow = after_one_step(6, fw::deep_norm<fw::layer_norm>{}, step);
  CHECK(shallow.loss < 0);
  for (const Index depth : {24, 96}) {
    const auto deep = after_one_step(depth, fw::deep_norm<fw::layer_norm>{}, step);
    CAPTURE(depth);
    CHECK(deep.loss == Approx(shallow.loss).epsilon(0.2));
    CHECK(deep.gradient == Approx(shallow.gradient).epsilon(0.2));
  }
  const auto post6 = after_one_step(6, fw::post_norm<fw::layer_norm>{}, step), post96 = after_one_step(96, fw::post_norm<fw::layer_norm>{}, step);
  CHECK(post96.gradient > 3 * post6.gradient);
}

// kexue.fm/archives/8978.
TEST_CASE("deep_norm: under steps of fixed size the published constants let the output move more with depth, those for signs do not") {
  const fw::adamw signs{.rate = 1e-3, .weight_decay = 0};
  const auto move = [&](Index depth, fw::deepening against) {
    return after_one_step(depth, fw::deep_norm<fw::layer_norm>{.against = against}, signs).output;
  };
  const double published = move(96, fw::deepening::gradient) / move(6, fw::deepening::gradient);
  const double fixed = move(96, fw::deepening::sign) / move(6, fw::deepening::sign);
  CAPTURE(published, fixed);
  CHECK(published > 2.5);  // √16 = 4 in the limit
  CHECK(fixed < 1.2);
}
