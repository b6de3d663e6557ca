// SPDX-License-Identifier: MIT
#pragma once
#include <formwork/core/parallel.hpp>
#include <formwork/core/reduce.hpp>
#include <formwork/kernel/attend_backward.hpp>
#include <formwork/kernel/attend_mixed_forward.hpp>
#include <formwork/kernel/mixed_gradient_sums.hpp>
#include <formwork/kernel/score_sums.hpp>

namespace formwork::inline FORMWORK_ABI {

/// The scratch of one thread: a strip's queries and output gradients, packed once; for every block of keys the scores and the
/// gradients of the weights of all heads; one block's weights before and after the mix.
template <number S>
struct attend_mixed_backward_room {
  Index used = 0;
  S *q_strips, *dout_strips, *q_rows, *dout_rows, *dq, *totals, *weight_totals;
  S *scores, *gradients, *weights, *mixed, *factored, *score_sums, *weight_sums;

  /// Lays the arrays out from `base` on; without one, only counts `used`.
  attend_mixed_backward_room(S* base, head_shape shape, Index keys, bool factors) {
    scratch_layout<S> room{base};
    const Index blocks = (keys + mixed_key_block - 1) / mixed_key_block, step = head_step<S, mixed_rows>;
    const Index key = mixed_rows * padded<S>(shape.key_width), value = mixed_rows * padded<S>(shape.head_width);
    q_strips = room.take(shape.query_heads * key), q_rows = room.take(shape.query_heads * key);
    dq = room.take(shape.query_heads * key);
    dout_strips = room.take(shape.output_heads * value), dout_rows = room.take(shape.output_heads * value);
    totals = room.take(shape.heads * mixed_rows), weight_totals = room.take(shape.heads * mixed_rows);
    scores = room.take(blocks * shape.query_heads * step), gradients = room.take(blocks * shape.heads * step);
    weights = room.take(shape.heads * step), mixed = room.take(shape.output_heads * step);
    factored = factors ? room.take(shape.output_heads * step) : nullptr;
    score_sums = room.take(shape.query_heads * shape.heads * lanes<S>);
    weight_sums = room.take(shape.heads * shape.output_heads * lanes<S>);
    used = room.used;
  }
};

/// The backward of one strip of queries, all heads. The first pass over the keys computes scores J and gradients dU = dO vᵀ,
/// keeps J and dW = dU Λ_wᵀ, and sums each row's W · dW, which needs all keys: Σ dO · O is the sum of the mixed weights', not
/// of one head's. The second has the scores' gradients:
///   dL = W (dW - Σ W dW),  dJ = dL Λ_lᵀ,  dq += dJ k,  dk += dJᵀ q,  dv += Uᵀ dO,  dΛ_l += J dLᵀ,  dΛ_w += W dUᵀ.
template <number S, class Policies>
struct attend_mixed_backward_strip {
  static constexpr int Rows = mixed_rows;
  static constexpr Index stride = mixed_key_block, step = head_step<S, Rows>;
  static constexpr bool formula = !leaves_scores<std::remove_cvref_t<decltype(Policies::score)>>;
  static constexpr bool relative = is_relative<std::remove_cvref_t<decltype(Policies::columns)>>;
  using learning = score_sums<S, Policies>;
  using row_learned = learned_row<S, stride, learning>;

  const Policies& policies;
  head_shape shape;
  const key_value_cache<S>&keys, &turned;  ///< k as panels; v as panels and k as rows
  query_site first;                        ///< of the queries
  Index row_of_first;  ///< in the batch
  view<const S> q, dout;                   ///< the rows of the queries
  const S *plain, *folded;                 ///< row_factors
  const S* kept;                           ///< of each query, kept_stride apart
  Index kept_stride;
  attend_mixed_backward_room<S> room;
  mixed_group_sums<S> sums;
  learning& learned_sums;  ///< of what the scores learn
  Index group;

