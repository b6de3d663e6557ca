// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/contract/heads.hpp>
#include <formwork/contract/mask.hpp>
#include <formwork/contract/position.hpp>
#include <formwork/contract/scale.hpp>
#include <formwork/contract/score.hpp>
#include <formwork/contract/weights.hpp>
#include <formwork/kernel/cache.hpp>
#include <formwork/kernel/relative_rows.hpp>
#include <formwork/kernel/tile.hpp>

#include <algorithm>

namespace formwork::inline FORMWORK_ABI {

// What the forward and the backward of attention are made of. A strip is `Rows` queries (strip_rows, or one: decoding)
// against a block of keys; its scores lie in a buffer, a row of `Stride` numbers for each query, the block's first key first.

/// The mechanisms of one attention, one for each slot, and the columns that scores are made of: types choose, values hold the
/// numbers.
template <mask_policy Mask, scale_policy Scale, score_policy Score, weights_policy Weights, kernel_heads Heads,
          class Columns = all_columns>
struct attend_policies {
  Mask mask;
  Scale scale;
  Score score;
  Weights weights;
  Heads heads;
  Columns columns = {};
};
template <class Mask, class Scale, class Score, class Weights, class Heads>
attend_policies(Mask, Scale, Score, Weights, Heads) -> attend_policies<Mask, Scale, Score, Weights, Heads>;
template <class Mask, class Scale, class Score, class Weights, class Heads, class Columns>
attend_policies(Mask, Scale, Score, Weights, Heads, Columns)
    -> attend_policies<Mask, Scale, Score, Weights, Heads, Columns>;

/// Queries that share each block of keys while it is in the second-level cache, and those that share each panel of it while
/// it is in the first: one tile's rows or two.
inline constexpr Index query_block = 64;
inline constexpr int strip_rows = 8;
static_assert(strip_rows % tile_rows == 0 && query_block % strip_rows == 0);

inline Index whole_strips(Index rows) { return (rows + strip_rows - 1) / strip_rows * strip_rows; }

/// sum (Rows × Packs packs) = factor sum + a b, each element one chain; without factors the chains start from `sum`.
/// a(i, k) is a[i * A_row + k * A_step].
template <number S, int Rows, int Packs, Index A_row, Index A_step>
[[gnu::noinline]] void accumulate_tile(S* sum, Index sum_stride, const S* factor, Index depth, const S* a, const S* b,
                                       Index b_stride) {
  tile<S, Rows, Packs> t;
  t.load(sum, sum_stride);
  if (factor) t.each([=](int i, int, pack<S>& s) { s = s * pack<S>(factor[i]); });
  t.chain(depth, a, A_row, A_step, b, b_stride);
  t.store(sum, sum_stride);
}

/// The same for `width` columns (whole packs) of rows that are `stride` apart. All tiles of the strip meet as many rows of b as
/// stay in cache before the next ones come.
template <number S, int Rows, Index A_row, Index A_step>
void accumulate(S* sum, Index width, Index stride, const S* factor, Index depth, const S* a, const S* b) {
  constexpr int tile_height = std::min(Rows, tile_rows);
  constexpr Index together = 128;
  do {
    const Index deep = Rows > tile_height ? std::min(together, depth) : depth;
    const auto columns = [&]<int Packs>(std::integral_constant<int, Packs>, Index j) {
      for (int i = 0; i < Rows; i += tile_height)
        accumulate_tile<S, tile_height, Packs, A_row, A_step>(sum + i * stride + j, stride, factor ? factor + i : nullptr, deep,
                                                              a + i * A_row, b + j, stride);
    };
    for (Index j = 0; j < width;) {
      const Index left = (width - j) / lanes<S>;
      if (left == 3 || left > 4)
        columns(std::integral_constant<int, 3>(), j), j += 3 * lanes<S>;
      else if (left > 1)
        columns(std::integral_constant<int, 2>(), j), j += 2 * lanes<S>;
      else
        columns(std::integral_constant<int, 1>(), j), j += lanes<S>;
    }
    factor = nullptr;
    a += deep * A_step, b += deep * stride, depth -= deep;
  } while (depth > 0);
}

/// scores (Rows × Packs packs) = queries keys: queries [d][strip_rows or 1], panel [d][tile_cols] of which the first packs are
/// read.
template <number S, int Rows, int Packs, Index Queries, Index Stride>
[[gnu::noinline]] void score_tile(S* scores, const S* queries, const S* panel, Index depth) {
  tile<S, Rows, Packs> t;
  t.clear();
  t.chain(depth, queries, 1, Queries, panel, tile_cols<S>);
  t.store(scores, Stride);
}

/// Scores of the block's keys in `hull`, which starts at a panel, from the first `depth` of their panels' rows; whole packs are
/// written.
template <number S, int Rows, Index Stride>
void score_strip(S* scores, index_range hull, const S* queries, const S* panels, Index depth, Index panel_rows) {
  constexpr int tile_height = std::min(Rows, tile_rows);
  Index left = (hull.size() + lanes<S> - 1) / lanes<S>;
  scores += hull.first;
  panels += hull.first * panel_rows;
  const auto panel = [&]<int Packs>(std::integral_constant<int, Packs>) {
    for (int i = 0; i < Rows; i += tile_height)
      score_tile<S, tile_height, Packs, Rows, Stride>(scores + i * Stride, queries + i, panels, depth);
  };
  for (; left >= tile_packs; left -= tile_packs, scores += tile_cols<S>, panels += tile_cols<S> * panel_rows)
    panel(std::integral_constant<int, tile_packs>());
  if (left == 2) panel(std::integral_constant<int, 2>());
  if (left == 1) panel(std::integral_constant<int, 1>());
}

/// strip [d][Rows] = factor[i] x(i, d), for the score tile; rows past x's are zero.
template <number S, int Rows>
void pack_queries(S* strip, const_view<S> x, const S* factor) {
  constexpr Index period = std::max<Index>(lanes<S>, Rows);
  S pattern[period] = {};
  for (Index i = 0; i < period; ++i) pattern[i] = i % Rows < x.rows() ? factor[i % Rows] : S(0);
  pack_panel_transposed<S>(strip, Rows, x);
  const Index size = x.cols() * Rows;
  for (Index j = 0; j < size; j += lanes<S>)
    (pack<S>::load(strip + j, size - j) * pack<S>::load(pattern + j % period)).store(strip + j, size - j);
}

/// A strip's queries, and what they see of a block of keys. Keys are counted from the block's first.
template <mask_policy Mask>
struct strip_view {
  const Mask& mask;
  query_site first;
  Index queries;
  index_range block;  ///< in keys of the sequence

