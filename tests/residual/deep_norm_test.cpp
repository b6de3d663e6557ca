// SPDX-License-Identifier: MIT
#include <formwork/norm.hpp>
#include <formwork/residual.hpp>

#include "laws/residual_laws.hpp"

namespace fw = formwork;
using fw::Index;

namespace {

using published = fw::deep_norm<fw::layer_norm>;
published at_depth(Index depth, fw::deepening against = fw::deepening::gradient) {
  return published{.against = against}.at({.depth = depth, .layer = 0});
}

}  // namespace

TEST_CASE("deep_norm keeps the laws of residuals") {
  laws::residual_laws(published{});
  laws::residual_laws(published{.against = fw::deepening::sign});
  laws::residual_laws(fw::deep_norm<fw::rms_norm>{});
}

TEST_CASE("deep_norm: the constants of the paper") {
  struct row {
    Index depth;
    double alpha, beta;
  };
  for (const row& r : {row{6, 1.86120972, .37991784}, row{24, 2.63214803, .26864248}, row{100, 3.76060309, .18803015},
                       row{1000, 6.68740305, .10573713}}) {
    CAPTURE(r.depth);
    CHECK(std::abs(at_depth(r.depth).alpha() - r.alpha) <= 5.1e-9);
    CHECK(std::abs(at_depth(r.depth).beta() - r.beta) <= 5.1e-9);
  }
}

TEST_CASE("deep_norm: β / α = 1 / √(4N) as published, 1 / 2N for steps of fixed size") {
  for (const Index depth : {1, 7, 100}) {
    const auto n = static_cast<double>(depth);
    CHECK(at_depth(depth).beta() / at_depth(depth).alpha() == Approx(1 / std::sqrt(4 * n)).epsilon(1e-12));
    const auto sign = at_depth(depth, fw::deepening::sign);
    CHECK(sign.beta() / sign.alpha() == Approx(1 / (2 * n)).epsilon(1e-12));
  }
}

TEST_CASE("deep_norm scales value, output, up and down, and nothing else") {
  const auto r = at_depth(24);
  for (const fw::place p : {fw::place::value, fw::place::output, fw::place::up, fw::place::down}) CHECK(r.gain(p) == r.beta());
  for (const fw::place p : {fw::place::query, fw::place::key, fw::place::gate, fw::place::none}) CHECK(r.gain(p) == 1);
}

TEST_CASE("deep_norm: α weighs the skip, not the branch") {
  const auto norm = fw::layer_norm<double>::make(6);
  fw::tape<double> quiet{fw::recording::off};
  const auto x = quiet.constant(checks::numbers(1).matrix<double>(2, 6));
  const auto branch = [](const auto& u) { return fw::multiply(u, u); };
  const auto r = at_depth(6);
  const auto expected = norm(fw::add(fw::scale(x, r.alpha()), branch(x)));
  CHECK(checks::largest_error(fw::matrix<double>(r.join(x, norm, branch).value()), fw::matrix<double>(expected.value())) <= 1e-14);
}
