// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>

namespace formwork::inline FORMWORK_ABI {

// A panel holds a strip of an operand in the order a tile reads it: element [k][x] is at k * width + x, x counts rows of the
// left operand (width tile_rows) or columns of the right one (width a multiple of lanes<S>).

/// panel[k][x] = source(k, x): the source's rows are the panel's. Columns past the source's are zero.
template <class S>
void pack_panel(S* panel, Index width, const_view<S> source) {
  using P = pack<S>;
  const Index cols = source.cols();
  const S* from = source.data();
  if (cols == width && width % P::size == 0) {
    for (Index k = 0; k < source.rows(); ++k, from += source.stride(), panel += width)
      for (Index x = 0; x < width; x += P::size) P::load(from + x).store(panel + x);
    return;
  }
  for (Index k = 0; k < source.rows(); ++k, from += source.stride(), panel += width) {
    std::copy_n(from, cols, panel);
    std::fill(panel + cols, panel + width, S(0));
  }
}

/// panel[k][x] = source(x, k): the source's columns are the panel's rows. Columns past the source's rows are zero.
template <class S>
void pack_panel_transposed(S* panel, Index width, const_view<S> source) {
  const Index depth = source.cols(), cols = source.rows();
  // N × N blocks through registers, N as wide as divides the panel: lanes or tile_rows.
  const auto strip = [&]<int N>(Index x, std::integral_constant<int, N>) {
    const S* from = source.row(x);
    const Index stride = source.stride();
    Index k = 0;
    for (; k + N <= depth; k += N) {
      pack<S, N> block[N];
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) block[i] = pack<S, N>::load(from + i * stride + k);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < N; ++i) block[i].store(panel + (k + i) * width + x);
    }
    for (; k < depth; ++k)
      for (Index i = 0; i < N; ++i) panel[k * width + x + i] = from[i * stride + k];
  };
  constexpr int narrow = lanes<S> >= 8 ? 8 : 4;
  Index x = 0;
  if constexpr (lanes<S> >= 4) {
    for (; x + lanes<S> <= cols; x += lanes<S>) strip(x, std::integral_constant<int, lanes<S>>());
    if constexpr (narrow < lanes<S>)
      for (; x + narrow <= cols; x += narrow) strip(x, std::integral_constant<int, narrow>());
  }
  for (; x < cols; ++x)
    for (Index k = 0; k < depth; ++k) panel[k * width + x] = source(x, k);
  for (; x < width; ++x)
    for (Index k = 0; k < depth; ++k) panel[k * width + x] = S(0);
}

}  // namespace formwork
