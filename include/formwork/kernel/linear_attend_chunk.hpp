// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/feature.hpp>
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/core/parallel.hpp>
#include <formwork/core/sequences.hpp>
#include <formwork/kernel/panel.hpp>
#include <formwork/kernel/tile.hpp>

#include <algorithm>

namespace formwork::inline FORMWORK_ABI {

// What the forward and the backward of linear attention are made of: products within a chunk of a sequence, whose rows meet all
// of the other operand's or, where a query sees no later key, a triangle of them.

/// Tokens of a chunk; chunks start at position 0 of a sequence. Queries meet the keys of their own chunk one by one and
/// all earlier ones as the sum S = Σ φ(k)ᵀ v. Whole panels of keys on every machine.
inline constexpr Index linear_chunk = 48;
static_assert(linear_chunk % tile_cols<float> == 0 && linear_chunk % tile_cols<double> == 0);

/// Which keys the sums of a query run over.
enum class key_sums {
  causal,  ///< those up to its own position
  full     ///< all of its sequence
};

/// Features that have no place: the numerator's are the denominator's.
struct unturned {};

/// The left side of a product: a(i, k) is data[i * row + k * step].
template <real S>
struct left_operand {
  const S* data;
  Index row, step;

  left_operand down(Index rows) const { return {data + rows * row, row, step}; }
};

/// The rows, or the columns, of a matrix in memory.
template <real S>
left_operand<S> as_rows(const S* x, Index stride) {
  return {x, stride, 1};
}
template <real S>
left_operand<S> as_columns(const S* x, Index stride) {
  return {x, 1, stride};
}

/// Which k row i of a product's left operand has.
enum class extent {
  all,
  up_to_row,  ///< k <= i
  from_row    ///< k >= i
};

/// The square of a tile on the diagonal: row i takes b's row k where k <= i or k >= i, and never touches the others.
template <extent Of, real S, int Rows, int Packs>
FORMWORK_INLINE void chain_triangle(tile<S, Rows, Packs>& t, left_operand<S> a, const S* b, Index b_stride) {
#pragma GCC unroll 16
  for (int k = 0; k < Rows; ++k) {
    pack<S> bs[Packs];
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) bs[j] = in_register(pack<S>::load(b + k * b_stride + j * lanes<S>));
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      if (Of == extent::up_to_row ? k > i : k < i) continue;
      const pack<S> x(a.data[i * a.row + k * a.step]);
#pragma GCC unroll 16
      for (int j = 0; j < Packs; ++j) t.sum[i][j] = fma(x, bs[j], t.sum[i][j]);
    }
  }
}

/// c (Rows × Packs packs) = or += a b, each element one chain in the order of k. `row` is the first row's i.
template <extent Of, real S, int Rows, int Packs>
[[gnu::noinline]] void chunk_tile(S* c, Index c_stride, start how, Index row, Index depth, left_operand<S> a, const S* b,
                                  Index b_stride) {
  tile<S, Rows, Packs> t;
  how == start::fresh ? t.clear() : t.load(c, c_stride);
  const auto rows_of_b = [&](Index first, Index count) {
    t.chain(count, a.data + first * a.step, a.row, a.step, b + first * b_stride, b_stride);
  };
  const auto diagonal = [&] {
    chain_triangle<Of>(t, left_operand<S>{a.data + row * a.step, a.row, a.step}, b + row * b_stride, b_stride);
  };
  if constexpr (Of == extent::all) {
    rows_of_b(0, depth);
  } else if constexpr (Of == extent::up_to_row) {
    rows_of_b(0, row);
    diagonal();
  } else {
    diagonal();
    rows_of_b(row + Rows, depth - row - Rows);
  }
  t.store(c, c_stride);
}