  /// Makes dq in the room, continues the sums.
  void run() {
    begin();
    each_seen_block<stride>(policies.mask, first, q.rows(),
                            [&](const auto& seen, coverage cover) { weigh(seen, cover); });
    if constexpr (weights_sum_to_one<std::remove_cvref_t<decltype(policies.weights)>>)
      for (Index r = 0; r < shape.heads * Rows; ++r)
        if (room.weight_totals[r] != S(0)) room.totals[r] /= room.weight_totals[r];
    each_seen_block<stride>(policies.mask, first, q.rows(),
                            [&](const auto& seen, coverage cover) { pass_back(seen, cover); });
    if constexpr (relative)
      for (Index i = 0; i < q.rows(); ++i)
        for (Index a = 0; a < shape.query_heads; ++a)
          scale_relative<S>(of_row(policies.columns.score_gradients, i, a), policies.columns, plain[i]);
    collect(sums.scores, room.score_sums, shape.query_heads * shape.heads);
    collect(sums.weights, room.weight_sums, shape.heads * shape.output_heads);
  }

 private:
  Index key_stride() const { return padded<S>(shape.key_width); }
  Index value_stride() const { return padded<S>(shape.head_width); }
  S* scores_of(const auto& seen) const { return room.scores + seen.block.first / stride * shape.query_heads * step; }
  S* gradients_of(const auto& seen) const { return room.gradients + seen.block.first / stride * shape.heads * step; }
  saved_row<S> saved(Index h, Index i) const { return {kept[i * kept_stride + h], room.totals[h * Rows + i]}; }

  /// From query i to the block's first key.
  Index distance(const auto& seen, Index i) const { return seen.block.first - (first.position + i); }
  /// One head's numbers by distance of query i.
  template <class T>
  T* of_row(view<T> numbers, Index i, Index head) const {
    return numbers.row(row_of_first + i) + head * policies.columns.width();
  }

  void begin() {
    if constexpr (relative)
      for (Index i = 0; i < q.rows(); ++i)
        std::fill_n(of_row(policies.columns.score_gradients, i, 0), shape.query_heads * policies.columns.width(), S(0));
    S ones[Rows];
    std::fill_n(ones, Rows, S(1));
    for (Index a = 0; a < shape.query_heads; ++a) {
      const auto own = q.cols(a * shape.key_width, shape.key_width);
      S* rows = room.q_rows + a * Rows * key_stride();
      pack_queries<S, Rows>(room.q_strips + a * Rows * shape.key_width, own, folded);
      copy_padded<S>(rows, key_stride(), own);
      for (Index i = 0; i < q.rows(); ++i)
        for (Index j = i * key_stride(); j < (i + 1) * key_stride(); j += lanes<S>)
          (pack<S>(plain[i]) * pack<S>::load(rows + j)).store(rows + j);
    }
    for (Index o = 0; o < shape.output_heads; ++o) {
      const auto own = dout.cols(o * shape.head_width, shape.head_width);
      pack_queries<S, Rows>(room.dout_strips + o * Rows * shape.head_width, own, ones);
      copy_padded<S>(room.dout_rows + o * Rows * value_stride(), value_stride(), own);
    }
    std::fill_n(room.dq, shape.query_heads * Rows * key_stride(), S(0));
    std::fill_n(room.totals, shape.heads * Rows, S(0));
    std::fill_n(room.weight_totals, shape.heads * Rows, S(0));
    std::fill_n(room.score_sums, shape.query_heads * shape.heads * lanes<S>, S(0));
    std::fill_n(room.weight_sums, shape.heads * shape.output_heads * lanes<S>, S(0));
  }

  /// The hull in whole packs and whole strips of keys. What lies in it and is not seen is set to zero at every stage, NaN or
  /// not.
  static index_range whole(index_range hull) {
    constexpr Index unit = std::max<Index>(lanes<S>, strip_rows);
    return {hull.first / strip_rows * strip_rows, (hull.last + unit - 1) / unit * unit};
  }
  static void clear_gaps(S* heads, Index count, const key_spans& spans, index_range in_use) {
    for (Index h = 0; h < count; ++h, heads += step)
      each_gap(spans, in_use, [=](index_range gap) { std::fill(heads + gap.first, heads + gap.last, S(0)); });
  }