  coverage cover() const { return over(mask, first, queries, block); }

  /// The keys query i sees.
  key_spans spans(Index i) const {
    key_spans seen = mask.spans(first.after(i));
    for (index_range& span : seen) {
      span = span.clipped(block);
      span = {span.first - block.first, span.last - block.first};
    }
    return seen;
  }

  /// From the first panel that holds a key some query sees to the last such key.
  template <number S>
  index_range hull(coverage cover) const {
    if (cover == coverage::none) return {};
    if (cover == coverage::all) return {0, block.size()};
    index_range r{block.size(), 0};
    for (Index i = 0; i < queries; ++i)
      for (const index_range span : spans(i))
        if (!span.empty()) r = {std::min(r.first, span.first), std::max(r.last, span.last)};
    return {r.first / tile_cols<S> * tile_cols<S>, r.last};
  }
};

/// f(part, keys, alone) for every part of the columns that gives scores of the block's keys in `within`: from the first to the
/// last key that any query meets by it, and whether all of them meet all by it.
template <class Columns, class F>
void each_part(const Columns& columns, const auto& seen, index_range within, F f) {
  const Index first = seen.first.position, last = first + seen.queries - 1;
  for (int p = 0; p < Columns::parts; ++p) {
    const index_range top = columns.keys(p, first).moved(-seen.block.first), end = columns.keys(p, last).moved(-seen.block.first);
    const index_range keys = index_range{top.first, end.last}.clipped(within);
    if (!keys.empty()) f(p, keys, end.first <= within.first && within.last <= top.last);
  }
}

/// The block's keys that query i meets by part p.
index_range keys_of_part(const auto& columns, const auto& seen, int part, Index i) {
  return columns.keys(part, seen.first.position + i).moved(-seen.block.first);
}

/// The part by which query i meets the block's key j.
template <class Columns>
int part_of(const Columns& columns, const auto& seen, Index i, Index j) {
  int part = 0;
  if constexpr (Columns::parts > 1)
    while (!keys_of_part(columns, seen, part, i).holds(j)) ++part;
  return part;
}

/// score_strip where the columns are chosen by distance: queries [d][Rows] and panels hold all parts.
template <number S, int Rows, Index Stride, class Columns>
void score_seen(const Columns& columns, S* scores, const auto& seen, index_range hull, const S* queries, const S* panels,
                Index depth) {
  if constexpr (Columns::parts == 1) {
    score_strip<S, Rows, Stride>(scores, hull, queries, panels, depth, depth);
  } else {
    const Index width = depth / Columns::parts;
    const index_range in_use{hull.first, hull.first + padded<S>(hull.size())};
    each_part(columns, seen, in_use, [&](int part, index_range keys, bool alone) {
      alignas(64) S own[Rows * Stride];
      S* to = alone ? scores : own;
      score_strip<S, Rows, Stride>(to, {keys.first / tile_cols<S> * tile_cols<S>, keys.last}, queries + part * width * Rows,
                                   panels + part * width * tile_cols<S>, width, depth);
      if (alone) return;
      for (Index i = 0; i < Rows; ++i) {
        const index_range mine = keys_of_part(columns, seen, part, i).clipped(keys);
        if (!mine.empty()) std::copy(own + i * Stride + mine.first, own + i * Stride + mine.last, scores + i * Stride + mine.first);
      }
    });
  }
}

/// f(part, keys, gradients) for every part of the columns: scores' gradients of Rows queries, in which pairs of other parts are
/// zero.
template <number S, int Rows, Index Stride, class Columns, class F>
void each_part_of(const Columns& columns, const S* gradients, const auto& seen, index_range within, F f) {
  if constexpr (Columns::parts == 1)
    f(0, within, gradients);
  else
    each_part(columns, seen, within, [&](int part, index_range keys, bool alone) {
      if (alone) return f(part, keys, gradients);
      alignas(64) S own[Rows * Stride] = {};
      for (Index i = 0; i < seen.queries; ++i) {
        const index_range mine = keys_of_part(columns, seen, part, i).clipped(keys);
        const S* from = gradients + i * Stride;
        if (!mine.empty()) std::copy(from + mine.first, from + mine.last, own + i * Stride + mine.first);
      }
      f(part, keys, own);
    });
}

/// f(what the queries see of a block of Stride keys, how much) for every block of which they see something, in order.
template <Index Stride, mask_policy Mask, class F>
void each_seen_block(const Mask& mask, query_site first, Index queries, F f) {
  for (Index k0 = 0; k0 < first.keys; k0 += Stride) {
    const strip_view<Mask> seen{mask, first, queries, {k0, std::min(k0 + Stride, first.keys)}};
    const coverage cover = seen.cover();
    if (cover != coverage::none) f(seen, cover);
  }
}

/// accumulate for queries that see only some of the block's keys: 0 · NaN is NaN, so rows skip what they do not see. Where that
/// is finite, 0 changes no bit of a sum.
template <number S, Index Stride>
void accumulate_seen(S* sum, Index width, Index stride, const S* factor, const auto& seen, const S* a, const S* b) {
  for (Index i = 0; i < seen.queries; ++i) {
    const S* once = factor ? factor + i : nullptr;
    for (const index_range span : seen.spans(i)) {
      if (span.empty()) continue;
      accumulate<S, 1, Stride, 1>(sum + i * stride, width, stride, once, span.size(), a + i * Stride + span.first,
                                  b + span.first * stride);
      once = nullptr;
    }
  }
}

/// f(gap) for every part of `within` that the spans leave out, in order.
template <class F>
void each_gap(const key_spans& spans, index_range within, F f) {
  Index at = within.first;
  for (const index_range span : spans) {
    const index_range seen = span.clipped(within);
    if (seen.empty()) continue;
    if (at < seen.first) f(index_range{at, seen.first});
    at = seen.last;
  }
  if (at < within.last) f(index_range{at, within.last});
}

/// The formula of one row's scores of the keys first_key + keys, and the unit of the weights.
template <number S, class Policies>
void apply_formula(const Policies& policies, S* scores, index_range keys, Index first_key, Index position, Index head,
                   Index heads) {
  using P = pack<S>;
  const P unit(policies.weights.score_unit);
  const auto& formula = at_head(policies.score, head, heads);
  for (Index j = keys.first; j < keys.last; j += P::size) {
    const Index key = first_key + j;
    const score_site<P> at{P(position) - P::ramp(static_cast<S>(key)), position, key, head, heads};
    (formula(P::load(scores + j), at) * unit).store(scores + j);
  }
}

/// row[j] *= factors[j] for whole packs.
template <number S>
void multiply_by(S* row, index_range keys, const auto* factors) {
  for (Index j = keys.first; j < keys.last; j += lanes<S>)
    (pack<S>::load(row + j) * pack<S>::load(factors + j)).store(row + j);
}

/// The formula of a pack of scores with its slopes: towards the score, then towards each number it learns.
template <number S, int Numbers>
FORMWORK_INLINE dual<pack<S>, 1 + Numbers> bend(const auto& formula, pack<S> score, Index position, Index key, Index head,
                                                Index heads) {
  using P = pack<S>;
  using D = dual<P, 1 + Numbers>;
  const score_site<D> at{D(P(position) - P::ramp(static_cast<S>(key))), position, key, head, heads};
  return formula(variable<D>(score, 0), at);
}

/// The distances key - query that kernels read of queries at positions < `positions` with so many keys: a strip is as wide as
/// its last row sees, in whole packs.
template <mask_policy Mask>
constexpr index_range distances_met(Index positions, Index keys) {
  constexpr Index wide = 64;
  return {std::min<Index>(1 - positions, 0), (Mask::sees_ahead ? keys : 0) + wide};
}

/// Tables by distance have a row for every head and every distance that is met.
inline void check_distances(const char* name, const auto& table, Index heads, index_range met) {
  const index_range has = table.distances();
  require(table.numbers.rows() == heads && has.first <= met.first && met.last <= has.last, name, ": a table by distance is ",
          shape_text(table.numbers), " from distance ", has.first, " on; needs (", heads, " × ", met.size(), ") from ", met.first,
          " on");
}

/// The columns of a head's queries and keys that one score is made of.
template <class Columns>
Index key_width_of(const Columns& columns, const head_shape& shape) {
  if constexpr (Columns::parts == 1)
    return shape.key_width;
  else
    return columns.key_width;
}

/// The scale's factor of every query row, once per call, and for each head where the mask goes by it: `plain` for gradients,
/// `folded` for the score tile, where the unit of the weights is folded in unless a formula stands between. Throws where the mask
/// was made for other queries, or a table by distance for shorter ones.
template <number S>
struct row_factors {
  matrix<S> plain, folded;  ///< (1 or heads × rows)

