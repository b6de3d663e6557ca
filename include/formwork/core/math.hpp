// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

namespace formwork::inline FORMWORK_ABI {

// The elementary functions of the kernels and of users' formulas, over pack<S, N>. What they share:
// - Every lane is computed by the same additions, products and fma, so pack<S, 1>, half packs and padded packs give the
//   bits of whole packs (math_test.cpp, for every function).
// - The bounds hold where the exact result is a normal number; NaN stays NaN; no lane disturbs its neighbours.
// - Measured: all 2^32 floats against double, 10^8 doubles against long double, with FMA and without; the tests assert
//   the stated bound on every 2^9-th float.
// - The polynomials are minimax fits of our own (Remez in 60 digits), their errors far below the bounds.

/// c[0] + c[1] x + ... + c[K-1] x^(K-1) by Horner's rule.
template <real S, int N, std::size_t K>
FORMWORK_INLINE pack<S, N> polynomial(pack<S, N> x, const S (&c)[K]) {
  pack<S, N> y(c[K - 1]);
  [&]<std::size_t... i>(std::index_sequence<i...>) {
    ((y = fma(y, x, pack<S, N>(c[K - 2 - i]))), ...);
  }(std::make_index_sequence<K - 1>{});
  return y;
}

/// The numbers of the functions below for one scalar type.
template <real S>
struct elementary;

template <>
struct elementary<float> {
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float magic = 0x1.8p23f;  // x + magic is x rounded to an integer, which is then in its
                                             // low bits
  static constexpr float log2_e = 1.44269502f, ln2_high = 0.693359375f, ln2_low = -0.000212194442f;
  static constexpr float exp_lowest = -104,
                         exp_highest = 89;  // 0 and infinity after rounding
  static constexpr float exp2_lowest = -151, exp2_highest = 129;
  static constexpr float expm1_lowest = -25, tanh_highest = 10, silu_lowest = -110, silu_far = -80;
  static constexpr float erfc_highest = 10.1f, gelu_highest = 14.5f;
  static constexpr float exp_series[] = {0.49999994f, 0.166665211f, 0.041668389f, 0.00836871658f, 0.00138146f};
  static constexpr float exp2_series[] = {0.693147182f,   0.240226492f,   0.0555035584f,
                                          0.00961808302f, 0.00133908633f, 0.000154531634f};
  static constexpr float erf_series[] = {1.12837911f,   -0.3761262f,    0.112833761f,
                                         -0.026834609f, 0.00511430996f, -0.000674923242f};
  static constexpr float erfc_shift = 1.25f, erfc_top = 0.922406733f, erfc_step = 2.69041038f;
  static constexpr float erfc_series[] = {
      -0.420740485f, -0.025423022f, 0.0533333682f, 0.0158898681f, -0.00567767862f, -0.00605352363f,
      -0.00154349953f, 0.000887618982f, 0.00101482763f, 0.000244842493f, -0.000182105432f, -9.74587965e-05f};
  static constexpr float gelu_shift = 1.75f, gelu_top = 0.649801314f, gelu_step = 5.35644102f;
  static constexpr float gelu_series[] = {
      -0.41413644f, -0.0300335623f, 0.0523315147f, 0.0169057716f, -0.00508538773f, -0.00610740948f,
      -0.00176112656f, 0.000787559838f, 0.00103564642f, 0.000283616799f, -0.000172306711f, -9.8608667e-05f};
  static constexpr float log_series[] = {0.333333135f, -0.250000089f, 0.200021341f, -0.166680068f, 0.142192245f,
                                         -0.12405134f, 0.118903197f,  -0.11679662f, 0.0674661696f};
};

template <>
struct elementary<double> {
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double magic = 0x1.8p52;
  static constexpr double log2_e = 1.4426950408889634, ln2_high = 0.69314718048553914, ln2_low = 7.4406171100123968e-11;
  static constexpr double exp_lowest = -746, exp_highest = 710;
  static constexpr double exp2_lowest = -1076, exp2_highest = 1025;
  static constexpr double expm1_lowest = -50, tanh_highest = 20, silu_lowest = -760, silu_far = -690;
  static constexpr double erfc_highest = 27.3, gelu_highest = 38.7;
  static constexpr double exp_series[] = {0.50000000000000111,    0.16666666666666413,    0.041666666666530162,
                                          0.008333333333494463,   0.0013888888943629546,  0.00019841269506569608,
                                          2.4801493099545962e-05, 2.7557586387628646e-06, 2.7630248141760398e-07,
                                          2.500005561644308e-08};
  static constexpr double exp2_series[] = {0.69314718055994529,    0.24022650695910072,    0.055504108664821687,
                                           0.0096181291076283294,  0.0013333558146392691,  0.00015403530393640725,
                                           1.525273385431897e-05,  1.3215486594908803e-06, 1.0178051941670537e-07,
                                           7.0549744794433436e-09, 4.4565705542710613e-10, 2.5625419504667685e-11};
  static constexpr double erf_series[] = {1.1283791670955126,      -0.37612638903183754,   0.11283791670955086,
                                          -0.026866170645117912,   0.0052239776252146364,  -0.00085483270005112225,
                                          0.00012055331513068851,  -1.492558831568762e-05, 1.6460360456136417e-06,
                                          -1.6332928251298116e-07, 1.4411626978084959e-08, -9.4955631985736193e-10};
  static constexpr double erfc_shift = 1.25, erfc_top = 0.91703876193546618, erfc_step = 2.7440833406421135;
  static constexpr double erfc_series[] = {
      -0.41802106937342792, -0.02268890785532094, 0.052288789394843417, 0.0147240286323696,
      -0.005806130219229425, -0.0057093788290828529, -0.001295846475016952, 0.00083307554265412678,
      0.00086925174651583214, 0.00030936424174805513, -6.1812870694370739e-05, -0.00014635898629351037,
      -9.0071779759643165e-05, -1.9935093118182918e-05, 1.6108910483163644e-05, 2.1217646076402911e-05,
      1.2395590512887489e-05, 2.1856636804296579e-06, -2.991575063699125e-06, -2.3949961645177087e-06,
      -9.1899945880742066e-07, -1.6512956332142726e-06, -1.3585478291949147e-06, 1.1029788987660352e-06,
      1.7786813046202392e-06, 1.0943714043251999e-07, -7.0388991766289614e-07, -2.1178916237537924e-07,
      1.0074493558876475e-07, 4.3668107808688013e-08};
  static constexpr double gelu_shift = 1.75, gelu_top = 0.64580939718429298, gelu_step = 5.4706166960909535;
  static constexpr double gelu_series[] = {
      -0.41136947583558975, -0.027036529062240147, 0.051301932789980395, 0.015643822676614398,
      -0.0052665186691594236, -0.0057539686354396158, -0.0014831817339761527, 0.00074153592477865522,
      0.0008749784401685006, 0.00034503501098646965, -3.8293980233917251e-05, -0.00014175290103742854,
      -9.5332445997330513e-05, -2.6050302787706528e-05, 1.2989018605536197e-05, 2.1003348002594117e-05,
      1.3509396490102242e-05, 3.1811777127502655e-06, -2.5810740031246112e-06, -2.2232450762285483e-06,
      -8.4770584895170577e-07, -1.9124991831852766e-06, -1.7464607803714802e-06, 1.0493825631716322e-06,
      1.974905495760127e-06, 2.0525623121978434e-07, -7.3465541444341071e-07, -2.3887487000880221e-07,
      9.9817470320878193e-08, 4.5207661194507396e-08};
  static constexpr double log_series[] = {0.66666666666666663, 0.40000000000006286, 0.2857142856907296,
                                          0.22222222648751605, 0.18181775508394479, 0.1538709765777076,
                                          0.1324996185266564,  0.13252756511001743};
  static constexpr double sin_series[] = {-0.16666666666666666,   0.0083333333333333228,   -0.00019841269841255064,
                                          2.7557319214188021e-06, -2.5052104910948652e-08, 1.6058366544429589e-10,
                                          -7.5786936676188717e-13};
  static constexpr double cos_series[] = {0.041666666666666664,    -0.0013888888888888874, 2.4801587301571462e-05,
                                          -2.7557319215360139e-07, 2.0876754362522629e-09, -1.147029284267195e-11,
                                          4.7380894558929389e-14};
  // pi/2 in pieces of 33 bits, whose products with integers below 2^20 are exact
  static constexpr double half_pi[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2ep-69, 0x1.b839a252049c1p-104};
};

/// Unsigned integers of the lanes' width: shifts that every instruction set has.
template <class P>
using words = typename vector_of<std::make_unsigned_t<typename P::integer>, P::size>::type;

template <class P>
FORMWORK_INLINE words<P> to_words(P x) {
  return std::bit_cast<words<P>>(to_bits(x));
}
template <class P>
FORMWORK_INLINE P from_words(words<P> w) {
  return P::from_bits(std::bit_cast<typename P::bits>(w));
}

/// n = the integer nearest to what `with` holds, and 2^(n + Shift) as the factors that `times` applies.
///
/// The integer is read from the low bits of a sum with 1.5·2^mantissa; it is biased there, so that it is never
/// negative.
template <class P, int Shift = 0>
struct power_of_two {
  using S = typename P::scalar;
  using numbers = elementary<S>;
  static constexpr S magic = numbers::magic + 2 * numbers::bias + Shift;