  /// J and dU of a block; W, dW and what they add to the rows' sums and to dΛ_w.
  void weigh(const auto& seen, coverage cover) {
    const index_range hull = seen.template hull<S>(cover), in_use = whole(hull);
    S *scores = scores_of(seen), *gradients = gradients_of(seen);
    for (Index a = 0; a < shape.query_heads; ++a)
      score_seen<S, Rows, stride>(policies.columns, scores + a * step, seen, hull, room.q_strips + a * Rows * shape.key_width,
                                  keys.panels(first.sequence, a) + seen.block.first * shape.key_width, shape.key_width);
    for (Index o = 0; o < shape.output_heads; ++o)
      score_strip<S, Rows, stride>(room.mixed + o * step, hull, room.dout_strips + o * Rows * shape.head_width,
                                   turned.panels(first.sequence, o) + seen.block.first * shape.head_width,
                                   shape.head_width, shape.head_width);
    const bool gaps = cover == coverage::some || in_use.last > hull.last;
    const Index packs = in_use.size() / lanes<S>, outs = shape.output_heads;
    for (Index i = 0; i < q.rows(); ++i) {
      const key_spans spans = seen.spans(i);
      if constexpr (relative) {
        for (Index a = 0; a < shape.query_heads; ++a)
          add_relative<S>(scores + a * step + i * stride, in_use, policies.columns, of_row(policies.columns.scores, i, a),
                          distance(seen, i), folded[i]);
        for (Index o = 0; o < shape.output_heads; ++o)
          add_relative<S>(room.mixed + o * step + i * stride, in_use, policies.columns,
                          of_row(policies.columns.weight_gradients, i, o), distance(seen, i), S(1));
      }
      if (gaps) {
        clear_gaps(scores + i * stride, shape.query_heads, spans, in_use);
        clear_gaps(room.mixed + i * stride, outs, spans, in_use);
      }
      const Index at = i * stride + in_use.first;
      mix_scores(scores, at, packs);
      for (Index h = 0; h < shape.heads; ++h) {
        S* w = room.weights + h * step + i * stride;
        if constexpr (formula)
          apply_formula<S>(policies, w, in_use, seen.block.first, first.position + i, h, shape.heads);
        for (Index j = in_use.first; j < in_use.last; j += lanes<S>)
          policies.weights.weight(pack<S>::load(w + j), saved(h, i)).store(w + j);
      }
      if (gaps) clear_gaps(room.weights + i * stride, shape.heads, spans, in_use);

      if constexpr (learning::factors) take_factors(seen, i, in_use);
      mix_heads<S>(gradients + at, shape.heads, room.mixed + at, outs, step, policies.heads.weights.data(), 1,
                   policies.heads.weights.stride(), packs);
      for (Index h = 0; h < shape.heads; ++h) {
        const S *w = room.weights + h * step + at, *dw = gradients + h * step + at;
        pack<S> total(0), weight_total(0);
        for (Index j = 0; j < in_use.size(); j += lanes<S>) {
          total = fma(pack<S>::load(w + j), pack<S>::load(dw + j), total);
          weight_total += pack<S>::load(w + j);
        }
        room.totals[h * Rows + i] += sum(total);
        room.weight_totals[h * Rows + i] += sum(weight_total);
      }
      multiply_heads<S>(room.weight_sums, room.weights + at, shape.heads, room.mixed + at, outs, step, packs,
                        outs * lanes<S>);
    }
  }

