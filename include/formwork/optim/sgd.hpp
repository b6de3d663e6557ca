// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/update_rule.hpp>
#include <formwork/kernel/update.hpp>

namespace formwork::inline FORMWORK_ABI {

/// m ← μ m + g,  p ← p (1 - ηλ) - η m; with Nesterov's form p moves by g + μ m instead of m.
///
/// Source    Sutskever et al., On the importance of initialization and momentum, ICML 2013.
/// Differs   weight decay is decoupled as in adamw; PyTorch adds it to the gradient.
struct sgd {
  double rate = 1e-2;
  double momentum = 0.9;
  double weight_decay = 0;
  momentum_form form = momentum_form::heavy_ball;

  template <real S>
  struct state {
    matrix<S> momentum;
    template <class F>
    void matrices(F&& f) {
      f("momentum", momentum);
    }
  };

  template <real S>
  state<S> make_state(Index rows, Index cols) const {
    return {matrix<S>(rows, cols, S(0))};
  }

  template <real S>
  void update(const update_site<S>& at, state<S>& st) const {
    sgd_update<S>(at.value, st.momentum, at.gradient,
                  {.rate = rate * at.rate_factor, .momentum = momentum, .weight_decay = weight_decay, .form = form});
  }
};
static_assert(update_rule<sgd>);

}  // namespace formwork
