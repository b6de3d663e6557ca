// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/basis.hpp>
#include <formwork/core/legendre.hpp>

#include <cmath>
#include <numbers>

namespace formwork::inline FORMWORK_ABI {

// Coefficients are of orthonormal functions, so that a memory's size does not depend on its order. Source of all: Gu et al.,
// HiPPO, 2008.07669; kexue.fm/archives/10114, 10137.

/// φ_n(s) = √((2n+1)/2) P_n(2s - 1), times √2 orthonormal for s in [0, 1]; 0 outside, where nothing is remembered.
inline void legendre_functions(double* g, Index order, double s) {
  legendre(g, order, 2 * s - 1);
  const bool remembered = s >= 0 && s <= 1;
  for (Index n = 0; n < order; ++n) g[n] = remembered ? g[n] * std::sqrt(static_cast<double>(n) + 0.5) : 0;
}

/// The whole history, equally weighted and stretched to one length: x' = (A x + B u) / t.
///
///   A_nk = -√((2n+1)(2k+1)) for k < n, -(n+1) for k = n, 0 above;  B_n = √(2 (2n+1));  u(s t) ≈ Σ x_n φ_n(s)
///
/// Units     none: the coefficients do not depend on how long a sample lasts.
/// Numerics  eigenvalues -1 .. -order. The step is O(order), see kernel/transition.hpp.
/// Differs   the paper and S4 have B = √(2n+1), coefficients smaller by √2.
struct legs {
  using plugs_into = slot::basis;
  static constexpr bool scales_with_history = true;

  linear_ode ode(Index order) const {
    linear_ode r{matrix<double>(order, order, 0.0), matrix<double>(order, 1)};
    for (Index n = 0; n < order; ++n) {
      const auto root = [](Index i) { return static_cast<double>(2 * i + 1); };
      for (Index k = 0; k < n; ++k) r.a(n, k) = -std::sqrt(root(n) * root(k));
      r.a(n, n) = -static_cast<double>(n + 1);
      r.b(n, 0) = std::sqrt(2 * root(n));
    }
    return r;
  }
  void functions(double* g, Index order, double age, double elapsed) const {
    legendre_functions(g, order, elapsed > 0 ? 1 - age / elapsed : 1);
  }
};

/// The last `window` of time, equally weighted: u(t - w + s w) ≈ Σ x_n φ_n(s).
///
///   A_nk = -√((2n+1)(2k+1)) / w · {1 for k < n, (-1)^(n-k) for k ≥ n};  B_n = √(2 (2n+1)) / w
///
/// Units     window in units of time; a sample lasts one `step`.
/// Differs   S4's "legt" is window 2 with B / √2; LMU's (2n+1) {...} is the same up to the sign (-1)^n of x_n.
struct legt {
  using plugs_into = slot::basis;
  static constexpr bool scales_with_history = false;
  double window = 256;

  linear_ode ode(Index order) const {
    require(window > 0, "legt: window is ", window, "; needs > 0");
    linear_ode r{matrix<double>(order, order), matrix<double>(order, 1)};
    for (Index n = 0; n < order; ++n) {
      for (Index k = 0; k < order; ++k)
        r.a(n, k) = std::sqrt(static_cast<double>((2 * n + 1) * (2 * k + 1))) / (k >= n && (k - n) % 2 ? window : -window);
      r.b(n, 0) = std::sqrt(static_cast<double>(2 * (2 * n + 1))) / window;
    }
    return r;
  }
  void functions(double* g, Index order, double age, double) const { legendre_functions(g, order, 1 - age / window); }
};

/// The past fading exponentially: u(t - τ) ≈ e^(-(1 - tilt) τ' / 2) Σ x_n L_n(τ'), τ' = τ / scale; errors count e^(-tilt τ').
///
///   A = -(1/scale) (1 below the diagonal, (1 + tilt) / 2 on it);  B = 1/scale
///
/// Units     scale in units of time.
/// Numerics  a memory of order N reaches back about 4 N scale.
/// Differs   tilt 1 is the paper's first choice; tilt 0 is S4's "lagt", plain Laguerre functions.
struct lagt {
  using plugs_into = slot::basis;
  static constexpr bool scales_with_history = false;
  double scale = 1, tilt = 1;

