// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/product.hpp>

namespace formwork::inline FORMWORK_ABI {

/// c(j, i) = c(i, j) for j < i: the lower triangle decides.
///
/// Shapes    c (n × n).
template <class S>
void mirror(view<S> c) {
  constexpr Index block = 4 * lanes<S>;
  const Index n = c.rows(), blocks = (n + block - 1) / block;
  // The part of c in columns [from, from + block) below row `from`, moved to rows [from, ...) right of the diagonal.
  parallel_for(blocks, [&](Index task) {
    const Index from = task * block, cols = std::min(block, n - from);
    for (Index i = from; i < n; i += block) {
      const Index rows = std::min(block, n - i);
      if (i == from || rows < block || cols < block) {
        for (Index r = i; r < i + rows; ++r)
          for (Index k = from; k < std::min(from + cols, r); ++k) c(k, r) = c(r, k);
        continue;
      }
      for (Index k = from; k < from + block; k += lanes<S>)
        for (Index r = i; r < i + block; r += lanes<S>) {
          pack<S> of[lanes<S>];
#pragma GCC unroll 16
          for (int l = 0; l < lanes<S>; ++l) of[l] = pack<S>::load(c.row(r + l) + k);
          transpose(of);
#pragma GCC unroll 16
          for (int l = 0; l < lanes<S>; ++l) of[l].store(c.row(k + l) + r);
        }
    }
  });
}

/// c = a b, a bᵀ or aᵀ b where that is symmetric: x xᵀ, or the product of symmetric matrices that commute. The lower triangle
/// is multiplied and mirrored, about half the work; an epilogue, which must keep the symmetry, comes before.
///
/// Shapes    c (n × n), a and b as in product_nn, _nt, _tn; c overlaps neither.
/// Numerics  the elements with j ≤ i have the bits product gives them; the others those of their mirror image.
/// Cost      n (n + 24) k operations with packs of 8, and a pass over c.
/// Differs   also called syrk (a aᵀ) and gemmt (any a, b); those leave the other triangle alone.
template <class S, class Epilogue = none>
void symmetric_product(operands form, view<S> c, const_view<S> a, const_view<S> b, const Epilogue& epilogue = {}) {
  require(c.rows() == c.cols(), "symmetric_product: c is ", shape_text(c), "; needs as many rows as columns");
  product_run<S>::run(form, a, start::fresh,
                      std::array{typename product_run<S>::part{c, b, finish<S>(epilogue), region::lower}}, {});
  mirror(c);
}

}  // namespace formwork
