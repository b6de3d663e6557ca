// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/dual.hpp>

#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// A number with a slope, as a scalar of kernels, layers and whole models: what is computed from it has the slope that the chain
/// rule gives, in backward passes too. Values have the bits of S.
template <real S>
using dual_number = dual<pack<S, 1>>;

template <real S>
inline constexpr bool has_slope<dual_number<S>> = true;
template <real S>
struct real_in<dual_number<S>> {
  using type = S;
};
template <real S>
struct wide_in<dual_number<S>> {
  using type = dual_number<double>;
};
template <real S>
inline constexpr int lanes<dual_number<S>> = lanes<S>;

template <real S>
FORMWORK_INLINE S value_of(const dual_number<S>& x) {
  return x.value[0];
}
template <real S>
FORMWORK_INLINE bool vanishes(const dual_number<S>& x) {
  return x.value[0] == 0 && x.slope[0] == 0;
}
template <real S>
FORMWORK_INLINE dual_number<double> widened(const dual_number<S>& x) {
  return {widened(x.value[0]), widened(x.slope[0])};
}
template <number D>
  requires has_slope<D>
FORMWORK_INLINE D rounded(const dual_number<double>& x) {
  return {rounded<real_of<D>>(x.value[0]), rounded<real_of<D>>(x.slope[0])};
}
inline dual_number<double> logarithm(const dual_number<double>& x) {
  return {logarithm(x.value[0]), x.slope[0] / x.value[0]};
}

/// N lanes of numbers with slopes: a pack of values and one of slopes. In memory each value is beside its slope.
///
/// Numerics  values have the bits of pack<S, N>; comparisons look at them alone.
/// Cost      as dual<pack<S, N>>; loads and stores are of two registers, taken apart or put together by shuffles.
template <real S, int N>
struct pack<dual_number<S>, N> {
  using scalar = dual_number<S>;
  using part = pack<S, N>;
  using bits = typename part::bits;
  static constexpr int size = N;

  part value, slope;

  pack() = default;
  FORMWORK_INLINE pack(part v, part s) : value(v), slope(s) {}
  /// Constants.
  FORMWORK_INLINE pack(part v) : pack(v, part(0)) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  FORMWORK_INLINE pack(T s) : pack(part(s)) {}
  /// The same number in every lane.
  FORMWORK_INLINE pack(const scalar& s) : pack(part(s.value[0]), part(s.slope[0])) {}
  FORMWORK_INLINE pack(const dual<part>& d)
    requires(N > 1)
      : pack(d.value, d.slope) {}

  FORMWORK_INLINE dual<part> as_dual() const { return {value, slope}; }

  FORMWORK_INLINE static pack load(const scalar* p) { return apart(part::load(numbers(p)), part::load(numbers(p) + N)); }
  FORMWORK_INLINE void store(scalar* p) const {
    const auto [low, high] = together();
    low.store(numbers(p)), high.store(numbers(p) + N);
  }
  FORMWORK_INLINE static pack load(const scalar* p, Index count) { return count >= N ? load(p) : load_part(p, count); }
  FORMWORK_INLINE void store(scalar* p, Index count) const { count >= N ? store(p) : store_part(p, count); }
  static pack load_part(const scalar* p, Index count) {
    return apart(part::load(numbers(p), 2 * count), part::load(numbers(p) + N, 2 * count - N));
  }
  void store_part(scalar* p, Index count) const {
    const auto [low, high] = together();
    low.store(numbers(p), 2 * count), high.store(numbers(p) + N, 2 * count - N);
  }
  /// Constants from memory.
  FORMWORK_INLINE static pack load(const S* p) { return part::load(p); }

  FORMWORK_INLINE static pack ramp(const scalar& first) { return {part::ramp(first.value[0]), part(first.slope[0])}; }

  FORMWORK_INLINE friend pack operator+(pack a, pack b) { return a.as_dual() + b.as_dual(); }
  FORMWORK_INLINE friend pack operator-(pack a, pack b) { return a.as_dual() - b.as_dual(); }
  FORMWORK_INLINE friend pack operator*(pack a, pack b) { return a.as_dual() * b.as_dual(); }
  FORMWORK_INLINE friend pack operator/(pack a, pack b) { return a.as_dual() / b.as_dual(); }
  FORMWORK_INLINE friend pack operator-(pack a) { return -a.as_dual(); }
  FORMWORK_INLINE pack& operator+=(pack b) { return *this = *this + b; }
  FORMWORK_INLINE pack& operator-=(pack b) { return *this = *this - b; }
  FORMWORK_INLINE pack& operator*=(pack b) { return *this = *this * b; }
  FORMWORK_INLINE pack& operator/=(pack b) { return *this = *this / b; }
  FORMWORK_INLINE friend pack fma(pack a, pack b, pack c) { return fma(a.as_dual(), b.as_dual(), c.as_dual()); }

  FORMWORK_INLINE friend bits operator<(pack a, pack b) { return a.value < b.value; }
  FORMWORK_INLINE friend bits operator<=(pack a, pack b) { return a.value <= b.value; }
  FORMWORK_INLINE friend bits operator>(pack a, pack b) { return a.value > b.value; }
  FORMWORK_INLINE friend bits operator>=(pack a, pack b) { return a.value >= b.value; }
  FORMWORK_INLINE friend bits operator==(pack a, pack b) { return a.value == b.value; }
  FORMWORK_INLINE friend bits operator!=(pack a, pack b) { return a.value != b.value; }

