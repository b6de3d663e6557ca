// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/complex.hpp>
#include <formwork/core/math.hpp>
#include <formwork/kernel/scan_tables.hpp>
#include <formwork/ssm/discretisation.hpp>

#include <algorithm>
#include <concepts>

namespace formwork::inline FORMWORK_ABI {

/// One step of x' = A x + B u for a single mode, by z = εA: x⁺ = pole x + ε gain B u, and the derivatives of both by z.
template <class P>
struct discrete_mode {
  complex<P> pole, gain, pole_slope, gain_slope;
};

/// pole = e^z, gain = φ(z) = (e^z - 1) / z.
///
/// Numerics  e^z - 1 without cancellation; for |z| < 1/2 φ and its slope are the series Σ z^k / (k + 1)!.
/// Source    Gu et al., 2206.11893, section 3.
template <class P>
discrete_mode<P> discretise(zero_order_hold, complex<P> z) {
  const P grown = expm1(z.re), magnitude = P(1) + grown;
  const auto [sine, cosine] = sincos(P(0.5) * z.im);
  const P chord = P(-2) * sine * sine;  // cos(im z) - 1
  const complex<P> less_one{fma(chord, magnitude, grown), P(2) * sine * cosine * magnitude};
  const complex<P> pole{P(1) + less_one.re, less_one.im};

  complex<P> near{P(0), P(0)}, near_slope = near;
  double factor = 1.0 / 355687428096000.0;  // 1 / 17!
  for (int k = 16; k >= 0; factor *= k + 1, --k) {
    near_slope = fma(near_slope, z, near);
    near = fma(near, z, {P(factor), P(0)});
  }
  const auto small = norm(z) < P(0.25);
  const complex<P> by_z = inverse(select(small, {P(1), P(0)}, z)), far = less_one * by_z;
  return {pole, select(small, near, far), pole, select(small, near_slope, (pole - far) * by_z)};
}

/// pole = (1 + z/2) / (1 - z/2), gain = 1 / (1 - z/2).
///
/// Source    Gu et al., 2206.11893, section 3; Tustin's method.
template <class P>
discrete_mode<P> discretise(bilinear, complex<P> z) {
  const P half(0.5);
  const complex<P> gain = inverse(complex<P>{fma(-half, z.re, P(1)), -(half * z.im)}), square = gain * gain;
  return {gain * complex<P>{fma(half, z.re, P(1)), half * z.im}, gain, square, half * square};
}

template <class D>
concept diagonal_discretisation = policy<D> && std::same_as<typename D::plugs_into, slot::discretisation> &&
                                  requires(const D& d, complex<pack<double>> z) {
                                    { discretise(d, z) } -> std::same_as<discrete_mode<pack<double>>>;
                                  };
static_assert(diagonal_discretisation<zero_order_hold> && diagonal_discretisation<bilinear>);

/// What a diagonal state space learns, or the gradients of it: A = -exp(log_a_real) + i a_imag, C = c_real + i c_imag, the
/// step ε = exp(log_step) of each channel, the skip D. B is 1: it would only enter in its product with C.
///
///   x' = A x + u,   y = 2 Re(C x) + D u for conjugate pairs,   y = C x + D u for real modes
///
/// Shapes    (modes × channels), log_step and d (1 × channels); without imaginary parts for real modes.
struct diagonal_numbers {
  matrix<double> log_a_real, a_imag, c_real, c_imag, log_step, d;

  diagonal_numbers(poles kind, Index modes, Index channels)
      : log_a_real(modes, channels), a_imag(kind == poles::real ? 0 : modes, channels), c_real(modes, channels),
        c_imag(a_imag.rows(), channels), log_step(1, channels), d(1, channels) {}

