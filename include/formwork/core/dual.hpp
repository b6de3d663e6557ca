// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/math.hpp>

#include <array>
#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

/// A value and its slopes towards N variables: value + Σ slope_i ε_i with ε_i ε_j = 0. A formula written once for any
/// number type T is differentiated by calling it with duals; T is a pack, or a dual again for second slopes.
///
/// Example   dual<pack<S>> x(v, pack<S>(1));  (x * tanh(x)).slope is the derivative at v
/// Numerics  the value has the bits of the same formula on T. Where a formula has a corner: abs has slope 0 at 0; max
///           and min take the second argument's slope where both are equal, so that max(x, T(0)) has slope 0 at 0.
template <class T, int N = 1>
struct dual {
  using scalar = typename T::scalar;
  using slopes = std::conditional_t<N == 1, T, std::array<T, N>>;
  static constexpr int size = T::size;

  T value;
  slopes slope;  ///< a T where N = 1

  dual() = default;
  FORMWORK_INLINE dual(T v, const slopes& s) : value(v), slope(s) {}
  /// A constant: all slopes are 0.
  FORMWORK_INLINE dual(T v) : value(v), slope(each([](auto) { return T(0); })) {}
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE dual(U number) : dual(T(number)) {}

  /// f(i) for every slope i.
  template <class F>
  FORMWORK_INLINE static slopes each(F f) {
    if constexpr (N == 1)
      return f(std::integral_constant<int, 0>{});
    else
      return [&]<int... i>(std::integer_sequence<int, i...>) {
        return slopes{f(std::integral_constant<int, i>{})...};
      }(std::make_integer_sequence<int, N>{});
  }
  /// Slope i.
  FORMWORK_INLINE const T& at(int i) const {
    if constexpr (N == 1)
      return slope;
    else
      return slope[static_cast<std::size_t>(i)];
  }

  /// f(x) where f has the given value and slope at x.value.
  FORMWORK_INLINE static dual chain(T f, T df, const dual& x) {
    return {f, each([&](auto i) { return df * x.at(i); })};
  }

  FORMWORK_INLINE friend dual operator+(const dual& a, const dual& b) {
    return {a.value + b.value, each([&](auto i) { return a.at(i) + b.at(i); })};
  }
  FORMWORK_INLINE friend dual operator-(const dual& a, const dual& b) {
    return {a.value - b.value, each([&](auto i) { return a.at(i) - b.at(i); })};
  }
  FORMWORK_INLINE friend dual operator*(const dual& a, const dual& b) {
    return {a.value * b.value, each([&](auto i) { return fma(a.value, b.at(i), b.value * a.at(i)); })};
  }
  FORMWORK_INLINE friend dual operator/(const dual& a, const dual& b) {
    const T q = a.value / b.value, inverse = T(1) / b.value;
    return {q, each([&](auto i) { return fma(-q, b.at(i), a.at(i)) * inverse; })};
  }
  FORMWORK_INLINE friend dual operator-(const dual& a) {
    return {-a.value, each([&](auto i) { return -a.at(i); })};
  }

  // with a constant on one side
  FORMWORK_INLINE friend dual operator+(const dual& a, const T& b) { return {a.value + b, a.slope}; }
  FORMWORK_INLINE friend dual operator+(const T& a, const dual& b) { return {a + b.value, b.slope}; }
  FORMWORK_INLINE friend dual operator-(const dual& a, const T& b) { return {a.value - b, a.slope}; }
  FORMWORK_INLINE friend dual operator-(const T& a, const dual& b) {
    return {a - b.value, each([&](auto i) { return -b.at(i); })};
  }
  FORMWORK_INLINE friend dual operator*(const dual& a, const T& b) { return chain(a.value * b, b, a); }
  FORMWORK_INLINE friend dual operator*(const T& a, const dual& b) { return chain(a * b.value, a, b); }
  FORMWORK_INLINE friend dual operator/(const dual& a, const T& b) { return chain(a.value / b, T(1) / b, a); }
  FORMWORK_INLINE friend dual operator/(const T& a, const dual& b) {
    const T q = a / b.value;
    return chain(q, -q / b.value, b);
  }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator+(const dual& a, U b) { return a + T(b); }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator+(U a, const dual& b) { return T(a) + b; }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator-(const dual& a, U b) { return a - T(b); }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator-(U a, const dual& b) { return T(a) - b; }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator*(const dual& a, U b) { return a * T(b); }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator*(U a, const dual& b) { return T(a) * b; }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator/(const dual& a, U b) { return a / T(b); }
  template <class U>
    requires std::is_arithmetic_v<U>
  FORMWORK_INLINE friend dual operator/(U a, const dual& b) { return T(a) / b; }

