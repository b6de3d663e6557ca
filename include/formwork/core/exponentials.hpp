// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/elementary.hpp>

namespace formwork::inline FORMWORK_ABI {

// Exponentials, logarithms and what is made of them: exp, exp2, expm1, tanh, sigmoid, log, log1p, softplus. What they promise:
// math.hpp.

/// x - n log 2 for n = round(x / log 2).
template <class P>
FORMWORK_INLINE P without_powers(P x, P n) {
  using numbers = elementary<typename P::scalar>;
  return fma(n, P(-numbers::ln2_low), fma(n, P(-numbers::ln2_high), x));
}

/// e^r for |r| ≤ log(2)/2.
template <class P>
FORMWORK_INLINE P exp_reduced(P r) {
  const P y = fma(polynomial(r, elementary<typename P::scalar>::exp_series), r, P(1));
  return fma(y, r, P(1));
}

/// e^r - 1 for |r| ≤ log(2)/2.
template <class P>
FORMWORK_INLINE P expm1_reduced(P r) {
  return fma(polynomial(r, elementary<typename P::scalar>::exp_series), r * r, r);
}

/// e^x.
///
/// Numerics  ≤ 1 ULP with FMA, ≤ 1.25 without; measured on all floats: 0.90 at 5.20192909, without FMA 1.18 at -71.0455322.
///           Results below the normal numbers are rounded gradually; exactly 0 at -∞, ∞ above the largest number.
template <real S, int N>
FORMWORK_INLINE pack<S, N> exp(pack<S, N> x) {
  using P = pack<S, N>;
  const P c = min(max(x, P(elementary<S>::exp_lowest)), P(elementary<S>::exp_highest));
  power_of_two<P> p;
  const P n = p.round(c, P(elementary<S>::log2_e));
  return p.times(exp_reduced(without_powers(c, n)));
}

/// 2^x.
///
/// Numerics  as exp, exact at integers; measured: 0.84 at -0.497873396, without FMA 1.10 at -1.49810684.
template <real S, int N>
FORMWORK_INLINE pack<S, N> exp2(pack<S, N> x) {
  using P = pack<S, N>;
  const P c = min(max(x, P(elementary<S>::exp2_lowest)), P(elementary<S>::exp2_highest));
  power_of_two<P> p;
  const P f = c - p.round(c);
  return p.times(fma(polynomial(f, elementary<S>::exp2_series), f, P(1)));
}

/// 2^x for x ≤ 0 (right up to 127), the cheapest: the weights of softmax attention.
///
/// Numerics  ≤ 1 ULP with FMA, ≤ 1.25 without, down to -62 (double: -510); exactly 0 below: such a weight is nothing beside the
///           largest, 1, and what it makes of values and gradients would soon not be normal numbers, in which every product
///           costs some processors hundreds of cycles.
template <real S, int N>
FORMWORK_INLINE pack<S, N> exp2_nonpositive(pack<S, N> x) {
  using P = pack<S, N>;
  using numbers = elementary<S>;
  constexpr int lowest = std::numeric_limits<S>::min_exponent / 2;
  const P magic(numbers::magic + numbers::bias);
  const P t = x + magic, f = x - (t - magic);
  const P y = fma(polynomial(f, numbers::exp2_series), f, P(1));
  return select(x < P(lowest), P(0), y * from_words<P>(to_words(t) << numbers::mantissa));
}

/// e^x - 1, accurate near 0.
///
/// Numerics  ≤ 3 ULP; measured: 1.44 at 16.9896202, without FMA 1.51 at 0.376369506.
template <real S, int N>
FORMWORK_INLINE pack<S, N> expm1(pack<S, N> x) {
  using P = pack<S, N>;
  using numbers = elementary<S>;
  const P c = min(max(x, P(numbers::expm1_lowest)), P(numbers::exp_highest));
  power_of_two<P, -1> p;
  const P y = expm1_reduced(without_powers(c, p.round(c, P(numbers::log2_e))));
  const P half = p.factor(), e = fma(half, y, half - P(0.5));
  return select(abs(x) < P(std::numeric_limits<S>::epsilon() / 2), x, e + e);
}

/// tanh x = (e^2x - 1) / (e^2x + 1).
///
/// Numerics  ≤ 4 ULP; measured: 2.55 at -0.060999725, without FMA 2.60 at 0.0624417625.
template <real S, int N>
FORMWORK_INLINE pack<S, N> tanh(pack<S, N> x) {
  using P = pack<S, N>;
  using numbers = elementary<S>;
  const P a = min(abs(x), P(numbers::tanh_highest)), twice = a + a;
  power_of_two<P> p;
  const P y = expm1_reduced(without_powers(twice, p.round(twice, P(numbers::log2_e))));
  const P e = fma(p.factor(), y, p.factor() - P(1));
  return copysign(e / (e + P(2)), x);
}

/// 1 / (1 + e^-x).
///
/// Numerics  ≤ 3 ULP; measured: 2.44 at -16.6457119, without FMA the same.
template <real S, int N>
FORMWORK_INLINE pack<S, N> sigmoid(pack<S, N> x) {
  return pack<S, N>(1) / (pack<S, N>(1) + exp(-x));
}

/// A product with a function, beside that function.
template <class P>
struct times_function {
  P product, function;
};

/// x sigmoid(x) and sigmoid(x), from one exponential.
template <real S, int N>
FORMWORK_INLINE times_function<pack<S, N>> times_sigmoid_parts(pack<S, N> x) {
  using P = pack<S, N>;
  using numbers = elementary<S>;
  // far below zero e^-x overflows before the result underflows: there both sides of the quotient are scaled down
  const P w = select(x < P(numbers::silu_far), P(S(1) / 256), P(1));
  const P above = max(x, P(numbers::silu_lowest));
  const P c = max(-above, P(numbers::exp_lowest));
  power_of_two<P> p;
  const P n = p.round(c, P(numbers::log2_e));
  const P e = w + p.times(w * exp_reduced(without_powers(c, n)));
  return {above * w / e, w / e};
}

/// x sigmoid(x), which as a policy is `silu` (activation/silu.hpp).
///
/// Numerics  ≤ 3 ULP; measured: 2.31 at -16.6966438, without FMA the same.
/// Source    Elfwing et al., 1702.03118.
template <real S, int N>
FORMWORK_INLINE pack<S, N> times_sigmoid(pack<S, N> x) {
  return times_sigmoid_parts(x).product;
}

/// log of 2^k (1 + f) for f in [√½ - 1, √2 - 1].
template <int N>
FORMWORK_INLINE pack<float, N> log_reduced(pack<float, N> k, pack<float, N> f) {
  using P = pack<float, N>;
  using numbers = elementary<float>;
  const P z = f * f;
  const P y = fma(k, P(numbers::ln2_low), f * z * polynomial(f, numbers::log_series));
  return fma(k, P(numbers::ln2_high), f + fma(z, P(-0.5), y));
}
template <int N>
FORMWORK_INLINE pack<double, N> log_reduced(pack<double, N> k, pack<double, N> f) {
  using P = pack<double, N>;
  using numbers = elementary<double>;
  const P s = f / (f + P(2)), z = s * s, half = P(0.5) * f * f;
  const P r = fma(s, fma(z, polynomial(z, numbers::log_series), half), k * P(numbers::ln2_low));
  return fma(k, P(numbers::ln2_high), f - (half - r));
}

/// x = 2^k m with m in [√½, √2), for positive normal x.
template <class P>
struct binary_split {
  using S = typename P::scalar;
  using word = std::make_unsigned_t<typename P::integer>;
  static constexpr int mantissa = elementary<S>::mantissa;
  static constexpr word lowest = std::bit_cast<word>(S(0.70710678118654752)), offset = word(elementary<S>::bias + 1);

