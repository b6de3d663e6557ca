// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/scan_tables.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <utility>
#include <vector>

// A diagonal state space as the textbook's recurrence, x_t = p x_{t-1} + u_t, y_t = Σ Re(w x_t) + D u_t, as the convolution
// with its impulse response, and as that convolution by FFT. In double oracles; in float the recurrence is the naive loop.

namespace oracle {

namespace fw = formwork;
using fw::Index;

template <class S>
std::complex<S> pole(const fw::scan_modes& m, Index n, Index h) {
  return {static_cast<S>(m.pole_re(n, h)), m.pole_im.empty() ? S(0) : static_cast<S>(m.pole_im(n, h))};
}
template <class S>
std::complex<S> weight(const fw::scan_modes& m, Index n, Index h) {
  return {static_cast<S>(m.weight_re(n, h)), m.weight_im.empty() ? S(0) : static_cast<S>(m.weight_im(n, h))};
}

template <class S>
fw::matrix<S> recurrence(const fw::matrix<S>& u, const fw::sequences& batch, const fw::scan_modes& m) {
  fw::matrix<S> y(u.rows(), u.cols());
  for (Index s = 0; s < batch.count(); ++s)
    for (Index h = 0; h < u.cols(); ++h) {
      std::vector<std::complex<S>> x(static_cast<std::size_t>(m.count()));
      for (Index i = batch.first(s); i < batch.first(s + 1); ++i) {
        y(i, h) = static_cast<S>(m.skip(0, h)) * u(i, h);
        for (Index n = 0; n < m.count(); ++n) {
          auto& at = x[static_cast<std::size_t>(n)];
          at = pole<S>(m, n, h) * at + u(i, h);
          y(i, h) += (weight<S>(m, n, h) * at).real();
        }
      }
    }
  return y;
}

/// The gradients of u and of every mode for dL/dy, sums in order.
template <class S>
struct recurrence_gradients {
  fw::matrix<S> du, pole_re, pole_im, weight_re, weight_im, skip;
};
template <class S>
recurrence_gradients<S> recurrence_backward(const fw::matrix<S>& dy, const fw::matrix<S>& u, const fw::sequences& batch,
                                            const fw::scan_modes& m) {
  const fw::matrix<S> none(m.count(), u.cols(), S(0));
  recurrence_gradients<S> d{fw::matrix<S>(u.rows(), u.cols()), none, none, none, none,
                            fw::matrix<S>(1, u.cols(), S(0))};
  for (Index h = 0; h < u.cols(); ++h)
    for (Index s = 0; s < batch.count(); ++s) {
      const Index first = batch.first(s), length = batch.length(s);
      for (Index i = 0; i < length; ++i) {
        d.du(first + i, h) = static_cast<S>(m.skip(0, h)) * dy(first + i, h);
        d.skip(0, h) += dy(first + i, h) * u(first + i, h);
      }
      for (Index n = 0; n < m.count(); ++n) {
        std::vector<std::complex<S>> x(static_cast<std::size_t>(length + 1));
        for (Index i = 0; i < length; ++i)
          x[std::size_t(i + 1)] = pole<S>(m, n, h) * x[std::size_t(i)] + u(first + i, h);
        std::complex<S> g, dp, dw;  // of the state, the pole and the weight
        for (Index i = length; i-- > 0;) {
          g = std::conj(pole<S>(m, n, h)) * g + std::conj(weight<S>(m, n, h)) * dy(first + i, h);
          d.du(first + i, h) += g.real();
          dp += g * std::conj(x[std::size_t(i)]);
          dw += std::conj(x[std::size_t(i + 1)]) * dy(first + i, h);
        }
        d.pole_re(n, h) += dp.real(), d.pole_im(n, h) += dp.imag();
        d.weight_re(n, h) += dw.real(), d.weight_im(n, h) += dw.imag();
      }
    }
  return d;
}

/// K_l of one channel, each power by itself; the skip is in K_0.
inline std::vector<double> impulse_response(const fw::scan_modes& m, Index h, Index length) {
  std::vector<double> k(static_cast<std::size_t>(length), 0.0);
  for (Index l = 0; l < length; ++l)
    for (Index n = 0; n < m.count(); ++n) {
      const auto power = std::pow(pole<double>(m, n, h), static_cast<double>(l));
      k[static_cast<std::size_t>(l)] += (weight<double>(m, n, h) * power).real();
    }
  k[0] += m.skip(0, h);
  return k;
}

/// In place, of a power of two numbers; sign -1 forward, +1 back (without 1/n).
inline void fft(std::vector<std::complex<double>>& a, double sign) {
  const std::size_t n = a.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
    if (i < j) std::swap(a[i], a[j]);
  }
  for (std::size_t half = 1; half < n; half *= 2)
    for (std::size_t k = 0; k < half; ++k) {
      const auto turn = std::polar(1.0, sign * std::numbers::pi * static_cast<double>(k) / static_cast<double>(half));
      for (std::size_t i = k; i < n; i += 2 * half) {
        const auto odd = turn * a[i + half];
        a[i + half] = a[i] - odd;
        a[i] += odd;
      }
    }
}

/// Σ_{j ≤ t} k_{t-j} u_j by transforms of at least twice the length.
inline std::vector<double> fft_convolution(const std::vector<double>& k, const std::vector<double>& u) {
  std::size_t n = 1;
  while (n < 2 * u.size()) n *= 2;
  std::vector<std::complex<double>> a(k.begin(), k.end()), b(u.begin(), u.end());
  a.resize(n), b.resize(n);
  fft(a, -1), fft(b, -1);
  for (std::size_t i = 0; i < n; ++i) a[i] *= b[i];
  fft(a, +1);
  std::vector<double> y;
  for (std::size_t i = 0; i < u.size(); ++i) y.push_back(a[i].real() / static_cast<double>(n));
  return y;
}

}  // namespace oracle
