// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/pack.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The largest tile that leaves registers for its operands: 8 × 3 packs of 32 registers, 4 × 3 of 16.
inline constexpr int tile_rows = vector_registers >= 32 ? 8 : 4;
inline constexpr int tile_packs = 3;
template <number S>
inline constexpr Index tile_cols = tile_packs* lanes<S>;

/// Rows × Packs sums in registers: the core of every product, of attention and of the chunked scans.
///
/// sum(i, :) = fma(a(i, k), b(k, :), sum(i, :)) for k = 0, 1, ...: each lane is one FMA chain in the order of k, whatever
/// the shape of the tile, so a chain stored and continued, or computed by another tile, has the same bits.
///
/// Cost      per k Rows broadcasts, Packs loads, Rows × Packs fma; the tiles named above do not spill.
template <number S, int Rows, int Packs>
struct tile {
  pack<S> sum[Rows][Packs];

  /// f(i, j, sum) for every pack; lanes are columns j * lanes<S> ... of row i.
  template <class F>
  FORMWORK_INLINE void each(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < Packs; ++j) f(i, j, sum[i][j]);
  }

  FORMWORK_INLINE void clear() {
    each([](int, int, pack<S>& s) { s = pack<S>(0); });
  }
  FORMWORK_INLINE void load(const S* c, Index stride) {
    each([=](int i, int j, pack<S>& s) { s = pack<S>::load(c + i * stride + j * lanes<S>); });
  }
  FORMWORK_INLINE void store(S* c, Index stride) {
    each([=](int i, int j, pack<S>& s) { s.store(c + i * stride + j * lanes<S>); });
  }

  /// Continues the chains over `depth` values of k: a(i, k) is a[i * a_row + k * a_step] (a packed panel: a_row = 1,
  /// a_step = tile_rows; a matrix in place: its stride and 1, or 1 and its stride), row k of b is at b + k * b_step.
  FORMWORK_INLINE void chain(Index depth, const S* a, Index a_row, Index a_step, const S* b, Index b_step) {
    for (Index k = 0; k < depth; ++k, a += a_step, b += b_step) {
      pack<S> bs[Packs];
#pragma GCC unroll 16
      for (int j = 0; j < Packs; ++j) bs[j] = in_register(pack<S>::load(b + j * lanes<S>));
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const pack<S> x(a[i * a_row]);
#pragma GCC unroll 16
        for (int j = 0; j < Packs; ++j) sum[i][j] = fma(x, bs[j], sum[i][j]);
      }
    }
  }
};

}  // namespace formwork
