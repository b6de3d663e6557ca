// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/exponentials.hpp>

namespace formwork::inline FORMWORK_ABI {

// The error function and the normal distribution. What they promise: math.hpp.

/// x² - square, where `square` is the rounded product x x: exact.
template <class P>
FORMWORK_INLINE P square_rest(P x, P square) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return fma(x, x, -square);
#else
  using S = typename P::scalar;
  using word = std::make_unsigned_t<typename P::integer>;
  constexpr word low = (word(1) << (elementary<S>::mantissa / 2 + 1)) - 1;
  const P h = from_words<P>(to_words(x) & word(~low)), l = x - h;
  return ((h * h - square) + (h + h) * l) + l * l;
#endif
}

/// e^(-factor x²) for a factor 1 or 1/2: the square's rounding error joins the reduced argument.
template <class P>
struct exp_minus_square {
  using numbers = elementary<typename P::scalar>;
  power_of_two<P> power;
  P beyond_one;

  FORMWORK_INLINE exp_minus_square(P x, typename P::scalar factor) {
    const P square = x * x, c = P(-factor) * square;
    const P n = power.round(c, P(numbers::log2_e));
    const P low = fma(n, P(-numbers::ln2_low), P(-factor) * square_rest(x, square));
    beyond_one = expm1_reduced(fma(n, P(-numbers::ln2_high), c) + low);
  }
  /// y e^(-factor x²).
  FORMWORK_INLINE P times(P y) const { return power.times(fma(y, beyond_one, y)); }
};

/// t (1 + q series(q)) with t = top/(x + shift) and q = 1 - step t, for x ≥ 0: erfc(x) e^(x²) by the numbers of erfc,
/// erfc(x/√2) e^(x²/2) / 2 by those of gelu. top and step were searched so that the constant is 1 to 2^-34 (double: 2^-62).
template <real S, int N, std::size_t K>
FORMWORK_INLINE pack<S, N> gaussian_tail(pack<S, N> x, S shift, S top, S step, const S (&series)[K]) {
  using P = pack<S, N>;
  const P sum = x + P(shift), lost = x - (sum - P(shift));
  const P t = P(top) / sum, q = fma(P(-step), t, P(1));
  // what sum lost to rounding, to first order: sum y'/y lies between -1.1 and -1.45
  const P u = t * q * polynomial(q, series);
  return t + fma(lost, P(S(-1.35) / top) * t * (t + u), u);
}
template <class P>
FORMWORK_INLINE P erfcx_positive(P x) {
  using numbers = elementary<typename P::scalar>;
  return gaussian_tail(x, numbers::erfc_shift, numbers::erfc_top, numbers::erfc_step, numbers::erfc_series);
}

/// 1 - erf x = 2/√π ∫ₓ^∞ e^(-t²) dt.
///
/// Numerics  ≤ 4 ULP, the far tail included: the square of x enters in two parts; measured: 2.97 at 7.22849798, without
///           FMA 3.34 at 6.98933935.
template <real S, int N>
FORMWORK_INLINE pack<S, N> erfc(pack<S, N> x) {
  using P = pack<S, N>;
  const P a = min(abs(x), P(elementary<S>::erfc_highest));
  const P y = exp_minus_square<P>(a, 1).times(erfcx_positive(a));
  return select(x < P(0), P(2) - y, y);
}

/// 2/√π ∫₀ˣ e^(-t²) dt.
///
/// Numerics  ≤ 3 ULP; measured: 2.45 at -0.466247261, without FMA 2.52 at -0.472162664.
template <real S, int N>
FORMWORK_INLINE pack<S, N> erf(pack<S, N> x) {
  using P = pack<S, N>;
  const P a = min(abs(x), P(elementary<S>::erfc_highest));
  const P near = a * polynomial(a * a, elementary<S>::erf_series);
  const P far = P(1) - exp_minus_square<P>(a, 1).times(erfcx_positive(a));
  return copysign(select(a < P(0.75), near, far), x);
}

/// x Φ(x), Φ(x) and Φ'(x) = e^(-x²/2)/√(2π) of the standard normal distribution, from one exponential.
template <class P>
struct normal_parts {
  P product, cdf, density;
};
template <real S, int N>
FORMWORK_INLINE normal_parts<pack<S, N>> times_normal_cdf_parts(pack<S, N> x) {
  using P = pack<S, N>;
  using numbers = elementary<S>;
  const P a = min(abs(x), P(numbers::gelu_highest));
  const P y = gaussian_tail(a, numbers::gelu_shift, numbers::gelu_top, numbers::gelu_step, numbers::gelu_series);
  const exp_minus_square<P> e(a, S(0.5));
  const P tail = e.times(y);
  return {max(x, P(0)) - e.times(a * y), select(x < P(0), tail, P(1) - tail), e.times(P(0.3989422804014327))};
}

/// x Φ(x) = x/2 (1 + erf(x/√2)), which as a policy is `gelu` (activation/gelu.hpp), as max(x, 0) - |x| Φ(-|x|).
///
/// Numerics  ≤ 4 ULP, the negative tail included; measured: 3.42 at -0.140200734, without FMA 3.46 at -12.1094074.
/// Source    Hendrycks and Gimpel, 1606.08415, the exact form.
template <real S, int N>
FORMWORK_INLINE pack<S, N> times_normal_cdf(pack<S, N> x) {
  return times_normal_cdf_parts(x).product;
}

}  // namespace formwork