/// Whole tiles of Rows rows: a strip of columns of b stays in first-level cache while all of them pass. A single row takes
/// more columns at once, so that there are chains enough.
template <extent Of, int Rows, real S>
void chunk_tiles(S* c, Index c_stride, Index rows, Index width, start how, Index row, Index depth, left_operand<S> a,
                 const S* b, Index b_stride) {
  const auto strip = [&]<int Packs>(std::integral_constant<int, Packs>, Index j) {
    for (Index i = 0; i < rows; i += Rows)
      chunk_tile<Of, S, Rows, Packs>(c + i * c_stride + j, c_stride, how, row + i, depth, a.down(i), b + j, b_stride);
    return j + Packs * lanes<S>;
  };
  for (Index j = 0; j < width;) {
    const Index left = (width - j + lanes<S> - 1) / lanes<S>;
    if constexpr (Rows == 1) {
      j = left >= 8   ? strip(std::integral_constant<int, 8>(), j)
          : left >= 4 ? strip(std::integral_constant<int, 4>(), j)
                      : strip(std::integral_constant<int, 1>(), j);
    } else {
      j = left == 3 || left > 4 ? strip(std::integral_constant<int, 3>(), j)
          : left > 1            ? strip(std::integral_constant<int, 2>(), j)
                                : strip(std::integral_constant<int, 1>(), j);
    }
  }
}

/// c (rows × width) = or += a b over `depth` values of k; row i of c is row `row` + i of the extent. Whole packs are written.
template <extent Of, real S>
void chunk_product(S* c, Index c_stride, Index rows, Index width, start how, Index row, Index depth, left_operand<S> a,
                   const S* b, Index b_stride) {
  const Index tiled = rows / tile_rows * tile_rows;
  chunk_tiles<Of, tile_rows>(c, c_stride, tiled, width, how, row, depth, a, b, b_stride);
  chunk_tiles<Of, 1>(c + tiled * c_stride, c_stride, rows - tiled, width, how, row + tiled, depth, a.down(tiled), b,
                     b_stride);
}
template <real S>
void chunk_product(S* c, Index c_stride, Index rows, Index width, start how, Index depth, left_operand<S> a, const S* b,
                   Index b_stride) {
  chunk_product<extent::all>(c, c_stride, rows, width, how, 0, depth, a, b, b_stride);
}

/// c(i, j) = a(i, :) · b(:, j) for j <= row + i at least: a row of linear_chunk numbers for each query, one for each key.
template <real S>
void chunk_scores(S* c, Index rows, Index row, Index depth, left_operand<S> a, const S* b) {
  const Index together = rows < tile_rows ? linear_chunk : tile_cols<S>;
  for (Index j = 0; j < row + rows; j += together) {
    const Index first = std::max<Index>(j - row, 0);  // rows before it see none of these keys
    chunk_product(c + first * linear_chunk + j, linear_chunk, rows - first, std::min(together, row + rows - j), start::fresh,
                  depth, a.down(first), b + j, linear_chunk);
  }
}

/// Asks for row i of the next head: the rows of one head lie so far apart that the processor does not foresee the next one.
/// Heads follow one another within a chunk. Where there is no next head, nothing happens.
template <class S>
FORMWORK_INLINE void fetch_next(view<S> x, Index i) {
  for (Index j = 0; j < x.cols(); j += static_cast<Index>(alignment / sizeof(S))) __builtin_prefetch(x.row(i) + x.cols() + j);
}

/// to(i, :) = f(x(i, :)) in rows of `stride` numbers, of which those past x's columns stay as they are.
template <real S, class F>
void transform_rows(S* to, Index stride, const_view<S> x, F f) {
  for (Index i = 0; i < x.rows(); ++i) {
    fetch_next(x, i);
    for (Index j = 0; j < x.cols(); j += lanes<S>) {
      const Index count = x.cols() - j;
      f(pack<S>::load(x.row(i) + j, count)).store(to + i * stride + j, count);
    }
  }
}
template <real S>
void copy_rows(S* to, Index stride, const_view<S> x) {
  transform_rows<S>(to, stride, x, [](pack<S> v) { return v; });
}

/// What one linear attention is made of: a formula, or a map of rows prepared for a key width. `turn(x, position, direction)`
/// turns rows of one head's features, the first of which has that position, for the numerator only.
template <key_sums Sums, class Feature, class Turn = unturned>
struct linear_attend_policies {
  static constexpr key_sums sums = Sums;
  template <real S>
  static constexpr bool by_rows = feature_rows<Feature, S>;