  /// The factors' gradients of row i, U · dU, and dU as it was before them.
  void take_factors(const auto& seen, Index i, index_range in_use) {
    const Index at = i * stride + in_use.first, packs = in_use.size() / lanes<S>;
    const Index from = distance(seen, i);
    mix_weights(room.factored, at, packs);
    row_learned learned;
    for (Index o = 0; o < shape.output_heads; ++o) {
      const S* u = room.factored + o * step + i * stride;
      S* du = room.mixed + o * step + i * stride;
      for (Index j = in_use.first; j < in_use.last; j += lanes<S>)
        (pack<S>::load(u + j) * pack<S>::load(du + j)).store(learned.factor + j);
      learned.add_factors_to(learned_sums.of(group, o), in_use, from);
      multiply_by<S>(du, in_use, policies.weights.factors.of(o) + from);
    }
  }

  /// U = W Λ_w of packs from `at` on.
  void mix_weights(S* to, Index at, Index packs) const {
    mix_heads<S>(to + at, shape.output_heads, room.weights + at, shape.heads, step, policies.heads.weights.data(),
                 policies.heads.weights.stride(), 1, packs);
  }

  /// L = J Λ_l of packs from `at` on, in the place of the weights.
  void mix_scores(const S* scores, Index at, Index packs) const {
    mix_heads<S>(room.weights + at, shape.heads, scores + at, shape.query_heads, step, policies.heads.scores.data(),
                 policies.heads.scores.stride(), 1, packs);
  }

  /// From dW to all gradients.
  void pass_back(const auto& seen, coverage cover) {
    const index_range hull = seen.template hull<S>(cover), in_use = whole(hull);
    S *scores = scores_of(seen), *gradients = gradients_of(seen);
    const bool gaps = cover == coverage::some || in_use.last > hull.last;
    const Index packs = in_use.size() / lanes<S>, outs = shape.output_heads;
    for (Index i = 0; i < q.rows(); ++i) {
      const Index at = i * stride + in_use.first;
      mix_scores(scores, at, packs);
      for (Index h = 0; h < shape.heads; ++h) {
        const auto& score_formula = at_head(policies.score, h, shape.heads);
        row_learned learned;
        for (Index j = in_use.first; j < in_use.last; j += lanes<S>)
          slope(score_formula, room.weights + h * step + i * stride + j, gradients + h * step + i * stride + j, h, i,
                seen.block.first + j, learned, j);
        if constexpr (learning::numbers > 0 || learning::biases) {
          if (gaps) each_gap(seen.spans(i), in_use, [&](index_range gap) { learned.clear(gap); });
          learned.add_to(learned_sums.of(group, h), in_use, distance(seen, i));
        }
      }
      if (gaps) {
        clear_gaps(room.weights + i * stride, shape.heads, seen.spans(i), in_use);
        clear_gaps(gradients + i * stride, shape.heads, seen.spans(i), in_use);
      }
      mix_weights(room.mixed, at, packs);
      if constexpr (learning::factors)
        for (Index o = 0; o < outs; ++o)
          multiply_by<S>(room.mixed + o * step + i * stride, in_use,
                         policies.weights.factors.of(o) + distance(seen, i));
      multiply_heads<S>(room.score_sums, scores + at, shape.query_heads, gradients + at, shape.heads, step, packs,
                        shape.heads * lanes<S>);
      mix_heads<S>(scores + at, shape.query_heads, gradients + at, shape.heads, step, policies.heads.scores.data(), 1,
                   policies.heads.scores.stride(), packs);  // dJ in the place of J
      if constexpr (relative)
        for (Index a = 0; a < shape.query_heads; ++a)
          sum_relative<S>(of_row(policies.columns.score_gradients, i, a), in_use, policies.columns, scores + a * step + i * stride,
                          distance(seen, i));
    }
    const Index n = whole_keys(), key = key_stride(), value = value_stride();
    const Index width = key / std::remove_cvref_t<decltype(policies.columns)>::parts;
    for (Index a = 0; a < shape.query_heads; ++a)
      each_part_of<S, Rows, stride>(policies.columns, scores + a * step, seen, hull, [&](int part, index_range met, const S* dj) {
        const Index column = part * width;
        add_query_gradient(a, column, width, seen, cover, met, dj);
        add_key_gradient(sums.dk + a * n * key + column, width, key, seen, cover, met, dj, room.q_rows + a * Rows * key + column);
      });
    for (Index o = 0; o < outs; ++o)
      add_key_gradient(sums.dv + o * n * value, value, value, seen, cover, hull, room.mixed + o * step,
                       room.dout_rows + o * Rows * value);
  }
  Index whole_keys() const { return (first.keys + strip_rows - 1) / strip_rows * strip_rows; }

