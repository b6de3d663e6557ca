// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/kernel/tile.hpp>

namespace formwork::inline FORMWORK_ABI {

// A panel holds a strip of an operand in the order a tile reads it: element [k][x] is at k * width + x, x counts rows of the
// left operand (width tile_rows) or columns of the right one (width a multiple of lanes<S>).

/// panel[k][x] = source(k, x), by registers of N: the source's rows are the panel's. Columns past the source's are zero.
template <int N, class S>
void pack_panel(S* panel, Index width, const_view<S> source) {
  using P = pack<S, N>;
  const Index cols = source.cols();
  const S* from = source.data();
  for (Index k = 0; k < source.rows(); ++k, from += source.stride(), panel += width) {
    Index x = 0;
    for (; x + N <= cols; x += N) P::load(from + x).store(panel + x);
    for (; x < width; x += N) P::load(from + x, std::max<Index>(cols - x, 0)).store(panel + x);
  }
}

/// Columns x, ... of the panel by N × N blocks through registers, the rest by smaller ones; registers have 16 bytes at least.
template <int N, class S>
void pack_blocks_transposed(S* panel, Index width, const_view<S> source, Index x) {
  const Index depth = source.cols(), stride = source.stride();
  for (; x + N <= source.rows(); x += N) {
    const S* from = source.row(x);
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
  }
  if constexpr (N > 1) pack_blocks_transposed<(N * sizeof(real_of<S>) > 16 ? N / 2 : 1)>(panel, width, source, x);
}

/// panel[k][x] = source(x, k): the source's columns are the panel's rows. Columns past the source's rows are zero.
template <class S>
void pack_panel_transposed(S* panel, Index width, const_view<S> source) {
  pack_blocks_transposed<lanes<S>>(panel, width, source, 0);
  if (source.rows() == width) return;
  for (Index k = 0; k < source.cols(); ++k) std::fill(panel + k * width + source.rows(), panel + (k + 1) * width, S(0));
}

}  // namespace formwork
