// SPDX-License-Identifier: MIT
#include <formwork/core/dual_pack.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

namespace fw = formwork;
using fw::Index;

namespace {

/// number i of some that differ, with a slope that differs too
template <class S>
fw::dual_number<S> nth(Index i) {
  return {S(0.25) * static_cast<S>(i + 1), S(100) - static_cast<S>(i)};
}
template <class S>
bool same(const fw::dual_number<S>& a, const fw::dual_number<S>& b) {
  return a.value[0] == b.value[0] && a.slope[0] == b.slope[0];
}

/// f(whole registers of S, a half, ..., one lane).
template <class S, int N = fw::lanes<S>>
void each_width(auto f) {
  f(std::integral_constant<int, N>());
  if constexpr (N * sizeof(S) > 16)
    each_width<S, N / 2>(f);
  else if constexpr (N > 1)
    f(std::integral_constant<int, 1>());
}

/// A formula on packs of numbers with slopes has the bits of the same on packs, and on duals of packs.
template <class Formula>
void same_as_duals(Formula f, double from, double step) {
  const auto check = [&]<class S>(S) {
    each_width<S>([&]<int N>(std::integral_constant<int, N>) {
      using part = fw::pack<S, N>;
      const part x = fma(part::ramp(0), part(static_cast<S>(step)), part(static_cast<S>(from)));
      const part dx = part::ramp(2);
      const fw::pack<fw::dual_number<S>, N> y = f(fw::pack<fw::dual_number<S>, N>(x, dx));
      const fw::dual<part> expected = f(fw::dual<part>(x, dx));
      const part value = f(x);
      for (int l = 0; l < N; ++l) {
        CHECK(y.value[l] == value[l]);
        CHECK(y.slope[l] == expected.slope[l]);
        CHECK(!(y.slope[l] == 0 && l > 0));  // no formula below is constant there
      }
    });
  };
  check(float()), check(double());
}

}  // namespace

TEMPLATE_TEST_CASE("dual_pack: what is stored is loaded, each value beside its slope, in packs of any width", "", float, double) {
  using D = fw::dual_number<TestType>;
  each_width<TestType>([]<int N>(std::integral_constant<int, N>) {
    std::vector<D> from, to(static_cast<std::size_t>(N) + 1, D(-7, -7));
    for (Index i = 0; i < N; ++i) from.push_back(nth<TestType>(i));
    const auto p = fw::pack<D, N>::load(from.data());
    p.store(to.data());
    for (int i = 0; i < N; ++i) {
      CHECK(p.value[i] == from[static_cast<std::size_t>(i)].value[0]);
      CHECK(p.slope[i] == from[static_cast<std::size_t>(i)].slope[0]);
      CHECK(same(p[i], from[static_cast<std::size_t>(i)]));
      CHECK(same(to[static_cast<std::size_t>(i)], from[static_cast<std::size_t>(i)]));
    }
    CHECK(same(to.back(), D(-7, -7)));
  });
}

TEMPLATE_TEST_CASE("dual_pack: tails load zeros behind and store nothing behind", "", float, double) {
  using D = fw::dual_number<TestType>;
  each_width<TestType>([]<int N>(std::integral_constant<int, N>) {
    for (Index count = 0; count <= N + 1; ++count) {
      const Index used = std::min<Index>(count, N);
      std::vector<D> from, to(static_cast<std::size_t>(N) + 1, D(-7, -7));  // `from` ends where the tail does
      for (Index i = 0; i < count; ++i) from.push_back(nth<TestType>(i));
      from.shrink_to_fit();
      const auto p = fw::pack<D, N>::load(from.data(), count);
      p.store(to.data(), count);
      for (int i = 0; i < N; ++i) {
        CHECK(same(p[i], i < used ? nth<TestType>(i) : D(0)));
        CHECK(same(to[static_cast<std::size_t>(i)], i < used ? nth<TestType>(i) : D(-7, -7)));
      }
      CHECK(same(to.back(), D(-7, -7)));
    }
  });
}

TEMPLATE_TEST_CASE("dual_pack: blocks are transposed, values and slopes alike", "", float, double) {
  using D = fw::dual_number<TestType>;
  each_width<TestType>([]<int N>(std::integral_constant<int, N>) {
    fw::pack<D, N> block[N];
    D row[N];
    for (int i = 0; i < N; ++i) {
      for (int j = 0; j < N; ++j) row[j] = nth<TestType>(i * N + j);
      block[i] = fw::pack<D, N>::load(row);
    }
    transpose(block);
    for (int i = 0; i < N; ++i)
      for (int j = 0; j < N; ++j) CHECK(same(block[i][j], nth<TestType>(j * N + i)));
  });
}

