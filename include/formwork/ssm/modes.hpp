// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/error.hpp>
#include <formwork/core/slot.hpp>
#include <formwork/kernel/scan_tables.hpp>

#include <cmath>
#include <complex>
#include <concepts>
#include <numbers>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// Which diagonal A a state space of N real numbers a channel starts with: N real modes, or N/2 complex ones of which each
/// stands for its conjugate too. Every real part is negative.
template <class M>
concept modes_policy = policy<M> && std::same_as<typename M::plugs_into, slot::modes> && requires(const M& m, Index n) {
  { M::kind } -> std::convertible_to<poles>;
  { m(n) } -> std::same_as<std::vector<std::complex<double>>>;
};

/// formula(n) for n = 0 .. count - 1.
template <class Formula>
std::vector<std::complex<double>> each_mode(Index count, Formula formula) {
  std::vector<std::complex<double>> a;
  for (Index n = 0; n < count; ++n) a.emplace_back(formula(static_cast<double>(n)));
  return a;
}

/// A_n = -1/2 + i π n: the frequencies of a Fourier series.
///
/// Source    Gu et al., 2206.11893, S4D-Lin.
struct s4d_lin {
  using plugs_into = slot::modes;
  static constexpr poles kind = poles::conjugate_pairs;

  std::vector<std::complex<double>> operator()(Index state_width) const {
    return each_mode(state_width / 2, [](double n) { return std::complex(-0.5, std::numbers::pi * n); });
  }
};

/// A_n = -1/2 + i (N/π) (N/(2n + 1) - 1): the asymptotics of LegS.
///
/// Source    Gu et al., 2206.11893, S4D-Inv.
struct s4d_inv {
  using plugs_into = slot::modes;
  static constexpr poles kind = poles::conjugate_pairs;

  std::vector<std::complex<double>> operator()(Index state_width) const {
    const auto N = static_cast<double>(state_width);
    return each_mode(state_width / 2,
                     [N](double n) { return std::complex(-0.5, N / std::numbers::pi * (N / (2 * n + 1) - 1)); });
  }
};

/// The eigenvalues -1/2 ± i w of the normal part of HiPPO-LegS, w descending.
///
/// The normal part is -I/2 plus the skew matrix with entries ∓√((2n+1)(2k+1))/2. For an eigenvector v of the latter let X_n
/// be the sum of the first n + 1 of √(2k+1) v_k less half of the whole one; then X_n (iw + n + 1/2) = X_{n-1} (iw - n - 1/2),
/// and that X has opposite values at both ends makes
///
///   Σ_{n < N} atan(w / (n + 1/2)) = (m + 1/2) π,   m = 0 .. N/2 - 1,
///
/// whose left side rises from 0 to N π/2: each w is found by bisection, to the last bit.
///
/// Cost      about 60 N²/2 arctangents.
/// Source    Gu et al., 2206.11893, S4D-LegS; the scalar equation is ours.
struct s4d_legs {
  using plugs_into = slot::modes;
  static constexpr poles kind = poles::conjugate_pairs;

  std::vector<std::complex<double>> operator()(Index state_width) const {
    const auto modes = static_cast<double>(state_width / 2);
    return each_mode(state_width / 2, [&](double n) {
      return std::complex(-0.5, frequency(state_width, (modes - n - 0.5) * std::numbers::pi));
    });
  }

 private:
  static double phase(Index state_width, double w) {
    double sum = 0;
    for (Index n = 0; n < state_width; ++n) sum += std::atan(w / (static_cast<double>(n) + 0.5));
    return sum;
  }
  static double frequency(Index state_width, double wanted) {
    double low = 0, high = 1;
    while (phase(state_width, high) < wanted) low = high, high *= 2;
    for (double middle = low + (high - low) / 2; low < middle && middle < high; middle = low + (high - low) / 2)
      (phase(state_width, middle) < wanted ? low : high) = middle;
    return high;
  }
};

/// A_n = -(n + 1), real modes.
///
/// Source    Gu et al., 2206.11893, S4D-Real; the eigenvalues of HiPPO-LegS itself.
struct s4d_real {
  using plugs_into = slot::modes;
  static constexpr poles kind = poles::real;

  std::vector<std::complex<double>> operator()(Index state_width) const {
    return each_mode(state_width, [](double n) { return std::complex(-(n + 1), 0.0); });
  }
};

static_assert(modes_policy<s4d_lin> && modes_policy<s4d_inv> && modes_policy<s4d_legs> && modes_policy<s4d_real>);

}  // namespace formwork
