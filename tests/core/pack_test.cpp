// SPDX-License-Identifier: MIT
#include <formwork/core/pack.hpp>

#include "support/catch.hpp"

#include <random>
#include <tuple>

namespace fw = formwork;

namespace {

template <class S, int N>
using pack = fw::pack<S, N>;

/// Every width of this instruction set: whole packs, their halves where there are any, single numbers.
template <class S>
constexpr int half = fw::lanes<S> * sizeof(S) > 16 ? fw::lanes<S> / 2 : fw::lanes<S>;
using packs = std::tuple<fw::pack<float>, pack<float, half<float>>, pack<float, 1>, fw::pack<double>, pack<double, half<double>>,
                         pack<double, 1>>;

template <class P>
struct samples {
  using S = typename P::scalar;
  static constexpr int N = P::size;
  S a[N], b[N], c[N];

  explicit samples(unsigned seed) {
    std::mt19937 bits(seed);
    std::uniform_real_distribution<S> number(-4, 4);
    for (int l = 0; l < N; ++l) a[l] = number(bits), b[l] = number(bits), c[l] = number(bits);
    if (seed % 3 == 0) a[0] = b[0];
    if (seed % 5 == 0) a[N - 1] = std::numeric_limits<S>::quiet_NaN();
    if (seed % 7 == 0) b[N / 2] = -std::numeric_limits<S>::infinity();
  }
};

/// Whether every lane of y has the bits of scalar(l).
template <class P, class F>
bool lanes_are(P y, F scalar) {
  using S = typename P::scalar;
  S got[P::size];
  y.store(got);
  for (int l = 0; l < P::size; ++l) {
    const S want = scalar(l);
    if (std::isnan(want) ? !std::isnan(got[l]) : std::memcmp(&got[l], &want, sizeof(S)) != 0) return false;
  }
  return true;
}
template <class P, class Bits, class F>
bool mask_is(Bits mask, F scalar) {
  return lanes_are(select(mask, P(1), P(0)), [&](int l) { return typename P::scalar(scalar(l) ? 1 : 0); });
}

/// The product as a number in memory, so that nothing is fused with it.
template <class S>
S rounded_product(S a, S b) {
  volatile S p = a * b;
  return p;
}

/// One assertion for all types: Catch's macros are slow to compile.
void require(const char* operation, unsigned seed, bool right) {
  CAPTURE(operation, seed);
  REQUIRE(right);
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("pack: every operation does to each lane what the scalar operation does", "", packs) {
  using P = TestType;
  using S = typename P::scalar;
  for (unsigned seed = 1; seed <= 210; ++seed) {
    const samples<P> x(seed);
    const auto &a = x.a, &b = x.b, &c = x.c;
    const P p = P::load(a), q = P::load(b), r = P::load(c);
    const auto holds = [seed](const char* operation, bool right) { require(operation, seed, right); };
    holds("p + q", lanes_are(p + q, [&](int l) { return a[l] + b[l]; }));
    holds("p - q", lanes_are(p - q, [&](int l) { return a[l] - b[l]; }));
    holds("p * q", lanes_are(p * q, [&](int l) { return a[l] * b[l]; }));
    holds("p / q", lanes_are(p / q, [&](int l) { return a[l] / b[l]; }));
    holds("-p", lanes_are(-p, [&](int l) { return -a[l]; }));
    holds("sqrt(abs(p))", lanes_are(sqrt(abs(p)), [&](int l) { return std::sqrt(std::abs(a[l])); }));
    holds("abs(p)", lanes_are(abs(p), [&](int l) { return std::abs(a[l]); }));
    holds("copysign(p, q)", lanes_are(copysign(p, q), [&](int l) { return std::copysign(a[l], b[l]); }));
    holds("max(p, q)", lanes_are(max(p, q), [&](int l) { return a[l] < b[l] ? b[l] : a[l]; }));
    holds("min(p, q)", lanes_are(min(p, q), [&](int l) { return b[l] < a[l] ? b[l] : a[l]; }));
    holds("select(p < q, r, q)", lanes_are(select(p < q, r, q), [&](int l) { return a[l] < b[l] ? c[l] : b[l]; }));
    holds("p < q", mask_is<P>(p < q, [&](int l) { return a[l] < b[l]; }));
    holds("p <= q", mask_is<P>(p <= q, [&](int l) { return a[l] <= b[l]; }));
    holds("p > q", mask_is<P>(p > q, [&](int l) { return a[l] > b[l]; }));
    holds("p >= q", mask_is<P>(p >= q, [&](int l) { return a[l] >= b[l]; }));
    holds("p == q", mask_is<P>(p == q, [&](int l) { return a[l] == b[l]; }));
    holds("p != q", mask_is<P>(p != q, [&](int l) { return a[l] != b[l]; }));
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    holds("fma(p, q, r)", lanes_are(fma(p, q, r), [&](int l) { return std::fma(a[l], b[l], c[l]); }));
#else
    holds("fma(p, q, r)", lanes_are(fma(p, q, r), [&](int l) { return rounded_product(a[l], b[l]) + c[l]; }));
#endif
    holds("P::from_bits(to_bits(p))", lanes_are(P::from_bits(to_bits(p)), [&](int l) { return a[l]; }));
    for (int l = 0; l < P::size; ++l) holds("p[l]", p[l] == a[l] || std::isnan(a[l]));
  }
  REQUIRE(lanes_are(P::ramp(3), [](int l) { return S(3 + l); }));
  REQUIRE(lanes_are(P(7), [](int) { return S(7); }));
}

TEMPLATE_LIST_TEST_CASE("pack: a product and a sum round twice, whatever the compiler would rather do", "", packs) {
  using P = TestType;
  using S = typename P::scalar;
  int differ = 0;
  for (unsigned seed = 1; seed <= 200; ++seed) {
    if (seed % 5 == 0 || seed % 7 == 0) continue;
    const samples<P> x(seed);
    const P a = P::load(x.a), b = P::load(x.b), c = P::load(x.c);
    require("a * b + c", seed, lanes_are(a * b + c, [&](int l) { return rounded_product(x.a[l], x.b[l]) + x.c[l]; }));
    require("c - a * b", seed, lanes_are(c - a * b, [&](int l) { return x.c[l] - rounded_product(x.a[l], x.b[l]); }));
    for (int l = 0; l < P::size; ++l) differ += S(rounded_product(x.a[l], x.b[l]) + x.c[l]) != std::fma(x.a[l], x.b[l], x.c[l]);
  }
  CHECK(differ > 0);  // or the samples could not tell
}

TEMPLATE_LIST_TEST_CASE("pack: a part of a pack is read and written without touching what follows", "", packs) {
  using P = TestType;
  using S = typename P::scalar;
  constexpr int N = P::size;
  for (int count = -1; count <= N; ++count)
    for (int offset = 0; offset < 3; ++offset) {
      S from[N + 3], to[N + 4];
      for (int i = 0; i < N + 3; ++i) from[i] = S(i + 1);
      for (S& v : to) v = -1;
      const P part = P::load(from + offset, count);
      require("load", unsigned(count), lanes_are(part, [&](int l) { return l < count ? from[offset + l] : S(0); }));
      P::ramp(5).store(to + offset, count);
      for (int i = 0; i < N + 4; ++i)
        require("store", unsigned(count), to[i] == (i >= offset && i < offset + count ? S(5 + i - offset) : S(-1)));
    }
}

TEMPLATE_LIST_TEST_CASE("pack: folds combine the upper half with the lower", "", packs) {
  using P = TestType;
  using S = typename P::scalar;
  constexpr int N = P::size;
  for (unsigned seed = 1; seed <= 50; ++seed) {
    if (seed % 5 == 0) continue;
    const samples<P> x(seed);
    S folded[N], most = x.a[0], least = x.a[0];
    for (int l = 0; l < N; ++l) folded[l] = x.a[l], most = std::max(most, x.a[l]), least = std::min(least, x.a[l]);
    for (int h = N / 2; h > 0; h /= 2)
      for (int l = 0; l < h; ++l) folded[l] += folded[l + h];
    const P a = P::load(x.a);
    CHECK(sum(a) == folded[0]);
    CHECK(largest(a) == most);
    CHECK(smallest(a) == least);
  }
}

TEMPLATE_LIST_TEST_CASE("pack: transpose exchanges rows and columns", "", packs) {
  using P = TestType;
  using S = typename P::scalar;
  constexpr int N = P::size;
  P block[N];
  for (int i = 0; i < N; ++i) block[i] = P::ramp(S(i * N));
  transpose(block);
  for (int i = 0; i < N; ++i) REQUIRE(lanes_are(block[i], [&](int l) { return S(l * N + i); }));
}

TEMPLATE_LIST_TEST_CASE("pack: any and all look at every lane", "", packs) {
  using P = TestType;
  using S = typename P::scalar;
  CHECK_FALSE(fw::any(P(1) < P(0)));
  CHECK(fw::all(P(0) < P(1)));
  for (int l = 0; l < P::size; ++l) {
    S lane[P::size] = {};
    lane[l] = 1;
    CHECK(fw::any(P::load(lane) > P(0)));
    CHECK_FALSE(fw::all(P::load(lane) < P(1)));
  }
}

TEST_CASE("pack: widen and narrow keep the order of the lanes") {
  [](auto whole) {
    constexpr int N = decltype(whole)::size;
    if constexpr (N > 1) {
      pack<double, N / 2> low, high;
      fw::widen(whole, low, high);
      CHECK(lanes_are(low, [](int l) { return double(1 + l); }));
      CHECK(lanes_are(high, [](int l) { return double(1 + N / 2 + l); }));
      CHECK(lanes_are(fw::narrow(low, high), [](int l) { return float(1 + l); }));
    }
  }(fw::pack<float>::ramp(1));
}

TEST_CASE("pack: max and min keep the first argument where one is NaN") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(max(fw::pack<float>(nan), fw::pack<float>(1))[0]));
  CHECK(max(fw::pack<float>(1), fw::pack<float>(nan))[0] == 1);
  CHECK(std::isnan(min(fw::pack<float>(nan), fw::pack<float>(1))[0]));
  CHECK(min(fw::pack<float>(1), fw::pack<float>(nan))[0] == 1);
}

TEST_CASE("pack: padded rounds up to whole packs") {
  CHECK(fw::padded<float>(0) == 0);
  CHECK(fw::padded<float>(1) == fw::lanes<float>);
  CHECK(fw::padded<double>(fw::lanes<double>) == fw::lanes<double>);
  CHECK(fw::padded<double>(fw::lanes<double> + 1) == 2 * fw::lanes<double>);
}
