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
template <real S>
struct rms_norm {
  parameter<S> gain;
  double epsilon = 1e-6;

  static rms_norm make(Index width) { return {parameter<S>(matrix<S>(1, width, S(1)), role::gain)}; }

  var<S> operator()(const var<S>& x) const {
    require(x.cols() == gain.cols(), "rms_norm: x is ", shape_text(x), " but gain is ", shape_text(gain),
            "; needs x.width = gain.width");
    auto y = x.tape().output(x.rows(), x.cols(), x.shared_batch());
    matrix<S> inverse_rms(x.rows(), 1);
    rms_norm_forward(y.write(), inverse_rms.data(), x.value(), gain.value().data(), epsilon);
    return record(
        y,
        [x, g = gain.address(), dgain = gradient_of(gain), inverse_rms = std::move(inverse_rms)](matrix<S>& dy) {
          backward(gradient_of(x), dgain, dy, x.value(), inverse_rms, g->value);
        },
        x, gain);
  }

  template <class M>
  static auto fields(M& m) {
    return formwork::fields("gain", m.gain);
  }

 private:
  /// Both gradients come from one pass; where one is not wanted its result goes to scratch.
  static void backward(const gradient_of_var<S>& dx, const gradient_of_parameter<S>& dgain, view<const S> dy, view<const S> x,
                       const matrix<S>& inverse_rms, const matrix<S>& gain) {
    matrix<S> unused_x, unused_gain;
    const auto both = [&](view<S> gx, start how_x, view<S> gg, start how_gain) {
      rms_norm_backward(gx, gg.data(), dy, x, inverse_rms.data(), gain.data(), how_x, how_gain);
    };
    const auto with_x = [&](view<S> gx, start how_x) {
      if (dgain.wanted())
        dgain.add([&](view<S> gg, start how_gain) { both(gx, how_x, gg, how_gain); });
      else
        both(gx, how_x, unused_gain = matrix<S>(1, gain.cols()), start::fresh);
    };
    if (dx.wanted())
      dx.add(with_x);
    else
      with_x(unused_x = matrix<S>(dy.rows(), dy.cols()), start::fresh);
  }
};

}  // namespace formwork