  const S* plain_of(Index head) const { return plain.row(plain.rows() == 1 ? 0 : head); }
  const S* folded_of(Index head) const { return folded.row(folded.rows() == 1 ? 0 : head); }

  template <class Policies>
  row_factors(const sequences& queries, const auto& key_count, head_shape shape, const Policies& policies)
      : plain(sees_by_head<std::remove_cvref_t<decltype(policies.mask)>> ? shape.heads : 1, queries.rows()),
        folded(plain.rows(), plain.cols()) {
    require_fit(policies.mask, queries);
    for (Index s = 0; s < queries.count(); ++s) {
      [[maybe_unused]] const index_range met =
          distances_met<std::remove_cvref_t<decltype(policies.mask)>>(queries.start(s) + queries.length(s), key_count(s));
      if constexpr (has_biases<std::remove_cvref_t<decltype(policies.score)>>)
        check_distances("attend", policies.score.biases, shape.heads, met);
      if constexpr (has_factors<std::remove_cvref_t<decltype(policies.weights)>>)
        check_distances("attend", policies.weights.factors, shape.output_heads, met);
    }
    const double unit = leaves_scores<decltype(policies.score)> ? policies.weights.score_unit : 1.0;
    const Index width = key_width_of(policies.columns, shape);
    for (Index head = 0; head < plain.rows(); ++head)
      for (Index s = 0; s < queries.count(); ++s)
        for (Index r = 0; r < queries.length(s); ++r) {
          const query_site at{queries.start(s) + r, key_count(s), s, head, shape.heads};
          const double factor = policies.scale(scale_site{policies.mask.count(at), width, at.position});
          plain(head, queries.first(s) + r) = static_cast<S>(factor);
          folded(head, queries.first(s) + r) = static_cast<S>(factor * unit);
        }
  }
};

/// The heads fit the counts of the shape.
template <number S>
void check_heads(const char* name, head_shape shape, const auto& heads, [[maybe_unused]] const auto& columns) {
  if constexpr (constexpr Index parts = std::remove_cvref_t<decltype(columns)>::parts; parts > 1)
    require(shape.key_width == parts * padded<S>(columns.key_width), name, ": heads have ", shape.key_width, " columns; needs ",
            parts, " parts of ", padded<S>(columns.key_width));
  if constexpr (separate_heads<std::remove_cvref_t<decltype(heads)>>) {
    bool fits = shape.heads > 0 && shape.key_heads > 0 && shape.heads % shape.key_heads == 0;
    for (Index h = 0; fits && h < shape.heads; ++h) fits = index_range{0, shape.key_heads}.holds(heads.key_head(h, shape));
    require(fits && shape.query_heads == shape.heads && shape.output_heads == shape.heads &&
                shape.value_heads == shape.key_heads,
            name, ": ", shape.heads, " heads on ", shape.key_heads,
            " key heads; needs as many, or grouped heads, a multiple of them");
  } else {
    require(heads.scores.rows() == shape.query_heads && heads.scores.cols() == shape.heads &&
                heads.weights.rows() == shape.heads && heads.weights.cols() == shape.output_heads &&
                shape.key_heads == shape.query_heads && shape.value_heads == shape.output_heads,
            name, ": scores mix by ", shape_text(heads.scores), " and weights by ", shape_text(heads.weights), "; needs (",
            shape.key_heads, " × ", shape.heads, ") for the heads of q and k and (", shape.heads, " × ", shape.value_heads,
            ") for those of v and the output");
  }
}

template <number S>
void check_rows(const char* name, const char* what, view<const S> x, const sequences& batch, Index cols) {
  require(x.rows() == batch.rows() && x.cols() == cols, name, ": ", what, " is ", shape_text(x), "; needs (", batch.rows(),
          " × ", cols, ")");
}

/// The queries, the output and the heads belong to one another; so do k and v.
template <number S>
void check_attend(const char* name, view<const S> out, view<const S> kept, view<const S> q, const sequences& batch,
                  head_shape shape, const auto& heads, const auto& columns) {
  check_heads<S>(name, shape, heads, columns);
  check_rows<S>(name, "q", q, batch, shape.query_heads * shape.key_width);
  check_rows<S>(name, "the output", out, batch, shape.output_heads * shape.head_width);
  if constexpr (is_relative<std::remove_cvref_t<decltype(columns)>>) {
    const auto fits = [&](const char* what, view<const S> x, Index count) {
      if (x.data()) check_rows<S>(name, what, x, batch, count * columns.width());
    };
    check_rows<S>(name, "the scores by distance", columns.scores, batch, shape.query_heads * columns.width());
    fits("the sums of weights by distance", columns.weight_sums, shape.output_heads);
    fits("the gradients of weights by distance", columns.weight_gradients, shape.output_heads);
    fits("the gradients of scores by distance", columns.score_gradients, shape.query_heads);
  }
  if (kept.data()) check_rows<S>(name, "kept", kept, batch, shape.heads);
}
template <number S>
void check_keys(const char* name, view<const S> k, view<const S> v, const sequences& batch, head_shape shape) {
  check_rows<S>(name, "k", k, batch, shape.key_heads * shape.key_width);
  check_rows<S>(name, "v", v, batch, shape.value_heads * shape.head_width);
}

}  // namespace formwork
