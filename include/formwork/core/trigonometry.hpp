// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/elementary.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

// Sine and cosine. What they promise: math.hpp.

/// A sine and a cosine.
template <class P>
struct sine_cosine {
  P sin, cos;
};

/// For |x| ≤ 2^20: π/2 is subtracted n times in four pieces, the first three exactly, so that the rest is good even where
/// x is the number nearest to a multiple of π/2.
template <int N>
FORMWORK_INLINE sine_cosine<pack<double, N>> sincos_small(pack<double, N> x) {
  using P = pack<double, N>;
  using numbers = elementary<double>;
  const P t = fma(x, P(0.63661977236758138), P(numbers::magic)), n = t - P(numbers::magic);
  const words<P> quadrant = to_words(t);

  const auto difference = [](P a, P b, P& error) {  // a - b and what its rounding lost (Knuth)
    const P d = a - b, back = d - a;
    error = (a - (d - back)) - (b + back);
    return d;
  };
  P e1, e2;
  P r = x - n * P(numbers::half_pi[0]);
  r = difference(r, n * P(numbers::half_pi[1]), e1);
  r = difference(r, n * P(numbers::half_pi[2]), e2);
  const P rest = (e1 + e2) - n * P(numbers::half_pi[3]), h = r + rest, low = (r - h) + rest;

  const P z = h * h, half = P(0.5) * z, w = P(1) - half;
  const P s = h + fma(h * z, polynomial(z, numbers::sin_series), low * w);
  const P c = w + (((P(1) - w) - half) + fma(z * z, polynomial(z, numbers::cos_series), -(h * low)));
  const auto even = std::bit_cast<typename P::bits>(words<P>((quadrant & 1) - 1));
  return {from_words<P>(to_words(select(even, s, c)) ^ ((quadrant & 2) << 62)),
          from_words<P>(to_words(select(even, c, s)) ^ (((quadrant + 1) & 2) << 62))};
}

/// y where |x| ≤ 2^20, the standard library's sine and cosine in the other lanes.
template <class P>
[[gnu::noinline]] sine_cosine<P> sincos_anywhere(P x, sine_cosine<P> y) {
  using S = typename P::scalar;
  alignas(64) S lane[P::size], sine[P::size], cosine[P::size];
  x.store(lane);
  for (int l = 0; l < P::size; ++l) {
    sine[l] = std::sin(lane[l]);
    cosine[l] = std::cos(lane[l]);
  }
  const auto small = abs(x) <= P(S(1 << 20));
  return {select(small, y.sin, P::load(sine)), select(small, y.cos, P::load(cosine))};
}

/// sin x and cos x.
///
/// Numerics  ≤ 1 ULP for |x| ≤ 2^20; beyond, the standard library's, lane by lane. float is computed in double.
template <real S, int N>
FORMWORK_INLINE sine_cosine<pack<S, N>> sincos(pack<S, N> x) {
  using P = pack<S, N>;
  sine_cosine<P> y;
  if constexpr (std::same_as<S, double>) {
    y = sincos_small(x);
  } else if constexpr (N == 1) {
    const auto d = sincos_small(pack<double, 1>(x.value));
    y = {P(d.sin.value), P(d.cos.value)};
  } else {
    pack<double, N / 2> low, high;
    widen(x, low, high);
    const auto a = sincos_small(low), b = sincos_small(high);
    y = {narrow(a.sin, b.sin), narrow(a.cos, b.cos)};
  }
  if (all(abs(x) <= P(S(1 << 20)))) [[likely]]
    return y;
  return sincos_anywhere(x, y);
}
template <real S, int N>
FORMWORK_INLINE pack<S, N> sin(pack<S, N> x) {
  return sincos(x).sin;
}
template <real S, int N>
FORMWORK_INLINE pack<S, N> cos(pack<S, N> x) {
  return sincos(x).cos;
}

}  // namespace formwork
