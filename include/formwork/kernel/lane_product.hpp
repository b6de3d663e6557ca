// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/matrix.hpp>
#include <formwork/kernel/tile.hpp>

#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

// Products of many small matrices at once, one in each lane: element (i, k) is a pack. Where channels do not mix, lanes are
// channels: rows of an activation are read as they lie, and a tile loads as much for an fma as that of a large product.

/// A small matrix in every lane: element (i, k) is the pack at data + (i * row + k * step) * lanes<S>. Strides may be negative.
template <class S>
struct lane_matrix {
  S* data;
  Index row, step;

  static constexpr Index width = lanes<std::remove_const_t<S>>;

  S* at(Index i, Index k) const { return data + (i * row + k * step) * width; }
  lane_matrix from(Index i, Index k) const { return {at(i, k), row, step}; }
  lane_matrix transposed() const { return {data, step, row}; }
  operator lane_matrix<const S>() const { return {data, row, step}; }
};

/// Rows × Cols sums in registers; every lane of each is one FMA chain, whatever the shape of the tile.
template <real S, int Rows, int Cols>
struct lane_tile {
  using P = pack<S>;
  P sum[Rows][Cols];

  FORMWORK_INLINE void clear() {
    each([](int, int, P& s) { s = P(0); });
  }
  FORMWORK_INLINE void load(lane_matrix<S> c) {
    each([&](int i, int j, P& s) { s = P::load(c.at(i, j)); });
  }
  FORMWORK_INLINE void store(lane_matrix<S> c) {
    each([&](int i, int j, P& s) { s.store(c.at(i, j)); });
  }
  template <class F>
  FORMWORK_INLINE void each(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < Cols; ++j) f(i, j, sum[i][j]);
  }

  /// sum(i, j) = fma(a(i, k), b(j, k), sum(i, j)) for k = 0 .. depth - 1 and the rows from `First` on.
  template <int First = 0>
  FORMWORK_INLINE void chain(Index depth, lane_matrix<const S> a, lane_matrix<const S> b) {
    for (; depth > 0; --depth, a.data = a.at(0, 1), b.data = b.at(0, 1)) {
      P y[Cols];
#pragma GCC unroll 16
      for (int j = 0; j < Cols; ++j) y[j] = in_register(P::load(b.at(j, 0)));
#pragma GCC unroll 16
      for (int i = First; i < Rows; ++i) {
        const P x = in_register(P::load(a.at(i, 0)));
#pragma GCC unroll 16
        for (int j = 0; j < Cols; ++j) sum[i][j] = fma(x, y[j], sum[i][j]);
      }
    }
  }
};

/// f(tile, i, j) over tiles that cover rows × cols: all columns of a strip of rows, which stays in cache, before the next.
template <real S, class F>
FORMWORK_INLINE void in_lane_tiles(Index rows, Index cols, F f) {
  const auto strip = [&]<int Rows>(std::integral_constant<int, Rows>, Index i) {
    Index j = 0;
    for (; j + tile_packs <= cols; j += tile_packs) f(lane_tile<S, Rows, tile_packs>(), i, j);
    for (; j < cols; ++j) f(lane_tile<S, Rows, 1>(), i, j);
  };
  Index i = 0;
  for (; i + tile_rows <= rows; i += tile_rows) strip(std::integral_constant<int, tile_rows>(), i);
  for (Index left = rows - i; left > 0; --left, ++i) strip(std::integral_constant<int, 1>(), i);
}

/// c = a bᵀ, or c += a bᵀ, in every lane.
///
/// Shapes    c (rows × cols), a (rows × depth), b (cols × depth).
/// Numerics  every element is one chain over k = 0, 1, ...: the same bits for any number of rows and columns.
template <real S>
void lane_product(lane_matrix<S> c, Index rows, Index cols, Index depth, lane_matrix<std::type_identity_t<const S>> a,
                  lane_matrix<std::type_identity_t<const S>> b, start how = start::fresh) {
  in_lane_tiles<S>(rows, cols, [&](auto tile, Index i, Index j) {
    how == start::fresh ? tile.clear() : tile.load(c.from(i, j));
    tile.chain(depth, a.from(i, 0), b.from(j, 0));
    tile.store(c.from(i, j));
  });
}

/// c(i, j) += Σ_{k ≤ i} kernel(i - k) x(j, k), a causal convolution, for the rows from `first` up to `last`.
///
/// Numerics  one chain over k = 0 .. i that continues from c; x(j, k) with k > i is never read into row i.
template <real S>
void lane_convolve(lane_matrix<S> c, Index first, Index last, Index cols, std::type_identity_t<const S>* kernel,
                   lane_matrix<std::type_identity_t<const S>> x) {
  const lane_matrix<const S> toeplitz{kernel, 1, -1};
  in_lane_tiles<S>(last - first, cols, [&]<int Rows, int Cols>(lane_tile<S, Rows, Cols> tile, Index i, Index j) {
    i += first;
    tile.load(c.from(i, j));
    tile.chain(i + 1, toeplitz.from(i, 0), x.from(j, 0));
    [&]<int... d>(std::integer_sequence<int, d...>) {  // column i + d reaches row i + d first
      (tile.template chain<d + 1>(1, toeplitz.from(i, i + d + 1), x.from(j, i + d + 1)), ...);
    }(std::make_integer_sequence<int, Rows - 1>());
    tile.store(c.from(i, j));
  });
}

/// kernel(l) += Σ_j Σ_{i ≥ l} dc(j, i) x(j, i - l) for l < taps: the gradient of lane_convolve's kernel.
///
/// Shapes    kernel (taps, a multiple of tile_rows), dc and x (cols × taps).
/// Numerics  one chain for each l, over j and then i.
template <real S>
void lane_correlate(S* kernel, Index taps, Index cols, lane_matrix<std::type_identity_t<const S>> dc,
                    lane_matrix<std::type_identity_t<const S>> x) {
  constexpr int R = tile_rows;
  for (Index l = 0; l < taps; l += R) {  // row q is lag l + R - 1 - q
    lane_tile<S, R, 1> tile;
    const lane_matrix<S> sums{kernel + (l + R - 1) * lanes<S>, -1, 0};
    tile.load(sums);
    for (Index j = 0; j < cols; ++j) {
      const lane_matrix<const S> delayed{x.at(j, 0), x.step, x.step};
      const Index lag = l + R - 1;
      [&]<int... d>(std::integer_sequence<int, d...>) {  // dc(j, l + d) meets the lags up to l + d only
        (tile.template chain<R - 1 - d>(1, delayed.from(0, l + d - lag), dc.from(j, l + d)), ...);
      }(std::make_integer_sequence<int, R - 1>());
      tile.chain(taps - lag, delayed, dc.from(j, lag));
    }
    tile.store(sums);
  }
}

}  // namespace formwork