  Feature feature = {};
  Turn turn = {};

  /// With the width of the features in the place of the keys'.
  head_shape features_of(head_shape shape) const {
    if constexpr (has_feature_width<Feature>) shape.key_width = feature.width(shape.key_width);
    return shape;
  }
  /// Features of rows of one head, not yet turned; what is past them stays as it is.
  template <real S>
  void features(view<S> to, view<const S> x, side of) const {
    if constexpr (by_rows<S>)
      feature.forward(to, x, of);
    else
      transform_rows<S>(to.data(), to.stride(), x, [&](pack<S> numbers) { return feature(numbers); });
  }
  template <real S>
  void turned(view<S> x, Index position, direction way) const {
    if constexpr (!std::same_as<Turn, unturned>) turn(x, position, way);
  }
};

/// sums(i, :) = before + x(0, :) + ... + x(i, :); `before` becomes the last of them.
template <real S>
void running_sums(S* sums, S* before, Index rows, Index stride, const S* x) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < stride; j += lanes<S>) {
      const pack<S> sum = pack<S>::load(before + j) + pack<S>::load(x + i * stride + j);
      sum.store(before + j);
      sum.store(sums + i * stride + j);
    }
}

template <real S>
S padded_dot(const S* a, const S* b, Index padded_width) {
  pack<S> total(0);
  for (Index j = 0; j < padded_width; j += lanes<S>) total = fma(pack<S>::load(a + j), pack<S>::load(b + j), total);
  return sum(total);
}

/// 1 / Z; 0 where no key has any weight, so that the row's output and gradients are 0.
template <real S>
S inverse_of(S denominator) {
  return denominator == 0 ? S(0) : 1 / denominator;
}

/// The key heads of a sequence that one task takes: all of them if there are sequences enough for the threads, as the heads of
/// a row share pages of memory.
inline Index heads_together(const sequences& batch, Index key_heads) {
  const Index tasks = threads() > 1 ? 2 * threads() : 1, count = std::max<Index>(batch.count(), 1);
  const Index groups = std::min(key_heads, (tasks + count - 1) / count);
  return (key_heads + groups - 1) / groups;
}
/// f(s, key heads) for every sequence and group of its heads.
template <class F>
void each_group_of_heads(const sequences& batch, Index key_heads, F f) {
  const Index together = heads_together(batch, key_heads), groups = (key_heads + together - 1) / together;
  parallel_for(batch.count() * groups, [&](Index task) {
    const Index s = task / groups, first = task % groups * together;
    if (batch.length(s) > 0) f(s, index_range{first, std::min(first + together, key_heads)});
  });
}

/// Columns of one head of some rows.
template <class S>
view<S> head_of(view<S> m, index_range rows, Index head, Index width) {
  return m.rows(rows.first, rows.size()).cols(head * width, width);
}

template <real S>
void check_linear_attend(const char* name, view<const S> out, view<const S> kept, view<const S> q, view<const S> k,
                         view<const S> v, const sequences& batch, head_shape shape) {
  require(shape.heads > 0 && shape.key_heads > 0 && shape.heads % shape.key_heads == 0, name, ": ", shape.heads, " heads on ",
          shape.key_heads, " key heads; needs heads to be a multiple of key heads");
  const auto needs = [&](const char* what, view<const S> x, Index cols) {
    if (x.rows() == batch.rows() && x.cols() == cols) return;
    require(false, name, ": ", what, " is ", shape_text(x), "; needs (", batch.rows(), " × ", cols, ")");
  };
  needs("q", q, shape.heads * shape.key_width);
  needs("k", k, shape.key_heads * shape.key_width);
  needs("v", v, shape.key_heads * shape.head_width);
  needs("the output", out, shape.heads * shape.head_width);
  if (kept.data()) needs("kept", kept, shape.heads);
}

}  // namespace formwork
