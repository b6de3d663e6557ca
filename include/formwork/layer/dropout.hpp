// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/dropout.hpp>
#include <formwork/layer/builder.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// While training, each number is dropped with probability `rate` and the others are scaled by 1 / (1 - rate); the identity
/// otherwise.
///
/// Numerics  drawn by (tape's seed and step, stream, sequence id, position, column): the same in any batch and when recomputed.
/// Throws    argument_error for a rate outside [0, 1).
/// Source    Srivastava et al., JMLR 15 (2014).
struct dropout {
  double rate = 0;
  std::uint64_t stream = 0;  ///< another for every place in a model

  /// Of the i-th branch of the builder's block.
  static dropout make(const builder& b, Index i) {
    return {b.sizes.dropout, static_cast<std::uint64_t>(b.site.branch(i))};
  }

  template <number S>
  var<S> operator()(const var<S>& x) const {
    require(rate >= 0 && rate < 1, "dropout: rate is ", rate, "; needs 0 <= rate < 1");
    tape<S>& t = x.tape();
    if (rate == 0 || !t.training()) return x;
    const dropout_mask mask(t.seed(), t.step(), stream, rate);
    auto y = t.output(x.rows(), x.cols(), x.shared_batch());
    dropout_forward(y.write(), x.value(), mask, x.batch());
    return record(
        y,
        [dx = gradient_of(x), mask, rows = x.shared_batch()](matrix<S>& dy) {
          dx.add([&](view<S> g, start how) { dropout_backward(g, dy, mask, *rows, how); });
        },
        x);
  }
};

}  // namespace formwork
