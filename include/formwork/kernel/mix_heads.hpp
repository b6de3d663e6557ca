// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/kernel/tile.hpp>

namespace formwork::inline FORMWORK_ABI {

/// Keys that heads which mix take at once.
inline constexpr Index mixed_key_block = 192;
static_assert(mixed_key_block % tile_cols<float> == 0 && mixed_key_block % tile_cols<double> == 0);

/// Rows queries × a block of keys, for all heads: element (head, row, key) is at head * head_step + row * mixed_key_block + key.
/// A cache line keeps the heads apart, or the same key of all of them would lie in one set of the first-level cache.
template <real S, int Rows>
inline constexpr Index head_step = Rows * mixed_key_block + Index(64 / sizeof(S));

/// out(o, j) = Σ_i m(i, o) in(i, j), one chain in the order of i: row o of out is at out + o * step, m(i, o) at
/// m[i * m_in + o * m_out]. Rows of tiles from the largest down to one.
template <real S, int Rows = tile_rows>
void mix_heads(S* out, Index outs, const S* in, Index ins, Index step, const S* m, Index m_in, Index m_out, Index packs) {
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

}  // namespace formwork
