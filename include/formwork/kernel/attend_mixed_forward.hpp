// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/parallel.hpp>
#include <formwork/kernel/attend_strip.hpp>
#include <formwork/kernel/mix_heads.hpp>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace formwork::inline FORMWORK_ABI {

/// Queries of a strip that holds all heads, where there are more than one.
inline constexpr int mixed_rows = 32;

/// The scratch of one thread: a strip of weights for every block of keys, and what it is made from and comes to.
template <number S>
struct attend_mixed_forward_room {
  Index used = 0;
  S *queries, *tile, *strip, *rescale, *pending, *mix, *sum;

  /// Lays the arrays out from `base` on; without one, only counts `used`.
  template <int Rows>
  attend_mixed_forward_room(std::integral_constant<int, Rows>, S* base, head_shape shape, Index keys) {
    scratch_layout<S> room{base};
    const Index blocks = (keys + mixed_key_block - 1) / mixed_key_block, step = head_step<S, Rows>;
    queries = room.take(shape.query_heads * Rows * shape.key_width);
    tile = room.take(std::max(shape.query_heads, shape.output_heads) * step);
    strip = room.take(blocks * shape.heads * step);
    rescale = room.take(blocks * shape.heads * Rows);
    pending = room.take(shape.heads * Rows);
    mix = room.take(shape.heads * shape.output_heads);
    sum = room.take(shape.output_heads * Rows * padded<S>(shape.head_width));
    used = room.used;
  }
};

/// The forward of one strip of queries, all heads: a block of keys after another makes the strip of weights, each up to the
/// factor that later blocks owe it; once every row's sum is known, that factor goes into the row's mixing matrix and a second
/// pass mixes the weights and adds the values.
template <number S, int Rows, class Policies>
struct attend_mixed_forward_strip {
  static constexpr Index stride = mixed_key_block, step = head_step<S, Rows>;
  static constexpr bool relative = is_relative<std::remove_cvref_t<decltype(Policies::columns)>>;
  using row = typename std::remove_cvref_t<decltype(Policies::weights)>::template row<S>;

  const Policies& policies;
  head_shape shape;
  const key_value_cache<S>& cache;
  query_site first;  ///< of the queries
  Index row_of_first;  ///< in the batch
  view<const S> q;   ///< (queries × query_heads · key_width)
  const S* factor;   ///< of each query
  attend_mixed_forward_room<S> room;
  row* state;  ///< [head][Rows]

  void run(view<S> out, S* kept, Index kept_stride) {
    begin();
    each_seen_block<stride>(policies.mask, first, q.rows(),
                            [&](const auto& seen, coverage cover) { weigh(seen, cover); });
    finish(kept, kept_stride);
    each_seen_block<stride>(policies.mask, first, q.rows(),
                            [&](const auto& seen, coverage cover) { add_values(seen, cover); });
    for (Index o = 0; o < shape.output_heads; ++o)
      deliver(out.cols(o * shape.head_width, shape.head_width), room.sum + o * Rows * value_stride());
  }

 private:
  Index queries() const { return q.rows(); }
  /// From query i to the block's first key.
  Index distance(const auto& seen, Index i) const { return seen.block.first - (first.position + i); }
  Index value_stride() const { return padded<S>(shape.head_width); }
  S* strip_of(Index block) const { return room.strip + block * shape.heads * step; }
  S* rescale_of(Index block) const { return room.rescale + block * shape.heads * Rows; }

  void begin() {
    for (Index a = 0; a < shape.query_heads; ++a)
      pack_queries<S, Rows>(room.queries + a * Rows * shape.key_width, q.cols(a * shape.key_width, shape.key_width),
                            factor);
    for (Index i = 0; i < queries(); ++i) {
      const Index visible = policies.mask.count(first.after(i));
      for (Index h = 0; h < shape.heads; ++h) state[h * Rows + i] = policies.weights.template begin<S>(visible);
    }
    std::fill_n(room.sum, shape.output_heads * Rows * value_stride(), S(0));
    if constexpr (relative)
      for (Index i = 0; i < queries(); ++i)
        std::fill_n(policies.columns.weight_sums.row(row_of_first + i), shape.output_heads * policies.columns.width(), S(0));
  }

