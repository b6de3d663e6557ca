// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/kernel/tile.hpp>

#include <type_traits>

namespace formwork::inline FORMWORK_ABI {

/// Keys that heads which mix take at once.
inline constexpr Index mixed_key_block = 192;
static_assert(mixed_key_block % tile_cols<float> == 0 && mixed_key_block % tile_cols<double> == 0);

/// Rows queries × a block of keys, for all heads: element (head, row, key) is at head * head_step + row * mixed_key_block +
/// key.
/// A cache line keeps the heads apart, or the same key of all of them would lie in one set of the first-level cache.
template <number S, int Rows>
inline constexpr Index head_step = Rows* mixed_key_block + Index(64 / sizeof(S));

/// out(o, j) = Σ_i m(i, o) in(i, j), one chain in the order of i: row o of out is at out + o * step, m(i, o) at
/// m[i * m_in + o * m_out]. Rows of tiles from the largest down to one.
template <number S, int Rows = tile_rows>
void mix_heads(S* out, Index outs, const S* in, Index ins, Index step, const S* m, Index m_in, Index m_out,
               Index packs) {
  for (; outs >= Rows; outs -= Rows, out += Rows * step, m += Rows * m_out) {
    const auto columns = [&]<int Packs>(std::integral_constant<int, Packs>, Index j) {
      tile<S, Rows, Packs> t;
      t.clear();
      t.chain(ins, m, m_out, m_in, in + j * lanes<S>, step);
      t.store(out + j * lanes<S>, step);
    };
    Index j = 0;
    for (; j + 3 <= packs; j += 3) columns(std::integral_constant<int, 3>(), j);
    if (packs - j == 2) columns(std::integral_constant<int, 2>(), j);
    if (packs - j == 1) columns(std::integral_constant<int, 1>(), j);
  }
  if constexpr (Rows > 1)
    if (outs > 0) mix_heads<S, Rows / 2>(out, outs, in, ins, step, m, m_in, m_out, packs);
}

/// Sums of Rows × Cols pairs of rows, a pack for each pair.
template <number S, int Rows, int Cols>
void multiply_rows(S* sums, Index sums_step, const S* x, const S* y, Index step, Index packs) {
  tile<S, Rows, Cols> t;
  t.load(sums, sums_step);
  for (Index j = 0; j < packs * lanes<S>; j += lanes<S>) {
    pack<S> ys[Cols];
#pragma GCC unroll 16
    for (int c = 0; c < Cols; ++c) ys[c] = in_register(pack<S>::load(y + c * step + j));
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const pack<S> xs = pack<S>::load(x + r * step + j);
#pragma GCC unroll 16
      for (int c = 0; c < Cols; ++c) t.sum[r][c] = fma(xs, ys[c], t.sum[r][c]);
    }
  }
  t.store(sums, sums_step);
}

/// sums(i, o) += Σ_j x(i, j) y(o, j), lane by lane: sums (xs × ys) packs. Rows of x and y are `step` apart.
template <number S, int Rows = 4>
void multiply_heads(S* sums, const S* x, Index xs, const S* y, Index ys, Index step, Index packs, Index sums_step) {
  for (; xs >= Rows; xs -= Rows, x += Rows * step, sums += Rows * sums_step) {
    Index o = 0;
    for (; o + 2 <= ys; o += 2) multiply_rows<S, Rows, 2>(sums + o * lanes<S>, sums_step, x, y + o * step, step, packs);
    if (o < ys) multiply_rows<S, Rows, 1>(sums + o * lanes<S>, sums_step, x, y + o * step, step, packs);
  }
  if constexpr (Rows > 1)
    if (xs > 0) multiply_heads<S, Rows / 2>(sums, x, xs, y, ys, step, packs, sums_step);
}

}  // namespace formwork