  FORMWORK_INLINE friend pack select(bits where, pack a, pack b) {
    return {select(where, a.value, b.value), select(where, a.slope, b.slope)};
  }
  FORMWORK_INLINE friend pack max(pack a, pack b) { return max(a.as_dual(), b.as_dual()); }
  FORMWORK_INLINE friend pack min(pack a, pack b) { return min(a.as_dual(), b.as_dual()); }
  FORMWORK_INLINE friend pack abs(pack a) { return abs(a.as_dual()); }
  FORMWORK_INLINE friend pack copysign(pack a, pack b) { return copysign(a.as_dual(), b.as_dual()); }
  FORMWORK_INLINE friend pack sqrt(pack a) { return sqrt(a.as_dual()); }

  FORMWORK_INLINE friend part value_of(pack a) { return a.value; }
  FORMWORK_INLINE friend scalar sum(pack a) { return {sum(a.value), sum(a.slope)}; }
  FORMWORK_INLINE friend pack in_register(pack a) { return {in_register(a.value), in_register(a.slope)}; }
  FORMWORK_INLINE scalar operator[](int lane) const { return {value[lane], slope[lane]}; }

 private:
  using vector = typename vector_of<S, N>::type;
  static_assert(sizeof(scalar) == 2 * sizeof(S));

  FORMWORK_INLINE static const S* numbers(const scalar* p) { return reinterpret_cast<const S*>(p); }
  FORMWORK_INLINE static S* numbers(scalar* p) { return reinterpret_cast<S*>(p); }

  /// Two registers of value, slope, value, slope, ... as one of values and one of slopes; and back.
  FORMWORK_INLINE static pack apart(part low, part high) {
    if constexpr (N == 1) {
      return {low, high};
    } else {
      const auto a = vector(low.value), b = vector(high.value);
      return [&]<int... l>(std::integer_sequence<int, l...>) {
        using packet = typename part::packet;
        return pack(part(packet(__builtin_shufflevector(a, b, (2 * l)...))),
                    part(packet(__builtin_shufflevector(a, b, (2 * l + 1)...))));
      }(std::make_integer_sequence<int, N>{});
    }
  }
  FORMWORK_INLINE std::pair<part, part> together() const {
    if constexpr (N == 1) {
      return {value, slope};
    } else {
      const auto a = vector(value.value), b = vector(slope.value);
      return [&]<int... l>(std::integer_sequence<int, l...>) {
        using packet = typename part::packet;
        return std::pair(part(packet(__builtin_shufflevector(a, b, (l / 2 + l % 2 * N)...))),
                         part(packet(__builtin_shufflevector(a, b, ((l + N) / 2 + l % 2 * N)...))));
      }(std::make_integer_sequence<int, N>{});
    }
  }
};

template <real S, int N>
FORMWORK_INLINE void transpose(pack<dual_number<S>, N> (&block)[N]) {
  pack<S, N> values[N], slopes[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) values[i] = block[i].value, slopes[i] = block[i].slope;
  transpose(values), transpose(slopes);
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) block[i] = {values[i], slopes[i]};
}

// The elementary functions, by their rules for duals.

/// (2^x)' = log(2) 2^x; 0 where the function takes 2^x for 0.
template <class T, int N>
FORMWORK_INLINE dual<T, N> exp2_nonpositive(const dual<T, N>& x) {
  const T y = exp2_nonpositive(x.value);
  return dual<T, N>::chain(y, y * T(0.69314718055994531), x);
}

template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> exp(pack<dual_number<S>, N> x) {
  return exp(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> exp2(pack<dual_number<S>, N> x) {
  return exp2(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> exp2_nonpositive(pack<dual_number<S>, N> x) {
  return exp2_nonpositive(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> expm1(pack<dual_number<S>, N> x) {
  return expm1(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> log(pack<dual_number<S>, N> x) {
  return log(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> log1p(pack<dual_number<S>, N> x) {
  return log1p(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> tanh(pack<dual_number<S>, N> x) {
  return tanh(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> sigmoid(pack<dual_number<S>, N> x) {
  return sigmoid(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> times_sigmoid(pack<dual_number<S>, N> x) {
  return times_sigmoid(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE times_function<pack<dual_number<S>, N>> times_sigmoid_parts(pack<dual_number<S>, N> x) {
  return {times_sigmoid(x), sigmoid(x)};
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> softplus(pack<dual_number<S>, N> x) {
  return softplus(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> erf(pack<dual_number<S>, N> x) {
  return erf(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> erfc(pack<dual_number<S>, N> x) {
  return erfc(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE normal_parts<pack<dual_number<S>, N>> times_normal_cdf_parts(pack<dual_number<S>, N> x) {
  const auto y = times_normal_cdf_parts(x.as_dual());
  return {y.product, y.cdf, y.density};
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> times_normal_cdf(pack<dual_number<S>, N> x) {
  return times_normal_cdf(x.as_dual());
}
template <real S, int N>
FORMWORK_INLINE sine_cosine<pack<dual_number<S>, N>> sincos(pack<dual_number<S>, N> x) {
  const auto y = sincos(x.as_dual());
  return {y.sin, y.cos};
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> sin(pack<dual_number<S>, N> x) {
  return sincos(x).sin;
}
template <real S, int N>
FORMWORK_INLINE pack<dual_number<S>, N> cos(pack<dual_number<S>, N> x) {
  return sincos(x).cos;
}

}  // namespace formwork