  /// Scores of all heads, mixed, bent, masked, weighed.
  void weigh(const auto& seen, coverage cover) {
    const Index b = seen.block.first / stride;
    const index_range hull = seen.template hull<S>(cover);
    const index_range in_use{hull.first, hull.first + padded<S>(hull.size())};
    for (Index a = 0; a < shape.query_heads; ++a)
      score_seen<S, Rows, stride>(policies.columns, room.tile + a * step, seen, hull, room.queries + a * Rows * shape.key_width,
                                  cache.panels(first.sequence, a) + seen.block.first * shape.key_width, shape.key_width);
    const bool gaps = cover == coverage::some || in_use.last > hull.last;
    for (Index i = 0; i < queries(); ++i) {
      const Index at = i * stride + hull.first, packs = in_use.size() / lanes<S>;
      S* strip = strip_of(b);
      if constexpr (relative)
        for (Index a = 0; a < shape.query_heads; ++a)
          add_relative<S>(room.tile + a * step + i * stride, in_use, policies.columns,
                          policies.columns.scores.row(row_of_first + i) + a * policies.columns.width(), distance(seen, i), factor[i]);
      mix_heads<S>(strip + at, shape.heads, room.tile + at, shape.query_heads, step, policies.heads.scores.data(),
                   policies.heads.scores.stride(), 1, packs);
      for (Index h = 0; h < shape.heads; ++h) {
        S* scores = strip + h * step + i * stride;
        if constexpr (!leaves_scores<std::remove_cvref_t<decltype(policies.score)>>)
          apply_formula<S>(policies, scores, in_use, seen.block.first, first.position + i, h, shape.heads);
        if (gaps)
          each_gap(seen.spans(i), in_use, [=](index_range gap) {
            std::fill(scores + gap.first, scores + gap.last, -std::numeric_limits<real_of<S>>::infinity());
          });
        rescale_of(b)[h * Rows + i] = policies.weights.step(state[h * Rows + i], scores + hull.first, packs);
      }
    }
  }

  /// What the weights of each block still lack: the row's own factor and those of the blocks behind.
  void finish(S* kept, Index kept_stride) {
    for (Index h = 0; h < shape.heads; ++h)
      for (Index i = 0; i < queries(); ++i) {
        const finished_row<S> done = policies.weights.finish(state[h * Rows + i]);
        room.pending[h * Rows + i] = done.factor;
        if (kept) kept[i * kept_stride + h] = done.kept;
      }
    for (Index b = (first.keys + stride - 1) / stride - 1; b >= 0; --b) {
      const index_range block{b * stride, std::min((b + 1) * stride, first.keys)};
      if (over(policies.mask, first, queries(), block) == coverage::none) continue;
      for (Index h = 0; h < shape.heads; ++h)
        for (Index i = 0; i < queries(); ++i) {
          S &later = room.pending[h * Rows + i], &here = rescale_of(b)[h * Rows + i];
          const S own = std::exchange(here, later);
          later *= own;
        }
    }
  }

  /// Weights of all heads, mixed; times values.
  void add_values(const auto& seen, coverage cover) {
    const Index b = seen.block.first / stride;
    const index_range hull = seen.template hull<S>(cover);
    const Index packs = padded<S>(hull.size()) / lanes<S>, outs = shape.output_heads;
    for (Index i = 0; i < queries(); ++i) {
      for (Index h = 0; h < shape.heads; ++h)
        for (Index o = 0; o < outs; ++o)
          room.mix[h * outs + o] = policies.heads.weights(h, o) * rescale_of(b)[h * Rows + i];
      const Index at = i * stride + hull.first;
      mix_heads<S>(room.tile + at, outs, strip_of(b) + at, shape.heads, step, room.mix, outs, 1, packs);
      if constexpr (has_factors<std::remove_cvref_t<decltype(policies.weights)>>)
        for (Index o = 0; o < outs; ++o)
          multiply_by<S>(room.tile + o * step + i * stride, {hull.first, hull.first + padded<S>(hull.size())},
                         policies.weights.factors.of(o) + distance(seen, i));
      if constexpr (relative)
        for (Index o = 0; o < outs; ++o)
          sum_relative<S>(policies.columns.weight_sums.row(row_of_first + i) + o * policies.columns.width(),
                          {hull.first, hull.first + padded<S>(hull.size())}, policies.columns, room.tile + o * step + i * stride,
                          distance(seen, i));
    }
    for (Index o = 0; o < outs; ++o) {
      const cached_values<S> values = cache.values(first.sequence, o);
      const S *weights = room.tile + o * step, *rows = values.rows + seen.block.first * values.stride;
      S* to = room.sum + o * Rows * values.stride;
      if (cover == coverage::all || values.finite[seen.block.first / key_block])
        accumulate<S, Rows, stride, 1>(to, values.stride, values.stride, nullptr, hull.size(), weights + hull.first,
                                       rows + hull.first * values.stride);
      else
        accumulate_seen<S, stride>(to, values.stride, values.stride, nullptr, seen, weights, rows);
    }
  }

