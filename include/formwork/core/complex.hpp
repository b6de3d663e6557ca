// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

namespace formwork::inline FORMWORK_ABI {

/// re + i im of packs: a complex number in every lane.
///
/// Numerics  a product is two chains of two terms each, the same bits wherever it is written; 1 / z is exact to a few ULP
///           where |z|² is a normal number.
template <class P>
struct complex {
  P re, im;

  FORMWORK_INLINE friend complex operator+(complex a, complex b) { return {a.re + b.re, a.im + b.im}; }
  FORMWORK_INLINE friend complex operator-(complex a, complex b) { return {a.re - b.re, a.im - b.im}; }
  FORMWORK_INLINE friend complex operator*(complex a, complex b) { return fma(a, b, {P(0), P(0)}); }
  FORMWORK_INLINE friend complex operator*(P a, complex b) { return {a * b.re, a * b.im}; }
  FORMWORK_INLINE friend complex fma(complex a, complex b, complex c) {
    return {fma(-a.im, b.im, fma(a.re, b.re, c.re)), fma(a.im, b.re, fma(a.re, b.im, c.im))};
  }
  FORMWORK_INLINE friend complex conj(complex a) { return {a.re, -a.im}; }
  FORMWORK_INLINE friend P norm(complex a) { return fma(a.re, a.re, a.im * a.im); }
  FORMWORK_INLINE friend complex inverse(complex a) {
    const P scale = P(1) / norm(a);
    return {a.re * scale, -(a.im * scale)};
  }
  FORMWORK_INLINE friend complex select(typename P::bits where, complex a, complex b) {
    return {select(where, a.re, b.re), select(where, a.im, b.im)};
  }
};

}  // namespace formwork
