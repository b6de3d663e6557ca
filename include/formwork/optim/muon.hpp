// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/update_rule.hpp>
#include <formwork/kernel/orthogonalize.hpp>
#include <formwork/kernel/update.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace formwork::inline FORMWORK_ABI {

/// m ← μ m + g,  p ← p (1 - ηλ) - η s msign(g + μ m): momentum whose singular values are all brought to 1.
///
///   original          s = √max(1, out / in): an update of spectral norm about 1 for the unit of either side
///   match_rms_adamw   s = 0.2 √max(in, out): an update as large, by its root mean square, as AdamW's, whose η and λ then fit
///
/// Shapes    for weights (in × out), role::matrix; one row or column is normalised. Others belong to AdamW: embeddings, heads,
///           gains, biases.
/// Numerics  the change of p is rounded once when it is subtracted; a gradient of 0 gives an update of 0.
/// Cost      for n × n weights about 20 n³ operations, for n × 4n about 38 n³ (kernel/orthogonalize.hpp).
/// Source    Jordan et al., kellerjordan.github.io/posts/muon; Liu et al., 2502.16982 (0.2 √max, weight decay);
///           kexue.fm/archives/10592, 10739.
/// Differs   s is of our (in × out) weights; Jordan's max(1, rows / columns) is of (out × in). float32 where Jordan iterates in
///           bfloat16.
struct muon {
  double rate = 0.02;
  double momentum = 0.95;
  double weight_decay = 0;  ///< decoupled; not multiplied by s
  momentum_form form = momentum_form::nesterov;
  enum class kept { sum, mean } keeps = kept::sum;  ///< mean: m ← μ m + (1 - μ) g, Jordan's; msign gives the same
  enum class scaling { original, match_rms_adamw } scale = scaling::original;
  std::vector<odd_quintic> iterations = std::vector<odd_quintic>(5, tuned_quintic);
  double epsilon = 1e-7;  ///< added to the norm before the first iteration

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

  /// s.
  double factor(Index in, Index out) const {
    const auto rows = static_cast<double>(in), cols = static_cast<double>(out);
    return scale == scaling::original ? std::sqrt(std::max(1.0, cols / rows)) : 0.2 * std::sqrt(std::max(rows, cols));
  }

  template <real S>
  void update(const update_site<S>& at, state<S>& st) const {
    const Index rows = at.value.rows(), cols = at.value.cols();
    matrix<S> direction(rows, cols), sign(rows, cols);
    momentum_update<S>(st.momentum, direction, at.gradient,
                       {.momentum = momentum, .share = keeps == kept::sum ? 1 : 1 - momentum, .form = form});
    const double now = rate * at.rate_factor;
    orthogonalize<S>(sign, direction, iterations, epsilon, step<S>{at.value, now * weight_decay, now * factor(rows, cols)});
  }

 private:
  /// The epilogue p ← p - (decay p + rate value), while the tile of value is in cache.
  template <class S>
  struct step {
    view<S> p;
    pack<S> decay, rate;

    pack<S> operator()(Index row, Index col, pack<S> value, Index count) const {
      S* at = p.row(row) + col;
      const pack<S> old = pack<S>::load(at, count);
      (old - fma(rate, value, decay * old)).store(at, count);
      return value;
    }
    void operands(auto f) const { f(p); }
  };
};
static_assert(update_rule<muon>);

}  // namespace formwork