  words<P> biased;  // k + offset
  P m;

  FORMWORK_INLINE explicit binary_split(P x) {
    const words<P> u = to_words(x) + word((offset << mantissa) - lowest);
    biased = u >> mantissa;
    m = from_words<P>((u & ((word(1) << mantissa) - 1)) + lowest);
  }
  FORMWORK_INLINE P k() const {
    constexpr S base = S(word(1) << mantissa);
    return from_words<P>(biased + std::bit_cast<word>(base)) - P(base + S(offset));
  }
};

/// y, the logarithm of a positive finite x, corrected where x is something else.
template <class P>
FORMWORK_INLINE P log_anywhere(P x, P y) {
  using limits = std::numeric_limits<typename P::scalar>;
  const P low = select(x < P(0), P(limits::quiet_NaN()), P(-limits::infinity()));
  return select(x < P(limits::infinity()), select(x > P(0), y, low), x);
}

/// log x; -∞ at 0, NaN below.
///
/// Numerics  ≤ 2 ULP, subnormal x included; measured on all floats: 0.84 at 1.41303062, without FMA 0.85 at 0.705923975.
template <real S, int N>
FORMWORK_INLINE pack<S, N> log(pack<S, N> x) {
  using P = pack<S, N>;
  using numbers = elementary<S>;
  const auto tiny = x < P(std::numeric_limits<S>::min());
  const binary_split<P> split(select(tiny, x * P(S(2) / std::numeric_limits<S>::epsilon()), x));
  const P k = split.k() - select(tiny, P(numbers::mantissa + 1), P(0));
  return log_anywhere(x, log_reduced(k, split.m - P(1)));
}

/// log(1 + x) for finite x > -1.
template <class P>
FORMWORK_INLINE P log1p_inside(P x) {
  using S = typename P::scalar;
  using split = binary_split<P>;
  const P u = x + P(1), rest = x - (u - P(1));  // 1 + x = u + rest
  const split s(u), bounded(min(u, P(S(1) / std::numeric_limits<S>::min() / 4)));
  using word = typename split::word;
  const P scale =
      from_words<P>((word(split::offset + word(elementary<S>::bias)) - bounded.biased) << elementary<S>::mantissa);
  return log_reduced(s.k(), fma(rest, scale, s.m - P(1)));
}

/// log(1 + x), accurate near 0; -∞ at -1, NaN below.
///
/// Numerics  ≤ 2 ULP; measured: 1.37 at 0.417331368, without FMA the same.
template <real S, int N>
FORMWORK_INLINE pack<S, N> log1p(pack<S, N> x) {
  return log_anywhere(x + pack<S, N>(1), log1p_inside(x));
}

/// log(1 + e^x).
///
/// Numerics  ≤ 3 ULP; measured: 1.77 at -0.877034009, without FMA 1.64 at -0.766094565.
template <real S, int N>
FORMWORK_INLINE pack<S, N> softplus(pack<S, N> x) {
  return max(x, pack<S, N>(0)) + log1p_inside(exp(-abs(x)));
}

}  // namespace formwork
