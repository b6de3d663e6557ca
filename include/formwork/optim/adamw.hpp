// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/update_rule.hpp>
#include <formwork/kernel/update.hpp>

#include <cmath>

namespace formwork::inline FORMWORK_ABI {

/// m ← β1 m + (1 - β1) g,  v ← β2 v + (1 - β2) g²,  p ← p (1 - ηλ) - η m̂ / (√v̂ + ε),  m̂ = m / (1 - β1ᵗ), v̂ = v / (1 - β2ᵗ).
///
/// Numerics  bias corrections in double; one pass over p, g, m, v.
/// Source    Loshchilov and Hutter, 1711.05101.
/// Differs   gains, biases and dynamics (whose steps and poles have no reason to shrink) are not decayed unless decays =
///           decayed::all; PyTorch decays all it is given.
struct adamw {
  double rate = 3e-4;
  double beta1 = 0.9, beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  enum class decayed { matrices, all } decays = decayed::matrices;

  template <real S>
  struct state {
    matrix<S> first, second;
    template <class F>
    void matrices(F&& f) {
      f("first", first);
      f("second", second);
    }
  };

  template <real S>
  state<S> make_state(Index rows, Index cols) const {
    return {matrix<S>(rows, cols, S(0)), matrix<S>(rows, cols, S(0))};
  }

  template <real S>
  void update(const update_site<S>& at, state<S>& st) const {
    const bool spared = at.kind == role::gain || at.kind == role::bias || at.kind == role::dynamics;
    const double decay = spared && decays == decayed::matrices ? 0 : weight_decay;
    adamw_update<S>(at.value, st.first, st.second, at.gradient,
                    {.rate = rate * at.rate_factor, .beta1 = beta1, .beta2 = beta2, .epsilon = epsilon, .weight_decay = decay,
                     .step = at.step});
  }
};
static_assert(update_rule<adamw>);

}  // namespace formwork
