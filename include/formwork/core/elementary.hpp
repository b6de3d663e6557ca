// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

namespace formwork::inline FORMWORK_ABI {

// What the elementary functions are made of: their numbers, polynomials, powers of two.

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
  static constexpr float magic = 0x1.8p23f;  // x + magic is x rounded to an integer, which is then in its low bits
  static constexpr float log2_e = 1.44269502f, ln2_high = 0.693359375f, ln2_low = -0.000212194442f;
  static constexpr float exp_lowest = -104, exp_highest = 89;  // 0 and infinity after rounding
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
/// The integer is read from the low bits of a sum with 1.5·2^mantissa; it is biased there, so that it is never negative.
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

}  // namespace formwork
