// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/tape/tape.hpp>

namespace formwork::inline FORMWORK_ABI {

/// y = f(x), keeping only x: the values inside f are computed again in the backward pass. Dropout draws the same numbers,
/// and gradients have the same bits as without.
///
/// Cost      one more forward pass of f, against the memory of everything f would record.
/// Source    Chen et al., Training deep nets with sublinear memory cost, 1604.06174.
template <number S, class F>
  requires std::invocable<F&, const var<S>&>
var<S> checkpoint(const var<S>& x, F f) {
  tape<S>& t = x.tape();
  if (!t.records()) return f(x);
  var<S> y;
  {
    const typename tape<S>::pause quiet(t);
    y = f(x);
  }
  if (y.address() == x.address()) return y;
  t.push(y, [x, f](matrix<S>& dy) mutable {
    tape<S>& owner = x.tape();
    const Index before = owner.recorded();
    const var<S> again = owner.leaf(matrix<S>(x.value()), x.shared_batch(), true);
    {
      const typename tape<S>::look_away seen_before(owner);
      const var<S> y_again = f(again);
      gradient_of(y_again).add(std::move(dy));
    }
    owner.unwind(before);
    gradient_slot<S>& slot = again.address()->gradient;
    if (slot.holds()) gradient_of(x).add(std::move(slot.sum));
  });
  return y;
}

}  // namespace formwork