  /// A pack of mixed scores becomes weights, their gradients the mixed scores'.
  FORMWORK_INLINE void slope(const auto& score_formula, S* score, S* gradient, Index h, Index i, Index key, row_learned& learned,
                             Index j) const {
    using P = pack<S>;
    P s = P::load(score);
    dual<P, 1 + learning::numbers> bent(s);
    if constexpr (formula) {
      bent = bend<S, learning::numbers>(score_formula, s, first.position + i, key, h, shape.heads);
      s = bent.value * P(policies.weights.score_unit);
    }
    const P w = policies.weights.weight(s, saved(h, i));
    P ds = policies.weights.slope(s, w, P::load(gradient), saved(h, i));
    if constexpr (learning::numbers > 0 || learning::biases) learned.keep(j, bent, ds);
    if constexpr (formula) ds = ds * bent.at(0);
    w.store(score);
    ds.store(gradient);
  }

  /// Of the columns from `column` on.
  void add_query_gradient(Index a, Index column, Index width, const auto& seen, coverage cover, index_range met,
                          const S* dscores) {
    const cached_values<S> k = turned.values(first.sequence, a);
    S* dq = room.dq + a * Rows * k.stride + column;
    const S* rows = k.rows + seen.block.first * k.stride + column;
    if (cover == coverage::all || k.finite[seen.block.first / key_block])
      accumulate<S, Rows, stride, 1>(dq, width, k.stride, nullptr, met.size(), dscores + met.first, rows + met.first * k.stride);
    else
      accumulate_seen<S, stride>(dq, width, k.stride, nullptr, seen, dscores, rows);
  }

  /// to(j, :) += Σ_i weight(i, j) rows(i, :). 0 · NaN is NaN: a query that is not finite must not reach keys it does not see.
  void add_key_gradient(S* to, Index width, Index row, const auto& seen, coverage cover, index_range met, const S* weight,
                        const S* rows) {
    to += seen.block.first * row;
    if (cover == coverage::all || all_finite(rows, (q.rows() - 1) * row + width)) {
      for (Index j = met.first / strip_rows * strip_rows; j < met.last; j += strip_rows)
        accumulate<S, strip_rows, 1, stride>(to + j * row, width, row, nullptr, q.rows(), weight + j, rows);
      return;
    }
    for (Index i = 0; i < q.rows(); ++i)
      for (const index_range span : seen.spans(i))
        for (Index j = span.first; j < span.last; ++j)
          accumulate<S, 1, 1, stride>(to + j * row, width, row, nullptr, 1, weight + i * stride + j, rows + i * row);
  }

