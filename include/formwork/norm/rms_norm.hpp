// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/norm.hpp>
#include <formwork/kernel/normalize.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y = γ ⊙ x / √(mean(x²) + ε), a row at a time.
///
/// Shapes    x, y (tokens × width), γ (1 × width), 1 at the start.
/// Throws    argument_error where x.width ≠ gain.width.
/// Source    Zhang and Sennrich, 1910.07467.
template <number S>
struct rms_norm {
  parameter<S> gain = {};
  double epsilon = 1e-6;

  /// Fresh, with the epsilon of `like`.
  static rms_norm make(Index width, const rms_norm& like = {}) {
    return {parameter<S>(matrix<S>(1, width, S(1)), role::gain), like.epsilon};
  }

  var<S> operator()(const var<S>& x) const {
    require(x.cols() == gain.cols(), "rms_norm: x is ", shape_text(x), " but gain is ", shape_text(gain),
            "; needs x.width = gain.width");
    auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
    matrix<S> inverse_rms(x.rows(), 1);
    rms_norm_forward(y.write(), inverse_rms.data(), x.value(), gain.value().data(), epsilon);
    return record(
        y,
        [x, g = gain.address(), dgain = gradient_of(gain), inverse_rms = std::move(inverse_rms)](matrix<S>& dy) {
          with_gradient(gradient_of(x), dy.rows(), dy.cols(), [&](view<S> dx, start how) {
            with_pointer(dgain, [&](S* gain_sum, start gain_how) {
              rms_norm_backward(dx, gain_sum, dy, x.value(), inverse_rms.data(), g->value.data(), how, gain_how);
            });
          });
        },
        x, gain);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("gain", m.gain);
  }
};

}  // namespace formwork