  template <class U>
  FORMWORK_INLINE dual& operator+=(const U& b) {
    return *this = *this + b;
  }
  template <class U>
  FORMWORK_INLINE dual& operator-=(const U& b) {
    return *this = *this - b;
  }
  template <class U>
  FORMWORK_INLINE dual& operator*=(const U& b) {
    return *this = *this * b;
  }
  template <class U>
  FORMWORK_INLINE dual& operator/=(const U& b) {
    return *this = *this / b;
  }

  FORMWORK_INLINE friend dual fma(const dual& a, const dual& b, const dual& c) {
    return {fma(a.value, b.value, c.value),
            each([&](auto i) { return fma(a.value, b.at(i), fma(b.value, a.at(i), c.at(i))); })};
  }

  // comparisons look at the values
  FORMWORK_INLINE friend auto operator<(const dual& a, const dual& b) { return a.value < b.value; }
  FORMWORK_INLINE friend auto operator<=(const dual& a, const dual& b) { return a.value <= b.value; }
  FORMWORK_INLINE friend auto operator>(const dual& a, const dual& b) { return a.value > b.value; }
  FORMWORK_INLINE friend auto operator>=(const dual& a, const dual& b) { return a.value >= b.value; }
  FORMWORK_INLINE friend auto operator==(const dual& a, const dual& b) { return a.value == b.value; }
  FORMWORK_INLINE friend auto operator!=(const dual& a, const dual& b) { return a.value != b.value; }

  template <class Mask>
  FORMWORK_INLINE friend dual select(const Mask& where, const dual& a, const dual& b) {
    return {select(where, a.value, b.value), each([&](auto i) { return select(where, a.at(i), b.at(i)); })};
  }
  FORMWORK_INLINE friend dual max(const dual& a, const dual& b) {
    const auto second = a.value <= b.value;
    return {max(a.value, b.value), each([&](auto i) { return select(second, b.at(i), a.at(i)); })};
  }
  FORMWORK_INLINE friend dual min(const dual& a, const dual& b) {
    const auto second = b.value <= a.value;
    return {min(a.value, b.value), each([&](auto i) { return select(second, b.at(i), a.at(i)); })};
  }
  FORMWORK_INLINE friend dual abs(const dual& x) {
    return chain(abs(x.value), select(x.value == T(0), T(0), copysign(T(1), x.value)), x);
  }
  FORMWORK_INLINE friend dual copysign(const dual& x, const dual& sign) {
    return chain(copysign(x.value, sign.value), copysign(T(1), x.value) * copysign(T(1), sign.value), x);
  }
  FORMWORK_INLINE friend dual sqrt(const dual& x) {
    const T r = sqrt(x.value);
    return chain(r, T(0.5) / r, x);
  }
};

/// How many slopes a number type carries.
template <class T>
inline constexpr int slope_count = 0;
template <class T, int N>
inline constexpr int slope_count<dual<T, N>> = N;

/// The variable i of a formula, x: slope i is 1, the others are 0. A type that does not carry it gets a constant.
template <class T, class X>
FORMWORK_INLINE T variable(const X& x, int i) {
  if constexpr (slope_count<T> > 0) {
    using part = decltype(T::value);
    return {part(x), T::each([=](auto k) { return part(k == i ? 1 : 0); })};
  } else {
    return T(x);
  }
}