  static void collect(wide_of<S>* to, const S* from, Index count) {
    for (Index c = 0; c < count; ++c) to[c] += widened(sum(pack<S>::load(from + c * lanes<S>)));
  }
};

/// The gradients of attend_forward where heads mix: also those of the mixing matrices, which are overwritten.
///
/// Shapes    dq, dk, dv, dout as q, k, v, out; dmixing as the matrices; dlearned as what the scores learn; the others as in
///           attend_forward.
/// Numerics  as attend_backward; strips of mixed_rows queries are summed in their order within at most mixed_groups groups of a
///           sequence, groups and sequences in theirs.
/// Cost      2.5 times the forward's products and 3.5 times its mixes; per thread two strips of mixed_rows × heads × keys; k
///           and v packed both ways and up to mixed_groups copies of dk and dv.
/// Throws    argument_error for shapes that do not fit.
/// Source    Shazeer et al., 2003.02436.
template <number S, class Policies>
  requires mixes_heads<decltype(Policies::heads)>
void attend_backward(view<S> dq, view<S> dk, view<S> dv, head_mixing_gradient<S> dmixing, const_view<S> dout,
                     const_view<S> out, const_view<S> kept, const_view<S> q, const_view<S> k, const_view<S> v,
                     const sequences& batch, const sequences& key_batch, head_shape shape, const Policies& policies,
                     start dq_start = start::fresh, start dk_start = start::fresh, start dv_start = start::fresh,
                     score_gradients<S> dlearned = {}) {
  check_attend<S>("attend_backward", out, kept, q, batch, shape, policies.heads, policies.columns);
  check_attend<S>("attend_backward", dout, kept, dq, batch, shape, policies.heads, policies.columns);
  check_attend<S>("attend_backward", dout, kept, dq, batch, shape, head_mixing<S>{dmixing.scores, dmixing.weights},
                  policies.columns);
  check_keys<S>("attend_backward", k, v, key_batch, shape);
  check_keys<S>("attend_backward", dk, dv, key_batch, shape);
  const row_factors<S> factors(
      batch, [&](Index s) { return key_batch.length(s); }, shape, policies);
  const head_shape swapped{.heads = shape.heads,
                           .key_heads = shape.value_heads,
                           .key_width = shape.head_width,
                           .head_width = shape.key_width,
                           .value_heads = shape.key_heads};
  const key_value_cache<S> keys(k, v, key_batch, shape), turned(v, k, key_batch, swapped);
  mixed_gradient_sums<S> sums(batch, key_batch, shape);

  using learning = score_sums<S, Policies>;
  learning learned_sums(dlearned, policies, batch, key_batch, shape, sums.count(),
                        [&](Index group) { return sums.group(group).sequence; });
  const Index size = attend_mixed_backward_room<S>(nullptr, shape, key_batch.longest(), learning::factors).used;
  const scratch<S> rooms(threads() * size);
  parallel_for(sums.count(), [&](Index task) {
    const auto [s, number, count] = sums.group(task);
    const attend_mixed_backward_room<S> room(rooms.data() + thread_number() * size, shape, key_batch.longest(),
                                             learning::factors);
    for (Index r = number * mixed_rows; r < batch.length(s); r += count * mixed_rows) {
      const Index at = batch.first(s) + r, rows = std::min<Index>(mixed_rows, batch.length(s) - r);
      attend_mixed_backward_strip<S, Policies>{.policies = policies,
                                               .shape = shape,
                                               .keys = keys,
                                               .turned = turned,
                                               .first = {batch.start(s) + r, key_batch.length(s), s},
                                               .row_of_first = at,
                                               .q = q.rows(at, rows),
                                               .dout = dout.rows(at, rows),
                                               .plain = factors.plain.data() + at,
                                               .folded = factors.folded.data() + at,
                                               .kept = kept.row(at),
                                               .kept_stride = kept.stride(),
                                               .room = room,
                                               .sums = sums.of(task),
                                               .learned_sums = learned_sums,
                                               .group = task}
          .run();
      const Index stride = padded<S>(shape.key_width);
      for (Index a = 0; a < shape.query_heads; ++a)
        deliver_gradient<S>(dq.rows(at, rows).cols(a * shape.key_width, shape.key_width), dq_start,
                            room.dq + a * mixed_rows * stride, stride, factors.plain.data() + at);
    }
  });
  sums.deliver_keys(dk, dv, dk_start, dv_start);
  // J was kept in the unit of the weights where no formula stands between.
  sums.deliver_mixing(dmixing, leaves_scores<decltype(policies.score)> ? 1 / policies.weights.score_unit : 1.0);
  learned_sums.deliver();
}

}  // namespace formwork