  linear_ode ode(Index order) const {
    require(scale > 0 && tilt > -1, "lagt: scale is ", scale, " and tilt ", tilt, "; needs scale > 0 and tilt > -1");
    linear_ode r{matrix<double>(order, order, 0.0), matrix<double>(order, 1, 1 / scale)};
    for (Index n = 0; n < order; ++n) {
      std::fill_n(r.a.row(n), n, -1 / scale);
      r.a(n, n) = -(1 + tilt) / (2 * scale);
    }
    return r;
  }
  void functions(double* g, Index order, double age, double) const {
    const double at = age / scale;
    double before = 0, now = at < 0 ? 0 : std::exp(-(1 - tilt) * at / 2);
    for (Index n = 0; n < order; ++n) {
      g[n] = now;
      const auto d = static_cast<double>(n);
      before = std::exchange(now, ((2 * d + 1 - at) * now - d * before) / (d + 1));
    }
  }
};

/// The last `window` of time in harmonics: u(t - τ) ≈ x_0 + √2 Σ_f x_{2f-1} cos(2π f τ / w) + x_{2f} sin(2π f τ / w).
///
///   A = (Ω - pull b bᵀ) / w, Ω the pair blocks 2π f [[0, -1], [1, 0]];  B = pull b / w;  b = (1, √2, 0, √2, 0, ...)
///
/// Shapes    an odd order: the mean and two for each frequency.
/// Units     window in units of time.
/// Numerics  at the window's ends the sum is the mean of both. With pull 2 the signal replaces what is a window old.
/// Source    Gu et al., 2206.12037 (FouT, S4's "fourier" with window 2).
/// Differs   kexue.fm/archives/10114 takes that sum for the old end alone: its complex form diag(2πi n) - 11ᵀ, n = -N .. N, is
///           pull 1 with x_0, √2 Re x_n, √2 Im x_n here. Then only 2/3 of the signal enters, and a third of what was there a
///           window ago stays as an echo (hippo_memory_test.cpp).
struct fourier {
  using plugs_into = slot::basis;
  static constexpr bool scales_with_history = false;
  double window = 256, pull = 2;

  linear_ode ode(Index order) const {
    require(window > 0 && pull > 0, "fourier: window is ", window, " and pull ", pull, "; needs both > 0");
    require(order % 2 == 1, "fourier: order is ", order, "; needs an odd one, the mean and two for each frequency");
    linear_ode r{matrix<double>(order, order, 0.0), matrix<double>(order, 1)};
    const auto b = [](Index n) { return n == 0 ? 1 : n % 2 ? std::numbers::sqrt2 : 0.0; };
    for (Index n = 0; n < order; ++n) {
      for (Index k = 0; k < order; ++k) r.a(n, k) = -pull * b(n) * b(k) / window;
      r.b(n, 0) = pull * b(n) / window;
    }
    for (Index n = 1; n < order; n += 2) {
      const double turn = 2 * std::numbers::pi * static_cast<double>((n + 1) / 2) / window;
      r.a(n, n + 1) -= turn;
      r.a(n + 1, n) += turn;
    }
    return r;
  }
  void functions(double* g, Index order, double age, double) const {
    const bool remembered = age >= 0 && age <= window;
    for (Index n = 0; n < order; ++n) {
      const double angle = 2 * std::numbers::pi * static_cast<double>((n + 1) / 2) * age / window;
      g[n] = !remembered ? 0 : n == 0 ? 1 : std::numbers::sqrt2 * (n % 2 ? std::cos(angle) : std::sin(angle));
    }
  }
};

static_assert(basis<legs> && basis<legt> && basis<lagt> && basis<fourier>);

}  // namespace formwork
