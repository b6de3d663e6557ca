// SPDX-License-Identifier: MIT
#include <formwork/core/dual.hpp>

#include "support/catch.hpp"

#include <random>

namespace fw = formwork;

namespace {

using real = fw::pack<double, 1>;
using dual = fw::dual<real>;

/// The slope of a formula by duals and by central differences with Richardson's correction, at several points.
template <class Formula>
void slopes_agree(Formula f, std::initializer_list<double> points) {
  for (const double x : points) {
    const auto at = [&](double v) { return f(real(v)).value; };
    const auto central = [&](double h) { return (at(x + h) - at(x - h)) / (2 * h); };
    const double numeric = (4 * central(5e-4) - central(1e-3)) / 3;
    const dual y = f(dual(real(x), real(1)));
    CAPTURE(x);
    CHECK(y.value.value == at(x));  // the same bits
    CHECK(y.slope.value == Approx(numeric).epsilon(1e-9).margin(1e-10));

    const auto whole = f(fw::dual<fw::pack<double>>(fw::pack<double>(x), fw::pack<double>(1)));
    CHECK(whole.value[fw::lanes<double> - 1] == y.value.value);
    CHECK(whole.slope[fw::lanes<double> - 1] == y.slope.value);
    const auto single = f(fw::dual<fw::pack<float>>(fw::pack<float>(x), fw::pack<float>(1)));
    CHECK(single.slope[0] == Approx(y.slope.value).epsilon(1e-5).margin(1e-6));
  }
}

}  // namespace

TEST_CASE("dual: slopes of the elementary functions are their derivatives") {
  slopes_agree([](auto x) { return exp(x); }, {-3, -0.1, 0, 2.5});
  slopes_agree([](auto x) { return exp2(x); }, {-3, -0.1, 0, 2.5});
  slopes_agree([](auto x) { return expm1(x); }, {-3, -0.1, 0, 2.5});
  slopes_agree([](auto x) { return log(x); }, {0.3, 1, 7});
  slopes_agree([](auto x) { return log1p(x); }, {-0.5, 0, 7});
  slopes_agree([](auto x) { return tanh(x); }, {-3, -0.1, 0, 2.5});
  slopes_agree([](auto x) { return sigmoid(x); }, {-30, -3, 0, 2.5});
  slopes_agree([](auto x) { return times_sigmoid(x); }, {-30, -3, 0, 2.5});
  slopes_agree([](auto x) { return softplus(x); }, {-30, -3, 0, 2.5});
  slopes_agree([](auto x) { return erf(x); }, {-3, -0.1, 0, 1.5});
  slopes_agree([](auto x) { return erfc(x); }, {-3, -0.1, 0, 1.5});
  slopes_agree([](auto x) { return times_normal_cdf(x); }, {-5, -0.1, 0, 1.5});
  slopes_agree([](auto x) { return sqrt(x); }, {0.3, 1, 7});
  slopes_agree([](auto x) { return abs(x); }, {-2, 3});
  slopes_agree([](auto x) { return sin(x); }, {-2, 0, 3});
  slopes_agree([](auto x) { return cos(x); }, {-2, 0, 3});
}

TEST_CASE("dual: slopes of compositions follow the rules of calculus") {
  const auto points = {-2.0, -0.7, 0.4, 1.9};
  slopes_agree([](auto x) { return x * x + 3 * x - x / 2 + 1; }, points);
  slopes_agree([](auto x) { return (1 - x) / (x * x + 2.5); }, points);
  slopes_agree([](auto x) { return fma(x, x, exp(-x)); }, points);
  slopes_agree([](auto x) { return 2 / (1 + exp(-x)) - 1; }, points);
  slopes_agree([](auto x) { return decltype(x)(30) * tanh(x / decltype(x)(30)); }, points);
  slopes_agree([](auto x) { return max(x, decltype(x)(0)) * min(x, 1 - x); }, points);
  slopes_agree([](auto x) { return select(x < decltype(x)(0), x * x, -x); }, points);
  slopes_agree([](auto x) { return copysign(x * x, x); }, points);
  slopes_agree(
      [](auto x) {
        auto y = x;
        y += x * x, y -= 0.5, y *= x, y /= x * x + 1;
        return y;
      },
      points);
}

TEST_CASE("dual: several slopes at once are the partial derivatives") {
  using plane = fw::dual<real, 2>;
  const plane a(real(1.5), {real(1), real(0)}), b(real(-2), {real(0), real(1)});
  const auto f = [](auto u, auto v) { return u * v / (u - v) + exp(u) * v; };
  const double h = 1e-5;
  const auto y = f(a, b);
  const auto value = [&](double u, double v) { return f(real(u), real(v)).value; };
  CHECK(y.value.value == value(1.5, -2));
  CHECK(y.at(0).value == Approx((value(1.5 + h, -2) - value(1.5 - h, -2)) / (2 * h)).epsilon(1e-8));
  CHECK(y.at(1).value == Approx((value(1.5, -2 + h) - value(1.5, -2 - h)) / (2 * h)).epsilon(1e-8));
}

TEST_CASE("dual: a dual of duals gives the second derivative") {
  using second = fw::dual<dual>;
  const second x(dual(real(0.7), real(1)), dual(real(1), real(0)));
  CHECK((x * x * x).slope.slope.value == Approx(6 * 0.7));
  CHECK(exp(x).slope.slope.value == Approx(std::exp(0.7)));
  const double t = std::tanh(0.7);
  CHECK(tanh(x).slope.slope.value == Approx(-2 * t * (1 - t * t)));
  const double density = 0.3989422804014327 * std::exp(-0.7 * 0.7 / 2), s = 1 / (1 + std::exp(-0.7));
  CHECK(times_normal_cdf(x).slope.slope.value == Approx(density * (2 - 0.7 * 0.7)));
  CHECK(times_sigmoid(x).slope.slope.value == Approx(s * (1 - s) * (2 + 0.7 * (1 - 2 * s))));
}

TEST_CASE("dual: at a corner the documented slope is taken") {
  const dual zero(real(0), real(1));
  CHECK(max(zero, dual(0)).slope.value == 0);
  CHECK(max(dual(0), zero).slope.value == 1);
  CHECK(abs(zero).slope.value == 0);
  CHECK(min(zero, dual(0)).slope.value == 0);
}

TEST_CASE("dual: numbers and values are constants") {
  const dual x(real(2), real(1)), five(5), three(real(3));
  CHECK(five.slope.value == 0);
  CHECK(three.slope.value == 0);
  CHECK((x * real(4)).slope.value == 4);
  CHECK((real(4) / x).slope.value == -1);
  CHECK((4 - x).slope.value == -1);
  CHECK_FALSE(fw::any(x < dual(2)));
  CHECK(fw::any(x <= dual(2)));
  CHECK(fw::any(x == dual(2)));
}