// The elementary functions: value by core/math, slope by its formula.

template <class T, int N>
FORMWORK_INLINE dual<T, N> exp(const dual<T, N>& x) {
  const T y = exp(x.value);
  return dual<T, N>::chain(y, y, x);
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> exp2(const dual<T, N>& x) {
  const T y = exp2(x.value);
  return dual<T, N>::chain(y, y * T(0.69314718055994531), x);
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> expm1(const dual<T, N>& x) {
  const T y = expm1(x.value);
  return dual<T, N>::chain(y, y + T(1), x);
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> log(const dual<T, N>& x) {
  return dual<T, N>::chain(log(x.value), T(1) / x.value, x);
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> log1p(const dual<T, N>& x) {
  return dual<T, N>::chain(log1p(x.value), T(1) / (x.value + T(1)), x);
}
/// tanh' = (1 - tanh)(1 + tanh).
template <class T, int N>
FORMWORK_INLINE dual<T, N> tanh(const dual<T, N>& x) {
  const T y = tanh(x.value);
  return dual<T, N>::chain(y, (T(1) - y) * (T(1) + y), x);
}
/// sigmoid' = sigmoid(x) sigmoid(-x).
template <class T, int N>
FORMWORK_INLINE dual<T, N> sigmoid(const dual<T, N>& x) {
  const T y = sigmoid(x.value);
  return dual<T, N>::chain(y, y * (T(1) - y), x);
}
/// (x s)' = s + x s (1 - s) with s = sigmoid(x).
template <class T, int N>
FORMWORK_INLINE dual<T, N> times_sigmoid(const dual<T, N>& x) {
  const times_function<T> y = times_sigmoid_parts(x.value);
  return dual<T, N>::chain(y.product, fma(y.product, T(1) - y.function, y.function), x);
}
template <class T, int N>
FORMWORK_INLINE times_function<dual<T, N>> times_sigmoid_parts(const dual<T, N>& x) {
  return {times_sigmoid(x), sigmoid(x)};
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> softplus(const dual<T, N>& x) {
  return dual<T, N>::chain(softplus(x.value), sigmoid(x.value), x);
}
/// erf' = 2/√π e^(-x²).
template <class T, int N>
FORMWORK_INLINE dual<T, N> erf(const dual<T, N>& x) {
  return dual<T, N>::chain(erf(x.value), T(1.1283791670955126) * exp(-x.value * x.value), x);
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> erfc(const dual<T, N>& x) {
  return dual<T, N>::chain(erfc(x.value), T(-1.1283791670955126) * exp(-x.value * x.value), x);
}
/// (x Φ)' = Φ + x Φ', Φ'' = -x Φ'.
template <class T, int N>
FORMWORK_INLINE normal_parts<dual<T, N>> times_normal_cdf_parts(const dual<T, N>& x) {
  using D = dual<T, N>;
  const normal_parts<T> y = times_normal_cdf_parts(x.value);
  return {D::chain(y.product, fma(x.value, y.density, y.cdf), x), D::chain(y.cdf, y.density, x),
          D::chain(y.density, -x.value * y.density, x)};
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> times_normal_cdf(const dual<T, N>& x) {
  return times_normal_cdf_parts(x).product;
}
template <class T, int N>
FORMWORK_INLINE sine_cosine<dual<T, N>> sincos(const dual<T, N>& x) {
  const sine_cosine<T> y = sincos(x.value);
  return {dual<T, N>::chain(y.sin, y.cos, x), dual<T, N>::chain(y.cos, -y.sin, x)};
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> sin(const dual<T, N>& x) {
  return sincos(x).sin;
}
template <class T, int N>
FORMWORK_INLINE dual<T, N> cos(const dual<T, N>& x) {
  return sincos(x).cos;
}

}  // namespace formwork