  /// + 0: a sum of nothing but -0 has one sign.
  void deliver(view<S> out, const S* sum) const {
    for (Index i = 0; i < out.rows(); ++i)
      for (Index j = 0; j < out.cols(); j += lanes<S>)
        (pack<S>::load(sum + i * value_stride() + j) + pack<S>(0)).store(out.row(i) + j, out.cols() - j);
  }
};

/// attend_forward where heads mix: out_o = Σ_h weights(mask(formula(Σ_a q_a k_aᵀ scale Λ_l(a, h)))) Λ_w(h, o) v_o.
///
/// Shapes    q (rows × query_heads · key_width), kept (rows × heads) or empty, out (rows × output_heads · head_width).
/// Numerics  as attend_forward: bits depend on a row's own query and the keys it sees. A masked key's column is overwritten
///           after the first mix, so that NaN in it is not mixed into others.
/// Cost      2 (query_heads key_width + output_heads head_width + heads (query_heads + output_heads)) operations a visible
///           pair; per thread one strip of mixed_rows × heads × keys, never queries × keys. The second mix needs every row's
///           sum, so one online pass cannot do it.
/// Throws    argument_error for shapes that do not fit.
/// Source    Shazeer et al., 2003.02436.
template <number S, class Policies>
  requires mixes_heads<decltype(Policies::heads)>
void attend_forward(view<S> out, view<S> kept, const_view<S> q, const key_value_cache<S>& cache, const sequences& batch,
                    head_shape shape, const Policies& policies) {
  static_assert(!sees_by_head<std::remove_cvref_t<decltype(policies.mask)>>,
                "formwork: heads that mix see the same keys; give them one mask, or take heads that do not mix");
  check_attend<S>("attend_forward", out, kept, q, batch, shape, policies.heads, policies.columns);
  require(cache.count() == batch.count(), "attend_forward: ", batch.count(), " sequences of queries but ",
          cache.count(), " of keys; needs as many");
  const row_factors<S> factors(
      batch, [&](Index s) { return cache.length(s); }, shape, policies);
  Index longest = 0;
  for (Index s = 0; s < cache.count(); ++s) longest = std::max(longest, cache.length(s));

  using row = typename std::remove_cvref_t<decltype(policies.weights)>::template row<S>;
  const auto with_rows = [&]<int Rows>(std::integral_constant<int, Rows> height) {
    const Index size = attend_mixed_forward_room<S>(height, nullptr, shape, longest).used;
    const scratch<S> rooms(threads() * size);
    const scratch<row> states(threads() * shape.heads * Rows);
    const Index blocks = (batch.longest() + Rows - 1) / Rows;
    parallel_for(batch.count() * blocks, [&](Index task) {
      const Index b = blocks - 1 - task % blocks, s = task / blocks;
      const index_range rows{b * Rows, std::min((b + 1) * Rows, batch.length(s))};
      if (rows.empty()) return;
      const Index at = batch.first(s) + rows.first;
      attend_mixed_forward_strip<S, Rows, Policies>{
          .policies = policies,
          .shape = shape,
          .cache = cache,
          .first = {batch.start(s) + rows.first, cache.length(s), s},
          .row_of_first = at,
          .q = q.rows(at, rows.size()),
          .factor = factors.folded.data() + at,
          .room = attend_mixed_forward_room<S>(height, rooms.data() + thread_number() * size, shape, longest),
          .state = states.data() + thread_number() * shape.heads * Rows}
          .run(out.rows(at, rows.size()), kept.data() ? kept.row(at) : nullptr, kept.stride());
    });
  };
  if (batch.longest() > 1)
    with_rows(std::integral_constant<int, mixed_rows>());
  else
    with_rows(std::integral_constant<int, 1>());
}

}  // namespace formwork
