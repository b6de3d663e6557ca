// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/transform.hpp>
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// What stands for a whole sequence.
enum class pooling {
  first,  ///< its first row: BERT's [CLS]
  last,   ///< its last row: what a causal model knows after all of it
  mean    ///< the mean of its rows
};

/// One row for each sequence of a ragged batch.
///
/// Shapes    x (tokens × width) -> y (sequences × width), each row a sequence of its own.
/// Numerics  the mean is a sum in the order of the rows: the same bits in any batch.
/// Throws    argument_error for an empty sequence.
/// Source    Devlin et al., 1810.04805 (first); Reimers and Gurevych, 1908.10084 (mean).
template <number S>
var<S> pooled(const var<S>& x, pooling how) {
  const sequences& rows = x.batch();
  for (Index s = 0; s < rows.count(); ++s)
    require(rows.length(s) > 0, "pooled: sequence ", s, " is empty; needs at least one token");
  const auto chosen = [how](const sequences& of, Index s) {
    return how == pooling::last ? of.first(s) + of.length(s) - 1 : of.first(s);
  };
  auto y = x.tape().output(rows.count(), x.cols(), share(sequences::equal(rows.count(), 1)));
  for (Index s = 0; s < rows.count(); ++s) {
    const view<S> to = y.write().rows(s, 1);
    contribute<S>(to, start::fresh, x.value().rows(chosen(rows, s), 1));
    if (how != pooling::mean) continue;
    for (Index i = 1; i < rows.length(s); ++i) contribute<S>(to, start::continued, x.value().rows(rows.first(s) + i, 1));
    transform(to, [f = pack<S>(1.0 / static_cast<double>(rows.length(s)))](pack<S> sum) { return f * sum; }, to);
  }
  return record(
      y,
      [dx = gradient_of(x), shared = x.shared_batch(), how, chosen](matrix<S>& dy) {
        dx.add([&](view<S> g, start at) {
          if (at == start::fresh) fill(g, S(0));
          for (Index s = 0; s < shared->count(); ++s) {
            const view<const S> d = dy.rows(s, 1);
            if (how != pooling::mean) {
              contribute<S>(g.rows(chosen(*shared, s), 1), start::continued, d);
              continue;
            }
            const pack<S> f(1.0 / static_cast<double>(shared->length(s)));
            for (Index i = 0; i < shared->length(s); ++i)
              contribute(g.rows(shared->first(s) + i, 1), start::continued, [f](pack<S> v) { return f * v; }, d);
          }
        });
      },
      x);
}

}  // namespace formwork