  words<P> biased;

  /// n of x·factor, as a number.
  FORMWORK_INLINE P round(P x, P factor) {
    const P t = fma(x, factor, P(magic));
    biased = to_words(t);
    return t - P(magic);
  }
  FORMWORK_INLINE P round(P x) {
    const P t = x + P(magic);
    biased = to_words(t);
    return t - P(magic);
  }
  /// y 2^n in two factors, the first exact: results below the normal numbers round once, those above are infinite.
  FORMWORK_INLINE P times(P y) const {
    const words<P> half = biased >> 1;
    return y * from_words<P>(half << numbers::mantissa) * from_words<P>((biased - half) << numbers::mantissa);
  }
  /// 2^n where -bias < n + Shift <= bias.
  FORMWORK_INLINE P factor() const {
    using word = std::make_unsigned_t<typename P::integer>;
    return from_words<P>((biased - word(numbers::bias)) << numbers::mantissa);
  }
};

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
/// Numerics  ≤ 1 ULP with FMA, ≤ 1.25 without; results below the normal numbers are rounded gradually; exactly 0 at -∞,
///           ∞ above the largest number.
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
/// Numerics  as exp; exact at integers.
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
/// Numerics  ≤ 1 ULP with FMA, ≤ 1.25 without, down to -126 (double: -1022); exactly 0 from half a power below and at -∞.
template <real S, int N>
FORMWORK_INLINE pack<S, N> exp2_nonpositive(pack<S, N> x) {
  using P = pack<S, N>;
  using numbers = elementary<S>;
  const P magic(numbers::magic + numbers::bias);
  const P c = max(x, P(-numbers::bias));
  const P t = c + magic, f = c - (t - magic);
  const P y = fma(polynomial(f, numbers::exp2_series), f, P(1));
  return y * from_words<P>(to_words(t) << numbers::mantissa);  // the exponent field 0 is the number 0
}

/// e^x - 1, accurate near 0.
///
/// Numerics  ≤ 3 ULP.
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
/// Numerics  ≤ 4 ULP.
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
/// Numerics  ≤ 3 ULP.
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
/// Numerics  ≤ 3 ULP.
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
/// Numerics  ≤ 2 ULP, subnormal x included.
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
/// Numerics  ≤ 2 ULP.
template <real S, int N>
FORMWORK_INLINE pack<S, N> log1p(pack<S, N> x) {
  return log_anywhere(x + pack<S, N>(1), log1p_inside(x));
}

/// log(1 + e^x).
///
/// Numerics  ≤ 3 ULP.
template <real S, int N>
FORMWORK_INLINE pack<S, N> softplus(pack<S, N> x) {
  return max(x, pack<S, N>(0)) + log1p_inside(exp(-abs(x)));
}

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
/// Numerics  ≤ 4 ULP, the far tail included: the square of x enters in two parts.
template <real S, int N>
FORMWORK_INLINE pack<S, N> erfc(pack<S, N> x) {
  using P = pack<S, N>;
  const P a = min(abs(x), P(elementary<S>::erfc_highest));
  const P y = exp_minus_square<P>(a, 1).times(erfcx_positive(a));
  return select(x < P(0), P(2) - y, y);
}

/// 2/√π ∫₀ˣ e^(-t²) dt.
///
/// Numerics  ≤ 3 ULP.
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
/// Numerics  ≤ 4 ULP, the negative tail included.
/// Source    Hendrycks and Gimpel, 1606.08415, the exact form.
template <real S, int N>
FORMWORK_INLINE pack<S, N> times_normal_cdf(pack<S, N> x) {
  return times_normal_cdf_parts(x).product;
}

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