TEMPLATE_TEST_CASE("dual_pack: sums are those of the values and of the slopes; constants have none", "", float, double) {
  using S = TestType;
  using D = fw::dual_number<S>;
  using P = fw::pack<D>;
  D numbers[fw::lanes<S>];
  S plain[fw::lanes<S>];
  for (int i = 0; i < fw::lanes<S>; ++i) numbers[i] = nth<S>(i), plain[i] = S(i) / 3;
  const P p = P::load(numbers);
  CHECK(same(sum(p), D(sum(p.value), sum(p.slope))));
  const P constants = P::load(plain), ramp = P::ramp(D(3, 5)), broadcast(D(2, 9));
  for (int i = 0; i < fw::lanes<S>; ++i) {
    CHECK(same(constants[i], D(plain[i], 0)));
    CHECK(same(ramp[i], D(S(3 + i), 5)));
    CHECK(same(broadcast[i], D(2, 9)));
    CHECK(same(P(4)[i], D(4, 0)));
    CHECK(same(select(p.value < fw::pack<S>(S(0.6)), p, P(1))[i], numbers[i].value[0] < S(0.6) ? numbers[i] : D(1)));
  }
  CHECK(sum(value_of(p)) == sum(p.value));
  CHECK(vanishes(D(0, 0)));
  CHECK_FALSE(vanishes(D(0, 1)));
  CHECK_FALSE(vanishes(D(1, 0)));
  CHECK_FALSE(vanishes(D(0, std::numeric_limits<S>::quiet_NaN())));
  CHECK(same(widened(D(S(0.1f), S(0.3f))), fw::dual_number<double>(0.1f, 0.3f)));
  CHECK(same(fw::rounded<D>({0.1, 0.3}), D(static_cast<S>(0.1), static_cast<S>(0.3))));
}

TEST_CASE("dual_pack: arithmetic and elementary functions have the values of packs and the slopes of duals") {
  const auto nearby = [](auto f) { same_as_duals(f, 0.35, 0.3); };
  nearby([](auto x) { return x + x * x - decltype(x)(3) / x; });
  nearby([](auto x) { return (decltype(x)(2) - x) / (x + decltype(x)(1)) - x; });
  nearby([](auto x) { return fma(x, x, -x); });
  nearby([](auto x) { return max(x, decltype(x)(0)) * min(x * x, x + decltype(x)(50)) + abs(x) + copysign(x, -x) * x; });
  nearby([](auto x) { return sqrt(x); });
  nearby([](auto x) { return exp(x); });
  nearby([](auto x) { return exp2(x); });
  nearby([](auto x) { return expm1(x); });
  nearby([](auto x) { return log(x); });
  nearby([](auto x) { return log1p(x); });
  nearby([](auto x) { return softplus(x); });
  nearby([](auto x) { return times_sigmoid(x); });
  nearby([](auto x) { return times_sigmoid_parts(x).function; });
  nearby([](auto x) { return times_normal_cdf(x); });
  nearby([](auto x) { return times_normal_cdf_parts(x).cdf + times_normal_cdf_parts(x).density; });
  nearby([](auto x) { return sin(x) * cos(x); });
  same_as_duals([](auto x) { return tanh(x); }, -1.2, 0.15);
  same_as_duals([](auto x) { return sigmoid(x); }, -4, 0.3);
  same_as_duals([](auto x) { return erf(x); }, -1.2, 0.15);
  same_as_duals([](auto x) { return erfc(x); }, -1.2, 0.15);
  same_as_duals([](auto x) { return exp2_nonpositive(x); }, -9, 0.25);
}

TEMPLATE_TEST_CASE("dual_pack: a weight that is taken for nothing has no slope", "", float, double) {
  using P = fw::pack<fw::dual_number<TestType>>;
  for (const TestType far : {-std::numeric_limits<TestType>::infinity(), TestType(-2000)}) {
    const P y = exp2_nonpositive(P(fw::pack<TestType>(far), fw::pack<TestType>(5)));
    CHECK(same(y[0], fw::dual_number<TestType>(0)));
  }
}

TEST_CASE("dual_pack: duals over it are second derivatives") {
  using P = fw::pack<fw::dual_number<double>>;
  const auto second = [](auto f, double x) {
    const fw::dual<P> y = f(fw::dual<P>(P(fw::pack<double>(x), fw::pack<double>(1)), P(1)));
    CHECK(y.slope.value[0] == y.value.slope[0]);  // both are f'
    return y.slope.slope[0];
  };
  for (const double x : {-1.3, -0.2, 0.4, 2.1}) {
    CAPTURE(x);
    const double t = std::tanh(x), s = 1 / (1 + std::exp(-x));
    CHECK(second([](auto u) { return u * u * u; }, x) == Approx(6 * x));
    CHECK(second([](auto u) { return 1 / u; }, x) == Approx(2 / (x * x * x)));
    CHECK(second([](auto u) { return exp(u); }, x) == Approx(std::exp(x)));
    CHECK(second([](auto u) { return tanh(u); }, x) == Approx(-2 * t * (1 - t * t)));
    CHECK(second([](auto u) { return sigmoid(u); }, x) == Approx(s * (1 - s) * (1 - 2 * s)));
    CHECK(second([](auto u) { return softplus(u); }, x) == Approx(s * (1 - s)));
    CHECK(second([](auto u) { return sin(u); }, x) == Approx(-std::sin(x)));
    CHECK(second([](auto u) { return log1p(u * u); }, x) == Approx(2 * (1 - x * x) / ((1 + x * x) * (1 + x * x))));
    CHECK(second([](auto u) { return erf(u); }, x) == Approx(-2 * x * 1.1283791670955126 * std::exp(-x * x)));
    CHECK(second([](auto u) { return sqrt(u * u + 1); }, x) == Approx(std::pow(x * x + 1, -1.5)));
  }
}
