// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/norm.hpp>
#include <formwork/kernel/normalize.hpp>
#include <formwork/tape/fields.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y = γ ⊙ (x - mean(x)) / √(var(x) + ε) + β, a row at a time, var the biased one.
///
/// Shapes    x, y (tokens × width), γ and β (1 × width), 1 and 0 at the start.
/// Throws    argument_error where x.width ≠ gain.width.
/// Source    Ba et al., 1607.06450.
template <number S>
struct layer_norm {
  parameter<S> gain = {}, bias = {};
  double epsilon = 1e-5;

  /// Fresh, with the epsilon of `like`.
  static layer_norm make(Index width, const layer_norm& like = {}) {
    return {parameter<S>(matrix<S>(1, width, S(1)), role::gain), parameter<S>(matrix<S>(1, width, S(0)), role::bias),
            like.epsilon};
  }

  var<S> operator()(const var<S>& x) const {
    require(x.cols() == gain.cols(), "layer_norm: x is ", shape_text(x), " but gain is ", shape_text(gain),
            "; needs x.width = gain.width");
    auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
    matrix<S> mean(x.rows(), 1), inverse(x.rows(), 1);
    layer_norm_forward(y.write(), mean.data(), inverse.data(), x.value(), gain.value().data(), bias.value().data(), epsilon);
    return record(
        y,
        [x, g = gain.address(), dgain = gradient_of(gain), dbias = gradient_of(bias), mean = std::move(mean),
         inverse = std::move(inverse)](matrix<S>& dy) {
          with_gradient(gradient_of(x), dy.rows(), dy.cols(), [&](view<S> dx, start how) {
            with_pointer(dgain, [&](S* gain_sum, start gain_how) {
              with_pointer(dbias, [&](S* bias_sum, start bias_how) {
                layer_norm_backward(dx, gain_sum, bias_sum, dy, x.value(), mean.data(), inverse.data(), g->value.data(), how,
                                    gain_how, bias_how);
              });
            });
          });
        },
        x, gain, bias);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("gain", m.gain, "bias", m.bias);
  }
};

}  // namespace formwork