  poles kind() const { return a_imag.rows() > 0 ? poles::conjugate_pairs : poles::real; }
  Index modes() const { return log_a_real.rows(); }
  Index channels() const { return log_a_real.cols(); }
};

/// Walks the modes of packs of channels, from numbers to discrete modes and back.
template <diagonal_discretisation Discretisation>
class diagonal_step {
 public:
  diagonal_step(const diagonal_numbers& from, Discretisation by) : from_(from), by_(by) {}

  /// pole and weight = C ε gain, twice that for a conjugate pair.
  scan_modes modes() const {
    scan_modes to(from_.kind(), from_.modes(), from_.channels());
    to.skip = from_.d;
    each([&](Index n, Index at, Index count) {
      const mode m = load(n, at, count);
      store(m.step.pole, to.pole_re, to.pole_im, n, at, count);
      store(m.c * m.by_c, to.weight_re, to.weight_im, n, at, count);
    });
    return to;
  }

  /// The gradients of the numbers from those of the modes. A gradient is that of the real part plus i that of the imaginary
  /// one, so one of f(z) goes to z by the conjugate of f'(z).
  diagonal_numbers gradient(const scan_modes& d) const {
    diagonal_numbers to(from_.kind(), from_.modes(), from_.channels());
    to.d = d.skip;
    to.log_step.fill(0);
    each([&](Index n, Index at, Index count) {
      const mode m = load(n, at, count);
      const complex<P> dpole = load(d.pole_re, d.pole_im, n, at, count), dweight = load(d.weight_re, d.weight_im, n, at, count);
      const complex<P> dgain = conj(m.factor * m.c) * dweight;  // factor = ε, twice that for a pair
      const complex<P> dz = conj(m.step.pole_slope) * dpole + conj(m.step.gain_slope) * dgain;
      store(conj(m.by_c) * dweight, to.c_real, to.c_imag, n, at, count);
      store({dz.re * m.z.re, m.epsilon * dz.im}, to.log_a_real, to.a_imag, n, at, count);
      // z = εA and weight are both proportional to ε.
      const P dlog_step = inner(dz, m.z) + inner(dgain, m.step.gain), sum = P::load(to.log_step.data() + at, count);
      (sum + dlog_step).store(to.log_step.data() + at, count);
    });
    return to;
  }

 private:
  using P = pack<double>;
  struct mode {
    P epsilon, factor;
    complex<P> z, c, by_c;  ///< by_c = factor gain
    discrete_mode<P> step;
  };

  template <class F>
  void each(F f) const {
    const Index packs = (from_.channels() + P::size - 1) / P::size;
    parallel_for(packs, [&](Index p) {
      const Index at = p * P::size, count = std::min<Index>(P::size, from_.channels() - at);
      for (Index n = 0; n < from_.modes(); ++n) f(n, at, count);
    });
  }
  mode load(Index n, Index at, Index count) const {
    mode m;
    m.epsilon = exp(P::load(from_.log_step.data() + at, count));
    m.factor = from_.kind() == poles::real ? m.epsilon : m.epsilon + m.epsilon;
    m.c = load(from_.c_real, from_.c_imag, n, at, count);
    m.z = load(from_.log_a_real, from_.a_imag, n, at, count);
    m.z = {-(m.epsilon * exp(m.z.re)), m.epsilon * m.z.im};
    m.step = discretise(by_, m.z);
    m.by_c = m.factor * m.step.gain;
    return m;
  }
  static P inner(complex<P> a, complex<P> b) { return fma(a.re, b.re, a.im * b.im); }
  static complex<P> load(const matrix<double>& re, const matrix<double>& im, Index n, Index at, Index count) {
    return {P::load(re.row(n) + at, count), im.rows() > 0 ? P::load(im.row(n) + at, count) : P(0)};
  }
  static void store(complex<P> z, matrix<double>& re, matrix<double>& im, Index n, Index at, Index count) {
    z.re.store(re.row(n) + at, count);
    if (im.rows() > 0) z.im.store(im.row(n) + at, count);
  }

  const diagonal_numbers& from_;
  Discretisation by_;
};

}  // namespace formwork
